"""What a hidden instance looks like: the well-seen masks around the gap, brought to one place and averaged."""

from collections.abc import Sequence

import cv2
import numpy as np

from samodal import masks
from samodal.masks import Rle
from samodal.motion import Prediction
from samodal.motion.observation import Observation, trust

SOURCES = 8  # at most so many masks are averaged
CUT = 0.25  # worth of a mask that the image border cuts, beside a whole one


def carry(observations: Sequence[Observation], frame: int, target: Prediction) -> Rle:
    """The amodal mask of a hidden instance.

    Masks are moved and scaled to where the instance is believed to be, and their signed distances averaged. Those
    near in time and well seen count more, so between two sightings one shape passes into the other, and what
    differs from frame to frame (a walker's legs, a network's noise) is evened out.

    Args:
        observations: at least one, from before the gap and, where known, from behind it.
        frame: the hidden frame.
        target: where the instance is believed to be in it.
    """
    size = observations[0].size
    worth = trust(observations) * [CUT if o.is_cut else 1.0 for o in observations]
    weights = np.where(worth < worth.max() / 2, 0.0, worth**2)
    weights = weights / [abs(frame - o.frame) for o in observations]
    chosen = [int(k) for k in np.argsort(-weights, kind="stable")[:SOURCES] if weights[k] > 0]
    zooms = [target.scale / observations[k].scale for k in chosen]
    shifts = [
        np.asarray(target.center) - z * observations[k].center for k, z in zip(chosen, zooms, strict=True)
    ]

    boxes = np.array(
        [z * observations[k].edges + np.tile(s, 2) for k, z, s in zip(chosen, zooms, shifts, strict=True)]
    )
    left, top = np.maximum(np.floor(boxes[:, :2].min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(boxes[:, 2:].max(0)).astype(int) + 1, size[::-1])
    whole = np.zeros(size, np.uint8)
    if left < right and top < bottom:
        total = np.zeros((bottom - top, right - left), np.float32)
        for k, zoom, shift in zip(chosen, zooms, shifts, strict=True):
            distance, corner = _signed_distance(observations[k])
            offset = zoom * corner + shift - (left, top)
            affine = np.array([[zoom, 0, offset[0]], [0, zoom, offset[1]]])
            moved = cv2.warpAffine(
                distance, affine, total.shape[::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
            )
            total += np.float32(weights[k] * zoom) * moved
        whole[top:bottom, left:right] = total > 0
    return masks.encode(whole)


def _signed_distance(seen: Observation) -> tuple[np.ndarray, np.ndarray]:
    """Distance to the mask's edge in pixels, positive inside, with a margin; (x, y) of its first pixel."""
    margin = 2 + max(seen.shape.shape) // 8
    height, width = seen.shape.shape
    inside = np.zeros((height + 2 * margin, width + 2 * margin), np.uint8)
    inside[margin:-margin, margin:-margin] = seen.shape
    distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3) - cv2.distanceTransform(
        1 - inside, cv2.DIST_L2, 3
    )
    return distance, seen.edges[:2] + 0.5 - margin
