"""CoTracker3 as a point tracker: offline, the whole window at once; online, chunks of 16 frames that overlap by 8."""

import numpy as np
import torch
from torch import Tensor

from samodal.track.cotracker.chunks import STEP, Chunks, ChunkStream
from samodal.track.cotracker.encoder import STRIDE
from samodal.track.cotracker.features import FeatureStore
from samodal.track.cotracker.grid import grid_points
from samodal.track.cotracker.loading import LICENCE
from samodal.track.cotracker.v3 import ONLINE_WINDOW, CoTrackerV3
from samodal.track.interface import Frames, Tracks, check_call, no_tracks


class CoTracker3:
    """CoTracker3 (arXiv 2410.11831), offline or online as its weights were trained; a `PointTracker`.

    Args:
        model: the network, e.g. from `load_cotracker`.
        size: (H, W) that frames are resized to; the weights were trained for 384 x 512.
        grid: a grid of grid x grid support points is added in the window's first frame.
        iterations: of the update.
        backward: offline only: frames before a point's query are taken from a second run over the reversed
            window. The first run has an answer for them, too.
        capacity: number of frames whose features are kept (8.4 MB each at 384 x 512, half of it in bfloat16). The
            offline model needs all frames of a window at once, and makes room for them.

    Attributes:
        store: the features; shared by all calls for one video.
    """

    causal = False
    max_window: int | None = None
    needs_weights = True
    licence: str | None = LICENCE
    deterministic = True
    through_occlusion = True

    def __init__(
        self,
        model: CoTrackerV3,
        size: tuple[int, int] = (384, 512),
        grid: int = 6,
        iterations: int = 6,
        backward: bool = False,
        capacity: int = 64,
    ) -> None:
        self.model, self.size, self.grid = model.eval(), size, grid
        self.iterations, self.backward = iterations, backward
        self.store = FeatureStore(model, size, align_corners=True, capacity=max(capacity, ONLINE_WINDOW))

    def track(self, frames: Frames, queries: np.ndarray, window: range | None = None) -> Tracks:
        """Follow points; see `PointTracker.track`.

        Online, a point is followed from 8 frames before the chunk of 8 that it is known in; offline, in all frames.
        """
        queries, window = check_call(frames, queries, window)
        if not len(queries):
            return no_tracks(window)
        places, seen = (part[:, : len(queries)].cpu().numpy() for part in self.run(frames, queries, window))
        xy = (places / self.store.scale(frames, window.start)).astype(np.float32)
        known = queries[:, 0].astype(int) - window.start
        valid = np.ones(xy.shape[:2], bool)
        if self.model.online:
            valid = np.arange(len(window))[:, None] >= np.maximum(known // STEP - 1, 0) * STEP
        else:  # only this one is overwritten in the original
            rows = np.arange(len(queries))
            xy[known, rows], seen[known, rows, 0] = queries[:, 1:], 1.0
        return Tracks(xy, seen[..., 0], valid, seen[..., 1])

    def stream(self, frames: Frames) -> ChunkStream | None:
        """Follow points while frames are still coming (see `PointStream`), if the model is online; else None.

        What is said of a frame is what `track` says of it in a call that ends there, for the points of each clip.
        """
        return ChunkStream(self, frames) if self.model.online else None

    @torch.inference_mode()
    def run(self, frames: Frames, queries: np.ndarray, window: range) -> tuple[Tensor, Tensor]:
        """The answer of the network for a window.

        Returns:
            places (T, N, 2) in pixels of the resized frames, and (T, N, 2): visibility and confidence from 0 to 1;
            of the queries and then of the support points.
        """
        support = grid_points(self.grid, self.size, self.size[1] / 64)
        points = np.concatenate([queries[:, 1:] * self.store.scale(frames, window.start), support]) / STRIDE
        known = np.concatenate([queries[:, 0] - window.start, np.zeros(len(support))]).astype(int)
        start = torch.from_numpy(points).float().to(self.store.device)
        follow = self._by_chunks if self.model.online else self._at_once
        places, logits = follow(frames, start, known, window)
        if self.backward and not self.model.online:
            flipped = self._at_once(frames, start, len(window) - 1 - known, window[::-1])
            later = np.arange(len(window))[:, None] >= known
            mask = torch.from_numpy(later).to(places.device)[..., None]
            places = torch.where(mask, places, flipped[0].flip(0))
            logits = torch.where(mask, logits, flipped[1].flip(0))
        return places * STRIDE, logits.sigmoid()

    def _at_once(
        self, frames: Frames, start: Tensor, known: np.ndarray, window: range
    ) -> tuple[Tensor, Tensor]:
        slots = self.store.slots(frames, window)
        templates = self.model.templates(self.store.levels, slots[torch.from_numpy(known)], start)
        places = start.expand(len(window), -1, -1)
        logits = torch.zeros_like(places)
        return self.model.refine(self.store.levels, slots, templates, places, logits, self.iterations)

    def _by_chunks(
        self, frames: Frames, start: Tensor, known: np.ndarray, window: range
    ) -> tuple[Tensor, Tensor]:
        length = len(window)
        chunks = Chunks(self.model, start, known)
        all_places: list[Tensor] = []
        all_logits: list[Tensor] = []
        for first in range(0, max(length - STEP, 1), STEP):
            numbers = [window[min(first + n, length - 1)] for n in range(ONLINE_WINDOW)]
            slots = self.store.slots(frames, numbers)
            places, logits = chunks.refine(self.store.levels, slots, self.iterations)
            chunks.settle(places, logits)
            all_places, all_logits = [*all_places[:first], *places], [*all_logits[:first], *logits]
        return torch.stack(all_places[:length]), torch.stack(all_logits[:length])
