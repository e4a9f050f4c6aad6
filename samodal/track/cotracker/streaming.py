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

from samodal.errors import InputError
from samodal.track.cotracker.encoder import STRIDE
from samodal.track.cotracker.features import FeatureStore
from samodal.track.cotracker.grid import grid_points
from samodal.track.cotracker.v1 import WINDOW
from samodal.track.cotracker.windows import Clip, solve
from samodal.track.interface import Frames

if TYPE_CHECKING:
    from samodal.track.cotracker.tracker_v1 import CoTracker

Located = dict[int, tuple[np.ndarray, np.ndarray]]
"""Clip -> places float32 (N, 2) in pixels of the video, visibility float32 (N,) from 0 to 1."""


class GrowingClips:
    """Clips that begin in different frames of one video and grow with it. Use `PointStream` or `CoTracker.track`.

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
        scale = self.tracker.scale(frames, frame)
        clip = Clip(self.store.device)
        clip.add(0, torch.from_numpy(points * scale / STRIDE).float().to(self.store.device))
        for time in range(0, WINDOW, self.tracker.every):  # the original fills a short clip up to 8 frames
            self._add_support(clip, time)
        self._count += 1
        self._clips[self._count] = _Growing(frame, clip, len(points), scale)
        return self._count

    def forget(self, clip: int) -> None:
        """End a clip."""
        del self._clips[clip]

    @torch.inference_mode()
    def locate(self, frames: Frames, frame: int) -> Located:
        """Where the points of all clips are in `frame`; to be asked for every frame, in order."""
        windows = []
        for growing in self._clips.values():
            time = frame - growing.first
            if time >= WINDOW and time % self.tracker.every == 0:
                self._add_support(growing.clip, time)

            def find_slots(times: Sequence[int], first: int = growing.first) -> Tensor:
                return self.store.slots(frames, [first + time for time in times])

            windows.append(growing.clip.window(time, self.store, find_slots))
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
        clip.add(time, torch.from_numpy(points / STRIDE).float().to(self.store.device))


@dataclass
class _Growing:
    first: int  # frame of the video
    clip: Clip
    count: int  # of points that were asked for; support points come after them
    scale: np.ndarray


class PointStream:
    """Points followed in endless input; memory does not grow. Made by `CoTracker.stream`.

    Say `follow` when an instance is not seen in the coming frame, `push` that frame, and `forget` the clip when the
    instance is back. Frames in which nothing is followed cost nothing.
    """

    def __init__(self, tracker: "CoTracker") -> None:
        self._clips = GrowingClips(
            tracker, FeatureStore(tracker.model, tracker.size, align_corners=False, capacity=2 * WINDOW)
        )
        self._frames: dict[int, np.ndarray] = {}  # the two newest
        self._newest = -1

    def push(self, frame: np.ndarray) -> Located:
        """Take the next frame, uint8 (H, W, 3) RGB: where the points of all clips are in it.

        Raises:
            InputError: a frame of another size than the one before.
        """
        if self._frames and frame.shape != self._frames[self._newest].shape:
            raise InputError(
                f"frame {frame.shape} after frames {self._frames[self._newest].shape}; one size is expected"
            )
        self._newest += 1
        self._frames[self._newest] = frame
        self._frames.pop(self._newest - 2, None)
        return self._clips.locate(self._frames, self._newest)

    def follow(self, points: np.ndarray) -> int:
        """Begin a clip with points (N, 2) (x, y) of the newest frame, in its pixels; returns the clip's number.

        Points of one clip know of one another; the original has one point a clip.

        Raises:
            InputError: no frame was pushed yet, or these are no points.
        """
        points = np.asarray(points, np.float64)
        if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
            raise InputError("points: finite numbers of shape (N, 2) with N > 0 are expected")
        if not self._frames:
            raise InputError("follow: no frame has been pushed yet")
        return self._clips.follow(self._frames, self._newest, points)

    def forget(self, clip: int) -> None:
        """End a clip.

        Raises:
            KeyError: there is no such clip.
        """
        self._clips.forget(clip)
