"""Lucas-Kanade: a point goes where the small picture around it goes, from frame to frame. Needs no weights.

It follows what is seen: a point that gets hidden sticks to whatever hides it, or is lost.
"""

from typing import Any

import cv2
import numpy as np

from samodal.track.interface import Frames, Tracks, check_call, no_tracks

WINDOW = (21, 21)  # pixels that must move together
LEVELS = 4  # halvings of the frame
TOLERANCE = 2.0  # pixels off, there and back again, at which a point counts as lost


class LucasKanade:
    """Pyramidal Lucas-Kanade (OpenCV), each step checked by going back; a `PointTracker`.

    From its query frame a point is followed both ways. `visible_prob` falls from 1 with the distance by which the
    worst step so far missed its start on the way back, to 0 at 2 pixels. A lost point stays where it was last.
    """

    causal = False
    max_window: int | None = None
    needs_weights = False
    licence: str | None = None
    deterministic = True

    def track(self, frames: Frames, queries: np.ndarray, window: range | None = None) -> Tracks:
        """Follow points; see `PointTracker.track`."""
        queries, window = check_call(frames, queries, window)
        if not len(queries):
            return no_tracks(window)
        known = queries[:, 0].astype(int) - window.start
        xy = np.repeat(queries[None, :, 1:], len(window), axis=0).astype(np.float32)
        prob = np.ones(xy.shape[:2], np.float32)
        images = [cv2.cvtColor(frames[index], cv2.COLOR_RGB2GRAY) for index in window]
        for t in range(1, len(window)):  # forwards
            on = known < t
            xy[t, on], step = follow(images[t - 1], images[t], xy[t - 1, on])
            prob[t, on] = np.minimum(prob[t - 1, on], step)
        for t in range(len(window) - 2, -1, -1):  # and backwards
            on = known > t
            xy[t, on], step = follow(images[t + 1], images[t], xy[t + 1, on])
            prob[t, on] = np.minimum(prob[t + 1, on], step)
        return Tracks(xy, prob, np.ones(xy.shape[:2], bool))


def follow(image: np.ndarray, next_image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points go from one grey image to the next.

    Args:
        image: uint8 (H, W).
        next_image: uint8 (H, W).
        points: float32 (N, 2) pixels.

    Returns:
        float32 (N, 2), a lost point being where it was, and float32 (N,): how sure, from 0 to 1.
    """
    if not len(points):
        return points, np.zeros(0, np.float32)
    options: dict[str, Any] = {"winSize": WINDOW, "maxLevel": LEVELS}
    moved, found, _ = cv2.calcOpticalFlowPyrLK(image, next_image, points[:, None], None, **options)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(next_image, image, moved, None, **options)
    moved, back = moved[:, 0], back[:, 0]
    miss = np.linalg.norm(back - points, axis=1)
    ok = (found[:, 0] == 1) & (found_back[:, 0] == 1) & np.isfinite(moved).all(1) & (miss < TOLERANCE)
    sure = np.where(ok, 1 - miss / TOLERANCE, 0).astype(np.float32)
    return np.where(ok[:, None], moved, points), sure
