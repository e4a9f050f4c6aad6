"""How what is seen of an instance moves from frame to frame, told by corners on it.

The amodal mask of a partly hidden instance is guessed anew in every frame, and its centre and size jump by pixels. What
is seen of the instance is the thing itself: corners on it tell to a fraction of a pixel how it moved, though not where
its hidden parts are. Both together tell its course.
"""

from collections.abc import Mapping

import cv2
import numpy as np

from samodal.motion.ego import WORK_WIDTH, flow_of, grey_image
from samodal.motion.observation import Step

CORNERS = 40  # on each instance, at most
LEAST_CORNERS = 2
QUALITY = 0.002  # of the worst corner beside the best: on small things, every one counts
APART = 2  # pixels between corners
WINDOW = 7  # pixels around a corner by which it is known: on small things, larger ones see past the border
INSIDE = (
    40  # pixels that must be left of a visible mask without its rim, where corners of what is behind it stick
)
NOISE = 0.2  # standard deviation, in pixels, of what corners say together
ZOOM_NOISE = 0.01  # and of the logarithm of the zoom
USUAL_ZOOM = 0.05  # how much a thing's size changes in a frame, before anything is measured
GREATEST_ZOOM = 1.2
DISAGREE = 3.0  # misfit in pixels from which on corners are not on one thing
STRAY = 1.5  # misfit, in median misfits, from which on a corner counts less


class InstanceFlow:
    """The steps of all instances, from frames that are pushed one by one."""

    def __init__(self) -> None:
        self._previous: tuple[np.ndarray, dict[int, np.ndarray]] | None = None

    def push(self, frame: np.ndarray, visible: Mapping[int, np.ndarray]) -> dict[int, Step]:
        """Take the next frame.

        Args:
            frame: uint8 (H, W, 3) RGB.
            visible: track id -> visible mask, bool (H, W), of the instances that are seen.

        Returns:
            Track id -> how it moved since the frame before, of those that are seen in both and show enough corners.
        """
        scale = min(1.0, WORK_WIDTH / frame.shape[1])
        grey = grey_image(frame, scale)
        shown = {track_id: _resized(mask, grey.shape) for track_id, mask in visible.items()}
        previous, self._previous = self._previous, (grey, shown)
        if previous is None or previous[0].shape != grey.shape:
            return {}
        before, shown_before = previous
        corners = {k: _corners(before, mask) for k, mask in shown_before.items() if k in shown}
        corners = {k: found for k, found in corners.items() if len(found) >= LEAST_CORNERS}
        if not corners:
            return {}
        starts = np.concatenate(list(corners.values()))
        ends, good = flow_of(before, grey, starts, WINDOW)
        x, y = np.rint(np.where(good[:, None], ends, 0)).astype(int).T
        steps, first = {}, 0
        for track_id, found in corners.items():
            mine = slice(first, first := first + len(found))
            kept = good[mine] & (shown[track_id][y[mine], x[mine]] > 0)
            step = fit_step(starts[mine][kept] / scale, ends[mine][kept] / scale, 1 / scale)
            if step is not None:
                steps[track_id] = step
        return steps


def _resized(mask: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    small = mask.view(np.uint8) if mask.dtype == bool else mask.astype(np.uint8)
    return small if mask.shape == shape else cv2.resize(small, shape[::-1], interpolation=cv2.INTER_NEAREST)


def _corners(grey: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """(N, 2) corners (x, y) on what is seen of an instance, its rim left out where enough is left without."""
    x, y, w, h = cv2.boundingRect(mask)
    if w == 0:
        return np.zeros((0, 2), np.float32)
    window = np.s_[max(0, y - 2) : y + h + 2, max(0, x - 2) : x + w + 2]
    part = mask[window]
    inside = cv2.erode(part, np.ones((3, 3), np.uint8))
    on = inside if np.count_nonzero(inside) >= INSIDE else part
    found = cv2.goodFeaturesToTrack(np.ascontiguousarray(grey[window]), CORNERS, QUALITY, APART, mask=on)
    if found is None:
        return np.zeros((0, 2), np.float32)
    return found.reshape(-1, 2) + np.array([max(0, x - 2), max(0, y - 2)], np.float32)


def fit_step(starts: np.ndarray, ends: np.ndarray, pixel: float = 1.0) -> Step | None:
    """The step that fits N corners (N, 2) before and after, in which stray ones weigh little (Cauchy).

    None where there are too few, or where they do not move as one.

    Args:
        starts: where they were.
        ends: where they are.
        pixel: size of a pixel of the image in which they were found.
    """
    if len(starts) < LEAST_CORNERS:
        return None
    noise = NOISE * pixel
    # Begun with the median, because a few that flew far off would lead a mean astray for good.
    off = np.hypot(*(ends - starts - np.median(ends - starts, axis=0)).T)
    for _ in range(7):
        typical = max(1.48 * float(np.median(off)), noise / 2)
        weights = 1 / (1 + (off / (STRAY * typical)) ** 2)
        weights /= weights.sum()
        start, end = weights @ starts, weights @ ends
        before, after = starts - start, ends - end
        spread = float(weights @ (before**2).sum(1))
        usual = (noise / USUAL_ZOOM) ** 2 / len(starts)
        zoom = (float(weights @ (before * after).sum(1)) + usual) / (spread + usual)
        zoom = float(np.clip(zoom, 1 / GREATEST_ZOOM, GREATEST_ZOOM))
        off = np.hypot(*(after - zoom * before).T)
    if typical > DISAGREE * pixel:
        return None
    error = max(typical, noise) / len(starts) ** 0.5
    zoom_sigma = np.hypot(ZOOM_NOISE, error / max(spread**0.5, pixel))
    return Step(start, end, zoom, float(np.hypot(noise, error)), float(zoom_sigma))
