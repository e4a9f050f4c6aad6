"""Prompts that tell SAM where an instance is as a whole: masks and boxes."""

import cv2
import numpy as np


def mask_prompts(visible: np.ndarray, sure: float = 6.0) -> np.ndarray:
    """What the visible masks of a frame say about each full mask, as the logits of SAM's mask prompt.

    A cell of the instance itself is certainly inside. A cell of another instance that may stand before it may
    hide it: nothing is known there. Any other cell is likely outside, also behind it: what reaches less far down
    in the image is further away. In both, what is near the visible part is more likely inside, "near" measured
    with the size of the visible part. All this is a hint that the model learns to weigh.

    Args:
        visible: (N, h, w) in [0, 1], the share of each cell that each instance covers, all of one frame.
        sure: the logit of "certainly inside".

    Returns:
        float32 (N, h, w) logits: `sure` inside, from -sure / 4 to sure / 2 where unknown, from -sure to -sure / 2
        elsewhere.
    """
    own = visible.astype(np.float32)
    near = np.stack([_nearness(mask) for mask in own]) if len(own) else own
    lowest = np.array([_lowest_row(mask) for mask in own])
    may_hide = (lowest[None] >= lowest[:, None]) & ~np.eye(len(own), dtype=bool)
    unknown = np.array([np.minimum(own[row].sum(0), 1) for row in may_hide]).reshape(own.shape)
    elsewhere = unknown * (0.75 * near - 0.25) + (1 - unknown) * (0.5 * near - 1)
    return sure * (own + (1 - own) * elsewhere)


def _nearness(mask: np.ndarray) -> np.ndarray:
    """From 1 at the mask down to 0 far away: exp(-distance / half the diagonal of its box), (h, w)."""
    inside = mask >= 0.5 * mask.max()
    if not mask.any():
        return np.zeros_like(mask)
    left, top, right, bottom = corners(inside)
    size = max(2.0, 0.5 * float(np.hypot(right - left + 1, bottom - top + 1)))
    return np.exp(cv2.distanceTransform((~inside).astype(np.uint8), cv2.DIST_L2, 5) / -size)


def _lowest_row(mask: np.ndarray) -> int:
    rows = np.flatnonzero(mask.any(axis=1))
    return int(rows[-1]) if len(rows) else -1


def corners(mask: np.ndarray) -> np.ndarray:
    """The box of a bool mask (H, W) with at least one pixel: float32 (4,) x0, y0, x1, y1 of its outermost pixels."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], np.float32)
