"""CoTracker3 (arXiv 2410.11831), offline and online: the same network, trained for whole clips or windows of 16.

The weights have the names of the published checkpoints. Places are in pixels of the feature maps (image pixels / 4).
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from samodal.track.cotracker import sampling
from samodal.track.cotracker.blocks import WIDTH, CrossAttention, CrossBlock, Mlp, SelfBlock
from samodal.track.cotracker.encoder import LEVELS, STRIDE, Encoder, pyramid

ONLINE_WINDOW = 16
RADIUS = 3
VIRTUAL = 64  # tracks that stand for all points when frames are mixed
_SIDE = 2 * RADIUS + 1
_LIKENESS = 256  # numbers that are left of the 49 x 49 products of a level
_OCTAVES = 10  # of displacements
_TOKEN = 2 + LEVELS * _LIKENESS + 4 + 2 * 4 * _OCTAVES
_TOGETHER = 2048  # points times frames that are compared at once
_EXTENT = (512 / STRIDE, 384 / STRIDE)  # unit of displacements, whatever the size of the frames


class CoTrackerV3(nn.Module):
    """The network of CoTracker3: 188 tensors, 25.39 million numbers.

    Args:
        frames: length of the time embedding in the checkpoint: 60 offline, 16 online.
    """

    def __init__(self, frames: int = 60) -> None:
        super().__init__()
        self.fnet = Encoder()
        self.updateformer = UpdateFormer()
        self.corr_mlp = Mlp(_SIDE**4, WIDTH, _LIKENESS, "none")
        self.register_buffer("time_emb", torch.empty(1, frames, _TOKEN))
        self.time_emb: Tensor

    @property
    def online(self) -> bool:
        """Trained for windows of 16 frames."""
        return self.time_emb.shape[1] == ONLINE_WINDOW

    def describe(self, images: Tensor) -> list[Tensor]:
        """The pyramid of unit-length features of images (B, 3, H, W), RGB 0 to 255; see `encoder.pyramid`."""
        features = self.fnet(images)
        length = features.float().square().sum(1, keepdim=True).clamp(min=1e-12).sqrt()
        return pyramid((features / length).to(features.dtype))

    def templates(self, levels: list[Tensor], slots: Tensor, places: Tensor) -> list[Tensor]:
        """What N points look like: the 7 x 7 features around them on every level.

        Args:
            levels: the pyramid of F frames, (F, h, w, 128) and smaller.
            slots: (N,) int64: which of the F frames is each one's query frame.
            places: (N, 2) in the query frames.

        Returns:
            (N, 49, 128) a level; x changes slowest.
        """
        return [_patches(maps, slots, places / 2**level) for level, maps in enumerate(levels)]

    def refine(
        self,
        levels: list[Tensor],
        slots: Tensor,
        templates: list[Tensor],
        places: Tensor,
        seen: Tensor,
        iterations: int = 6,
    ) -> tuple[Tensor, Tensor]:
        """Improve the tracks of N points in one window of S frames (section 3.2).

        Args:
            levels: the pyramid of F frames, (F, h, w, 128) and smaller.
            slots: (S,) int64: which of the F frames the window has.
            templates: of `templates`; zeros for points that are not known yet.
            places: (S, N, 2) first guess.
            seen: (S, N, 2) first guess of the logits of visibility and confidence.
            iterations: of the update.

        Returns:
            places (S, N, 2) and logits (S, N, 2).
        """
        for _ in range(iterations):
            tokens = self.tokens(levels, slots, templates, places, seen)
            change = self.updateformer(tokens).transpose(0, 1)  # (S, N, 4)
            places, seen = places + change[..., :2], seen + change[..., 2:]
        return places, seen

    def tokens(
        self, levels: list[Tensor], slots: Tensor, templates: list[Tensor], places: Tensor, seen: Tensor
    ) -> Tensor:
        """What the transformer is told, (N, S, 1110); arguments as of `refine`."""
        few = max(1, _TOGETHER // places.shape[1])  # frames, because the products take much memory
        likeness = [
            torch.cat([self.corr_mlp(p) for p in correlate(levels, slot, templates, place)], dim=-1)
            for slot, place in zip(slots.split(few), places.split(few), strict=True)
        ]
        parts = [seen, torch.cat(likeness), embed_displacement(places)]
        return torch.cat(parts, dim=-1).transpose(0, 1) + self._when(len(slots))

    def _when(self, frames: int) -> Tensor:
        """The time embedding (S, 1110), stretched where a clip has another length."""
        if frames == self.time_emb.shape[1]:
            return self.time_emb[0]
        return F.interpolate(self.time_emb.mT, frames, mode="linear")[0].T


class UpdateFormer(nn.Module):
    """Three times attention over the frames of each track, then, by way of virtual tracks, over those of a frame."""

    def __init__(self) -> None:
        super().__init__()
        self.virual_tracks = nn.Parameter(torch.empty(1, VIRTUAL, 1, WIDTH))  # the original's spelling
        self.input_transform = nn.Linear(_TOKEN, WIDTH)
        self.flow_head = nn.Linear(WIDTH, 2)
        self.vis_conf_head = nn.Linear(WIDTH, 2)
        self.time_blocks = nn.ModuleList(SelfBlock(CrossAttention()) for _ in range(3))
        self.space_virtual_blocks = nn.ModuleList(SelfBlock(CrossAttention()) for _ in range(3))
        self.space_point2virtual_blocks = nn.ModuleList(CrossBlock() for _ in range(3))
        self.space_virtual2point_blocks = nn.ModuleList(CrossBlock() for _ in range(3))

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (N, S, 1110) to changes (N, S, 4) of x, y and the logits of visibility and confidence."""
        count, frames, _ = tokens.shape
        virtual = self.virual_tracks[0].expand(-1, frames, -1)
        x = torch.cat([self.input_transform(tokens), virtual])
        layers = zip(
            self.time_blocks,
            self.space_virtual2point_blocks,
            self.space_virtual_blocks,
            self.space_point2virtual_blocks,
            strict=True,
        )
        for over_time, gather, among_virtual, spread in layers:
            by_frame = over_time(x).transpose(0, 1)
            points, virtual = by_frame[:, :count], by_frame[:, count:]
            virtual = among_virtual(gather(virtual, points))
            x = torch.cat([spread(points, virtual), virtual], dim=1).transpose(0, 1)
        points = x[:count]
        return torch.cat([self.flow_head(points), self.vis_conf_head(points)], dim=-1)


def correlate(levels: list[Tensor], slots: Tensor, templates: list[Tensor], places: Tensor) -> list[Tensor]:
    """Compare the surroundings of places (S, N, 2) with the templates: (S, N, 49 * 49) a level.

    The surroundings change slowest, and in them and in the templates x.
    """
    products = []
    for level, (maps, template) in enumerate(zip(levels, templates, strict=True)):
        around = _patches(maps, slots[:, None].expand(places.shape[:2]), places / 2**level)
        products.append((around @ template.mT).flatten(-2))
    return products


def embed_displacement(places: Tensor) -> Tensor:
    """(S, N, 2) -> (S, N, 84): the steps from the next and from the previous frame, and their waves."""
    step = places.diff(dim=0) / places.new_tensor(_EXTENT)
    none = torch.zeros_like(places[:1])
    steps = torch.cat([torch.cat([-step, none]), torch.cat([none, step])], dim=-1)
    octaves = 2 ** torch.arange(_OCTAVES, device=places.device, dtype=places.dtype)
    angles = (steps[..., None, :] * octaves[:, None]).flatten(-2)
    return torch.cat([steps, angles.sin(), (angles + math.pi / 2).sin()], dim=-1)


def _patches(maps: Tensor, slots: Tensor, xy: Tensor) -> Tensor:
    patches = sampling.blend(sampling.neighbourhood(maps, slots, xy, RADIUS), xy)
    return patches.transpose(-3, -2).flatten(-3, -2)
