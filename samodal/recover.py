"""One track over time: frames that show an instance partly are completed from those that show more of it, and frames
in which a known instance has no visible pixel get a mask, or an end.

`Follower` works causally, frame by frame. `Recovery` is told of sightings as they come and answers frame by frame; what
it knows of later frames by then it uses too, in mode `two-sided`. `recover_track` does that for a whole track,
`samodal.stream` while the frames are still coming. Where the instance is comes from a `HiddenInstanceModel`.
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from typing import Literal

import numpy as np

from samodal import masks
from samodal.errors import InputError
from samodal.masks import Rle, Runs
from samodal.motion import EgoMotion, HiddenInstanceModel, Prediction
from samodal.motion.ego import FixedEgo
from samodal.motion.observation import Observation, Step, observe
from samodal.motion.refine import hide, refine
from samodal.motion.scenery import Scenery
from samodal.motion.votes import Votes, fuse
from samodal.video import State, Track

Mode = Literal["two-sided", "online", "none"]
HISTORY = 30  # observations that are remembered
HORIZON = 60  # and for how many frames
LOOK_AHEAD = 15  # later observations that are used
LOST = 1.0  # doubt (see `Follower.predict`) that ends a track: beyond it, masks hardly ever hit
COVERED = 0.8  # share of a mask at the image border that others cover, where it is hidden and has not left
LEAST_INSIDE = 0.05  # an instance of which less than this share lies inside the image has left it


@dataclass(frozen=True)
class Recovered:
    """What is believed of an instance in one frame; see `samodal.video.Track`."""

    amodal: Rle | None
    state: State
    score: float
    reason: str | None


@dataclass(frozen=True)
class Sighting:
    """A frame that shows an instance.

    Attributes:
        frame: its index.
        visible: what is seen of the instance, at least one pixel.
        own: the amodal mask of this frame, by itself; None where there is none.
        score: of that mask.
        scenery: what the frame shows of all instances; None: not known.
    """

    frame: int
    visible: Rle
    own: Observation | None
    score: float
    scenery: Scenery | None

    @staticmethod
    def of(
        frame: int,
        visible: Rle,
        amodal: Rle | None,
        score: float,
        scene: Runs | None,
        step: Step | None = None,
    ) -> "Sighting":
        """The sighting with this amodal mask, measured; `scene` is all that any instance shows of itself, `step` how
        what is seen moved since the frame before."""
        own, hidden = None, masks.occlusion_rate(amodal, visible)
        scenery = None if scene is None else Scenery(scene, Runs(visible))
        if amodal is not None and hidden is not None:
            own = observe(frame, amodal, 1.0 - hidden, scenery, step)
        return Sighting(frame, visible, own, score, scenery)


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
        self.scores: deque[float] = deque(maxlen=HISTORY)  # of the same
        self.ended: str | None = None

    def complete(self, seen: Observation, scenery: Scenery | None) -> Observation:
        """What is believed of a frame that shows the instance, later than all frames so far; nothing is changed.

        Args:
            seen: the mask of this frame, by itself.
            scenery: what the frame shows; None: not known.

        Returns:
            The mask, completed from earlier frames that show more of the instance; `seen` where none do.
        """
        before = [earlier for earlier in self.history if earlier.frame >= seen.frame - HORIZON]
        return complete(seen, before, (), self.motion, self.ego, scenery)

    def see(self, seen: Observation, score: float) -> None:
        """Take an observation (see `samodal.motion.observation.observe`) later than all before, and its score."""
        self.history.append(seen)
        self.scores.append(score)
        while self.history[0].frame < seen.frame - HORIZON:
            self.history.popleft()
            self.scores.popleft()
        self.ended = None

    def predict(
        self,
        frame: int,
        after: Sequence[Observation] = (),
        scene: Runs | None = None,
        votes: Prediction | None = None,
    ) -> Recovered:
        """The instance in a frame without visible pixels, after at least one `see`; `votes` is what tracked points say.

        The score is that of the best observation x exp(-doubt^2): what is carried into a gap are the well-seen masks,
        not the sliver that was seen last. Doubt is the predicted standard deviation of the centre in halves of the size
        (square root of the area), and of log size, root of the sum of squares.
        A track ends when doubt exceeds 1 ("lost"), when less than a twentieth of it is inside the image, or when the
        image border cut it where it was last seen and no others are in front of where it should be (both "left the
        frame"); the next `see` begins it again. With `after`, observations from the far side of the gap, it never
        ends, but may be "outside the frame" for a while.
        """
        if self.ended and not after:
            return Recovered(None, "gone", 0.0, self.ended)
        before = list(self.history)
        target = fuse(self.motion.predict(before, frame, self.ego, after), votes)
        doubt = float(np.hypot(target.sigma / (target.scale / 2), target.size_sigma))
        if doubt > LOST and not after:
            self.ended = "lost"
            return Recovered(None, "gone", 0.0, self.ended)
        mask = hide(before, after, frame, target, self.ego, scene)
        # What vanishes at the image border has left, unless others are in front of it: else large ghosts remain.
        at_border = before[-1].is_cut and not after and _covered(mask, scene) < COVERED
        if at_border or masks.area(mask) < LEAST_INSIDE * target.scale**2:
            if after:
                return Recovered(None, "gone", 0.0, "outside the frame")
            self.ended = "left the frame"
            return Recovered(None, "gone", 0.0, self.ended)
        reason = "between two sightings" if after else f"not seen for {frame - before[-1].frame} frames"
        return Recovered(mask, "hidden", max(self.scores) * float(np.exp(-(doubt**2))), reason)


class Recovery:
    """One instance: told of sightings as they come, asked for one frame after the other.

    Remembers a bounded past, and the sightings of frames that were not asked for yet: those are its look-ahead.

    Args:
        motion: says where a hidden instance is.
        ego: the camera's motion; must know the frames that are told of and asked for.
        mode: see `recover_track`.
    """

    def __init__(self, motion: HiddenInstanceModel, ego: EgoMotion, mode: Mode) -> None:
        self.mode = mode
        self.follower = Follower(motion, ego)
        self.last_seen = -1  # of all frames told of
        self._coming: dict[int, Sighting] = {}
        self._completed: dict[int, Observation] | None = None  # those to come; None when there is a new one

    def add(self, sighting: Sighting) -> None:
        """Take a sighting, later than all before."""
        self._coming[sighting.frame] = sighting
        self._completed, self.last_seen = None, sighting.frame

    def at(self, frame: int, scene: Runs | None = None, votes: Prediction | None = None) -> Recovered | None:
        """What is believed of a frame, from all sightings so far; of each frame in turn.

        Args:
            frame: later than all asked for before.
            scene: as in `Sighting.of`, for frames that do not show the instance.
            votes: what tracked points say of such a frame.

        Returns:
            None before the first sighting.
        """
        if self.mode == "two-sided" and self._completed is None:
            self._completed = self._complete_all()
        sighting = self._coming.pop(frame, None)
        if sighting is not None and sighting.own is not None:
            own = self._completion(sighting, sighting.own)
            self.follower.see(own, sighting.score)
            return Recovered(own.amodal, "visible", sighting.score, None)
        found = None
        if self.follower.history and self.mode == "none":
            found = Recovered(None, "gone", 0.0, "not followed")
        elif self.follower.history:
            after = list(islice((self._completed or {}).values(), LOOK_AHEAD))
            found = self.follower.predict(frame, after, scene, votes)
        if sighting is None:
            return found
        # Seen, but the amodal mask is missing: what is believed, and at least what is seen.
        believed = None if found is None else found.amodal
        amodal = sighting.visible if believed is None else masks.union([believed, sighting.visible])
        return Recovered(amodal, "visible", sighting.score if found is None else found.score, None)

    def _completion(self, sighting: Sighting, own: Observation) -> Observation:
        if self._completed is not None:
            return self._completed.pop(sighting.frame)
        if self.mode == "online":
            return self.follower.complete(own, sighting.scenery)
        return own

    def _complete_all(self) -> dict[int, Observation]:
        """Every sighting to come, completed from those around it: once forwards, once backwards.

        So each is completed from others that have been completed themselves.
        """
        coming = [(sighting, sighting.own) for sighting in self._coming.values() if sighting.own is not None]
        seen = [*self.follower.history, *(own for _, own in coming)]
        first = len(self.follower.history)
        for k in (*range(first, len(seen)), *reversed(range(first, len(seen)))):
            sighting, _ = coming[k - first]
            before = [o for o in seen[max(0, k - HISTORY) : k] if o.frame >= sighting.frame - HORIZON]
            after = seen[k + 1 : k + 1 + LOOK_AHEAD]
            follower = self.follower
            seen[k] = complete(seen[k], before, after, follower.motion, follower.ego, sighting.scenery)
        return {own.frame: own for own in seen[first:]}


def recover_track(
    track: Track,
    motion: HiddenInstanceModel,
    mode: Mode = "two-sided",
    *,
    ego: EgoMotion | None = None,
    scene: Sequence[Runs | None] | None = None,
    votes: Votes | None = None,
    steps: Mapping[int, Step] | None = None,
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
        steps: frame -> how what is seen of the instance moved since the frame before, where that is known.

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
    recovery = Recovery(motion, ego or FixedEgo(), mode)
    sightings = {sighting.frame: sighting for sighting in _sightings(track, scene, steps or {})}
    for sighting in sightings.values():
        recovery.add(sighting)
    for frame in range(len(track)):
        found = recovery.at(frame, scene[frame] if scene else None, votes.get(frame) if votes else None)
        if found is None:
            continue
        result.amodal[frame], result.states[frame] = found.amodal, found.state
        if frame not in sightings or sightings[frame].own is None:
            result.scores[frame] = None if found.state == "gone" else found.score
            result.reasons[frame] = found.reason
    return result


def complete(
    seen: Observation,
    before: Sequence[Observation],
    after: Sequence[Observation],
    motion: HiddenInstanceModel,
    ego: EgoMotion,
    scenery: Scenery | None,
) -> Observation:
    """See `Follower.complete`; `before` and `after` are earlier and later observations, oldest first."""
    if scenery is None or not (before or after):
        return seen
    amodal = refine(seen, before, after, motion, ego, scenery)
    if amodal is None:
        return seen
    shown = masks.area(scenery.visible.rle) if scenery.visible else 0
    return observe(seen.frame, amodal, shown / masks.area(amodal), scenery, seen.step)


def _covered(mask: Rle, scene: Runs | None) -> float:
    """Share of a mask where another instance is seen; 0 where that is not known."""
    area = masks.area(mask)
    return masks.area(masks.intersection([mask, scene.rle])) / area if scene is not None and area else 0.0


def _sightings(
    track: Track, scene: Sequence[Runs | None] | None, steps: Mapping[int, Step]
) -> Iterator[Sighting]:
    for frame, (visible, amodal) in enumerate(zip(track.visible, track.amodal, strict=True)):
        if visible is not None and masks.area(visible):
            score = track.scores[frame]
            score = track.score if score is None else score
            known = scene[frame] if scene else None
            yield Sighting.of(frame, visible, amodal, score, known, steps.get(frame))
