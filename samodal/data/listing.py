"""Files of a data set: which layout it has, what its lists name, and videos whose frames are listed by name."""

import logging
import operator
from collections.abc import Sequence
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np

from samodal.errors import InputError
from samodal.files import read_json
from samodal.frames import FOLDER_FPS, read_image
from samodal.video import Video

MOST_FRAMES = 100_000
"""More than that in one clip is a broken number, not a video."""

Names = Sequence[str] | str | Path
"""Names of sequences, or a file that holds them."""

log = logging.getLogger("samodal")


class ListedFrames(Sequence[np.ndarray]):
    """Image files of one size, read when asked for; they need not be there for the masks to be read."""

    def __init__(self, paths: Sequence[Path], size: tuple[int, int]) -> None:
        self.paths, self.size = list(paths), size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        path = self.paths[operator.index(index)]
        if not path.is_file():
            raise InputError(f"{path}: no such image; only the masks of this frame can be had")
        image = read_image(path)
        if image.shape[:2] != self.size:
            raise InputError(
                f"{path}: image of size {list(image.shape[:2])} (height, width), but its masks have {list(self.size)}"
            )
        return image


def listed_video(paths: Sequence[Path], size: tuple[int, int], name: str) -> Video:
    """A video of image files that are opened only when a frame is asked for; size (H, W) is said by the masks."""
    times = np.arange(len(paths)) / FOLDER_FPS
    return Video(ListedFrames(paths, size), times, size, name, [path.stem for path in paths])


def first_existing(candidates: Sequence[Path], what: str) -> Path:
    """The first path that exists.

    Raises:
        InputError: none does; names the first and, after it, the others.
    """
    for path in candidates:
        if path.exists():
            return path
    others = f"; nor is there {', '.join(map(str, candidates[1:]))}" if len(candidates) > 1 else ""
    raise InputError(f"{candidates[0]}: no such file or folder; {what} is expected there{others}")


def existing_or_first(candidates: Sequence[Path]) -> Path:
    """The first path that exists, or the first one: for frames, without which masks can still be read."""
    return next((path for path in candidates if path.exists()), candidates[0])


def inside(folder: Path, name: str, where: str) -> Path:
    """The path of a file that a data set names.

    Raises:
        InputError: the name leads out of the folder (`..`, absolute), or is none.
    """
    parts = PureWindowsPath(name).parts  # both kinds of slashes
    absolute = PurePosixPath(name).is_absolute() or PureWindowsPath(name).anchor
    if not parts or absolute or ".." in parts or "\0" in name:
        raise InputError(f"{where}: {name!r} leads out of {folder}; the name of a file in it is expected")
    return folder / name


def subfolders(folder: Path) -> list[str]:
    """The names of the folders in a folder, sorted; nothing if it is not there."""
    if not folder.is_dir():
        return []
    return sorted(path.name for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))


def chosen(names: Names, split: str) -> list[str]:
    """The names that a user gives: themselves, a text file with one a line, or JSON: a list, or {split: list}.

    Raises:
        InputError: the file holds something else.
    """
    if not isinstance(names, str | Path):
        return list(names)
    path = Path(names)
    if path.suffix == ".json":
        listed = read_json(path)
        listed = listed.get(split) if isinstance(listed, dict) else listed
    else:
        try:
            listed = path.read_text("utf-8-sig").split()
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read as a list of sequences ({error})") from None
    if not isinstance(listed, list) or not listed or not all(isinstance(name, str) for name in listed):
        raise InputError(f"{path}: a list of names, or {{{split!r}: [names]}}, is expected")
    return listed


def pick(found: Sequence[str], wanted: Sequence[str], folder: Path) -> list[str]:
    """The wanted sequences, sorted, each of which must be there.

    Raises:
        InputError: one is missing.
    """
    if missing := sorted(set(wanted) - set(found)):
        raise InputError(f"{folder}: no sequence {missing[0]}; it holds {', '.join(sorted(found)[:5])}, ...")
    return sorted(set(wanted))


def pick_split(found: Sequence[str], listed: Sequence[str], split: str, folder: Path) -> list[str]:
    """The sequences of an official split list that are there, sorted; says how many are not.

    Raises:
        InputError: none is.
    """
    here = sorted(set(found) & set(listed))
    if not here:
        raise InputError(
            f"{folder}: this layout does not say what belongs to {split!r}, and none of the {len(listed)} sequences "
            "of the official list is in it; pass `sequences`"
        )
    if len(here) < len(set(listed)):
        log.warning("%s: %d of the %d sequences of split %s", folder, len(here), len(set(listed)), split)
    return here
