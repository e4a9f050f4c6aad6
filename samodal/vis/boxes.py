"""Boxes that a user drew, for a model that follows what it is shown."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from samodal.data.matching import integer
from samodal.errors import InputError
from samodal.files import read_json
from samodal.video import Video

EXPECTED = 'a list of {"frame": 0, "box": [left, top, right, bottom], "class": "car"} is expected'


@dataclass(frozen=True)
class Box:
    """One instance in one frame: (x0, y0, x1, y1) in pixels, the name of its class."""

    corners: tuple[float, float, float, float]
    category: str
    score: float = 1.0


def read_boxes(path: Path, video: Video) -> dict[int, list[Box]]:
    """The boxes of a JSON file, by their frame, which is counted from 0.

    Raises:
        InputError: not such a file, or a box or frame that the video does not have.
    """
    entries = read_json(path)
    if not isinstance(entries, list) or not entries:
        raise InputError(f"{path}: {EXPECTED}")
    boxes: dict[int, list[Box]] = {}
    for place, entry in enumerate(entries, 1):
        frame, box = _read(entry, place, path)
        left, top, right, bottom = box.corners
        height, width = video.size
        if not (0 <= frame < len(video) and 0 <= left < right <= width and 0 <= top < bottom <= height):
            raise InputError(
                f"{path}: entry {place}: box {list(box.corners)} in frame {frame} does not lie in {video.name}, "
                f"{len(video)} frames of {width}x{height} pixels"
            )
        boxes.setdefault(frame, []).append(box)
    return boxes


def _read(entry: Any, place: int, path: Path) -> tuple[int, Box]:
    try:
        left, top, right, bottom = map(float, entry["box"])
        return integer(entry["frame"]), Box((left, top, right, bottom), str(entry["class"]))
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: entry {place}: {EXPECTED}") from None
