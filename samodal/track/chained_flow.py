"""Points go where dense optical flow takes them, from frame to frame. Any function that gives flow will do.

As with Lucas-Kanade only what is seen is followed: a point that gets hidden is lost.
"""

from collections.abc import Callable

import numpy as np
from scipy.ndimage import map_coordinates

from samodal.track.interface import Frames, Tracks, check_call, no_tracks

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
        queries, window = check_call(frames, queries, window)
        if not len(queries):
            return no_tracks(window)
        known = queries[:, 0].astype(int) - window.start
        xy = np.repeat(queries[None, :, 1:], len(window), axis=0)
        prob = np.ones(xy.shape[:2])
        images = [frames[index] for index in window]
        prob[known, np.arange(len(known))] = is_inside(queries[:, 1:], images[0].shape)
        forwards = [(t - 1, t, known < t) for t in range(1, len(window))]
        backwards = [(t + 1, t, known > t) for t in range(len(window) - 2, -1, -1)]
        for here, there, on in forwards + backwards:
            if on.any():
                there_and_back = (
                    self.flow(images[here], images[there]),
                    self.flow(images[there], images[here]),
                )
                xy[there, on], sure = step(*there_and_back, xy[here, on])
                prob[there, on] = np.minimum(prob[here, on], sure)
                lost = on & (prob[there] == 0)
                xy[there, lost] = xy[here, lost]
        return Tracks(xy.astype(np.float32), prob.astype(np.float32), np.ones(xy.shape[:2], bool))


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


def is_inside(points: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """Which points (N, 2) lie on an image of a shape (H, W, ...): bool (N,)."""
    return np.all((points >= -0.5) & (points < np.array(shape[1::-1]) - 0.5), axis=1)
