"""Which frame of which KITTI drive an object image is, told by the mapping files of KITTI's object devkit."""

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from samodal.errors import InputError
from samodal.files import read_json


@dataclass(frozen=True)
class Pair:
    """A frame of a raw drive and the object image that it is.

    Attributes:
        drive: such as `2011_09_28_drive_0106_sync`.
        frame: the name of the frame's file without suffix, such as `0000000048`.
        image: the name of the image's file without suffix, such as `000000`.
    """

    drive: str
    frame: str
    image: str


def devkit_pairs(folder: str | Path) -> list[Pair]:
    """Every training image of KITTI object and its drive and frame.

    Image i is line number `train_rand[i]` of `train_mapping.txt`, counted from 1 (reading line i is a common
    error).

    Args:
        folder: the devkit's `mapping`, with `train_rand.txt` (numbers) and `train_mapping.txt` (lines of date,
            drive and frame).

    Raises:
        InputError: a file is missing, or the two do not fit together.
    """
    rand_path, mapping_path = Path(folder) / "train_rand.txt", Path(folder) / "train_mapping.txt"
    numbers = re.split(r"[,\s]+", _read(rand_path).strip(", \n\r\t"))
    lines = [line.split() for line in _read(mapping_path).splitlines() if line.strip()]
    pairs = []
    for image, number in enumerate(numbers):
        if not re.fullmatch(r"[0-9]{1,9}", number) or not 1 <= int(number) <= len(lines):
            raise InputError(
                f"{rand_path}: number {image + 1} is {number!r:.20}; a line of {mapping_path.name}, 1 to {len(lines)}, "
                "is expected"
            )
        line = lines[int(number) - 1]
        if len(line) != 3:
            raise InputError(f"{mapping_path}, line {number}: 'date drive frame' is expected")
        pairs.append(Pair(line[1], line[2], f"{image:06d}"))
    return pairs


def listed_pairs(path: str | Path) -> list[Pair]:
    """Pairs that a user gives, as JSON: a list of [path of the raw frame, path of the KINS image].

    The drive is the last part of the raw path that has `_drive_` in it.

    Raises:
        InputError: not such a file.
    """
    entries = read_json(path)
    pairs = []
    if not isinstance(entries, list):
        raise InputError(f"{path}: a list of [raw frame, KINS image] is expected")
    for place, entry in enumerate(entries, 1):
        if not isinstance(entry, list) or len(entry) != 2 or not all(isinstance(name, str) for name in entry):
            raise InputError(f"{path}: entry {place}: [raw frame, KINS image], two paths, is expected")
        raw, image = (PurePosixPath(name) for name in entry)
        drives = [part for part in raw.parts[:-1] if "_drive_" in part]
        if not drives:
            raise InputError(
                f"{path}: entry {place}: {str(raw)!r:.80} names no drive (date_drive_number_sync)"
            )
        pairs.append(Pair(drives[-1], raw.stem, image.stem))
    return pairs


def same_drive(name: str) -> str:
    """The name of a drive in one spelling: some leave `_sync` out. What is equal is the same drive."""
    return name.removesuffix("_sync")


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8-sig")
    except FileNotFoundError:
        raise InputError(
            f"{path}: no such file; it is in KITTI's object devkit, devkit_object/mapping (or pass `pairs`)"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
