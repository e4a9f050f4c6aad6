"""CoTracker v1 as a point tracker: what the paper calls, and two ways to get there with far less work.

S-AModal calls the tracker anew for every hidden frame of every instance, with all frames from the last sighting up to
that one, forwards and backwards. `CoTracker.whole_clip` is one such call. `mode="exact"` has the numbers of all of
them for one encoding a frame and one window a frame and point (`GrowingClips`); `mode="joint"` makes one call for all.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from samodal.errors import InputError
from samodal.track.cotracker.encoder import STRIDE
from samodal.track.cotracker.features import FeatureStore
from samodal.track.cotracker.grid import grid_points
from samodal.track.cotracker.loading import LICENCE
from samodal.track.cotracker.streaming import ClipStream, GrowingClips
from samodal.track.cotracker.v1 import WINDOW, CoTrackerV1
from samodal.track.cotracker.windows import STEP, Clip, track_clip
from samodal.track.interface import Frames, Tracks, check_call, no_tracks

Mode = Literal["exact", "joint"]


class CoTracker:
    """CoTracker v1 (arXiv 2307.07635) with the settings of S-AModal; a `PointTracker`.

    Args:
        model: the network, e.g. from `load_cotracker`.
        mode: "exact": the numbers of the original, which calls the tracker for one point and with no frame after
            the one that is asked for; causal. "joint": one call for all points, which see one another and later
            frames; several times cheaper again.
        size: (H, W) that frames are resized to; the weights were trained for 384 x 512.
        grid: a grid of grid x grid support points is added ...
        every: ... in every so many frames.
        iterations: of the update in each window.
        capacity: number of frames whose features are kept (8.4 MB each at 384 x 512, half of it in bfloat16).

    Attributes:
        store: the features; shared by all calls for one video.
        windows: how many windows have been computed so far, one a clip.
    """

    max_window: int | None = None
    needs_weights = True
    licence: str | None = LICENCE
    deterministic = True
    through_occlusion = True

    def __init__(
        self,
        model: CoTrackerV1,
        mode: Mode = "exact",
        size: tuple[int, int] = (384, 512),
        grid: int = 2,
        every: int = 12,
        iterations: int = 6,
        capacity: int = 64,
    ) -> None:
        if mode not in ("exact", "joint"):
            raise InputError(f"mode {mode!r}: exact or joint is expected")
        self.model, self.mode, self.size = model.eval(), mode, size
        self.grid, self.every, self.iterations = grid, every, iterations
        self.store = FeatureStore(model, size, align_corners=False, capacity=max(capacity, 2 * WINDOW))
        self.causal = mode == "exact"
        self.windows = 0

    def track(self, frames: Frames, queries: np.ndarray, window: range | None = None) -> Tracks:
        """Follow points; see `PointTracker.track`. In mode "exact" only from their query frames on."""
        queries, window = check_call(frames, queries, window)
        if not len(queries):
            return no_tracks(window)
        return (self._grow if self.mode == "exact" else self._join)(frames, queries, window)

    def stream(self, frames: Frames) -> ClipStream:
        """Follow points while frames are still coming, with the numbers of mode "exact"; see `PointStream`."""
        return ClipStream(self, frames)

    def _grow(self, frames: Frames, queries: np.ndarray, window: range) -> Tracks:
        clips = GrowingClips(self, self.store)
        xy = np.zeros((len(window), len(queries), 2), np.float32)
        prob, valid = np.zeros(xy.shape[:2], np.float32), np.zeros(xy.shape[:2], bool)
        rows: dict[int, int] = {}  # clip -> query
        for t, frame in enumerate(window):
            for clip, (places, seen) in clips.locate(frames, frame).items():
                xy[t, rows[clip]], prob[t, rows[clip]], valid[t, rows[clip]] = places[0], seen[0], True
            for row in np.flatnonzero(queries[:, 0] == frame):
                rows[clips.follow(frames, frame, queries[row, None, 1:])] = int(row)
                xy[t, row], prob[t, row], valid[t, row] = queries[row, 1:], 1.0, True
        return Tracks(xy, prob, valid)

    def _join(self, frames: Frames, queries: np.ndarray, window: range) -> Tracks:
        order = np.lexsort(queries.T[::-1])  # the order matters a little (`mix_status`); ours must not
        late = bool((queries[:, 0] - window.start >= WINDOW).any())
        found = self.whole_clip(frames, queries[order], window, backward=late)
        places, seen, written = (part[:, : len(queries)].cpu().numpy() for part in found)
        back = np.argsort(order)
        xy = places[:, back] / self.store.scale(frames, window.start)
        return Tracks(xy.astype(np.float32), seen[:, back], written[:, back])

    @torch.inference_mode()
    def whole_clip(
        self, frames: Frames, queries: np.ndarray, window: range, backward: bool = True
    ) -> tuple[Tensor, Tensor, Tensor]:
        """One call of the original for the frames of a window: forwards, and backwards for what that left out.

        Clips of fewer than 8 frames are lengthened by their last frame.

        Returns:
            places (T, N, 2) in pixels of the resized frames, visibility (T, N), and bool (T, N) where they were
            predicted, of the queries and then of the support points.
        """
        length = max(len(window), WINDOW)
        scaled = queries[:, 1:] * self.store.scale(frames, window.start)
        support = grid_points(self.grid, self.size, self.size[1] // 64)
        support_times = range(0, length, self.every)
        points = np.concatenate([scaled, np.tile(support, (len(support_times), 1))]) / STRIDE
        times = np.concatenate([queries[:, 0] - window.start, np.repeat(support_times, len(support))])

        def run(flip: bool) -> tuple[Tensor, Tensor, Tensor]:
            def find_slots(numbers: Sequence[int]) -> Tensor:
                forth = [length - 1 - number if flip else number for number in numbers]
                wanted = [window.start + min(number, len(window) - 1) for number in forth]
                return self.store.slots(frames, wanted)

            clip = Clip(self.store.device)
            known = length - 1 - times if flip else times
            clip.add(known.astype(int).tolist(), torch.from_numpy(points))
            self.windows += len(range(0, length - STEP, STEP))
            result = track_clip(self.model, clip, length, self.store, find_slots, self.iterations)
            return tuple(part.flip(0) for part in result) if flip else result  # type: ignore[return-value]

        places, seen, written = run(flip=False)
        if backward:
            back_places, back_seen, back_written = run(flip=True)
            places = torch.where(written[..., None], places, back_places)
            seen = torch.where(written, seen, back_seen)
            written = written | back_written
        places, seen, written = (part[: len(window)] for part in (places, seen, written))
        return places * STRIDE, seen, written
