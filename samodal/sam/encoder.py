"""The image encoder of SAM (ViTDet) with adapters, under the parameter names of `transformers.SamModel`."""

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.models.sam.modeling_sam import SamMLPBlock, SamPatchEmbeddings, SamVisionNeck

from samodal.sam.adapters import Bottleneck, PromptGenerator, high_pass
from samodal.sam.attention import attend, relative_positions
from samodal.sam.config import AmodalSamConfig
from samodal.sam.lora import add_lora


class ImageEncoder(nn.Module):
    """Normalised pixels (B, 3, S, S) -> image embedding (B, C, g, g), g = S / patch size.

    Blocks attend within windows, except for a few that attend over the whole image (Li et al. 2022,
    "Exploring plain vision transformer backbones for object detection"; segment-anything, image_encoder.py).

    Attributes:
        checkpointing: keep only the input of each block for the backward pass, and compute the rest anew.
    """

    checkpointing = False

    def __init__(self, config: AmodalSamConfig) -> None:
        super().__init__()
        vision = config.vision_config
        grid = vision.image_size // vision.patch_size
        self.patch_embed = SamPatchEmbeddings(vision)
        self.pos_embed = (
            nn.Parameter(torch.zeros(1, grid, grid, vision.hidden_size)) if vision.use_abs_pos else None
        )
        self.layers = nn.ModuleList(
            [
                Block(config, window=0 if index in vision.global_attn_indexes else vision.window_size)
                for index in range(vision.num_hidden_layers)
            ]
        )
        self.neck = SamVisionNeck(vision)
        if config.adapter == "sam-adapter":
            self.prompt_generator = PromptGenerator(
                vision.hidden_size,
                config.adapter_width,
                vision.num_hidden_layers,
                vision.patch_size,
                config.mixed_embedding,
            )
        if config.adapter == "lora":
            add_lora(self, config)

    def forward(self, pixels: Tensor, high: Tensor | None = None) -> Tensor:
        """(B, 3, S, S) -> (B, C, g, g).

        Args:
            pixels: normalised and padded.
            high: `samodal.sam.adapters.high_pass` of these pixels, where it is known already.
        """
        tokens = self.patch_embed(pixels)
        prompts = getattr(self, "prompt_generator", None)
        feature = prompts.feature(high_pass(pixels) if high is None else high, tokens) if prompts else None
        if self.pos_embed is not None:
            tokens = tokens + self.pos_embed
        for index, block in enumerate(self.layers):
            if prompts:
                tokens = tokens + prompts(feature, index)
            if self.checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        # The last step is a hundredth of the work; in 16 bits it would make most of the error.
        with torch.autocast(tokens.device.type, enabled=False):
            return self.neck(tokens.to(self.neck.conv1.weight.dtype))


class Block(nn.Module):
    """Attention and MLP, each with norm before and skip around; window 0 attends over the whole image."""

    def __init__(self, config: AmodalSamConfig, window: int) -> None:
        super().__init__()
        vision = config.vision_config
        width, eps = vision.hidden_size, vision.layer_norm_eps
        self.window = window
        self.pad_before_norm = config.pad_before_norm
        self.layer_norm1 = nn.LayerNorm(width, eps=eps)
        self.attn = Attention(config, window or vision.image_size // vision.patch_size)
        self.layer_norm2 = nn.LayerNorm(width, eps=eps)
        self.mlp = SamMLPBlock(vision)
        self.space_adapter: Bottleneck | None = None
        self.mlp_adapter: Bottleneck | None = None
        if config.adapter == "medical-adapter":
            self.space_adapter = Bottleneck(width, config.adapter_width)
            self.mlp_adapter = Bottleneck(width, config.adapter_width)

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, g, g, D) -> (B, g, g, D)."""
        attended = self.attend(tokens)
        if self.space_adapter is not None:
            attended = attended + self.space_adapter(attended)
        tokens = tokens + attended
        normed = self.layer_norm2(tokens)
        change = self.mlp(normed)
        if self.mlp_adapter is not None:
            change = change + 0.5 * self.mlp_adapter(normed)
        return tokens + change

    def attend(self, tokens: Tensor) -> Tensor:
        """Norm and attention, in windows or over the whole image."""
        norm = self.layer_norm1
        # A token of the padding, where windows reach over the border of the image.
        outside = tokens.new_zeros(tokens.shape[-1])
        if self.pad_before_norm:
            outside = norm(outside)
        return self.attn(norm(tokens), self.window, outside)


class Attention(nn.Module):
    """Multi-head attention over squares of tokens, with relative positions by row and by column."""

    def __init__(self, config: AmodalSamConfig, size: int) -> None:
        super().__init__()
        vision = config.vision_config
        self.heads = vision.num_attention_heads
        head_width = vision.hidden_size // self.heads
        self.qkv = nn.Linear(vision.hidden_size, 3 * vision.hidden_size, bias=vision.qkv_bias)
        self.proj = nn.Linear(vision.hidden_size, vision.hidden_size)
        self.use_rel_pos = vision.use_rel_pos
        if self.use_rel_pos:
            self.rel_pos_h = nn.Parameter(torch.zeros(2 * size - 1, head_width))
            self.rel_pos_w = nn.Parameter(torch.zeros(2 * size - 1, head_width))

    def forward(self, tokens: Tensor, window: int = 0, outside: Tensor | None = None) -> Tensor:
        """(B, H, W, D) -> (B, H, W, D).

        Args:
            tokens: all tokens of images.
            window: side of the windows, which attend for themselves; 0: the whole image is one.
            outside: (D,) a token of the padding where H and W are no multiples of `window`; None: zeros.
        """
        height, width = tokens.shape[1:3]
        window = window or height
        # Padded after the projection, which would do the same to every token of the padding.
        qkv = self.qkv(tokens)
        if height % window or width % window:
            outside = tokens.new_zeros(tokens.shape[-1]) if outside is None else outside
            qkv = pad(qkv, self.qkv(outside), -height % window, -width % window)
        windows = split_windows(qkv, window).view(
            -1, window**2, 3, self.heads, qkv.shape[-1] // 3 // self.heads
        )
        query, key, value = windows.permute(2, 0, 3, 1, 4)  # (windows, heads, tokens, D / heads) each
        bias = relative_positions(query, self.rel_pos_h, self.rel_pos_w) if self.use_rel_pos else None
        attended = (
            attend(query, key, value, bias).transpose(1, 2).reshape(-1, window, window, tokens.shape[-1])
        )
        return self.proj(join_windows(attended, window, qkv.shape[1:3])[:, :height, :width])


def pad(tokens: Tensor, value: Tensor, below: int, right: int) -> Tensor:
    """(B, H, W, D) -> (B, H + below, W + right, D), with `value` (D,) in the new places."""
    batch, height, width, _ = tokens.shape
    tokens = torch.cat([tokens, value.to(tokens.dtype).expand(batch, height, right, -1)], dim=2)
    return torch.cat([tokens, value.to(tokens.dtype).expand(batch, below, width + right, -1)], dim=1)


def split_windows(tokens: Tensor, window: int) -> Tensor:
    """(B, H, W, D) -> (B * windows, window, window, D); H and W are multiples of `window`."""
    batch, height, width, channels = tokens.shape
    tokens = tokens.view(batch, height // window, window, width // window, window, channels)
    return tokens.transpose(2, 3).reshape(-1, window, window, channels)


def join_windows(windows: Tensor, window: int, size: torch.Size) -> Tensor:
    """The inverse of `split_windows`: (B * windows, window, window, D) -> (B, H, W, D), `size` = (H, W)."""
    height, width = size
    windows = windows.view(-1, height // window, width // window, window, window, windows.shape[-1])
    return windows.transpose(2, 3).reshape(-1, height, width, windows.shape[-1])
