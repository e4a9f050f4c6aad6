"""Frames in and out: video files, folders of frames and glob patterns as one lazy `Video`; H.264 files out.

Every frame is uint8 (H, W, 3) RGB.
"""

import glob
import operator
import re
from collections.abc import Iterable, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from av.video.reformatter import ColorRange, Colorspace
from PIL import Image

from samodal.errors import InputError
from samodal.files import replacing
from samodal.video import Video
from samodal.video_file import open_video_file

IMAGE_SUFFIXES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}
FOLDER_FPS = 10.0  # a folder does not say when its frames were taken


def open_video(source: str | Path) -> Video:
    """Open a video file, a folder of frames (jpg, png, bmp, webp) or a glob pattern.

    Frames are decoded when they are asked for. Times are the presentation times of a video file, from 0; a
    folder counts as 10 frames a second.

    Raises:
        InputError: nothing there, no frames, frames of different sizes, a missing frame in a numbered run, a
            video file that is cut off or broken. A broken image or packet is found when its frame is read.
    """
    path = Path(source)
    if path.is_dir():
        return open_images(_image_files(path.iterdir()), path)
    if path.is_file():
        return open_images([path], path) if path.suffix.lower() in IMAGE_SUFFIXES else open_video_file(path)
    if glob.has_magic(str(source)):
        return open_images(_image_files(map(Path, glob.glob(str(source)))), path)
    raise InputError(f"{source}: no such file or folder")


def open_images(paths: Sequence[Path], source: Path) -> Video:
    """A video of image files, in the order given; `source` is named in messages."""
    if not paths:
        raise InputError(f"{source}: no frames ({', '.join(sorted(IMAGE_SUFFIXES))}) found")
    names = [path.stem for path in paths]
    check_run(source, names)
    size = _image_size(paths[0])
    for path in paths:
        if (found := _image_size(path)) != size:
            raise InputError(
                f"{path}: frame of {found[1]}x{found[0]} pixels among frames of {size[1]}x{size[0]} "
                f"({paths[0].name}); all frames must have one size"
            )
    name = source.resolve().name if source.is_dir() else source.resolve().parent.name
    return Video(_ImageFiles(paths), np.arange(len(paths)) / FOLDER_FPS, size, name, names)


def read_image(path: Path) -> np.ndarray:
    """Read an image of any kind (grey, palette, alpha, 16 bit) as uint8 (H, W, 3) RGB; alpha is dropped."""
    try:
        with Image.open(path) as image:
            if image.mode.startswith("I"):
                high_byte = np.asarray(image).astype(np.int64) >> 8
                return np.repeat(high_byte.clip(0, 255).astype(np.uint8)[..., None], 3, axis=2)
            return np.array(image.convert("RGB"))
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable_image(path, error) from None


def unreadable_image(path: Path, error: Exception) -> InputError:
    """What to say of an image that cannot be read: the file itself cannot, or what is in it is broken."""
    if isinstance(error, OSError) and error.strerror:  # the system's; Pillow's own have none
        return InputError(f"{path}: cannot be read ({error.strerror})")
    return InputError(f"{path}: broken image ({error})")


def natural_order(path: Path) -> list[str | int]:
    """Sorting key: runs of digits in the name count as numbers, so that 2 comes before 10."""
    parts = re.split(r"([0-9]+)", path.name)  # text and digits in turn
    return [int(part) if place % 2 else part for place, part in enumerate(parts)]


def frame_numbers(names: Sequence[str]) -> list[int] | None:
    """The frame number in every name: the one run of digits that differs. None where there is no such run."""
    parts = [re.split(r"([0-9]+)", name) for name in names]
    if len({len(part) for part in parts}) != 1:
        return None
    columns = list(zip(*parts, strict=True))
    if len(names) == 1:
        return [int(columns[-2][0])] if len(columns) > 1 else None
    differing = [index for index, column in enumerate(columns) if len(set(column)) > 1]
    if len(differing) != 1 or differing[0] % 2 == 0:  # even places hold the text between the numbers
        return None
    return [int(number) for number in columns[differing[0]]]


def check_run(source: Path, names: Sequence[str]) -> None:
    """Raise InputError if the names are a run of evenly spaced numbers in which one is missing or double.

    Names without numbers, and numbers that are no even run (time stamps, hand-picked frames), pass.
    """
    numbers = frame_numbers(names)
    if numbers is None or len(numbers) < 2:
        return
    numbers = sorted(numbers)
    steps = np.diff(np.array(numbers, object))
    stride = min(steps)
    if stride == 0:
        raise InputError(f"{source}: two files for frame {numbers[int(np.argmin(steps))]}; there must be one")
    even = all(step % stride == 0 for step in steps) and 2 * sum(steps == stride) >= len(steps)
    if even and max(steps) > stride:
        missing = numbers[int(np.argmax(steps > stride))] + stride
        width = min(len(run) for name in names for run in re.findall("[0-9]+", name) if int(run) in numbers)
        raise InputError(
            f"{source}: frame {missing:0{width}d} is missing (numbers {numbers[0]} to {numbers[-1]})"
        )


class _ImageFiles(Sequence[np.ndarray]):
    def __init__(self, paths: Sequence[Path]) -> None:
        self.paths = list(paths)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        return read_image(self.paths[operator.index(index)])


def _image_files(paths: Iterable[Path]) -> list[Path]:
    found = [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and not p.name.startswith(".")]
    return sorted(found, key=natural_order)


def _image_size(path: Path) -> tuple[int, int]:
    try:
        with Image.open(path) as image:  # reads the header only
            return image.height, image.width
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable_image(path, error) from None


def write_video(
    path: str | Path,
    frames: Iterable[np.ndarray],
    fps: float = FOLDER_FPS,
    times: Sequence[float] | None = None,
) -> None:
    """Write an MP4 (H.264, yuv420p) that browsers play, frame by frame, all of it or nothing.

    Args:
        path: ends in `.mp4`.
        frames: uint8 (H, W, 3) RGB, all of one size; an odd side is padded by one row or column, since
            yuv420p needs even ones.
        fps: frames a second.
        times: presentation time of every frame in seconds, strictly rising; replaces `fps`.

    Raises:
        ValueError: no frames, or frames of different sizes.
    """
    ticks = 90_000  # a second in MPEG's own clock: fine enough for any frame rate
    options = {"movflags": "faststart"}  # the index in front, so that browsers start at once
    with replacing(path) as temporary, av.open(str(temporary), "w", options=options) as container:
        rate = Fraction(fps).limit_denominator(1001)
        stream = container.add_stream("libx264", rate=rate, options={"crf": "20", "preset": "superfast"})
        stream.pix_fmt = "yuv420p"
        context = stream.codec_context
        context.time_base = Fraction(1, ticks)
        context.colorspace, context.color_range = Colorspace.SMPTE170M, ColorRange.MPEG  # what swscale makes
        size = None
        for index, image in enumerate(frames):
            height, width = image.shape[:2]
            if size is None:
                size = height, width
                stream.width, stream.height = width + width % 2, height + height % 2
            elif (height, width) != size:
                raise ValueError(f"frame {index} of size {(height, width)} after frames of size {size}")
            if height % 2 or width % 2:
                image = np.pad(image, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
            frame = av.VideoFrame.from_ndarray(image, format="rgb24")
            frame.pts = round((index / fps if times is None else times[index] - times[0]) * ticks)
            frame.time_base = Fraction(1, ticks)
            container.mux(stream.encode(frame))
        if size is None:
            raise ValueError(f"{path}: no frames to write")
        container.mux(stream.encode())
