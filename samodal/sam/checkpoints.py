"""Checkpoints of segment-anything and S-AModal: what they contain, and their names for our weights."""

import logging
import math
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor
from transformers import SamConfig

from samodal.errors import InputError
from samodal.sam.config import DECODER_NORM_EPS, AmodalSamConfig
from samodal.sam.reading import State, carried_config, read_exported, read_pickle

# Applied one after the other to our names; "#" stands for a number.
_RENAMES = {
    "shared_image_embedding.": "prompt_encoder.pe_layer.",
    ".positional_embedding": ".positional_encoding_gaussian_matrix",
    "prompt_encoder.point_embed.": "prompt_encoder.point_embeddings.",
    "prompt_encoder.mask_embed.conv1.": "prompt_encoder.mask_downscaling.0.",
    "prompt_encoder.mask_embed.layer_norm1.": "prompt_encoder.mask_downscaling.1.",
    "prompt_encoder.mask_embed.conv2.": "prompt_encoder.mask_downscaling.3.",
    "prompt_encoder.mask_embed.layer_norm2.": "prompt_encoder.mask_downscaling.4.",
    "prompt_encoder.mask_embed.conv3.": "prompt_encoder.mask_downscaling.6.",
    "mask_decoder.upscale_conv1.": "mask_decoder.output_upscaling.0.",
    "mask_decoder.upscale_layer_norm.": "mask_decoder.output_upscaling.1.",
    "mask_decoder.upscale_conv2.": "mask_decoder.output_upscaling.3.",
    "vision_encoder.neck.conv1.": "image_encoder.neck.0.",
    "vision_encoder.neck.layer_norm1.": "image_encoder.neck.1.",
    "vision_encoder.neck.conv2.": "image_encoder.neck.2.",
    "vision_encoder.neck.layer_norm2.": "image_encoder.neck.3.",
    "vision_encoder.patch_embed.projection.": "image_encoder.patch_embed.proj.",
    "vision_encoder.layers.": "image_encoder.blocks.",
    "prompt_generator.handcrafted_generator.": "prompt_generator.prompt_generator.proj.",
    "prompt_generator.block_mlps.(#).": r"prompt_generator.lightweight_mlp_\1.0.",
    "vision_encoder.": "image_encoder.",
    ".space_adapter.": ".Space_Adapter.",
    ".mlp_adapter.": ".MLP_Adapter.",
    ".depth_adapter.": ".Depth_Adapter.",
    "_Adapter.down.": "_Adapter.D_fc1.",
    "_Adapter.up.": "_Adapter.D_fc2.",
    ".layer_norm_final_attn.": ".norm_final_attn.",
    ".layer_norm(#).": r".norm\1.",
}
_PATTERNS = {re.compile(old.replace(".", r"\.").replace("#", r"\d+")): new for old, new in _RENAMES.items()}

PROMPT_GENERATOR = "image_encoder.prompt_generator."

_WRAPPERS = ("model", "state_dict", "model_state_dict")


def original_name(ours: str, config: SamConfig) -> str:
    """The original's name of one of our weights."""
    head = re.match(r"mask_decoder\.(output_hypernetworks_mlps\.\d+|iou_prediction_head)\.", ours)
    if head:  # transformers splits the layers of a small MLP into first, middle and last
        last = 2 if "hypernetworks" in ours else config.mask_decoder_config.iou_head_depth - 1
        layer, kind = ours[head.end() :].rsplit(".", 1)
        index = {"proj_in": 0, "proj_out": last}.get(layer)
        index = int(layer.removeprefix("layers.")) + 1 if index is None else index
        return f"{head[0]}layers.{index}.{kind}"
    for old, new in _PATTERNS.items():
        ours = old.sub(new, ours)
    return ours


def select_original(state: State, adapter: str, fresh_adapter: bool) -> State:
    """The weights that a model with this adapter uses, under segment-anything's names of the position tables.

    Left out are modules that the original builds and never uses: `Depth_Adapter`, and the prompt generator in
    models without it; with `fresh_adapter` also trained weights of the adapter.
    """
    unused = [".Depth_Adapter."]
    if adapter != "sam-adapter" or fresh_adapter:
        unused.append(PROMPT_GENERATOR)
    if adapter == "medical-adapter" and fresh_adapter:
        unused += [".Space_Adapter.", ".MLP_Adapter."]
    selected: State = {}
    for key, value in state.items():
        if any(part in key for part in unused):
            continue
        renamed = re.sub(r"\.attn\.rel_([hw])$", r".attn.rel_pos_\1", key)
        if renamed in selected:
            raise InputError(
                f"state dict: {key} and {renamed} are two names of one weight; only one can be right"
            )
        selected[renamed] = value
    return selected


def tell_of_prompt_generator(state: State, name: str) -> None:
    """Warn that a prompt generator is left out.

    All checkpoints of S-AModal carry one, and only those of its mode samadpt have trained it.
    """
    if any(key.startswith(PROMPT_GENERATOR) for key in state):
        logging.getLogger("samodal").warning(
            f"{name}: the prompt generator in it is left out; the adapter sam-adapter would use it"
        )


def original_config(
    state: State,
    name: str,
    adapter: str,
    config: SamConfig | None,
    pad_before_norm: bool | None,
    adapter_dim: int | None,
) -> AmodalSamConfig:
    """The configuration for selected weights: the given one or a recognised one, with this adapter.

    Weights of the original get the original's decoder norms and reading of the patch embedding, which a plain
    `SamConfig` has no word for; an `AmodalSamConfig` is taken at its word. `adapter_dim` is the width of an
    adapter that is not among the weights.
    """
    width = adapter_width(state, adapter)
    ours = recognise(state, name) if config is None else AmodalSamConfig.from_sam(config)
    if not isinstance(config, AmodalSamConfig):
        ours.mask_decoder_config.layer_norm_eps = DECODER_NORM_EPS
        ours.mixed_embedding = adapter == "sam-adapter" and width is not None
    return AmodalSamConfig.from_sam(
        ours,
        adapter=adapter,
        adapter_dim=width or adapter_dim or ours.adapter_dim,
        pad_before_norm=ours.pad_before_norm if pad_before_norm is None else pad_before_norm,
    )


def adapter_width(state: State, adapter: str) -> int | None:
    """Inner width of the adapter in an original checkpoint, None where it has no such adapter."""
    name = {
        "sam-adapter": "image_encoder.prompt_generator.embedding_generator.weight",
        "medical-adapter": "image_encoder.blocks.0.MLP_Adapter.D_fc1.weight",
    }.get(adapter, "")
    return state[name].shape[0] if name in state else None


def recognise(state: State, name: str = "state dict") -> AmodalSamConfig:
    """The configuration of an original checkpoint, from the shapes of its weights (without adapter).

    The number of decoder heads leaves no trace in the shapes: 8, as in all published checkpoints, or the
    largest power of two that divides the attention's width. Give a configuration where that is wrong.

    Raises:
        InputError: weights that tell the sizes are missing.
    """
    try:
        return _recognise(state)
    except (KeyError, IndexError) as error:
        raise InputError(
            f"{name}: not recognised as a SAM in the original's naming (no {error.args[0]}); "
            "give a config if it is one without this weight"
        ) from None


def _recognise(state: State) -> AmodalSamConfig:
    def shape(key: str) -> torch.Size:
        return state[key].shape

    width, _, patch, _ = shape("image_encoder.patch_embed.proj.weight")
    grid = shape("image_encoder.pos_embed")[1]
    blocks = count(state, r"image_encoder\.blocks\.(\d+)\.")
    tables = [shape(f"image_encoder.blocks.{index}.attn.rel_pos_h") for index in range(blocks)]
    head_width = tables[0][1]
    sizes = [(length + 1) // 2 for length, _ in tables]
    global_blocks = [index for index, size in enumerate(sizes) if size == grid]
    windows = [size for size in sizes if size != grid]

    decoder_width = shape("prompt_encoder.not_a_point_embed.weight")[1]
    attention_width = shape("mask_decoder.transformer.layers.0.cross_attn_token_to_image.q_proj.weight")[0]
    return AmodalSamConfig(
        vision_config={
            "hidden_size": width,
            "output_channels": shape("image_encoder.neck.0.weight")[0],
            "num_hidden_layers": blocks,
            "num_attention_heads": width // head_width,
            "image_size": grid * patch,
            "patch_size": patch,
            "qkv_bias": "image_encoder.blocks.0.attn.qkv.bias" in state,
            "mlp_dim": shape("image_encoder.blocks.0.mlp.lin1.weight")[0],
            "window_size": windows[0] if windows else grid,
            "global_attn_indexes": global_blocks,
            "num_pos_feats": shape("prompt_encoder.pe_layer.positional_encoding_gaussian_matrix")[1],
        },
        prompt_encoder_config={
            "hidden_size": decoder_width,
            "image_size": grid * patch,
            "patch_size": patch,
            "mask_input_channels": shape("prompt_encoder.mask_downscaling.3.weight")[0],
        },
        mask_decoder_config={
            "hidden_size": decoder_width,
            "mlp_dim": shape("mask_decoder.transformer.layers.0.mlp.lin1.weight")[0],
            "num_hidden_layers": count(state, r"mask_decoder\.transformer\.layers\.(\d+)\."),
            "num_attention_heads": math.gcd(8, attention_width),
            "attention_downsample_rate": decoder_width // attention_width,
            "num_multimask_outputs": shape("mask_decoder.mask_tokens.weight")[0] - 1,
            "iou_head_depth": count(state, r"mask_decoder\.iou_prediction_head\.layers\.(\d+)\."),
            "iou_head_hidden_dim": shape("mask_decoder.iou_prediction_head.layers.0.weight")[0],
        },
    )


def count(names: Iterable[str], pattern: str) -> int:
    """How many numbers, counted from 0, stand in the group of `pattern`."""
    found = {int(match[1]) for name in names if (match := re.match(pattern, name))}
    return max(found) + 1 if found else 0


def read_original(source: str | Path | Mapping) -> tuple[State, str, AmodalSamConfig | None]:
    """The weights of a checkpoint in the original's naming, and what to call it in messages.

    With them comes the configuration, where `samodal export` noted it in the file.

    Training checkpoints ({"model": weights, ...}, also in layers) are unwrapped, each "module." of
    DistributedDataParallel is cut off. A file can never run code.

    Args:
        source: a .pth or .safetensors file, or what was in it.

    Raises:
        InputError: the file cannot be read, or holds no weights.
    """
    content: object
    if isinstance(source, Mapping):
        content, name = source, "state dict"
    else:
        path, name = Path(source), str(source)
        if not path.is_file():
            raise InputError(f"{path}: no such file")
        content = read_exported(path) if path.suffix == ".safetensors" else read_pickle(path)
    while isinstance(content, Mapping):
        inner = [content[key] for key in _WRAPPERS if isinstance(content.get(key), Mapping)]
        if not inner:
            break
        content = inner[0]
    if (
        not isinstance(content, Mapping)
        or not content
        or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in content.items())
    ):
        raise InputError(
            f"{name}: holds no weights; a dict of names to tensors is expected, or one under 'model'"
        )
    state = {re.sub(r"^(module\.)+", "", key): value for key, value in content.items()}
    if any(key.startswith("vision_encoder.") for key in state):
        raise InputError(f"{name}: has transformers' names; load its folder with AmodalSam.from_pretrained")
    return state, name, carried_config(content, name)


class MisfitError(InputError):
    """Weights of no use; `faults`: "missing", "unexpected", "of another shape", "that are not finite" -> which are."""

    def __init__(self, message: str, faults: dict[str, list[str]]) -> None:
        self.faults = faults
        super().__init__(message)


def check_fit(expected: Mapping[str, Tensor], given: Mapping[str, Tensor], name: str) -> None:
    """Compare names and shapes, and see that all numbers are finite.

    Raises:
        MisfitError: lists all that is missing, unexpected, or of another shape; or the first that are not finite.
    """
    shapes = [
        f"{key} {tuple(given[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in given and given[key].shape != value.shape
    ]
    found = {
        "missing": [key for key in expected if key not in given],
        "unexpected": [key for key in given if key not in expected],
        "of another shape": shapes,
    }
    if faults := {what: keys for what, keys in found.items() if keys}:
        listed = "; ".join(f"{len(keys)} {what}: {', '.join(keys)}" for what, keys in faults.items())
        raise MisfitError(f"{name}: the weights do not fit the model: {listed}", faults)
    if broken := [key for key in expected if not is_finite(given[key])]:
        first = ", ".join(broken[:3]) + (", ..." if len(broken) > 3 else "")
        raise MisfitError(
            f"{name}: {len(broken)} weights that are not finite: {first}; take an earlier checkpoint",
            {"that are not finite": broken},
        )


def is_finite(weight: Tensor) -> bool:
    """Whether no number is NaN or infinite; in one pass, and without a copy of its size."""
    return weight.numel() == 0 or bool(torch.stack(weight.float().aminmax()).isfinite().all())
