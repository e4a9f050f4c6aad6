"""Prompts: from the visible mask of an instance to the points that SAM is asked with."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

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


def mask_prompts(visible: np.ndarray, confidence: float = 6.0) -> np.ndarray:
    """What the visible masks of a frame say about each full mask, as the logits of SAM's mask prompt.

    A pixel of the instance itself is certainly inside. A pixel of another instance may hide it: nothing is known
    there. Any other pixel is most likely outside.

    Args:
        visible: (N, h, w) in [0, 1], the share of each cell that each instance covers, all of one frame.
        confidence: the logit of "certain".

    Returns:
        float32 (N, h, w) logits.
    """
    own = visible.astype(np.float32)
    others = np.clip(own.sum(axis=0, keepdims=True) - own, 0, 1)
    return confidence * (own - (1 - own) * (1 - others))


def corners(mask: np.ndarray) -> np.ndarray:
    """The box of a bool mask (H, W) with at least one pixel: float32 (4,) x0, y0, x1, y1 of its outermost pixels."""
    columns, rows = np.flatnonzero(mask.any(axis=0)), np.flatnonzero(mask.any(axis=1))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], np.float32)
