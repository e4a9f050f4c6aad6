"""Points go where dense optical flow takes them, from frame to frame. Any function that gives flow will do.

As with Lucas-Kanade only what is seen is followed: a point that gets hidden is lost.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import map_coordinates

from samodal.track.interface import Frames, Tracks
from samodal.track.pairwise import PairStream, follow_pairs, is_inside

Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]
"""(image, next image), both uint8 (H, W, 3) RGB -> float32 (H, W, 2): by how many pixels (x, y) each pixel moves."""


class ChainedFlow:
    """Optical flow, each step checked by the flow back; a `PointTracker`.

    From its query frame a point is followed both ways, by the flow between its four nearest pixels. The flow back from
    where it arrives should bring it back to its start: `visible_prob` falls from 1 with the distance by which the worst
    step so far missed it, to 0 at the distance which Sundaram, Brox and Keutzer (ECCV 2010) take for a sign of
    occlusion. There, and beyond the border of the image, a point is lost and stays where it was last.

    Args:
        flow: what gives the flow; it is asked for both directions of neighbouring frames.
        needs_weights: it was opened with a file of weights.
        licence: of the weights.
    """

    causal = False
    max_window: int | None = None
    deterministic = True
    through_occlusion = False

    def __init__(self, flow: Flow, needs_weights: bool = False, licence: str | None = None) -> None:
        self.flow, self.needs_weights, self.licence = flow, needs_weights, licence

    def track(self, frames: Frames, queries: np.ndarray, window: range | None = None) -> Tracks:
        """Follow points; see `PointTracker.track`."""
        return follow_pairs(frames, queries, window, self._advance)

    def stream(self, frames: Frames) -> PairStream:
        """Follow points while frames are still coming; see `PointStream`."""
        return PairStream(frames, self._advance)

    def _advance(
        self, image: np.ndarray, other: np.ndarray, xy: np.ndarray, prob: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """See `samodal.track.pairwise.Advance`."""
        moved, sure = step(self.flow(image, other), self.flow(other, image), xy)
        prob = np.minimum(prob, sure)
        return np.where(prob[:, None] > 0, moved, xy), prob


def step(flow: np.ndarray, flow_back: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points go from one image to the next.

    Args:
        flow: float (H, W, 2), from the first image to the second.
        flow_back: float (H, W, 2), from the second to the first.
        points: (N, 2) pixels.

    Returns:
        (N, 2), and (N,): how sure, from 0 to 1; 0 where a point is hidden or beyond the border.
    """
    there = sample(flow, points)
    moved = points + there
    back = sample(flow_back, moved)
    miss = np.linalg.norm(there + back, axis=1)
    limit = np.sqrt(0.01 * ((there**2).sum(1) + (back**2).sum(1)) + 0.5)
    sure = np.clip(1 - miss / limit, 0, 1)
    return moved, np.where(is_inside(moved, flow.shape), sure, 0)


def sample(field: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Bilinear samples (N, C) of a field (H, W, C) at points (N, 2); outside of it as at its border."""
    places = points.T[::-1]  # rows, columns
    return np.stack(
        [map_coordinates(c, places, order=1, mode="nearest") for c in np.moveaxis(field, 2, 0)], 1
    )
