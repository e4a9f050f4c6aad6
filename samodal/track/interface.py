"""What a point tracker is: the cut at which third parties plug in. No torch here."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from samodal.errors import InputError


@dataclass(frozen=True)
class Tracks:
    """Where N points are in T frames.

    Attributes:
        xy: float32 (T, N, 2) pixels of the video, x right, y down, pixel centres at integers.
        visible_prob: float32 (T, N) from 0 to 1: is the point seen there? Never cut at a threshold.
        valid: bool (T, N), False where nothing was predicted; then `xy` means nothing.
        confidence: float32 (T, N) from 0 to 1: is `xy` right? None where a tracker does not say.
    """

    xy: np.ndarray
    visible_prob: np.ndarray
    valid: np.ndarray
    confidence: np.ndarray | None = None


class Frames(Protocol):
    """A video: a `samodal.Video`, a list or an array of uint8 (H, W, 3) RGB frames. May decode on access."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int, /) -> np.ndarray: ...


class PointTracker(Protocol):
    """Follows points through a video. `samodal.track.testing` checks that a tracker keeps to this.

    Resizing, support points, caching and devices are the tracker's own business. One that can follow points while
    frames are still coming has one more method, `stream`: see `PointStream`.
    """

    @property
    def causal(self) -> bool:
        """What it says of a frame never depends on later frames."""

    @property
    def max_window(self) -> int | None:
        """The most frames that one call can take; None: any number."""

    @property
    def needs_weights(self) -> bool:
        """It has to be opened with a file of weights."""

    @property
    def licence(self) -> str | None:
        """Licence of the weights, in words for the user; None where there are none."""

    @property
    def deterministic(self) -> bool:
        """The same call gives the same numbers."""

    @property
    def through_occlusion(self) -> bool:
        """It was made to say where a point is while something hides it. Points of other trackers get no vote."""

    def track(self, frames: Frames, queries: np.ndarray, window: range | None = None) -> Tracks:
        """Follow points, also in frames before the one in which they are known, if the tracker can.

        Args:
            frames: a video, all frames of one size; only those of the window are looked at. Calls with the same
                object may share what was computed before.
            queries: (N, 3) rows (frame, x, y): points known in a frame of the window, of any instances mixed.
                Frames count from the start of the video, x and y as in `Tracks`. N may be 0.
            window: the frames to follow them in, without gaps; None: all.

        Returns:
            Tracks with T = len(window).

        Raises:
            InputError: queries or window make no sense, or are more than the tracker can take.
        """


RECENT = 6
"""Frames that a `PointStream` can read: the newest and five before it."""

Located = tuple[np.ndarray, np.ndarray]
"""Places float32 (N, 2) in pixels of the video, nan where nothing is said; visibility float32 (N,) from 0 to 1."""


class PointStream(Protocol):
    """Follows points forwards while frames are still coming, in memory that does not grow with their number.

    Made for frames that come one by one (`RecentFrames`): `len(frames)` grows, and only the last `RECENT` can be read.
    A tracker that can do this has a method `stream(frames: Frames) -> PointStream | None` (see `open_stream`); None
    where this one, with its options, cannot.
    """

    def follow(self, frame: int, points: np.ndarray) -> int:
        """Begin a clip: from the next `step` on, follow points (N, 2) known in a frame.

        Args:
            frame: the newest, or one of the four before it.
            points: (N, 2) (x, y) in pixels of the video, N > 0; of one instance. Other clips do not influence them.

        Returns:
            The number of the clip.

        Raises:
            InputError: these are no points, or the frame is not one of those.
        """

    def step(self) -> dict[int, Located]:
        """Where the points of all clips are in the newest frame, by clip; to be said once for every frame."""

    def forget(self, clip: int) -> None:
        """End a clip."""


class RecentFrames:
    """The newest frames of a video that goes on, numbered from its beginning; see `Frames`.

    Args:
        keep: how many can be read.
    """

    def __init__(self, keep: int = RECENT) -> None:
        self.keep = keep
        self._count = 0
        self._kept: dict[int, np.ndarray] = {}

    def push(self, frame: np.ndarray) -> None:
        """Take the next frame, uint8 (H, W, 3) RGB; the array may be used again for the one after it."""
        self._kept[self._count] = frame.copy()
        self._kept.pop(self._count - self.keep, None)
        self._count += 1

    def __len__(self) -> int:
        """How many there have been."""
        return self._count

    def __getitem__(self, index: int, /) -> np.ndarray:
        if index not in self._kept:
            raise IndexError(f"frame {index} is not one of the last {self.keep} of {self._count}")
        return self._kept[index]


def open_stream(tracker: PointTracker, frames: Frames) -> PointStream | None:
    """The tracker's own way to follow points while frames are still coming; None where it has none."""
    stream = getattr(tracker, "stream", None)
    return None if stream is None else stream(frames)


def check_follow(frames: Frames, frame: int, points: np.ndarray) -> np.ndarray:
    """The points of `PointStream.follow` as float64 (N, 2).

    Raises:
        InputError: as there.
    """
    points = np.asarray(points, np.float64)
    if points.ndim != 2 or points.shape[1] != 2 or not len(points) or not np.isfinite(points).all():
        raise InputError("points: finite numbers of shape (N, 2) with N > 0 are expected")
    if not max(0, len(frames) - RECENT + 1) <= frame < len(frames):
        raise InputError(f"follow: frame {frame} is not one of the last {RECENT - 1} of {len(frames)}")
    return points


def check_call(
    frames: Frames, queries: np.ndarray, window: range | None, max_window: int | None = None
) -> tuple[np.ndarray, range]:
    """The arguments of `PointTracker.track` as float64 (N, 3) and range.

    Raises:
        InputError: they make no sense, or the window is longer than `max_window`.
    """
    window = range(len(frames)) if window is None else window
    if not len(window) or window.step != 1 or window.start < 0 or window.stop > len(frames):
        raise InputError(
            f"window {window}: must be frames without gaps of a video of {len(frames)}, at least one"
        )
    if max_window is not None and len(window) > max_window:
        raise InputError(f"window of {len(window)} frames: this tracker takes {max_window} at most")
    queries = np.asarray(queries, np.float64)
    if queries.size == 0:
        queries = queries.reshape(0, 3)
    if queries.ndim != 2 or queries.shape[1] != 3 or not np.isfinite(queries).all():
        raise InputError("queries: finite numbers of shape (N, 3) are expected, rows of frame, x and y")
    for frame in queries[:, 0]:
        if frame not in window:
            raise InputError(
                f"queries: frame {frame:g} is not one of the frames {window.start} to {window[-1]}"
            )
    return queries, window


def no_tracks(window: range) -> Tracks:
    """The tracks of no points."""
    frames = len(window)
    return Tracks(
        np.zeros((frames, 0, 2), np.float32), np.zeros((frames, 0), np.float32), np.zeros((frames, 0), bool)
    )
