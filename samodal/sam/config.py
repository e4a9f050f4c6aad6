"""What a model is made of: the configuration of an amodal SAM, and the sizes that have a name."""

import math
from typing import Any

from transformers import SamConfig
from transformers.models.sam.configuration_sam import SamMaskDecoderConfig

from samodal.errors import InputError

ADAPTERS = ("none", "sam-adapter", "medical-adapter", "lora")
PROMPT_KINDS = ("points", "box", "mask")
DECODER_NORM_EPS = 1e-5  # what segment-anything computes with; transformers' own default is 1e-6


class AmodalSamConfig(SamConfig):
    """`transformers.SamConfig` plus what an amodal SAM adds; without adapter a plain SAM to transformers.

    Attributes:
        adapter: "none", "sam-adapter" (prompt generator of SAM-Adapter), "medical-adapter" (bottlenecks of
            Medical-SAM-Adapter) or "lora" (on the attention of the encoder).
        adapter_dim: inner width of the adapter; None: 1/32 of the encoder's (sam-adapter) or 1/4 (medical); the rank of
            lora, None: 8.
        lora_alpha: lora's change of a matrix is scaled by this / rank; None: twice the rank.
        lora_mlp: lora is on the MLPs of the encoder, too.
        pad_before_norm: pad windows before the first norm of a block, as the adapter block of S-AModal does.
            Padding tokens then carry the norm's bias into the windows at the border; right is False.
        mixed_embedding: let the prompt generator read the patch embedding in another memory order, as the
            original does. A token is then told features of other places in the image. Right is False, but
            weights that were trained so need True.
        prompt_kinds: the prompts ("points", "box", "mask") the weights were trained with and get by default.
    """

    mask_decoder_config: Any = None

    adapter: str = "none"
    adapter_dim: int | None = None
    lora_alpha: float | None = None
    lora_mlp: bool = False
    pad_before_norm: bool = False
    mixed_embedding: bool = False
    prompt_kinds: list[str] | tuple[str, ...] = ("points",)

    def __post_init__(self, **kwargs: Any) -> None:
        if self.adapter not in ADAPTERS:
            raise InputError(f"adapter {self.adapter!r} is not known; choose one of {', '.join(ADAPTERS)}")
        if self.adapter_dim is not None and not (type(self.adapter_dim) is int and self.adapter_dim > 0):
            raise InputError(f"adapter_dim {self.adapter_dim!r}: a width of at least 1 is expected")
        alpha = self.lora_alpha
        if alpha is not None and not (type(alpha) in (int, float) and 0 < alpha < math.inf):
            raise InputError(f"lora_alpha {alpha!r}: a number above 0 is expected")
        if type(self.lora_mlp) is not bool:
            raise InputError(f"lora_mlp {self.lora_mlp!r}: true or false is expected")
        if unknown := set(self.prompt_kinds) - set(PROMPT_KINDS):
            raise InputError(
                f"prompt kinds {sorted(unknown)} are not known; choose from {', '.join(PROMPT_KINDS)}"
            )
        if not isinstance(self.mask_decoder_config, SamMaskDecoderConfig):
            self.mask_decoder_config = {"layer_norm_eps": DECODER_NORM_EPS} | (self.mask_decoder_config or {})
        super().__post_init__(**kwargs)

    @property
    def adapter_width(self) -> int:
        """Inner width of the adapter, in channels."""
        width = self.vision_config.hidden_size
        usual = {"sam-adapter": width // 32, "medical-adapter": width // 4, "lora": 8}
        return self.adapter_dim or max(1, usual.get(self.adapter, 1))

    @staticmethod
    def from_sam(config: SamConfig, **changes: Any) -> "AmodalSamConfig":
        """The same model as `config`, ours or transformers', with some fields of an amodal SAM changed."""
        values = config.to_dict()
        names = [
            *("vision_config", "prompt_encoder_config", "mask_decoder_config"),
            *("adapter", "adapter_dim", "lora_alpha", "lora_mlp"),
            *("pad_before_norm", "mixed_embedding", "prompt_kinds"),
        ]
        return AmodalSamConfig(**{name: values[name] for name in names if name in values} | changes)


def sam_config(
    image: int,
    width: int,
    blocks: int,
    heads: int,
    global_blocks: tuple[int, ...],
    window: int = 14,
    decoder_width: int = 256,
    decoder_mlp: int = 2048,
    **extra: Any,
) -> AmodalSamConfig:
    """A configuration from the numbers that differ between SAMs; the three parts of it are kept consistent.

    Args:
        image: side of the square input in pixels, a multiple of 16.
        width: channels of the encoder.
        blocks: number of encoder blocks.
        heads: attention heads of the encoder.
        global_blocks: indices of the blocks that attend over the whole image; all others attend in windows.
        window: side of a window in tokens.
        decoder_width: channels of the image embedding, the prompts and the mask decoder.
        decoder_mlp: inner width of the decoder's MLPs.
        extra: further fields of `AmodalSamConfig`.
    """
    return AmodalSamConfig(
        vision_config={
            "image_size": image,
            "hidden_size": width,
            "num_hidden_layers": blocks,
            "num_attention_heads": heads,
            "global_attn_indexes": list(global_blocks),
            "window_size": window,
            "output_channels": decoder_width,
            "num_pos_feats": decoder_width // 2,
        },
        prompt_encoder_config={"image_size": image, "hidden_size": decoder_width},
        mask_decoder_config={
            "hidden_size": decoder_width,
            "mlp_dim": decoder_mlp,
            "iou_head_hidden_dim": decoder_width,
        },
        **extra,
    )


def nano_config(**extra: Any) -> AmodalSamConfig:
    """The size of the bundled model: 512 x 512 pixels, 4.9 million parameters."""
    return sam_config(
        512, 192, 8, 3, global_blocks=(3, 7), window=8, decoder_width=128, decoder_mlp=512, **extra
    )


def vit_config(name: str, **extra: Any) -> AmodalSamConfig:
    """The sizes of segment-anything, 1024 x 1024 pixels: "vit_b", "vit_l" or "vit_h"."""
    sizes: dict[str, tuple[int, int, int, tuple[int, ...]]] = {
        "vit_b": (768, 12, 12, (2, 5, 8, 11)),
        "vit_l": (1024, 24, 16, (5, 11, 17, 23)),
        "vit_h": (1280, 32, 16, (7, 15, 23, 31)),
    }
    if name not in sizes:
        raise InputError(f"size {name!r} is not known; choose one of {', '.join(sizes)}")
    return sam_config(1024, *sizes[name], **extra)
