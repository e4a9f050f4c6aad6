"""Points followed from each frame to the next: all that such a tracker needs is a rule for two images."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from samodal.track.interface import Frames, Located, Tracks, check_call, check_follow, no_tracks

Advance = Callable[[np.ndarray, np.ndarray, np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""(image, another, xy (N, 2), visible_prob (N,)) in the one -> the latter two in the other; N > 0.

Images are uint8 (H, W, 3) RGB, all else is float64. What is said of a point does not depend on the others.
"""


def follow_pairs(frames: Frames, queries: np.ndarray, window: range | None, advance: Advance) -> Tracks:
    """Follow points both ways from their query frames; arguments and result as of `PointTracker.track`."""
    queries, window = check_call(frames, queries, window)
    if not len(queries):
        return no_tracks(window)
    known = queries[:, 0].astype(int) - window.start
    images = [frames[index] for index in window]
    xy = np.repeat(queries[None, :, 1:], len(window), axis=0)
    prob = np.repeat(is_inside(queries[:, 1:], images[0].shape)[None].astype(float), len(window), axis=0)
    forwards = [(t - 1, t, known < t) for t in range(1, len(window))]
    backwards = [(t + 1, t, known > t) for t in range(len(window) - 2, -1, -1)]
    for here, there, on in forwards + backwards:
        if on.any():
            xy[there, on], prob[there, on] = advance(
                images[here], images[there], xy[here, on], prob[here, on]
            )
    return Tracks(xy.astype(np.float32), prob.astype(np.float32), np.ones(prob.shape, bool))


@dataclass
class _Clip:
    frame: int  # that its points were followed to
    xy: np.ndarray
    prob: np.ndarray


class PairStream:
    """See `PointStream`: the numbers of `follow_pairs`. Keeps nothing but the points."""

    def __init__(self, frames: Frames, advance: Advance) -> None:
        self._frames, self._advance = frames, advance
        self._clips: dict[int, _Clip] = {}
        self._count = 0

    def follow(self, frame: int, points: np.ndarray) -> int:
        """See `PointStream`."""
        points = check_follow(self._frames, frame, points)
        prob = is_inside(points, self._frames[frame].shape).astype(float)
        self._count += 1
        self._clips[self._count] = _Clip(frame, points, prob)
        return self._count

    def step(self) -> dict[int, Located]:
        """See `PointStream`. Clips that are in the same frame go on together."""
        newest = len(self._frames) - 1
        for frame in range(min((clip.frame for clip in self._clips.values()), default=newest), newest):
            on = [clip for clip in self._clips.values() if clip.frame == frame]
            xy, prob = (np.concatenate([getattr(clip, name) for clip in on]) for name in ("xy", "prob"))
            xy, prob = self._advance(self._frames[frame], self._frames[frame + 1], xy, prob)
            ends = np.cumsum([len(clip.xy) for clip in on])[:-1]
            for clip, its_xy, its_prob in zip(on, np.split(xy, ends), np.split(prob, ends), strict=True):
                clip.frame, clip.xy, clip.prob = frame + 1, its_xy, its_prob
        return {
            number: (clip.xy.astype(np.float32), clip.prob.astype(np.float32))
            for number, clip in self._clips.items()
        }

    def forget(self, clip: int) -> None:
        """See `PointStream`."""
        del self._clips[clip]


def is_inside(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which points (N, 2) lie on an image of a shape (H, W, ...): bool (N,)."""
    return np.all((points >= -0.5) & (points < np.array(shape[1::-1]) - 0.5), axis=1)
