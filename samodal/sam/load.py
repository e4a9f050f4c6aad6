"""A model from what a user calls it."""

from pathlib import Path

import torch

from samodal.sam.config import nano_config
from samodal.sam.model import AmodalSam

ORIGINAL_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


def load_model(
    name: str,
    adapter: str = "none",
    adapter_dim: int | None = None,
    new_adapter: bool = False,
    device: torch.device | str | None = None,
    seed: int = 0,
) -> AmodalSam:
    """Load a model.

    Args:
        name: "samodal-nano" (bundled), a model folder, a Hugging Face id, a checkpoint file of segment-anything or
            S-AModal, or "scratch-nano": the size of samodal-nano with random weights.
        adapter: the adapter of a checkpoint file; with `new_adapter` the adapter to add.
        adapter_dim: inner width of a new adapter; None is its usual width.
        new_adapter: add a fresh adapter where the model has none.
        seed: of fresh weights.

    Raises:
        InputError: no such model, or its weights do not fit.
    """
    if name == "scratch-nano":
        return AmodalSam(nano_config(adapter=adapter, adapter_dim=adapter_dim), seed).to(device)
    if Path(name).suffix in ORIGINAL_SUFFIXES and not Path(name).is_dir():
        return AmodalSam.from_original(name, adapter, new_adapter=new_adapter, device=device, seed=seed)
    wanted = adapter if new_adapter and adapter != "none" else None
    return AmodalSam.from_pretrained(name, wanted, adapter_dim=adapter_dim, device=device, seed=seed)
