"""Points led through a clip by CoTracker v1, window by window: of the whole clip, or as the clip grows.

Windows of 8 frames start at frame 0, 4, 8, ... of a clip. What a window finds in its second half is the first guess of
the next one; its appearance a point takes from its query frame each time. So a full window never depends on what
comes after it, and a clip that grows by a frame only needs its last window: that is all that exact streaming is.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from samodal.track.cotracker import sampling
from samodal.track.cotracker.encoder import CHANNELS
from samodal.track.cotracker.features import FeatureStore
from samodal.track.cotracker.v1 import SURE, WINDOW, CoTrackerV1, mix_status

STEP = WINDOW // 2
FindSlots = Callable[[Sequence[int]], Tensor]
"""Frames of a clip -> their slots in the feature store, (N,) int64."""


@dataclass
class Window:
    """One window of one clip, ready for `CoTrackerV1.refine` (shapes as there, without B).

    Attributes:
        start: first frame, counted in the clip.
        present: (N,) who takes part.
    """

    start: int
    slots: Tensor
    looks: Tensor
    places: Tensor
    status: Tensor
    present: list[bool]


class Clip:
    """The points of one clip and what is settled of them.

    Frames are counted from the clip's first one; places are in pixels of the feature maps.

    Args:
        device: of the model.
    """

    def __init__(self, device: torch.device) -> None:
        self.frames: list[int] = []  # query frame of each point
        self.places = torch.empty(0, 2, device=device)
        self._looks = torch.empty(0, CHANNELS, device=device)  # feature of each point in its query frame
        self._looked: list[bool] = []  # is it known
        self._start = 0  # of the window that comes next
        self._settled: tuple[Tensor, Tensor] | None = None  # places and logits of the last full window

    def add(self, frame: int, places: Tensor) -> None:
        """Add points (N, 2) that are known in `frame`; it must not lie before the window that comes next."""
        self.frames += [frame] * len(places)
        self.places = torch.cat([self.places, places])
        self._looks = torch.cat([self._looks, self._looks.new_zeros(len(places), CHANNELS)])
        self._looked += [False] * len(places)

    def window(self, last: int, store: FeatureStore, find_slots: FindSlots) -> Window:
        """The next window, of a clip that so far ends with frame `last`.

        A window that the clip does not fill is filled with its last frame. Those repeated frames count as seen in
        the first window (there the original lengthens the clip) and are masked later.
        """
        numbers = range(self._start, self._start + WINDOW)
        slots = find_slots([min(number, last) for number in numbers])
        device = self.places.device
        query = torch.tensor(self.frames, device=device)
        looks = self._find_looks(last, store, slots)

        places = self.places.expand(WINDOW, -1, -1)
        logits = torch.full(places.shape[:2], SURE, device=device)
        first_new = 0 if self._start == 0 else self._start + STEP  # frame that no earlier window has had
        if self._settled is not None:
            known = len(self._settled[0][0])
            carried = query[:known] < first_new
            halves = [torch.cat([half[STEP:], half[-1:].expand_as(half[STEP:])]) for half in self._settled]
            places = torch.cat(
                [torch.where(carried[:, None], halves[0], places[:, :known]), places[:, known:]], 1
            )
            logits = torch.cat([torch.where(carried, halves[1], logits[:, :known]), logits[:, known:]], 1)
        end = last if self._start else WINDOW - 1
        time = torch.arange(self._start, self._start + WINDOW, device=device)[:, None]
        fresh = ((time >= query) & (time >= first_new) & (time <= end)).float()
        present = [frame < self._start + WINDOW for frame in self.frames]
        entered = sorted((n for n, here in enumerate(present) if here), key=lambda n: self.frames[n])
        status = torch.zeros(len(present), WINDOW, 2, device=device)
        status[entered] = mix_status(fresh[:, entered], logits[:, entered])
        return Window(self._start, slots, looks, places, status, present)

    def _find_looks(self, last: int, store: FeatureStore, slots: Tensor) -> Tensor:
        """The feature of every point in its query frame, (N, 128); 0 for those that come later."""
        end = self._start + WINDOW
        new = [n for n, frame in enumerate(self.frames) if not self._looked[n] and frame < end]
        if new:
            at = slots[[self.frames[n] - self._start for n in new]]
            self._looks[new] = sampling.sample(store.levels[0], at, self.places[new])
            for n in new:  # a frame that stands in for one to come does not count
                self._looked[n] = self.frames[n] <= last
        return self._looks

    def settle(self, places: Tensor, logits: Tensor) -> None:
        """Take the result of a full window, (8, N, 2) and (8, N), and go on to the next one."""
        self._settled = places, logits
        self._start += STEP


def solve(
    model: CoTrackerV1, levels: list[Tensor], windows: Sequence[Window], iterations: int = 6
) -> list[tuple[Tensor, Tensor]]:
    """Run windows of several clips as one batch: places (8, N, 2) and logits (8, N) of each.

    Points of different clips know nothing of one another.
    """
    most = max(len(window.present) for window in windows)

    def pad(value: Tensor, dim: int) -> Tensor:
        missing = list(value.shape)
        missing[dim] = most - missing[dim]
        return torch.cat([value, value.new_zeros(missing)], dim)

    present = [window.present + [False] * (most - len(window.present)) for window in windows]
    mask = None if all(map(all, present)) else torch.tensor(present, device=levels[0].device)
    places, logits = model.refine(
        levels,
        torch.stack([window.slots for window in windows]),
        torch.stack([pad(window.looks, 0) for window in windows]),
        torch.stack([pad(window.places, 1) for window in windows]),
        torch.stack([pad(window.status, 0) for window in windows]),
        mask,
        iterations,
    )
    counts = [len(window.present) for window in windows]
    return [(places[b, :, :n], logits[b, :, :n]) for b, n in enumerate(counts)]


def track_clip(
    model: CoTrackerV1,
    clip: Clip,
    length: int,
    store: FeatureStore,
    find_slots: FindSlots,
    iterations: int = 6,
) -> tuple[Tensor, Tensor, Tensor]:
    """Follow the points of a new clip of `length` frames from its first window to its last.

    Returns:
        places (T, N, 2), visibility (T, N) from 0 to 1, and bool (T, N): where they were predicted at all. In
        frames before a point's first window they are 0 and 0.5, as in the original.
    """
    device, count = clip.places.device, len(clip.frames)
    places = torch.zeros(length + WINDOW, count, 2, device=device)
    logits = torch.zeros(length + WINDOW, count, device=device)
    written = torch.zeros(length + WINDOW, count, dtype=torch.bool, device=device)
    for start in range(0, max(length, WINDOW) - STEP, STEP):
        window = clip.window(length - 1, store, find_slots)
        [(found, seen)] = solve(model, store.levels, [window], iterations)
        now, entered = slice(start, start + WINDOW), torch.tensor(window.present, device=device)
        places[now] = torch.where(entered[:, None], found, places[now])
        logits[now] = torch.where(entered, seen, logits[now])
        written[now] |= entered
        clip.settle(found, seen)
    return places[:length], logits[:length].sigmoid(), written[:length]
