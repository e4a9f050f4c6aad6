"""The parts of the two update transformers: 384 wide, 8 heads, norms in front and, mostly, without weights."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

WIDTH = 384
HEADS = 8


class FusedAttention(nn.Module):
    """Self-attention with one matrix for queries, keys and values (v1)."""

    def __init__(self) -> None:
        super().__init__()
        self.qkv = nn.Linear(WIDTH, 3 * WIDTH)
        self.proj = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Attend within x (B, L, 384); `mask` (B, L) is True for those that may be attended to."""
        query, key, value = self.qkv(x).chunk(3, dim=-1)
        return self.proj(_attend(query, key, value, mask))


class CrossAttention(nn.Module):
    """Attention to a context, which may be the tokens themselves (v3)."""

    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(WIDTH, WIDTH)
        self.to_kv = nn.Linear(WIDTH, 2 * WIDTH)
        self.to_out = nn.Linear(WIDTH, WIDTH)

    def forward(self, x: Tensor, context: Tensor | None = None) -> Tensor:
        """Attend from x (B, L, 384) to the context (B, M, 384), or to x itself."""
        key, value = self.to_kv(x if context is None else context).chunk(2, dim=-1)
        return self.to_out(_attend(self.to_q(x), key, value))


class Mlp(nn.Module):
    """Two layers with a GELU in between, exact or in its tanh form."""

    def __init__(self, width_in: int, hidden: int, width: int, gelu: str) -> None:
        super().__init__()
        self.fc1 = nn.Linear(width_in, hidden)
        self.fc2 = nn.Linear(hidden, width)
        self.gelu = gelu

    def forward(self, x: Tensor) -> Tensor:
        """Map (..., width_in) to (..., width)."""
        return self.fc2(F.gelu(self.fc1(x), approximate=self.gelu))


class SelfBlock(nn.Module):
    """Self-attention, then MLP, each added to what came in."""

    def __init__(self, attention: FusedAttention | CrossAttention) -> None:
        super().__init__()
        self.attn = attention
        self.mlp = Mlp(WIDTH, 4 * WIDTH, WIDTH, "tanh")

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Update x (B, L, 384); `mask` (B, L), only with fused attention: who may be attended to."""
        x = x + (self.attn(_norm(x)) if mask is None else self.attn(_norm(x), mask))
        return x + self.mlp(_norm(x))


class CrossBlock(nn.Module):
    """Attention to a context, then MLP (v3)."""

    def __init__(self) -> None:
        super().__init__()
        self.norm_context = nn.LayerNorm(WIDTH)
        self.cross_attn = CrossAttention()
        self.mlp = Mlp(WIDTH, 4 * WIDTH, WIDTH, "tanh")

    def forward(self, x: Tensor, context: Tensor) -> Tensor:
        """Update x (B, L, 384) from a context (B, M, 384)."""
        x = x + self.cross_attn(_norm(x), self.norm_context(context))
        return x + self.mlp(_norm(x))


def _norm(x: Tensor) -> Tensor:
    return F.layer_norm(x, x.shape[-1:], eps=1e-6)


def _attend(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None = None) -> Tensor:
    query, key, value = (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in (query, key, value))
    attended = mask if mask is None else mask[:, None, None, :]
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=attended)
    return out.transpose(1, 2).flatten(-2)


def waves(positions: Tensor, width: int) -> Tensor:
    """Sines, then cosines of positions (...) at width/2 frequencies from 1 down to 1/10000: (..., width)."""
    half = width // 2
    steps = torch.arange(half, device=positions.device, dtype=torch.float32)
    angles = positions.float()[..., None] * torch.exp(steps * (-math.log(10_000) / half))
    return torch.cat([angles.sin(), angles.cos()], dim=-1)
