"""A model from what a user calls it."""

from pathlib import Path

import torch

from samodal.download import CHECKPOINTS, find
from samodal.errors import InputError
from samodal.sam.config import nano_config
from samodal.sam.initialise import initialise_adapters
from samodal.sam.lora import LoraOptions, lora_fields, refuse_other_lora
from samodal.sam.model import AmodalSam

ORIGINAL_SUFFIXES = (".pth", ".pt", ".bin", ".safetensors")


def load_model(
    name: str,
    adapter: str = "none",
    adapter_dim: int | None = None,
    new_adapter: bool = False,
    device: torch.device | str | None = None,
    seed: int = 0,
    fresh_adapter: bool = False,
    lora: LoraOptions | None = None,
) -> AmodalSam:
    """Load a model.

    Args:
        name: "samodal-nano" (bundled), a model folder, a Hugging Face id, a checkpoint file of segment-anything or
            S-AModal, the name of a downloaded one (`samodal.download`), or, to train from, "scratch-nano": the size of
            samodal-nano with random weights.
        adapter: the adapter that the model has, or, with `new_adapter`, is to have. "none": the one that a folder
            has; of a checkpoint file, which does not say: none.
        adapter_dim: inner width of a new adapter; None is its usual width.
        new_adapter: training is meant: add a new adapter where the model has none.
        device: None: CPU.
        seed: of new weights.
        fresh_adapter: start with a new adapter also where the model has one.
        lora: of a new lora: its scale, and where it is put.

    Raises:
        InputError: no such model, its weights do not fit, or it has not the adapter that is asked for.
    """
    if name in CHECKPOINTS:
        name = str(find(name, name))
    if name == "scratch-nano":
        if not new_adapter:
            raise InputError("scratch-nano: has random weights; it is there to be trained")
        config = nano_config(adapter=adapter, adapter_dim=adapter_dim, **lora_fields(adapter, lora))
        model = AmodalSam(config, seed).to(device)
    elif Path(name).suffix in ORIGINAL_SUFFIXES and not Path(name).is_dir():
        model = AmodalSam.from_original(
            name,
            adapter,
            new_adapter=new_adapter,
            fresh_adapter=fresh_adapter,
            adapter_dim=adapter_dim,
            device=device,
            seed=seed,
            lora=lora,
        )
    else:
        wanted = adapter if new_adapter and adapter != "none" else None
        model = AmodalSam.from_pretrained(name, wanted, adapter_dim=adapter_dim, seed=seed, lora=lora)
        if fresh_adapter:
            initialise_adapters(model, seed)
        model.to(device)
    has = model.config.adapter
    if adapter not in ("none", has):
        raise InputError(f"{name}: has no {adapter}" + (f" but a {has}" if has != "none" else ""))
    if has == "none" and adapter_dim is not None:
        raise InputError(f"adapter_dim {adapter_dim}: {name} has no adapter; say which one is to be added")
    if has != "none" and adapter_dim not in (None, model.config.adapter_width):
        raise InputError(f"{name}: has a {has} of width {model.config.adapter_width}, not {adapter_dim}")
    if lora is not None:
        refuse_other_lora(model.config, lora, name)
    return model
