"""Video files (PyAV): an index made from the packets, frames decoded when asked for."""

import logging
import operator
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import av
import numpy as np

from samodal.errors import InputError
from samodal.video import Video

SEGMENT = b"\x18\x53\x80\x67"  # the element of a Matroska file that holds everything but a short header

log = logging.getLogger("samodal")


def open_video_file(path: Path) -> Video:
    """Open one video file (see `samodal.frames.open_video`)."""
    frames = VideoFile(path)
    height, width = frames[0].shape[:2]
    return Video(frames, frames.frame_index.times, (height, width), path.stem)


@dataclass
class FrameIndex:
    """Where the frames of a video file are.

    Attributes:
        times: (T,) seconds, from 0.
        pts: (T,) presentation times in the file's own unit; None where the file has none, so that frames can
            only be told apart by counting from the start.
        keys: position and seek time of every key frame, in order.
    """

    times: np.ndarray
    pts: list[int] | None
    keys: list[tuple[int, int]]


class VideoFile(Sequence[np.ndarray]):
    """Frames of a video file, uint8 (H, W, 3) RGB, turned upright.

    Going forward never seeks, and the last few decoded frames stay at hand.
    """

    RECENT = 8

    def __init__(self, path: Path) -> None:
        self.path = path
        self.frame_index = read_index(path)
        self._place = {time: position for position, time in enumerate(self.frame_index.pts or [])}
        self._recent: dict[int, av.VideoFrame] = {}
        self._position = -1  # of the frame that was decoded last
        self._restart()

    def __len__(self) -> int:
        return len(self.frame_index.times)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        wanted = operator.index(index)
        if not -len(self) <= wanted < len(self):
            raise IndexError(f"frame {wanted} of a video of {len(self)} frames")
        wanted %= len(self)
        try:
            if wanted not in self._recent:
                self._decode_to(wanted)
            frame = self._recent[wanted]
            image = frame.to_ndarray(format="rgb24")
        except (av.FFmpegError, KeyError) as error:
            self._restart()
            why = getattr(error, "strerror", None) or "the data end early"
            raise InputError(
                f"{self.path}: frame {wanted} of {len(self)} cannot be decoded ({why}); damaged or cut off"
            ) from None
        return np.ascontiguousarray(np.rot90(image, round(frame.rotation / 90)))

    def _decode_to(self, wanted: int) -> None:
        keys = self.frame_index.keys
        number = bisect_right(keys, wanted, key=lambda key: key[0]) - 1
        start, seek_time = keys[number] if number >= 0 else (0, None)
        if not (self._position < wanted and start <= self._position + 1):
            if seek_time is None:
                self._restart()
            else:
                self._container.seek(seek_time, stream=self._stream)
                self._decoder = self._decode()
        self._read_until(wanted)
        if wanted not in self._recent and self._position > wanted:  # the seek went too far
            self._restart()
            self._read_until(wanted)

    def _read_until(self, wanted: int) -> None:
        for position, frame in self._decoder:
            self._position = position
            self._recent[position] = frame
            if len(self._recent) > self.RECENT:
                del self._recent[next(iter(self._recent))]
            if position >= wanted:
                return

    def _restart(self) -> None:
        self._container, self._stream = _open_container(self.path)
        self._position = -1
        self._decoder = self._decode()

    def _decode(self) -> Iterator[tuple[int, av.VideoFrame]]:
        for count, frame in enumerate(self._container.decode(self._stream)):
            position = count if self.frame_index.pts is None else self._place.get(frame.pts)
            if position is not None:
                yield position, frame


def read_index(path: Path) -> FrameIndex:
    """List the frames by reading the packets, without decoding, and check that none is cut off.

    Raises:
        InputError: no video, no frames, or fewer frames (Matroska, WebM: bytes) than the header promises.
    """
    container, stream = _open_container(path)
    with container:
        held = path.stat().st_size
        if container.format.name == "matroska,webm" and held < (promised := matroska_size(path) or 0):
            raise InputError(
                f"{path}: cut off: holds {held} of the {promised} bytes that its header promises; "
                "copy or encode it again"
            )
        count, cut_off, shown = 0, False, []
        for packet in container.demux(stream):
            if packet.size:  # the last packet only flushes
                count, cut_off = count + 1, packet.is_corrupt
                if not packet.is_discard:
                    shown.append((packet.pts, packet.dts, packet.is_keyframe))
        # Fewer packets than promised: the file is cut off, unless an edit list leaves some out.
        if count < stream.frames and (held := _count_all_packets(path)) < stream.frames:
            raise InputError(
                f"{path}: cut off: holds {held} of the {stream.frames} frames that its header promises"
            )
        if cut_off:
            raise InputError(f"{path}: cut off within frame {count - 1}; copy or encode it again")
        if not shown:
            raise InputError(f"{path}: holds no frames")
        times = [pts for pts, _, _ in shown]
        # AVI stores no presentation times: what the demuxer gives there is a guess in order of decoding.
        if None in times or len(set(times)) < len(times) or container.format.name == "avi":
            return _index_by_counting(path)
        pts = sorted(times)
        place = {time: position for position, time in enumerate(pts)}
        keys = sorted((place[pts], pts if dts is None else dts) for pts, dts, is_key in shown if is_key)
        return FrameIndex((np.array(pts, np.float64) - pts[0]) * float(stream.time_base), pts, keys)


def matroska_size(path: Path) -> int | None:
    """The size of a Matroska or WebM file by its header, which counts no frames; None where it does not say.

    A recording that was broken off, or was written to a pipe, does not.
    """
    with path.open("rb") as file:
        head = file.read(4096)
    start = 0
    while start + 12 < len(head):  # id, size, content: the leading zero bits of a number tell how long it is
        middle = start + 9 - head[start].bit_length()
        end = middle + 9 - head[middle].bit_length()
        unknown = (1 << 7 * (end - middle)) - 1
        size = int.from_bytes(head[middle:end]) & unknown
        if head[start:middle] == SEGMENT:
            return None if size == unknown else end + size
        start = end + size
    return None


def _count_all_packets(path: Path) -> int:
    container, stream = _open_container(path, ignore_editlist="1")
    with container:
        return sum(packet.size > 0 for packet in container.demux(stream))


def _index_by_counting(path: Path) -> FrameIndex:
    log.info("%s: no presentation times; the frames are counted by decoding the file once", path)
    container, stream = _open_container(path)
    with container:
        try:
            count = sum(1 for _ in container.decode(stream))
        except av.FFmpegError as error:
            raise InputError(f"{path}: cannot be decoded ({error.strerror})") from None
        if not count:
            raise InputError(f"{path}: holds no frames")
        return FrameIndex(np.arange(count) / float(stream.average_rate or 25), None, [])


def _open_container(path: Path, **options: str) -> tuple[av.container.InputContainer, av.VideoStream]:
    try:
        container = av.open(str(path), options=options)
    except (av.FFmpegError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be opened as a video ({why}); was the file cut off?") from None
    if container.format.name == "tty":  # FFmpeg takes any text for a terminal recording
        raise InputError(f"{path}: a text file, not a video; are the video and --visible swapped?")
    if not container.streams.video:
        raise InputError(f"{path}: holds no video stream; was the file cut off before its index was written?")
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"
    return container, stream
