"""Which frame of a file with masks belongs to which frame of the video."""

from collections.abc import Sequence
from typing import Any

from samodal.errors import InputError
from samodal.frames import frame_numbers
from samodal.video import Video


def video_numbers(video: Video, numbers: Sequence[int] | None) -> list[int] | None:
    """The number that a file with masks uses for every frame of `video`.

    Args:
        video: its frames' names give the numbers, where its frames are files with numbers in their names.
        numbers: the numbers, where the caller knows better.

    Returns:
        T numbers; None where there are none, as in a video file: frames are then matched by order.
    """
    if numbers is None:
        return frame_numbers(video.frame_names) if video.frame_names else None
    if len(numbers) != len(video):
        raise InputError(f"{video.name}: {len(numbers)} frame numbers for a video of {len(video)} frames")
    return [integer(number) for number in numbers]


def integer(value: Any) -> int:
    """A whole number in any spelling (3, "3", 3.0, "3.0").

    Raises:
        ValueError: anything else.
    """
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = float("nan")
    if isinstance(value, bool) or not number.is_integer():
        raise ValueError(f"{value!r} is no whole number")
    return int(number)
