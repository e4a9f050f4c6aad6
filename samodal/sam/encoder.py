"""The image encoder of SAM (ViTDet) with adapters, under the parameter names of `transformers.SamModel`."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.models.sam.modeling_sam import SamMLPBlock, SamPatchEmbeddings, SamVisionNeck

from samodal.sam.adapters import Bottleneck, PromptGenerator
from samodal.sam.config import AmodalSamConfig
from samodal.sam.lora import add_lora

CHUNK = 256  # query tokens whose attention is held in memory at once when no gradient is needed


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

    def forward(self, pixels: Tensor) -> Tensor:
        """(B, 3, S, S) -> (B, C, g, g)."""
        tokens = self.patch_embed(pixels)
        prompts = getattr(self, "prompt_generator", None)
        feature = prompts.feature(pixels, tokens) if prompts else None
        if self.pos_embed is not None:
            tokens = tokens + self.pos_embed
        for index, block in enumerate(self.layers):
            if prompts:
                tokens = tokens + prompts(feature, index)
            if self.checkpointing and torch.is_grad_enabled():
                tokens = checkpoint(block, tokens, use_reentrant=False)
            else:
                tokens = block(tokens)
        return self.neck(tokens)


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
        if self.window == 0:
            return self.attn(self.layer_norm1(tokens))
        height, width = tokens.shape[1:3]
        margin = (0, 0, 0, -width % self.window, 0, -height % self.window)
        if self.pad_before_norm:
            padded = self.layer_norm1(F.pad(tokens, margin))
        else:
            padded = F.pad(self.layer_norm1(tokens), margin)
        attended = self.attn(split_windows(padded, self.window))
        return join_windows(attended, self.window, padded.shape[1:3])[:, :height, :width]


class Attention(nn.Module):
    """Multi-head attention over a square of tokens, with relative positions by row and by column (MViTv2)."""

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

    def forward(self, tokens: Tensor) -> Tensor:
        """(B, s, s, D) -> (B, s, s, D)."""
        batch, size = tokens.shape[:2]
        qkv = self.qkv(tokens).view(batch, size * size, 3, self.heads, -1)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)  # (B, heads, s * s, D / heads) each
        # The scores of 4096 tokens fill a gigabyte: without gradients only some rows are held at once.
        rows = size if query.requires_grad else max(1, CHUNK // size)
        parts = [
            self.attend_rows(query[:, :, row * size : (row + rows) * size], key, value, row, size)
            for row in range(0, size, rows)
        ]
        attended = parts[0] if len(parts) == 1 else torch.cat(parts, dim=2)
        return self.proj(attended.transpose(1, 2).reshape(tokens.shape))

    def attend_rows(self, query: Tensor, key: Tensor, value: Tensor, first: int, size: int) -> Tensor:
        """Attention of the queries in the rows from `first` on, (B, heads, rows * s, d), to all tokens."""
        scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
        if self.use_rel_pos:
            query = query.unflatten(2, (-1, size))
            every = torch.arange(size, device=query.device)
            rows = every[first : first + query.shape[2]]
            by_row = self.rel_pos_h[rows[:, None] - every + size - 1]  # (rows, s, d): query row to key row
            by_column = self.rel_pos_w[every[:, None] - every + size - 1]
            grid = scores.view(*query.shape[:-1], size, size)
            grid += torch.einsum("bnhwc,hkc->bnhwk", query, by_row)[..., :, None]
            grid += torch.einsum("bnhwc,wkc->bnhwk", query, by_column)[..., None, :]
        return scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype) @ value


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
