"""What a SAM is prompted with, as options."""

from dataclasses import dataclass
from typing import Literal

from samodal.prompts.saliency import DEFAULT

PromptKind = Literal["points", "box", "mask"]


@dataclass(frozen=True)
class PromptOptions:
    """How a SAM is prompted with a visible mask.

    Attributes:
        strategy: how points are chosen.
            eroded-random: drawn from the pixels away from the mask's edge.
            random: drawn from all pixels of the mask.
            max-distance: the farthest from a first point that is drawn, then from each other.
            max-entropy: where the image is richest; nothing is drawn.
            saliency: where the image catches the eye; nothing is drawn.
        count: points per instance and frame.
        kinds: any of points, box, mask; empty: those that the model was trained with.
        saliency: what says how much a place catches the eye: image-signature (needs no weights), or
            package.module:function of your own (docs/saliency.md).
    """

    strategy: str = "eroded-random"
    count: int = 1
    kinds: tuple[PromptKind, ...] = ()
    saliency: str = DEFAULT
