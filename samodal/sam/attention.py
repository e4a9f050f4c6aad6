"""Attention with relative positions by row and by column (MViTv2), in variants that compute the same.

The scores of 4096 tokens in 12 heads fill 805 MB, and so does the bias that the positions add to them. No variant but
`plain` ever holds all of either on a CPU.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

PIECE = 2**20
"""Scores held in memory at once on a CPU: they stay in its caches."""
PIECE_ELSEWHERE = 2**28

Bias = tuple[Tensor, Tensor]
"""What is added to the scores of n = s * s tokens: (B, heads, n, s) by row and by column of the key."""

Attend = Callable[[Tensor, Tensor, Tensor, Bias | None], Tensor]
"""Query, key, value (B, heads, n, d) and bias -> (B, heads, n, d)."""


def relative_positions(query: Tensor, by_row: Tensor, by_column: Tensor) -> Bias:
    """The bias of each query against each row and each column of keys.

    Args:
        query: (B, heads, s * s, d), not scaled.
        by_row: (2 s - 1, d), a vector a distance in rows, from -(s - 1) on.
        by_column: the same for columns.
    """
    size = (len(by_row) + 1) // 2
    every = torch.arange(size, device=query.device)
    distance = every[:, None] - every + size - 1  # query to key
    grid = query.unflatten(2, (size, size))
    rows = torch.einsum("bnhwc,hkc->bnhwk", grid, by_row[distance].to(query.dtype))
    columns = torch.einsum("bnhwc,wkc->bnhwk", grid, by_column[distance].to(query.dtype))
    return rows.flatten(2, 3), columns.flatten(2, 3)


def attend(query: Tensor, key: Tensor, value: Tensor, bias: Bias | None = None) -> Tensor:
    """Attention by the variant that measures best where the tensors are (docs/speed.md)."""
    return VARIANTS[choose(query)](query, key, value, bias)


def choose(query: Tensor) -> str:
    """Name of the variant for this device and use.

    With gradients on a CPU plain products win, because the backward pass of the fused kernel has no fast way with a
    bias.
    """
    if torch.compiler.is_compiling():
        return "flex" if query.device.type == "cuda" else "plain"
    if query.device.type == "cpu" and query.requires_grad:
        return "plain"
    return "sdpa"


def plain(query: Tensor, key: Tensor, value: Tensor, bias: Bias | None = None) -> Tensor:
    """All scores at once, as the definition says."""
    scores = (query * query.shape[-1] ** -0.5) @ key.transpose(-2, -1)
    if bias is not None:
        rows, columns = bias
        grid = scores.view(*scores.shape[:-1], rows.shape[-1], columns.shape[-1])
        grid += rows[..., :, None]
        grid += columns[..., None, :]
    return scores.softmax(dim=-1, dtype=torch.float32).to(value.dtype) @ value


def by_rows(query: Tensor, key: Tensor, value: Tensor, bias: Bias | None = None) -> Tensor:
    """`plain`, piece by piece."""
    return _in_pieces(plain, query, key, value, bias)


def sdpa(query: Tensor, key: Tensor, value: Tensor, bias: Bias | None = None) -> Tensor:
    """torch's fused attention, piece by piece, because the bias is as large as the scores."""
    if torch.jit.is_tracing():  # an engine cuts the pieces itself
        return _fused(query, key, value, bias)
    return _in_pieces(_fused, query, key, value, bias)


def flex(query: Tensor, key: Tensor, value: Tensor, bias: Bias | None = None) -> Tensor:
    """FlexAttention: one kernel that looks the bias up, for a GPU. Elsewhere it holds all scores."""
    from torch.nn.attention.flex_attention import flex_attention

    if bias is None:
        return F.scaled_dot_product_attention(query, key, value)
    rows, columns = bias
    size = columns.shape[-1]

    def add(score: Tensor, batch: Tensor, head: Tensor, asking: Tensor, asked: Tensor) -> Tensor:
        place = batch, head, asking
        return score + rows[(*place, asked // size)] + columns[(*place, asked % size)]

    return flex_attention(query, key, value, score_mod=add)


VARIANTS: dict[str, Attend] = {"plain": plain, "rows": by_rows, "sdpa": sdpa, "flex": flex}


def _fused(query: Tensor, key: Tensor, value: Tensor, bias: Bias | None) -> Tensor:
    mask = None if bias is None else (bias[0][..., :, None] + bias[1][..., None, :]).flatten(-2)
    return F.scaled_dot_product_attention(query, key, value, attn_mask=mask)


def _in_pieces(do: Attend, query: Tensor, key: Tensor, value: Tensor, bias: Bias | None) -> Tensor:
    """`do` on some heads at once, or on some queries of one head, so that the scores of a piece stay small."""
    piece = PIECE if query.device.type == "cpu" else PIECE_ELSEWHERE
    *outer, tokens, width = query.shape
    heads = max(1, piece // tokens**2)
    queries = min(tokens, max(1, piece // tokens))
    flat = [part.reshape(1, -1, *part.shape[2:]) for part in (query, key, value, *(bias or ()))]
    total = flat[0].shape[1]
    if total <= heads:
        return do(query, key, value, bias)
    done = []
    for head in range(0, total, heads):
        some = [part[:, head : head + heads] for part in flat]
        for start in range(0, tokens, queries):
            few = [part[:, :, start : start + queries] for part in (some[0], *some[3:])]
            done.append(do(few[0], some[1], some[2], (few[1], few[2]) if bias is not None else None))
    if queries < tokens:  # one head at a time
        return torch.cat(done, dim=2).view(*outer, tokens, width)
    return torch.cat(done, dim=1).view(*outer, tokens, width)
