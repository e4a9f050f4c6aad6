"""One track over time: frames that show an instance partly are completed from those that show more of it, and frames
in which a known instance has no visible pixel get a mask, or an end.

`Follower` works causally, frame by frame. `recover_track` runs it over a whole track, and in mode `two-sided` lets
it see later frames too. Where the instance is comes from a `HiddenInstanceModel`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from samodal import masks
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.motion import EgoMotion, HiddenInstanceModel, Prediction
from samodal.motion.ego import FixedEgo
from samodal.motion.observation import Observation, observe
from samodal.motion.refine import hide, refine
from samodal.motion.votes import Votes, fuse
from samodal.video import State, Track

Mode = Literal["two-sided", "online", "none"]
HISTORY = 30  # observations that are remembered
HORIZON = 60  # and for how many frames
LOOK_AHEAD = 15  # later observations that are used
LOST = 1.0  # doubt (see `Follower.predict`) that ends a track: beyond it, masks hardly ever hit
LEAST_INSIDE = 0.1  # an instance of which less than this share lies inside the image has left it


@dataclass(frozen=True)
class Recovered:
    """What is believed of an instance in a frame that does not show it; see `samodal.video.Track`."""

    amodal: Rle | None
    state: State
    score: float
    reason: str


class Follower:
    """Follows one instance with bounded memory: `see` in frames that show it, `predict` in the others.

    Args:
        motion: the model of a hidden instance.
        ego: the camera's motion; must know a frame before that frame is predicted.
    """

    def __init__(self, motion: HiddenInstanceModel, ego: EgoMotion) -> None:
        self.motion = motion
        self.ego = ego
        self.history: deque[Observation] = deque(maxlen=HISTORY)
        self.score = 1.0
        self.ended: str | None = None

    def complete(self, seen: Observation, visible: Rle | None, scene: Rle | None) -> Observation:
        """What is believed of a frame that shows the instance, later than all frames so far; nothing is changed.

        Args:
            seen: the mask of this frame, by itself.
            visible: the visible mask.
            scene: all that any instance shows of itself in this frame.

        Returns:
            The mask, completed from earlier frames that show more of the instance; `seen` where none do.
        """
        return complete(seen, list(self.history), (), self.motion, self.ego, visible, scene)

    def see(self, seen: Observation, score: float) -> None:
        """Take an observation (see `samodal.motion.observation.observe`) later than all before, and its score."""
        self.history.append(seen)
        while self.history[0].frame < seen.frame - HORIZON:
            self.history.popleft()
        self.score, self.ended = score, None

    def predict(
        self,
        frame: int,
        after: Sequence[Observation] = (),
        scene: Rle | None = None,
        votes: Prediction | None = None,
    ) -> Recovered:
        """The instance in a frame without visible pixels, after at least one `see`; `votes` is what tracked points say.

        The score is that of the last observation x exp(-doubt^2). Doubt is the predicted standard deviation of
        the centre in halves of the size (square root of the area), and of log size, root of the sum of squares.
        A track ends when doubt exceeds 1 ("lost"), when the image border cut it where it was last seen, or when less
        than a tenth of it is inside the image (both "left the frame"); the next `see` begins it again. With
        `after`, observations from the far side of the gap, it never ends, but may be "outside the frame" for a while.
        """
        if self.ended and not after:
            return Recovered(None, "gone", 0.0, self.ended)
        before = list(self.history)
        if before[-1].is_cut and not after:
            # What vanishes at the image border has left; to take it for hidden there leaves large ghosts.
            self.ended = "left the frame"
            return Recovered(None, "gone", 0.0, self.ended)
        target = fuse(self.motion.predict(before, frame, self.ego, after), votes)
        doubt = float(np.hypot(target.sigma / (target.scale / 2), target.size_sigma))
        if doubt > LOST and not after:
            self.ended = "lost"
            return Recovered(None, "gone", 0.0, self.ended)
        mask = hide(before, after, frame, target, None if scene is None else masks.decode(scene))
        if np.count_nonzero(mask) < LEAST_INSIDE * target.scale**2:
            if after:
                return Recovered(None, "gone", 0.0, "outside the frame")
            self.ended = "left the frame"
            return Recovered(None, "gone", 0.0, self.ended)
        reason = "between two sightings" if after else f"not seen for {frame - before[-1].frame} frames"
        return Recovered(masks.encode(mask), "hidden", self.score * float(np.exp(-(doubt**2))), reason)


def recover_track(
    track: Track,
    motion: HiddenInstanceModel,
    mode: Mode = "two-sided",
    *,
    ego: EgoMotion | None = None,
    scene: Sequence[Rle | None] | None = None,
    votes: Votes | None = None,
) -> Track:
    """Complete a track where it is partly hidden, and fill the frames in which it is not seen, up to the end.

    Args:
        track: with `visible` and, where visible, `amodal` masks, and `scores` (or the track's score counts).
            It is not changed.
        motion: says where a hidden instance is.
        mode: `two-sided` uses both sides of a gap (only the near side of one that never ends), `online` only the
            past, exactly as a `Follower` does frame by frame, `none` changes and fills nothing.
        ego: the camera's motion over the video; None means a camera that stands still.
        scene: of each frame all that any instance shows of itself. If not given, masks of frames that show the
            instance stay as they are.
        votes: what tracked points say of hidden frames (see `samodal.tracked.votes_of`).

    Returns:
        A new track. Frames without visible pixels are `hidden` with a mask or `gone` without one, with a reason;
        before the first sighting they stay `absent`. A visible frame without amodal mask gets one, too.

    Raises:
        InputError: an unknown mode.
    """
    if mode not in ("two-sided", "online", "none"):
        raise InputError(f"recover: unknown mode {mode!r}, choose two-sided, online or none")
    result = replace(
        track,
        amodal=list(track.amodal),
        states=list(track.states),
        scores=list(track.scores),
        reasons=list(track.reasons),
    )
    ego = ego or FixedEgo()
    seen = _observations(track, scene)
    if scene and mode == "two-sided":
        _complete_all(seen, track, motion, ego, scene)
    to_come = list(seen.values())  # in order of their frames
    follower = Follower(motion, ego)
    for frame in range(len(track)):
        if frame in seen:
            own, score = to_come.pop(0), track.scores[frame]
            if scene and mode == "online":
                own = follower.complete(own, track.visible[frame], scene[frame])
            follower.see(own, track.score if score is None else score)
            result.amodal[frame], result.states[frame] = own.amodal, "visible"
        elif follower.history and mode == "none":
            _write(result, frame, Recovered(None, "gone", 0.0, "not followed"))
        elif follower.history:
            after = to_come[:LOOK_AHEAD] if mode == "two-sided" else []
            said = votes.get(frame) if votes else None
            _write(result, frame, follower.predict(frame, after, scene[frame] if scene else None, said))
    return result


def complete(
    seen: Observation,
    before: Sequence[Observation],
    after: Sequence[Observation],
    motion: HiddenInstanceModel,
    ego: EgoMotion,
    visible: Rle | None,
    scene: Rle | None,
) -> Observation:
    """See `Follower.complete`; `before` and `after` are earlier and later observations, oldest first."""
    if visible is None or scene is None or not (before or after):
        return seen
    shown = masks.decode(visible)
    others = masks.decode(scene) & ~shown
    amodal = refine(seen, before, after, motion, ego, shown, others)
    if amodal is None:
        return seen
    fraction = np.count_nonzero(shown) / np.count_nonzero(amodal)
    return observe(seen.frame, masks.encode(amodal), fraction, others)


def _complete_all(
    seen: dict[int, Observation],
    track: Track,
    motion: HiddenInstanceModel,
    ego: EgoMotion,
    scene: Sequence[Rle | None],
) -> None:
    """Complete every observation from those around it, in place: once forwards, once backwards.

    So each is completed from others that have been completed themselves.
    """
    frames = list(seen)
    for k in (*range(len(frames)), *reversed(range(len(frames)))):
        frame = frames[k]
        before = [seen[j] for j in frames[max(0, k - HISTORY) : k] if j >= frame - HORIZON]
        after = [seen[j] for j in frames[k + 1 : k + 1 + LOOK_AHEAD]]
        seen[frame] = complete(seen[frame], before, after, motion, ego, track.visible[frame], scene[frame])


def _observations(track: Track, scene: Sequence[Rle | None] | None) -> dict[int, Observation]:
    """The frames that say where the instance is: those with visible pixels and an amodal mask."""
    seen = {}
    for frame, (visible, amodal) in enumerate(zip(track.visible, track.amodal, strict=True)):
        if visible is None or amodal is None or not masks.area(visible) or not masks.area(amodal):
            continue
        hidden = masks.occlusion_rate(amodal, visible) or 0.0
        shown = scene[frame] if scene else None
        others = masks.decode(shown) & ~masks.decode(visible) if shown else None
        seen[frame] = observe(frame, amodal, 1.0 - hidden, others)
    return seen


def _write(track: Track, frame: int, found: Recovered) -> None:
    visible = track.visible[frame]
    if visible is not None and masks.area(visible):
        # Seen, but the amodal mask is missing: what is believed, and at least what is seen.
        amodal = visible if found.amodal is None else masks.union([found.amodal, visible])
        track.amodal[frame], track.states[frame], track.scores[frame] = amodal, "visible", found.score
        return
    gone = found.state == "gone"
    track.amodal[frame], track.states[frame], track.reasons[frame] = found.amodal, found.state, found.reason
    track.scores[frame] = None if gone else found.score
