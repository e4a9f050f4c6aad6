"""LoRA (Hu et al. 2022) on the image encoder, by `peft`: a product of two thin matrices beside a frozen one."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from samodal.errors import InputError, missing_extra

if TYPE_CHECKING:
    from samodal.sam.config import AmodalSamConfig

ATTENTION = ("attn.qkv", "attn.proj")
MLP = ("mlp.lin1", "mlp.lin2")


@dataclass(frozen=True)
class LoraOptions:
    """A LoRA that is to be added: its scale (None: twice the rank), and whether also to the MLPs."""

    alpha: float | None = None
    mlp: bool = False


def lora_fields(adapter: str, lora: LoraOptions | None) -> dict[str, Any]:
    """The fields of a configuration for a new adapter."""
    chosen = lora or LoraOptions()
    return {"lora_alpha": chosen.alpha, "lora_mlp": chosen.mlp} if adapter == "lora" else {}


def refuse_other_lora(config: "AmodalSamConfig", wanted: LoraOptions, name: str) -> None:
    """Make sure that a model has the LoRA that is asked for.

    Raises:
        InputError: it has none, or another one.
    """
    if wanted == LoraOptions():
        return
    if config.adapter != "lora":
        raise InputError(f"{name}: lora_alpha and lora_mlp are of the adapter lora, not of {config.adapter}")
    if wanted.alpha not in (None, lora_scale(config)) or (wanted.mlp and not config.lora_mlp):
        where = "attention and MLPs" if config.lora_mlp else "attention only"
        raise InputError(f"{name}: has a lora already, of alpha {lora_scale(config):g}, on {where}")


def lora_scale(config: "AmodalSamConfig") -> float:
    """Alpha of LoRA: what its change of a matrix is scaled by, times the rank."""
    return config.lora_alpha or 2 * config.adapter_width


def add_lora(encoder: nn.Module, config: "AmodalSamConfig") -> None:
    """Put LoRA on the attention of all blocks, and where `config` says so on their MLPs.

    Raises:
        InputError: peft is not installed.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError:
        raise missing_extra("peft", "lora", "adapter lora") from None
    lora = LoraConfig(
        r=config.adapter_width,
        lora_alpha=lora_scale(config),
        target_modules=[*ATTENTION, *(MLP if config.lora_mlp else ())],
        init_lora_weights=False,  # `initialise` does it
    )
    inject_adapter_in_model(lora, encoder)
    encoder.requires_grad_(True)  # peft freezes all else; here `choose_trainable` says what learns


def initialise_lora(module: nn.Module, generator: torch.Generator) -> None:
    """Draw new weights for LoRA in `module`; the second matrices are zero, so that nothing changes."""
    for name, weight in module.named_parameters():
        if ".lora_A." in name:
            nn.init.kaiming_uniform_(weight, a=5**0.5, generator=generator)
        elif ".lora_B." in name:
            nn.init.zeros_(weight)


def stored_name(name: str) -> str:
    """Name of a weight in files: frozen matrices keep the names they have without LoRA."""
    return name.replace(".base_layer.", ".").replace(".default.", ".") if "vision_encoder." in name else name


def merged_weights(model: nn.Module) -> dict[str, Tensor]:
    """The weights of the model without LoRA that computes the same, up to rounding; names as in files."""
    weights = {stored_name(name): weight.detach() for name, weight in model.named_parameters()}
    for name, part in model.named_modules():
        if hasattr(part, "get_delta_weight"):
            weights[f"{name}.weight"] = weights[f"{name}.weight"] + part.get_delta_weight("default").detach()
    return {name: weight for name, weight in weights.items() if ".lora_" not in name}
