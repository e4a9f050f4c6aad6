"""Models on disk: our own folders, and checkpoints of segment-anything and S-AModal."""

import copy
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from safetensors.torch import save_file
from transformers import SamConfig

from samodal import files
from samodal.errors import InputError
from samodal.sam import checkpoints, reading
from samodal.sam.adapters import is_adapter
from samodal.sam.config import AmodalSamConfig
from samodal.sam.initialise import initialise_adapters
from samodal.sam.lora import LoraOptions, lora_fields, merged_weights, stored_name
from samodal.sam.reading import State

if TYPE_CHECKING:
    from samodal.sam.model import AmodalSam


def load_folder(
    model_class: type["AmodalSam"],
    name_or_path: str | Path,
    adapter: str | None,
    adapter_dim: int | None,
    seed: int,
    lora: LoraOptions | None,
) -> "AmodalSam":
    """The model of a folder, in float32 on the CPU; see `AmodalSam.from_pretrained`."""
    folder = reading.find_folder(name_or_path)
    config = reading.read_config(folder)
    fresh = adapter is not None and adapter != config.adapter
    if fresh:
        if config.adapter != "none":
            raise InputError(
                f"{folder}: has a trained {config.adapter}, which cannot be exchanged for {adapter}"
            )
        fields = lora_fields(str(adapter), lora)
        config = AmodalSamConfig.from_sam(config, adapter=adapter, adapter_dim=adapter_dim, **fields)
    model = _empty(model_class, config)
    names = {own: stored_name(own) for own, _ in model.named_parameters()}
    _fill(model, names, reading.read_weights(folder), folder, fresh)
    if fresh:
        initialise_adapters(model, seed)
    return model


def load_original(
    model_class: type["AmodalSam"],
    source: str | Path | Mapping,
    adapter: str,
    config: SamConfig | None,
    pad_before_norm: bool | None,
    new_adapter: bool,
    fresh_adapter: bool,
    adapter_dim: int | None,
    seed: int,
    lora: LoraOptions | None,
) -> "AmodalSam":
    """The model of a checkpoint, in float32 on the CPU; see `AmodalSam.from_original`."""
    state, name, carried = checkpoints.read_original(source)
    config = config or carried
    if adapter == "none" and isinstance(config, AmodalSamConfig):
        adapter = config.adapter
    if adapter not in ("sam-adapter", "medical-adapter") and carried is None:
        checkpoints.tell_of_prompt_generator(state, name)
    untrained = (
        carried is not None and carried.adapter != adapter
    )  # an adapter in it is there for the original only
    state = checkpoints.select_original(state, adapter, fresh_adapter or untrained)
    ours = checkpoints.original_config(state, name, adapter, config, pad_before_norm, adapter_dim)
    fresh = adapter != "none" and checkpoints.adapter_width(state, adapter) is None
    if fresh and not (new_adapter or fresh_adapter):
        raise InputError(f"{name}: has no weights of a {adapter}; leave the adapter out, or train a new one")
    if fresh:
        ours = AmodalSamConfig.from_sam(ours, **lora_fields(adapter, lora))
    model = _empty(model_class, ours)
    names = {own: checkpoints.original_name(stored_name(own), ours) for own, _ in model.named_parameters()}
    _fill(model, names, state, name, fresh)
    if fresh:
        initialise_adapters(model, seed)
    return model


def _empty(model_class: type["AmodalSam"], config: AmodalSamConfig) -> "AmodalSam":
    """A model whose weights are still to be filled in."""
    with torch.device("meta"):
        model = model_class(config, seed=None)
    return model.to_empty(device="cpu")


@torch.no_grad()
def _fill(
    model: "AmodalSam", names: Mapping[str, str], state: State, source: str | Path, fresh_adapter: bool
) -> None:
    """Copy `state` into the weights, all but those of a fresh adapter; `names` are those in `state` by ours."""
    weights = {
        names[own]: weight
        for own, weight in model.named_parameters()
        if not (fresh_adapter and is_adapter(own))
    }
    checkpoints.check_fit(weights, state, str(source))
    for key, weight in weights.items():
        weight.copy_(state[key])


def cast(model: "AmodalSam", device: torch.device | str | None, dtype: torch.dtype | None) -> "AmodalSam":
    """Move a model; its position matrix stays float32, because 16 bits would blur phases of many turns."""
    positions = model.shared_image_embedding.positional_embedding
    exact = positions.data
    model.to(device=device, dtype=dtype)
    positions.data = exact.to(device)
    return model


def to_original(model: "AmodalSam") -> State:
    """The weights in the original's naming; see `AmodalSam.to_original`."""
    state = {
        checkpoints.original_name(own, model.config): weight.detach().cpu().clone()
        for own, weight in merged_weights(model).items()
    }
    if model.config.adapter == "medical-adapter":  # the original's adapter block has its own names
        state = {key.replace(".attn.rel_pos_", ".attn.rel_"): weight for key, weight in state.items()}
    return state


def save(model: "AmodalSam", folder: str | Path, dtype: torch.dtype | None, merged: bool) -> None:
    """Write a folder; see `AmodalSam.save_pretrained`."""
    folder = Path(folder)
    config = copy.deepcopy(model.config)
    own: State = {stored_name(name): weight for name, weight in model.named_parameters()}
    if merged and config.adapter == "lora":
        plain = {"adapter": "none", "adapter_dim": None, "lora_alpha": None, "lora_mlp": False}
        config, own = AmodalSamConfig.from_sam(config, **plain), merged_weights(model)
    config.dtype = dtype or model.dtype
    config.architectures = ["SamModel"]
    weights = {
        name: weight.detach().to("cpu", None if name == reading.TIED_TO else dtype).contiguous()
        for name, weight in own.items()
    }
    with files.replacing(folder / "model.safetensors") as path:
        save_file(weights, path, metadata={"format": "pt"})
    files.write_text(folder / "config.json", config.to_json_string())
