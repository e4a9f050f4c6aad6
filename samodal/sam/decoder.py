"""The mask decoder of SAM, under the parameter names of `transformers.SamModel`, with less to compute.

A prompt is a handful of tokens, an image thousands of cells. So projections between the two are done on the side of the
tokens: (A x)^T y = x^T (A^T y). And cells stay in rows from the first layer to the last, upsampling included, so that
nothing large has to be transposed.
"""

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.sam.modeling_sam import SamAttention, SamMaskDecoder, SamTwoWayAttentionBlock


class MaskDecoder(SamMaskDecoder):
    """Prompt tokens and image cells -> masks and their predicted IoU (segment-anything, mask_decoder.py)."""

    def forward(
        self, cells: Tensor, positions: Tensor, prompts: Tensor | None, multimask: bool
    ) -> tuple[Tensor, Tensor]:
        """Answer N prompts on each of B images.

        Args:
            cells: (B, M, g * g, C), image embeddings with what a mask prompt adds, row by row; M is N, or 1 where the
                prompts of an image share them.
            positions: (g * g, C), positional encoding of the cells.
            prompts: (B, N, P, C) tokens of points and boxes, or None where there are only masks.
            multimask: three masks a prompt instead of one.

        Returns:
            logits (B, N, K, 4g, 4g), predicted IoU (B, N, K); K is 1, or 3 with multimask.
        """
        first = torch.cat([self.iou_token.weight, self.mask_tokens.weight])
        if prompts is None:
            first = first.expand(*cells.shape[:2], -1, -1)
        else:
            first = torch.cat([first.expand(*prompts.shape[:2], -1, -1), prompts], dim=2)
        tokens = first
        for layer in self.transformer.layers:
            tokens, cells = _both_ways(layer, tokens, cells, first, positions)
        last = self.transformer.final_attn_token_to_image
        tokens = tokens + _tokens_to_cells(last, tokens + first, cells + positions, cells)
        tokens = self.transformer.layer_norm_final_attn(tokens)

        # All filters are made, also those that nobody asked for: in training they get a gradient of zero then, and so
        # decay as in the original.
        filters = [mlp(tokens[:, :, 1 + k]) for k, mlp in enumerate(self.output_hypernetworks_mlps)]
        kept = slice(1, None) if multimask else slice(1)
        scores = self.iou_prediction_head(tokens[:, :, 0])
        return self._masks(cells, torch.stack(filters, dim=2)[:, :, kept]), scores[:, :, kept]

    def _masks(self, cells: Tensor, filters: Tensor) -> Tensor:
        """Cells (B, N, g * g, C) at four times their resolution, by filters (B, N, K, C / 8)."""
        grid = int(cells.shape[2] ** 0.5)
        # Every cell becomes 2 x 2, and each of those 2 x 2 again.
        fine = F.gelu(_layer_norm(_fourfold(cells, self.upscale_conv1), self.upscale_layer_norm))
        finer = F.gelu(_fourfold(fine, self.upscale_conv2))
        values = finer.flatten(2, 4) @ filters.transpose(-1, -2)  # (B, N, g * g * 4 * 4, K)
        values = values.unflatten(2, (grid, grid, 2, 2, 2, 2)).permute(0, 1, 8, 2, 4, 6, 3, 5, 7)
        return values.flatten(3, 5).flatten(4, 6)


def _both_ways(
    layer: SamTwoWayAttentionBlock, tokens: Tensor, cells: Tensor, first: Tensor, positions: Tensor
) -> tuple[Tensor, Tensor]:
    """A layer: tokens look at each other and at the cells, then the cells at the tokens."""
    if layer.skip_first_layer_pe:
        tokens = _among(layer.self_attn, tokens, tokens)
    else:
        tokens = tokens + _among(layer.self_attn, tokens + first, tokens)
    tokens = layer.layer_norm1(tokens)
    placed = cells + positions
    tokens = tokens + _tokens_to_cells(layer.cross_attn_token_to_image, tokens + first, placed, cells)
    tokens = layer.layer_norm2(tokens)
    tokens = layer.layer_norm3(tokens + layer.mlp(tokens))
    seen = _cells_to_tokens(layer.cross_attn_image_to_token, placed, tokens + first, tokens)
    return tokens, layer.layer_norm4(cells + seen)


def _among(attention: SamAttention, tokens: Tensor, values: Tensor) -> Tensor:
    """Tokens (B, N, T, C) look at each other."""
    query, key, value = (
        _heads(attention, part)
        for part in (attention.q_proj(tokens), attention.k_proj(tokens), attention.v_proj(values))
    )
    weights = (attention.scaling * query @ key.transpose(-1, -2)).softmax(-1)
    return attention.out_proj((weights @ value).transpose(2, 3).flatten(3))


def _tokens_to_cells(attention: SamAttention, tokens: Tensor, placed: Tensor, cells: Tensor) -> Tensor:
    """Tokens (B, N, T, C) look at the cells (B, M, L, C), with and without their positions."""
    heads = attention.num_attention_heads
    query = _heads(attention, attention.scaling * attention.q_proj(tokens))
    # What the key's bias adds is the same for all cells, and softmax does not see it.
    query = query @ attention.k_proj.weight.unflatten(0, (heads, -1))  # (B, N, heads, T, C)
    weights = (query.flatten(2, 3) @ placed.transpose(-1, -2)).softmax(-1)
    seen = (weights @ cells).unflatten(2, (heads, -1))
    value, bias = (
        part.unflatten(0, (heads, -1)) for part in (attention.v_proj.weight, attention.v_proj.bias)
    )
    seen = seen @ value.transpose(-1, -2) + bias[:, None]
    return attention.out_proj(seen.transpose(2, 3).flatten(3))


def _cells_to_tokens(attention: SamAttention, placed: Tensor, tokens: Tensor, values: Tensor) -> Tensor:
    """Cells (B, M, L, C) look at the tokens (B, N, T, C), with and without what these were at first."""
    heads = attention.num_attention_heads
    key = _heads(attention, attention.scaling * attention.k_proj(tokens))
    query, bias = (
        part.unflatten(0, (heads, -1)) for part in (attention.q_proj.weight, attention.q_proj.bias)
    )
    offset = (key @ bias[..., None]).transpose(2, 3).flatten(2)[:, :, None]  # (B, N, 1, T * heads)
    key = (key @ query).transpose(2, 3).flatten(2, 3)  # (B, N, T * heads, C)
    weights = (placed @ key.transpose(-1, -2) + offset).unflatten(3, (-1, heads)).softmax(3).flatten(3)
    out = attention.out_proj.weight.unflatten(1, (heads, -1)).permute(1, 2, 0)
    value = (_heads(attention, attention.v_proj(values)) @ out).transpose(2, 3).flatten(2, 3)
    return weights @ value + attention.out_proj.bias


def _heads(attention: SamAttention, tokens: Tensor) -> Tensor:
    """(B, N, T, D) -> (B, N, heads, T, D / heads)."""
    return tokens.unflatten(3, (attention.num_attention_heads, -1)).transpose(2, 3)


def _fourfold(cells: Tensor, convolution: torch.nn.ConvTranspose2d) -> Tensor:
    """A transposed convolution of stride 2 and size 2, (..., C) -> (..., 4, D): each cell becomes four, row by row."""
    weight = convolution.weight.permute(2, 3, 1, 0).flatten(0, 2)
    assert convolution.bias is not None
    return F.linear(cells, weight, convolution.bias.repeat(4)).unflatten(-1, (4, -1))


def _layer_norm(values: Tensor, norm: torch.nn.LayerNorm) -> Tensor:
    return F.layer_norm(values, norm.normalized_shape, norm.weight, norm.bias, norm.eps)
