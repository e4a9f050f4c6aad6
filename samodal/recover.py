"""One track through its gaps: frames in which a known instance has no visible pixel get a mask, or an end.

`Follower` works causally, frame by frame. `recover_track` runs it over a whole track, and in mode `two-sided` lets
it see the far side of a gap too. Where the instance is comes from a `HiddenInstanceModel`.
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from samodal import masks
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.motion import EgoMotion, HiddenInstanceModel
from samodal.motion.ego import FixedEgo
from samodal.motion.observation import Observation, observe
from samodal.motion.shape import carry
from samodal.video import State, Track

Mode = Literal["two-sided", "online", "none"]
HISTORY = 30  # observations that are remembered
HORIZON = 60  # and for how many frames
LOOK_AHEAD = 15  # observations used from the far side of a gap
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
    """Follows one instance with bounded memory: `update` in frames that show it, `predict` in the others.

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

    def update(self, seen: Observation, score: float) -> None:
        """Take an observation (see `samodal.motion.observation.observe`) later than all before, and its score."""
        self.history.append(seen)
        while self.history[0].frame < seen.frame - HORIZON:
            self.history.popleft()
        self.score, self.ended = score, None

    def predict(self, frame: int, after: Sequence[Observation] = ()) -> Recovered:
        """The instance in a frame without visible pixels, after at least one `update`.

        The score is that of the last observation x exp(-doubt^2). Doubt is the predicted standard deviation of
        the centre in halves of the size (square root of the area), and of log size, root of the sum of squares.
        A track ends when doubt exceeds 1 ("lost"), when the image border cut it where it was last seen, or when less
        than a tenth of it is inside the image (both "left the frame"); the next `update` begins it again. With
        `after`, observations from the far side of the gap, it never ends, but may be "outside the frame" for a while.
        """
        if self.ended and not after:
            return Recovered(None, "gone", 0.0, self.ended)
        before = list(self.history)
        if before[-1].is_cut and not after:
            # What vanishes at the image border has left; to take it for hidden there leaves large ghosts.
            self.ended = "left the frame"
            return Recovered(None, "gone", 0.0, self.ended)
        target = self.motion.predict(before, frame, self.ego, after)
        doubt = float(np.hypot(target.sigma / (target.scale / 2), target.size_sigma))
        if doubt > LOST and not after:
            self.ended = "lost"
            return Recovered(None, "gone", 0.0, self.ended)
        mask = carry([*before, *after], frame, target)
        if masks.area(mask) < LEAST_INSIDE * target.scale**2:
            if after:
                return Recovered(None, "gone", 0.0, "outside the frame")
            self.ended = "left the frame"
            return Recovered(None, "gone", 0.0, self.ended)
        reason = "between two sightings" if after else f"not seen for {frame - before[-1].frame} frames"
        return Recovered(mask, "hidden", self.score * float(np.exp(-(doubt**2))), reason)


def recover_track(
    track: Track, motion: HiddenInstanceModel, mode: Mode = "two-sided", *, ego: EgoMotion | None = None
) -> Track:
    """Fill the frames of a track in which it is not seen, from its first to the last frame of the video.

    Args:
        track: with `visible` and, where visible, `amodal` masks, and `scores` (or the track's score counts).
            It is not changed.
        motion: says where a hidden instance is.
        mode: `two-sided` uses both sides of a gap (only the near side of one that never ends), `online` only the
            past, exactly as a `Follower` does frame by frame, `none` fills nothing.
        ego: the camera's motion over the video; None means a camera that stands still.

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
    seen = _observations(track)
    to_come = list(seen.values())  # in order of their frames
    follower = Follower(motion, ego or FixedEgo())
    for frame in range(len(track)):
        if frame in seen:
            score = track.scores[frame]
            follower.update(to_come.pop(0), track.score if score is None else score)
            result.states[frame] = "visible"
        elif follower.history and mode == "none":
            _write(result, frame, Recovered(None, "gone", 0.0, "not followed"))
        elif follower.history:
            after = to_come[:LOOK_AHEAD] if mode == "two-sided" else []
            _write(result, frame, follower.predict(frame, after))
    return result


def _observations(track: Track) -> dict[int, Observation]:
    """The frames that say where the instance is: those with visible pixels and an amodal mask."""
    seen = {}
    for frame, (visible, amodal) in enumerate(zip(track.visible, track.amodal, strict=True)):
        if amodal is not None and masks.area(visible) and masks.area(amodal):
            hidden = masks.occlusion_rate(amodal, visible) or 0.0
            seen[frame] = observe(frame, amodal, 1.0 - hidden)
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
