"""Exact streaming: the numbers of the original's growing clips, for one encoding and one window a frame.

The original calls the tracker for each hidden frame k with frames s..k, where s is the last that showed the instance.
Of all the windows of such a call only the last one is new (see `windows.py`), and running backwards changes nothing
for points known in frame s. So a clip keeps what its full windows found, and each new frame costs one more window;
features are shared by all clips, and the clips of a frame run as one batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from samodal.track.cotracker.encoder import STRIDE
from samodal.track.cotracker.features import FeatureStore
from samodal.track.cotracker.grid import grid_points
from samodal.track.cotracker.v1 import WINDOW
from samodal.track.cotracker.windows import Clip, solve
from samodal.track.interface import Frames, Located, check_follow

if TYPE_CHECKING:
    from samodal.track.cotracker.tracker_v1 import CoTracker


class GrowingClips:
    """Clips that begin in different frames of one video and grow with it. Use `CoTracker.stream` or `CoTracker.track`.

    Args:
        tracker: model and settings.
        store: features by frame of the video.
    """

    def __init__(self, tracker: "CoTracker", store: FeatureStore) -> None:
        self.tracker, self.store = tracker, store
        self._clips: dict[int, _Growing] = {}
        self._count = 0

    @torch.inference_mode()
    def follow(self, frames: Frames, frame: int, points: np.ndarray) -> int:
        """Begin a clip with points (N, 2), in pixels of the video, known in `frame`; returns its number."""
        scale = self.store.scale(frames, frame)
        clip = Clip(self.store.device)
        clip.add([0] * len(points), torch.from_numpy(points * scale / STRIDE))
        for time in range(0, WINDOW, self.tracker.every):  # those of the frames to come, too: see `locate`
            self._add_support(clip, time)
        self._count += 1
        self._clips[self._count] = _Growing(frame, clip, len(points), scale)
        return self._count

    def forget(self, clip: int) -> None:
        """End a clip."""
        del self._clips[clip]

    @torch.inference_mode()
    def locate(self, frames: Frames, frame: int) -> dict[int, Located]:
        """Where the points of all clips are in `frame`; to be asked for every frame, in order."""
        windows = []
        for growing in self._clips.values():
            time = frame - growing.first
            if time >= WINDOW and time % self.tracker.every == 0:
                self._add_support(growing.clip, time)

            def find_slots(times: Sequence[int], first: int = growing.first) -> Tensor:
                return self.store.slots(frames, [min(first + time, frame) for time in times])

            length = max(time + 1, WINDOW)  # as in the original, the newest frame fills a clip up to 8 frames
            windows.append(growing.clip.window(length, self.store, find_slots))
        if not windows:
            return {}
        self.tracker.windows += len(windows)
        results = solve(self.tracker.model, self.store.levels, windows, self.tracker.iterations)
        newest = []
        for growing, window, (places, logits) in zip(self._clips.values(), windows, results, strict=True):
            at = frame - growing.first - window.start
            newest.append(torch.cat([places[at] * STRIDE, logits[at].sigmoid()[:, None]], 1)[: growing.count])
            if at == WINDOW - 1:
                growing.clip.settle(places, logits)
        found = torch.cat(newest).cpu().numpy()  # one transfer for all clips
        ends = np.cumsum([growing.count for growing in self._clips.values()])
        return {
            number: ((part[:, :2] / growing.scale).astype(np.float32), part[:, 2])
            for (number, growing), part in zip(self._clips.items(), np.split(found, ends[:-1]), strict=True)
        }

    def _add_support(self, clip: Clip, time: int) -> None:
        points = grid_points(self.tracker.grid, self.tracker.size, self.tracker.size[1] // 64)
        clip.add([time] * len(points), torch.from_numpy(points / STRIDE))


@dataclass
class _Growing:
    first: int  # frame of the video
    clip: Clip
    count: int  # of points that were asked for; support points come after them
    scale: np.ndarray


class ClipStream:
    """See `PointStream`: the numbers of mode "exact". Made by `CoTracker.stream`.

    Frames in which nothing is followed cost nothing. As in the original each point is followed by itself, with its own
    support points, which become more every 12 frames: clips are not meant to go on for ever.
    """

    def __init__(self, tracker: "CoTracker", frames: Frames) -> None:
        self._clips = GrowingClips(
            tracker, FeatureStore(tracker.model, tracker.size, align_corners=False, capacity=2 * WINDOW)
        )
        self._frames = frames
        self._points: dict[int, list[int]] = {}  # clip -> for each of its points that of `GrowingClips`
        self._count = 0

    @property
    def encoded(self) -> int:
        """How many frames have been encoded so far."""
        return self._clips.store.encoded

    def follow(self, frame: int, points: np.ndarray) -> int:
        """See `PointStream`."""
        points = check_follow(self._frames, frame, points)
        self._count += 1
        self._points[self._count] = [self._clips.follow(self._frames, frame, point[None]) for point in points]
        return self._count

    def step(self) -> dict[int, Located]:
        """See `PointStream`."""
        # A clip that began some frames ago needs no window of those: its first one is not full yet.
        found = self._clips.locate(self._frames, len(self._frames) - 1)
        return {
            clip: (np.concatenate([found[n][0] for n in own]), np.concatenate([found[n][1] for n in own]))
            for clip, own in self._points.items()
        }

    def forget(self, clip: int) -> None:
        """See `PointStream`."""
        for number in self._points.pop(clip):
            self._clips.forget(number)
