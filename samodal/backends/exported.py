"""Encoder and mask decoder as modules that can be traced, and the folder where what was exported is kept."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from samodal.files import cache_folder
from samodal.sam.adapters import high_pass
from samodal.sam.images import rows

if TYPE_CHECKING:
    from samodal.sam.model import AmodalSam

FORM = 2
"""Of what is exported; another number makes all exports anew."""


class Encoder(nn.Module):
    """Pixels (1, 3, S, S), and their high frequencies where a prompt generator wants them -> embedding (1, C, g, g).

    Engines have no word for the spectrum of an image, so torch makes the high frequencies.
    """

    def __init__(self, model: "AmodalSam") -> None:
        super().__init__()
        self.encoder = model.vision_encoder

    def forward(self, pixels: Tensor, high: Tensor | None = None) -> Tensor:
        """See the class."""
        return self.encoder(pixels, high)


class Decoder(nn.Module):
    """Image (1, g * g, C), prompt tokens (1, 1, P, C), mask prompt (1, 1, 4g, 4g) if any -> logits and scores."""

    def __init__(self, model: "AmodalSam", multimask: bool) -> None:
        super().__init__()
        self.decoder = model.mask_decoder
        self.mask_embed = model.prompt_encoder.mask_embed
        self.no_mask = nn.Parameter(model.prompt_encoder.no_mask_embed.weight.detach())
        self.multimask = multimask
        self.register_buffer("positions", rows(model.image_positions())[0])

    def forward(self, cells: Tensor, tokens: Tensor, mask: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """See the class."""
        hint = self.no_mask if mask is None else rows(self.mask_embed(mask))
        return self.decoder((cells + hint)[:, None], self.positions, tokens, self.multimask)


def encoder_inputs(model: "AmodalSam", pixels: Tensor) -> tuple[Tensor, ...]:
    """What `Encoder` is given for normalised pixels (1, 3, S, S)."""
    return (pixels, high_pass(pixels)) if model.config.adapter == "sam-adapter" else (pixels,)


def decoder_part(multimask: bool, mask: bool) -> str:
    """The name of a decoder, for `examples`."""
    return "decoder" + "-multimask" * multimask + "-mask" * mask


@torch.no_grad()
def examples(model: "AmodalSam", part: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A part of a model to be traced, "encoder" or a `decoder_part`, and inputs for it."""
    side, vision = model.image_size, model.config.vision_config
    if part == "encoder":
        return Encoder(model), encoder_inputs(model, torch.zeros(1, 3, side, side))
    grid, channels = side // vision.patch_size, vision.output_channels
    cells, tokens = torch.zeros(1, grid * grid, channels), torch.zeros(1, 1, 3, channels)
    mask = (torch.zeros(1, 1, 4 * grid, 4 * grid),) if part.endswith("-mask") else ()
    return Decoder(model, "-multimask" in part).eval(), (cells, tokens, *mask)


def fingerprint(model: nn.Module) -> str:
    """A name for the function that a model computes: its structure, its weights and its constants."""
    seen = hashlib.blake2b(str(model).encode(), digest_size=16)
    if (config := getattr(model, "config", None)) is not None:
        seen.update(repr(config.to_dict()).encode())
    for name, value in model.state_dict().items():
        seen.update(name.encode() + value.cpu().reshape(-1).view(torch.uint8).numpy().tobytes())
    return seen.hexdigest()


def kept(
    engine: str, model: nn.Module, part: str, packages: tuple[str, ...], make: Callable[[Path], None]
) -> Path:
    """The folder with the export of a part of a model, made by `make(folder)` where it is not there yet.

    Folders lie in the user's cache, named by the weights and by the versions of all that they depend on. A folder is
    there as a whole or not at all, also where several processes make it at the same time.
    """
    versions = {name: version(name) for name in ("samodal", "torch", "transformers", *packages)}
    about = json.dumps([FORM, part, fingerprint(model), versions]).encode()
    folder = cache_folder() / engine / f"{part}-{hashlib.blake2b(about, digest_size=12).hexdigest()}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{part}."))
    try:
        make(temporary)
        try:
            temporary.rename(folder)
        except OSError:
            if not folder.is_dir():  # another process was first, and made the same
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return folder
