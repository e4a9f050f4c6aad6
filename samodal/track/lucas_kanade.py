"""Lucas-Kanade: a point goes where the small picture around it goes, from frame to frame. Needs no weights.

It follows what is seen: a point that gets hidden sticks to whatever hides it, or is lost.
"""

from typing import Any

import cv2
import numpy as np

from samodal.track.interface import Frames, Tracks
from samodal.track.pairwise import PairStream, follow_pairs

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
    through_occlusion = False

    def track(self, frames: Frames, queries: np.ndarray, window: range | None = None) -> Tracks:
        """Follow points; see `PointTracker.track`."""
        return follow_pairs(frames, queries, window, _advance)

    def stream(self, frames: Frames) -> PairStream:
        """Follow points while frames are still coming; see `PointStream`."""
        return PairStream(frames, _advance)


def _advance(
    image: np.ndarray, other: np.ndarray, xy: np.ndarray, prob: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """See `samodal.track.pairwise.Advance`."""
    grey, other_grey = (cv2.cvtColor(one, cv2.COLOR_RGB2GRAY) for one in (image, other))
    moved, sure = follow(grey, other_grey, xy.astype(np.float32))
    return moved.astype(np.float64), np.minimum(prob, sure)


def follow(image: np.ndarray, next_image: np.ndarray, points: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where points go from one grey image to the next.

    Args:
        image: uint8 (H, W).
        next_image: uint8 (H, W).
        points: float32 (N, 2) pixels, N > 0.

    Returns:
        float32 (N, 2), a lost point being where it was, and float32 (N,): how sure, from 0 to 1.
    """
    options: dict[str, Any] = {"winSize": WINDOW, "maxLevel": LEVELS}
    moved, found, _ = cv2.calcOpticalFlowPyrLK(image, next_image, points[:, None], None, **options)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(next_image, image, moved, None, **options)
    moved, back = moved[:, 0], back[:, 0]
    miss = np.linalg.norm(back - points, axis=1)
    ok = (found[:, 0] == 1) & (found_back[:, 0] == 1) & np.isfinite(moved).all(1) & (miss < TOLERANCE)
    sure = np.where(ok, 1 - miss / TOLERANCE, 0).astype(np.float32)
    return np.where(ok[:, None], moved, points), sure
