"""Points led through a clip by CoTracker3 online, in chunks of 16 frames: of a whole clip, or as the clip grows.

Chunks begin at frame 0, 8, ... of a clip. As with the windows of v1 a full chunk never depends on what comes after it,
so a clip that grows by a frame only needs its last chunk.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from samodal.track.cotracker.encoder import STRIDE
from samodal.track.cotracker.features import FeatureStore
from samodal.track.cotracker.grid import grid_points
from samodal.track.cotracker.v3 import ONLINE_WINDOW, CoTrackerV3
from samodal.track.interface import Frames, Located, check_follow

if TYPE_CHECKING:
    from samodal.track.cotracker.tracker_v3 import CoTracker3

STEP = ONLINE_WINDOW // 2


class Chunks:
    """The points of one clip and what is settled of them; places are in pixels of the feature maps.

    A point is looked at when its query frame is in a chunk's new half.

    Args:
        model: the network.
        start: (N, 2) places.
        known: (N,) query frames, counted in the clip.

    Attributes:
        first: frame with which the chunk begins that comes next.
    """

    def __init__(self, model: CoTrackerV3, start: Tensor, known: np.ndarray) -> None:
        self.model, self.start, self.known = model, start, known
        self.first = 0
        self._templates: list[Tensor] | None = None  # of the points known in settled chunks
        self._settled: tuple[Tensor, Tensor] | None = None

    def refine(self, levels: list[Tensor], slots: Tensor, iterations: int) -> tuple[Tensor, Tensor]:
        """Places and logits (16, N, 2) in the next chunk, of the frames in these slots (16,) of the feature maps.

        Frames that the clip does not have are the last one again.
        """
        places = self.start.expand(ONLINE_WINDOW, -1, -1)
        logits = torch.zeros_like(places)
        if self._settled is not None:
            carried = torch.from_numpy(self.known < self.first + STEP).to(places.device)[:, None]
            places = torch.where(carried, _carry(self._settled[0]), places)
            logits = torch.where(carried, _carry(self._settled[1]), logits)
        self._pending = self._look(levels, slots)
        return self.model.refine(levels, slots, self._pending, places, logits, iterations)

    def settle(self, places: Tensor, logits: Tensor) -> None:
        """Take the result of a full chunk, and go on to the next one."""
        self._settled, self._templates = (places, logits), self._pending
        self.first += STEP

    def _look(self, levels: list[Tensor], slots: Tensor) -> list[Tensor]:
        """What the points known so far look like; zeros for the others."""
        new = (self.known >= (self.first + STEP if self.first else 0)) & (
            self.known < self.first + ONLINE_WINDOW
        )
        if self._templates is not None and not new.any():
            return self._templates
        at = slots[torch.from_numpy(np.where(new, self.known - self.first, 0))]
        is_new = torch.from_numpy(new).to(self.start.device)[:, None, None]
        looks = [look * is_new for look in self.model.templates(levels, at, self.start)]
        before = self._templates
        return looks if before is None else [a + b for a, b in zip(before, looks, strict=True)]


def _carry(found: Tensor) -> Tensor:
    """The second half of a chunk, and its last frame over and over."""
    return torch.cat([found[STEP:], found[-1:].expand_as(found[STEP:])])


@dataclass
class _Growing:
    first: int  # frame of the video
    chunks: Chunks
    count: int  # of points that were asked for; support points come after them


class ChunkStream:
    """See `PointStream`: one chunk a clip and frame. Made by `CoTracker3.stream`."""

    def __init__(self, tracker: "CoTracker3", frames: Frames) -> None:
        self._tracker, self._frames = tracker, frames
        self._store = FeatureStore(
            tracker.model, tracker.size, align_corners=True, capacity=2 * ONLINE_WINDOW
        )
        self._clips: dict[int, _Growing] = {}
        self._count = 0

    @property
    def encoded(self) -> int:
        """How many frames have been encoded so far."""
        return self._store.encoded

    @torch.inference_mode()
    def follow(self, frame: int, points: np.ndarray) -> int:
        """See `PointStream`."""
        points = check_follow(self._frames, frame, points)
        size = self._tracker.size
        support = grid_points(self._tracker.grid, size, size[1] / 64)
        both = np.concatenate([points * self._store.scale(self._frames, frame), support]) / STRIDE
        start = torch.from_numpy(both).float().to(self._store.device)
        self._count += 1
        chunks = Chunks(self._tracker.model, start, np.zeros(len(both), int))
        self._clips[self._count] = _Growing(frame, chunks, len(points))
        return self._count

    @torch.inference_mode()
    def step(self) -> dict[int, Located]:
        """See `PointStream`."""
        newest = len(self._frames) - 1
        rows = []
        for clip in self._clips.values():
            first = clip.first + clip.chunks.first
            numbers = [min(first + n, newest) for n in range(ONLINE_WINDOW)]
            slots = self._store.slots(self._frames, numbers)
            places, logits = clip.chunks.refine(self._store.levels, slots, self._tracker.iterations)
            at = newest - first
            rows.append(torch.cat([places[at] * STRIDE, logits[at, :, :1].sigmoid()], 1)[: clip.count])
            if at == ONLINE_WINDOW - 1:
                clip.chunks.settle(places, logits)
        if not rows:
            return {}
        found = torch.cat(rows).cpu().numpy()  # one transfer for all clips
        scale = self._store.scale(self._frames, newest)
        ends = np.cumsum([clip.count for clip in self._clips.values()])[:-1]
        return {
            number: ((part[:, :2] / scale).astype(np.float32), part[:, 2])
            for number, part in zip(self._clips, np.split(found, ends), strict=True)
        }

    def forget(self, clip: int) -> None:
        """See `PointStream`."""
        del self._clips[clip]
