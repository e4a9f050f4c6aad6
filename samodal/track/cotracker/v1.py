"""CoTracker, first version (arXiv 2307.07635): stride 4, windows of 8 frames, the tracker that S-AModal uses.

The weights have the names of the published checkpoint. Everything here works on one window; `windows.py` leads
points from window to window. Places are in pixels of the feature maps (image pixels / 4).
"""

import math

import torch
from torch import Tensor, nn

from samodal.track.cotracker import sampling
from samodal.track.cotracker.blocks import WIDTH, FusedAttention, SelfBlock, waves
from samodal.track.cotracker.encoder import CHANNELS, Encoder, pyramid

WINDOW = 8
RADIUS = 3  # of the neighbourhood that is compared, on every level of the pyramid
SURE = 10.0  # visibility logit that a point starts with
_DISPLACEMENT = 64  # sines and cosines for each of x and y
_TOKEN = 2 + 2 * _DISPLACEMENT + 4 * (2 * RADIUS + 1) ** 2 + CHANNELS + 2


class CoTrackerV1(nn.Module):
    """The network of CoTracker v1: 150 tensors, 24.15 million numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.fnet = Encoder()
        self.updateformer = UpdateFormer()
        self.norm = nn.LayerNorm(CHANNELS)  # a group norm with one group in the original: the same on rows
        self.ffeat_updater = nn.Sequential(nn.Linear(CHANNELS, CHANNELS), nn.GELU())
        self.vis_predictor = nn.Sequential(nn.Linear(CHANNELS, 1))

    def describe(self, images: Tensor) -> list[Tensor]:
        """The feature pyramid of images (B, 3, H, W), RGB from 0 to 255; see `encoder.pyramid`."""
        return pyramid(self.fnet(images))

    def refine(
        self,
        levels: list[Tensor],
        slots: Tensor,
        looks: Tensor,
        places: Tensor,
        status: Tensor,
        present: Tensor | None = None,
        iterations: int = 6,
    ) -> tuple[Tensor, Tensor]:
        """Improve the tracks of N points in one window of S frames, for B clips at once (section 3.2).

        Args:
            levels: the pyramid of F frames, (F, h, w, 128) and smaller.
            slots: (B, S) int64: which of the F frames the window has.
            looks: (B, N, 128): the feature of each point in its query frame.
            places: (B, S, N, 2) first guess.
            status: (B, N, S, 2) what is known of the visibility; see `mix_status`.
            present: (B, N) bool: who takes part; None: all. The others get meaningless results.
            iterations: of the update.

        Returns:
            places (B, S, N, 2) and visibility logits (B, S, N).
        """
        features = looks[:, None].expand(-1, slots.shape[1], -1, -1)
        where = embed_place(places[:, 0], _size(levels[0]))[:, :, None]
        when = waves(torch.arange(slots.shape[1], device=places.device), _TOKEN)
        for _ in range(iterations):
            tokens = self.tokens(levels, slots, features, places, status) + where + when
            change = self.updateformer(tokens, present).transpose(1, 2)  # (B, S, N, 130)
            places = places + change[..., :2]
            features = features + self.ffeat_updater(self.norm(change[..., 2:]))
        return places, self.vis_predictor(features)[..., 0]

    def tokens(
        self, levels: list[Tensor], slots: Tensor, features: Tensor, places: Tensor, status: Tensor
    ) -> Tensor:
        """What the transformer is told, (B, N, S, 456), without the embeddings of where and when.

        `features` are (B, S, N, 128), the other arguments those of `refine`.
        """
        moved = embed_displacement(places - places[:, :1])
        likeness = correlate(levels, slots, features, places)
        return torch.cat([moved, likeness, features, status.transpose(1, 2)], dim=-1).transpose(1, 2)


class UpdateFormer(nn.Module):
    """Six times attention over the frames of each point, then over the points of each frame."""

    def __init__(self) -> None:
        super().__init__()
        self.input_transform = nn.Linear(_TOKEN, WIDTH)
        self.flow_head = nn.Linear(WIDTH, 2 + CHANNELS)
        self.time_blocks = nn.ModuleList(SelfBlock(FusedAttention()) for _ in range(6))
        self.space_blocks = nn.ModuleList(SelfBlock(FusedAttention()) for _ in range(6))

    def forward(self, tokens: Tensor, present: Tensor | None = None) -> Tensor:
        """Map tokens (B, N, S, 456) to changes (B, N, S, 130); `present` (B, N): see `CoTrackerV1.refine`."""
        clips, points, frames, _ = tokens.shape
        mask = None
        if present is not None:
            mask = present[:, None].expand(-1, frames, -1).flatten(0, 1)
        x = self.input_transform(tokens)
        for time_block, space_block in zip(self.time_blocks, self.space_blocks, strict=True):
            x = time_block(x.flatten(0, 1)).unflatten(0, (clips, points))
            across = space_block(x.transpose(1, 2).flatten(0, 1), mask)
            x = across.unflatten(0, (clips, frames)).transpose(1, 2)
        return self.flow_head(x)


def mix_status(fresh: Tensor, logits: Tensor) -> Tensor:
    """The last two columns of the tokens, (N, S, 2), of N points in the order of their query frames.

    They ought to be, for each point and frame, whether the window has to track it (`fresh`, (S, N), 1 or 0) and the
    first guess of the visibility (`logits`, (S, N)). But the original stacks the one above the other, (2N, S), and
    reads that row by row as (N, S, 2), so that a point gets what belongs to others. The weights were trained with it.
    """
    points, frames = fresh.shape[1], fresh.shape[0]
    return torch.cat([fresh.T, logits.T]).reshape(points, frames, 2)


def embed_displacement(moved: Tensor) -> Tensor:
    """(..., 2) -> (..., 130): x, y, then for each of them sine and cosine in turn at 32 frequencies up to 968."""
    steps = torch.arange(0, _DISPLACEMENT, 2, device=moved.device, dtype=torch.float32)
    angles = moved[..., None] * (steps * (1000 / _DISPLACEMENT))
    turns = torch.stack([angles.sin(), angles.cos()], dim=-1)  # (..., 2, 32, 2)
    return torch.cat([moved, turns.flatten(-3)], dim=-1)


def embed_place(xy: Tensor, size: tuple[int, int]) -> Tensor:
    """(..., 2) -> (..., 456): waves of x, then of y, for a map of `size` (h, w).

    The original samples a table made for whole x and y; in between it, and so this, goes in straight lines.
    """
    halves = []
    for value, length in ((xy[..., 0], size[1]), (xy[..., 1], size[0])):
        value = value.clamp(0, length - 1)
        low = value.floor()
        high = (low + 1).clamp(max=length - 1)
        halves.append(torch.lerp(waves(low, _TOKEN // 2), waves(high, _TOKEN // 2), (value - low)[..., None]))
    return torch.cat(halves, dim=-1)


def correlate(levels: list[Tensor], slots: Tensor, features: Tensor, places: Tensor) -> Tensor:
    """Compare features (B, S, N, 128) with the maps around places (B, S, N, 2) on all levels: (B, S, N, 196).

    Interpolation is linear, so the products are interpolated instead of the features, and no map of products is
    made. Outside of the map they are 0. Of the 49 offsets x changes slowest.
    """
    results = []
    slots = slots[..., None].expand(places.shape[:-1])
    for level, maps in enumerate(levels):
        xy = places / 2**level
        around = sampling.neighbourhood(maps, slots, xy, RADIUS)
        products = torch.einsum("...yxc,...c->...yx", around, features) / math.sqrt(CHANNELS)
        products = products * sampling.inside(_size(maps), xy, RADIUS)
        results.append(sampling.blend(products[..., None], xy)[..., 0].transpose(-1, -2).flatten(-2))
    return torch.cat(results, dim=-1)


def _size(maps: Tensor) -> tuple[int, int]:
    return maps.shape[1], maps.shape[2]
