"""KITTI MOTS (and MOTSChallenge) text files: a line `frame id class height width rle` for every mask."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from samodal import masks
from samodal.data.matching import integer, video_numbers
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.video import Track, Video

IGNORED_CLASS = 10  # regions that are not labelled, id 10000

log = logging.getLogger("samodal")


@dataclass
class Line:
    """One mask; `number` is that of the line in its file."""

    number: int
    frame: int
    track_id: int
    category_id: int
    height: int
    width: int
    rle: str


def extent(text: str, path: Path) -> tuple[int, int, tuple[int, int]] | None:
    """Lowest and highest frame number and the size (H, W) of the first mask; None in a file without masks."""
    lines = [parse(line, number, path) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not lines:
        return None
    numbers = [line.frame for line in lines]
    return min(numbers), max(numbers), (lines[0].height, lines[0].width)


def read_tracks(text: str, path: Path, video: Video, numbers: Sequence[int] | None) -> list[Track]:
    """The visible tracks of a video; the regions to ignore are left out. See `read_all`."""
    return [track for track in read_all(text, path, video, numbers) if track.category_id != IGNORED_CLASS]


def read_all(text: str, path: Path, video: Video, numbers: Sequence[int] | None) -> list[Track]:
    """The tracks of a video as visible masks, ids and classes as in the file, the regions to ignore among them.

    Frames are matched by number where the video is a folder whose frames have numbers (then the file may hold
    more frames than the video), else by order.

    Raises:
        InputError: a line that is none, masks that do not fit the video, an id twice in one frame.
    """
    lines = [parse(line, number, path) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    places = _places(lines, path, video, video_numbers(video, numbers))
    categories: dict[int, int] = {}
    visible: dict[int, list[Rle | None]] = {}
    for line in lines:
        place = places.get(line.frame)
        if place is None:
            continue
        where = f"{path}, line {line.number}"
        try:
            rle = masks.from_annotation({"size": [line.height, line.width], "counts": line.rle}, video.size)
        except ValueError as error:
            raise InputError(f"{where}: {error}") from None
        categories.setdefault(line.track_id, line.category_id)
        track = visible.setdefault(line.track_id, [None] * len(video))
        held = track[place]
        if held is not None and line.category_id == IGNORED_CLASS:  # several regions, one id
            rle = masks.union([held, rle]) if rle else held
        elif held is not None:
            raise InputError(
                f"{where}: id {line.track_id} occurs twice in frame {line.frame}; ids must differ"
            )
        track[place] = rle
    return [Track(track_id, categories[track_id], 1.0, track) for track_id, track in visible.items()]


def parse(line: str, number: int, path: Path) -> Line:
    """One line of the text.

    Raises:
        InputError: it is none.
    """
    fields = line.split()
    try:
        if len(fields) != 6:
            raise ValueError(f"{len(fields)} fields")
        frame, track_id, category_id, height, width = map(integer, fields[:5])
    except ValueError as error:
        raise InputError(
            f"{path}, line {number}: {error}; 'frame id class height width rle', whole numbers, is expected"
        ) from None
    return Line(number, frame, track_id, category_id, height, width, fields[5])


def _places(lines: list[Line], path: Path, video: Video, numbers: list[int] | None) -> dict[int, int]:
    """Frame number in the file -> frame index in the video."""
    found = {line.frame for line in lines}
    span = f"{path}: holds masks of frames {min(found)} to {max(found)}, but {video.name} has frames "
    if numbers is None:
        if max(found) >= len(video) or min(found) < 0:
            cure = _cure(found, range(len(video)))
            raise InputError(f"{span}0 to {len(video) - 1}{cure and '; ' + cure}")
        return {index: index for index in range(len(video))}
    places = {number: index for index, number in enumerate(numbers)}
    extra = found - places.keys()
    span += f"{min(numbers)} to {max(numbers)}"
    if extra == found:
        raise InputError(f"{span}; is it the file of another video?")
    if cure := _cure(found, numbers):
        raise InputError(f"{span}; {cure}")
    if extra:
        log.warning("%s: masks of %d frames that are not in %s are left out", path, len(extra), video.name)
    return places


def _cure(found: set[int], numbers: Sequence[int]) -> str:
    """What to do where all numbers in the file seem to be one off, as of a count from 1; empty where they do not.

    A file of more frames than the video has, as for a part of a video, reaches further, or to both ends.
    """
    first, last, extra = min(numbers), max(numbers), found - set(numbers)
    if extra == {last + 1} and first not in found:
        high, cure, other = "high", "take 1 from", last + 1
    elif extra == {first - 1} and last not in found:
        high, cure, other = "low", "add 1 to", first - 1
    else:
        return ""
    return f"is its count one too {high}? {cure} the first number of each line, or leave out those of frame {other}"
