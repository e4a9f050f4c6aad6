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

if TYPE_CHECKING:
    from samodal.sam.model import AmodalSam

FORM = 1
"""Of what is exported; another number makes all exports anew."""


class Encoder(nn.Module):
    """Pixels (1, 3, S, S), and what a prompt generator makes of them -> embedding (1, C, g, g).

    The prompt generator looks at the spectrum of the image: engines have no word for that, so torch does it.
    """

    def __init__(self, model: "AmodalSam") -> None:
        super().__init__()
        self.encoder = model.vision_encoder

    def forward(self, pixels: Tensor, feature: Tensor | None = None) -> Tensor:
        """See the class."""
        return self.encoder(pixels, feature)


class Decoder(nn.Module):
    """Image (1, C, g, g), prompt tokens (1, 1, P, C) and dense prompt (1, C, g, g) -> logits and scores."""

    def __init__(self, model: "AmodalSam", multimask: bool) -> None:
        super().__init__()
        self.decoder = model.mask_decoder
        self.multimask = multimask
        self.register_buffer("positions", model.image_positions())

    def forward(self, image: Tensor, sparse: Tensor, dense: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        return self.decoder(image, self.positions, sparse, dense, self.multimask)


def encoder_inputs(model: "AmodalSam", pixels: Tensor) -> tuple[Tensor, ...]:
    """What `Encoder` is given for normalised pixels (1, 3, S, S)."""
    feature = model.vision_encoder.prompt_feature(pixels)
    return (pixels,) if feature is None else (pixels, feature)


@torch.no_grad()
def examples(model: "AmodalSam", part: str) -> tuple[nn.Module, tuple[Tensor, ...]]:
    """A part of a model to be traced, "encoder", "decoder" or "decoder-multimask", and inputs for it."""
    if part == "encoder":
        pixels = torch.zeros(1, 3, model.image_size, model.image_size)
        return Encoder(model), encoder_inputs(model, pixels)
    sparse, dense = model.prompt_encoder(torch.zeros(1, 1, 3, 2), torch.ones(1, 1, 3), None, None)
    return Decoder(model, part == "decoder-multimask").eval(), (
        torch.zeros(dense.shape),
        sparse,
        dense.clone(),
    )


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
