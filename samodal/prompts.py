"""Prompts: from the visible mask of an instance to the points that SAM is asked with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np

from samodal.errors import InputError
from samodal.masks import erode

Strategy = Callable[[np.ndarray, int, np.random.Generator], np.ndarray]
"""(visible bool (H, W) with at least one pixel, count K, generator) -> int64 (K, 2) points (x, y)."""


PromptKind = Literal["points", "box", "mask"]


@dataclass(frozen=True)
class PromptOptions:
    """How a SAM is prompted with a visible mask.

    Attributes:
        strategy: how points are drawn: eroded-random or random.
        count: points per instance and frame.
        kinds: any of points, box, mask; empty: those that the model was trained with.
    """

    strategy: str = "eroded-random"
    count: int = 1
    kinds: tuple[PromptKind, ...] = ()


def pick_points(
    visible: np.ndarray,
    strategy: str,
    count: int,
    rng: np.random.Generator,
    image: np.ndarray | None = None,
    start: np.ndarray | None = None,
) -> np.ndarray:
    """Draw point prompts from a visible mask.

    Args:
        visible: bool (H, W).
        strategy: a name in `STRATEGIES`.
        count: K, the number of points, at least 1.
        rng: where the randomness comes from.
        image: uint8 (H, W, 3) RGB, for strategies that look at it.
        start: (2,) point (x, y) to start from, for strategies that move on from a first point.

    Returns:
        int64 (K, 2) points (x, y) inside the mask, without repetition as long as the mask has K pixels;
        (0, 2) if the mask is empty: there is nothing to prompt with.

    Raises:
        InputError: unknown strategy, or a count below 1.

    Source: S-AModal section 3.2; of the original, the point selection of its dataset classes. There, an
    instance without a visible pixel takes its point from the true amodal mask; here it takes none.
    """
    if count < 1:
        raise InputError(f"prompt count {count}: at least 1 point is needed")
    if strategy not in STRATEGIES:
        raise InputError(f"prompt strategy {strategy!r}: choose from {', '.join(STRATEGIES)}")
    if not visible.any():
        return np.zeros((0, 2), np.int64)
    return STRATEGIES[strategy](visible, count, rng)


def random(visible: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Any pixels of the mask, all equally likely."""
    rows, columns = np.nonzero(visible)
    chosen = rng.choice(len(rows), size=count, replace=count > len(rows))
    return np.stack([columns[chosen], rows[chosen]], axis=1).astype(np.int64)


def eroded_random(visible: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    """Pixels away from the edge (7x7 erosion); of the whole mask where erosion leaves nothing."""
    eroded = erode(visible)
    return random(eroded if eroded.any() else visible, count, rng)


STRATEGIES: dict[str, Strategy] = {"eroded-random": eroded_random, "random": random}


def prompt_rng(seed: int, *place: int) -> np.random.Generator:
    """The generator of one place (video id, track id, frame): the draw does not depend on any other draw."""
    return np.random.default_rng([seed, *(number % 2**64 for number in place)])


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
    unknown = np.clip(np.tensordot(may_hide.astype(np.float32), own, 1), 0, 1)
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
