"""What goes in and out of a model: an encoded frame, the answers on it, and what another engine has to do for them."""

from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

from samodal.sam.images import Size


@dataclass
class FrameEmbedding:
    """An encoded frame.

    Attributes:
        embedding: (C, g, g) on the model's device.
        original_size: (H, W) of the frame.
        input_size: (h, w) of the frame after resizing, before padding.
    """

    embedding: Tensor
    original_size: Size
    input_size: Size


@dataclass
class Decoded:
    """The answers to N prompts on one frame, on the model's device.

    Attributes:
        masks: bool (N, H, W), or (N, 3, H, W) with multimask.
        low_res: (N, C, h, w) logits of the padded input, at a quarter of its size; C is 1, with multimask 3.
        scores: (N, C) predicted IoU of each mask.
    """

    masks: Tensor
    low_res: Tensor
    scores: Tensor


class Engine(Protocol):
    """Runs the parts of a model in torch's place, see `samodal.backends`. Everything float32 on the CPU."""

    def encode(self, pixels: Tensor) -> Tensor:
        """Normalised pixels (1, 3, S, S) -> embedding (1, C, g, g)."""

    def decode(
        self, cells: Tensor, tokens: Tensor, masks: Tensor | None, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Answer N prompts, each as if it were alone.

        Args:
            cells: the embedding, (1, g * g, C).
            tokens: of points and boxes, (N, 1, P, C), with P = 0 where there are only masks.
            masks: mask prompts (N, 1, 4g, 4g), or None.
            multimask: three masks a prompt instead of one.

        Returns:
            logits (N, C, 4g, 4g) and predicted IoU (N, C); C is 1, or 3 with multimask.
        """
