"""A checkpoint of S-AModal from our weights: all names that its code builds, those that it never uses included."""

import json
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn

from samodal import files
from samodal.errors import InputError
from samodal.sam import AmodalSam, AmodalSamConfig
from samodal.sam.adapters import Bottleneck, PromptGenerator
from samodal.sam.checkpoints import original_name
from samodal.sam.initialise import initialise
from samodal.sam.load import ORIGINAL_SUFFIXES
from samodal.sam.reading import NOTE, State, note_config


def check_original(path: Path) -> None:
    """Refuse a file whose suffix is of no checkpoint.

    Raises:
        InputError: such a file, or a folder.
    """
    if path.suffix not in ORIGINAL_SUFFIXES:
        known = ", ".join(ORIGINAL_SUFFIXES)
        raise InputError(f"--original {path}: the suffix says the format; one of {known} is expected")
    if path.is_dir():
        raise InputError(f"--original {path}: is a folder; a file is written")


def write_original(model: AmodalSam, path: str | Path) -> None:
    """Write a state dict under the names of segment-anything and S-AModal, all of it or nothing.

    A plain one: `torch.load(path, weights_only=True)` reads a .pth. It carries our configuration where
    `load_state_dict` does not look, so that `AmodalSam.from_original(path)` needs no word more.

    Raises:
        InputError: neither .pth, .pt, .bin nor .safetensors.
    """
    path, model = Path(path), merged(model)
    check_original(path)
    state, note = original_state(model), json.dumps(model.config.to_dict())
    with files.replacing(path) as temporary:
        if path.suffix == ".safetensors":
            save_file(state, temporary, metadata={"format": "pt", NOTE: note})
        else:
            with temporary.open("wb") as file:  # a name would become part of the content
                torch.save(note_config(state, note), file)


def merged(model: AmodalSam) -> AmodalSam:
    """The model with LoRA merged into the matrices that it changes; any other model as it is."""
    if model.config.adapter != "lora":
        return model
    config = AmodalSamConfig.from_sam(model.config, adapter="none", adapter_dim=None)
    return AmodalSam.from_original(model.to_original(), config=config)


def original_state(model: AmodalSam) -> State:
    """The weights of a model, and new ones for what the original builds and this model has not.

    S-AModal builds the prompt generator of SAM-Adapter in every mode and, in its mode adapt, a Depth_Adapter in every
    block (image_encoder.py), and uses them in none or one. Strict loading wants them. They get what a new adapter
    starts with: random weights (always the same), and zeros in the last layer, so that even in use they change nothing.
    """
    return {
        name: weight.contiguous() for name, weight in (model.to_original() | _unused(model.config)).items()
    }


def _unused(config: AmodalSamConfig) -> State:
    vision = config.vision_config
    parts: dict[str, nn.Module] = {}
    if config.adapter != "sam-adapter":
        usual = AmodalSamConfig.from_sam(config, adapter="sam-adapter", adapter_dim=None).adapter_width
        parts["vision_encoder.prompt_generator."] = PromptGenerator(
            vision.hidden_size, usual, vision.num_hidden_layers, vision.patch_size, mixed=True
        )
    if config.adapter == "medical-adapter":
        for index in range(vision.num_hidden_layers):
            name = f"vision_encoder.layers.{index}.depth_adapter."
            parts[name] = Bottleneck(vision.hidden_size, config.adapter_width)
    generator = torch.Generator().manual_seed(0)
    for part in parts.values():
        initialise(part, generator)
    return {
        original_name(prefix + name, config): weight.detach()
        for prefix, part in parts.items()
        for name, weight in part.named_parameters()
    }


def differences(config: AmodalSamConfig) -> list[str]:
    """What the original's own code does otherwise with these weights; empty where it answers the same."""
    found = []
    if config.adapter == "sam-adapter" and not config.mixed_embedding:
        found.append("its prompt generator reads the patch embedding in another order (mixed_embedding)")
    if config.adapter == "medical-adapter" and not config.pad_before_norm:
        found.append("its adapter blocks pad windows before the norm (pad_before_norm)")
    usual = AmodalSamConfig.from_sam(config, adapter_dim=None).adapter_width
    if config.adapter != "none" and config.adapter_width != usual:
        found.append(f"its {config.adapter} is {usual} wide, this one {config.adapter_width}")
    return found
