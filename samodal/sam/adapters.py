"""Small trainable parts added to a frozen image encoder."""

import torch
from torch import Tensor, nn

_PARTS = ("prompt_generator", "space_adapter", "mlp_adapter", "lora_A", "lora_B")


def is_adapter(name: str) -> bool:
    """Whether a parameter's name belongs to an adapter."""
    return any(part in _PARTS for part in name.split("."))


class PromptGenerator(nn.Module):
    """SAM-Adapter (Chen et al. 2023): a task prompt, added to the tokens before every block.

    The prompt of a block is made of two features: what a convolution sees in the high frequencies of the
    image, and a projection of the patch embedding. Each block has its own small layer; the layer that goes
    up to the encoder's width is shared and starts at zero, so that a new adapter changes nothing.

    Args:
        width: channels of the encoder.
        inner: channels of the features.
        blocks: number of encoder blocks.
        patch: side of a patch in pixels.
        mixed: see `AmodalSamConfig.mixed_embedding`.
    """

    def __init__(self, width: int, inner: int, blocks: int, patch: int, mixed: bool) -> None:
        super().__init__()
        self.mixed = mixed
        self.embedding_generator = nn.Linear(width, inner)
        self.handcrafted_generator = nn.Conv2d(3, inner, kernel_size=patch, stride=patch)
        self.block_mlps = nn.ModuleList([nn.Linear(inner, inner) for _ in range(blocks)])
        self.shared_mlp = nn.Linear(inner, width)

    @property
    def last_layers(self) -> list[nn.Linear]:
        """The layers that are zero in a new adapter."""
        return [self.shared_mlp]

    def feature(self, high: Tensor, patches: Tensor) -> Tensor:
        """What all blocks share, (B, g, g, d).

        Args:
            high: (B, 3, S, S), `high_pass` of the pixels.
            patches: (B, g, g, D), the patch embedding without positions.
        """
        if self.mixed:  # the original takes (B, g * g, D) for (B, D, g * g)
            batch, grid, _, width = patches.shape
            patches = patches.reshape(batch, width, grid, grid).permute(0, 2, 3, 1)
        handcrafted = self.handcrafted_generator(high).permute(0, 2, 3, 1)
        return handcrafted + self.embedding_generator(patches)

    def forward(self, feature: Tensor, block: int) -> Tensor:
        """The prompt of one block, (B, g, g, d) -> (B, g, g, D)."""
        return self.shared_mlp(nn.functional.gelu(self.block_mlps[block](feature)))


class Bottleneck(nn.Module):
    """Medical-SAM-Adapter (Wu et al. 2023): down, GELU, up. The way up starts at zero."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down = nn.Linear(width, inner)
        self.up = nn.Linear(inner, width)

    @property
    def last_layers(self) -> list[nn.Linear]:
        """The layers that are zero in a new adapter."""
        return [self.up]

    def forward(self, tokens: Tensor) -> Tensor:
        """(..., D) -> (..., D), without the skip connection."""
        return self.up(nn.functional.gelu(self.down(tokens)))


def high_pass(pixels: Tensor, rate: float = 0.25) -> Tensor:
    """The magnitude of an image without its low frequencies.

    A centred square that covers the share `rate` of the spectrum is removed (Liu et al. 2023, "Explicit
    visual prompting for low-level structure segmentations", which SAM-Adapter takes it from).

    Args:
        pixels: (B, C, H, W).

    Returns:
        (B, C, H, W), never negative. Computed in float32: the spectrum of an image does not fit into 16 bits.
    """
    height, width = pixels.shape[-2:]
    half = int((height * width * rate) ** 0.5 // 2)

    def low(size: int) -> Tensor:
        # 0, 1, ... up to the middle, then from minus the middle up to -1
        frequency = (torch.arange(size, device=pixels.device) + size // 2) % size - size // 2
        return ((frequency >= -half) & (frequency < half)).float()

    def opposite(line: Tensor) -> Tensor:
        return line.flip(0).roll(1)

    # The square has one more row and column on its negative side. Of what is left the real part is taken, to which a
    # frequency and its opposite contribute alike, so half of the spectrum is enough.
    rows, columns = low(height), low(width)
    removed = rows[:, None] * columns + opposite(rows)[:, None] * opposite(columns)
    spectrum = torch.fft.rfft2(pixels.float()) * (1 - removed / 2)[:, : width // 2 + 1]
    return torch.fft.irfft2(spectrum, s=(height, width)).abs().to(pixels.dtype)
