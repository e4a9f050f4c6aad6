"""The entries of a file as columns of numbers and masks. What is wrong is named, with the entry it is in."""

import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samodal import masks
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.score.measure import MAX_PIXELS, measure

_REQUIRED = object()
LARGEST = sys.float_info.max
Size = tuple[int, int]


@dataclass
class Entries:
    """N entries of a file, each a dict.

    Attributes:
        items: the dicts.
        what: what one of them is called in messages, such as "prediction".
    """

    items: Sequence[dict[str, Any]]
    what: str

    def __post_init__(self) -> None:
        if not isinstance(self.items, Sequence) or isinstance(self.items, str | bytes):
            several = f"{self.what[:-1]}ies" if self.what.endswith("y") else f"{self.what}s"
            raise InputError(f"{several}: a list is expected, not {_short(self.items)}")
        for place, item in enumerate(self.items):
            if not isinstance(item, dict):
                raise InputError(f"{self.what} {place}: a dict is expected, not {_short(item)}")

    def __len__(self) -> int:
        return len(self.items)

    def name(self, place: int) -> str:
        """How to find the entry: by its id if it has one, else by its place, counted from 0."""
        number = self.items[place].get("id")
        return f"{self.what} {place}" if number is None else f"{self.what} {number!r}"

    def column(self, key: str, default: Any = _REQUIRED) -> list[Any]:
        """The value of every entry.

        Raises:
            InputError: an entry has no `key`, and there is no default.
        """
        if default is not _REQUIRED:
            return [item.get(key, default) for item in self.items]
        try:
            return [item[key] for item in self.items]
        except KeyError:
            place = next(place for place, item in enumerate(self.items) if key not in item)
            raise InputError(f"{self.name(place)}: no {key!r}") from None

    def whole_numbers(self, key: str) -> np.ndarray:
        """Ids: int64 (N,), none negative."""
        values = self.column(key)
        if set(map(type, values)) == {int} and min(values) >= 0 and max(values) < 2**62:
            return np.array(values, np.int64)
        for place, value in enumerate(values):  # One by one, to name the one that is wrong.
            if type(value) is not int and not isinstance(value, np.integer):
                raise InputError(f"{self.name(place)}: {key} {_short(value)} is not a whole number")
            if not 0 <= value < 2**62:
                raise InputError(f"{self.name(place)}: {key} {_short(value)} is not between 0 and 2**62")
        return np.array(values, np.int64)

    def unique(self, key: str) -> np.ndarray:
        """Ids that must differ: int64 (N,)."""
        values = self.whole_numbers(key)
        found, count = np.unique(values, return_counts=True)
        if (count > 1).any():
            raise InputError(f"{self.what}s: {key} {found[count > 1][0]} occurs {count[count > 1][0]} times")
        return values

    def numbers(self, key: str, default: float | None = None, lowest: float = -np.inf) -> np.ndarray:
        """Finite numbers, none below `lowest`: float64 (N,). `default`, if any, where an entry has none or None."""
        values = self.column(key) if default is None else self.column(key, None)
        with suppress(OverflowError):
            if set(map(type, values)) <= {int, float}:
                numbers = np.array(values, float)
                if np.isfinite(numbers).all() and (numbers >= lowest).all():
                    return numbers
        return np.array(  # One by one, to name the one that is wrong.
            [
                default if value is None and default is not None else self._number(place, key, value, lowest)
                for place, value in enumerate(values)
            ],
            float,
        )

    def known_numbers(self, place: int, key: str) -> list[float]:
        """One entry's list of numbers (none negative), without those that are None."""
        values = self.items[place][key]
        if not isinstance(values, Sequence) or isinstance(values, str):
            raise InputError(f"{self.name(place)}: {key} {_short(values)} is not a list, one number a frame")
        return [self._number(place, key, value, 0.0) for value in values if value is not None]

    def flags(self, key: str) -> np.ndarray:
        """0 or 1: bool (N,); 0 where an entry has none."""
        values = self.column(key, 0)
        for place, value in enumerate(values):
            if value not in (0, 1):
                raise InputError(f"{self.name(place)}: {key} {_short(value)} is neither 0 nor 1")
        return np.array(values, bool)

    def _number(self, place: int, key: str, value: Any, lowest: float) -> float:
        if not isinstance(value, int | float | np.number) or isinstance(value, bool):
            raise InputError(f"{self.name(place)}: {key} {_short(value)} is not a number")
        if not max(lowest, -LARGEST) <= value <= LARGEST:
            wanted = "finite" if lowest == -np.inf else f"finite and at least {lowest:g}"
            raise InputError(f"{self.name(place)}: {key} {_short(value)} is not a number that is {wanted}")
        return float(value)


@dataclass
class MaskTable:
    """All masks of N instances, of which each is a track, or in an image a track of one frame.

    Attributes:
        rles: one after the other; those of instance n are rles[start[n] : start[n + 1]], one a frame, None where there
            is no mask.
        start: int (N + 1,).
        area, first, last: of every mask, see `samodal.score.measure`.
    """

    rles: list[Rle | None]
    start: np.ndarray
    area: np.ndarray = field(init=False)
    first: np.ndarray = field(init=False)
    last: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        measures = measure(self.rles)
        self.area, self.first, self.last = measures.area, measures.first, measures.last

    @property
    def lengths(self) -> np.ndarray:
        """Number of frames of every instance, int (N,)."""
        return np.diff(self.start)

    def sums(self, values: np.ndarray) -> np.ndarray:
        """Of one value a mask, over all masks of each instance: int64 (N,)."""
        return np.diff(np.append(0, np.cumsum(values, dtype=np.int64))[self.start])

    def first_sums(self, instances: np.ndarray, count: np.ndarray) -> np.ndarray:
        """The area of the first `count[n]` masks of each of some instances together, int64 (n,)."""
        until = np.append(0, np.cumsum(self.area))
        begin = self.start[instances]
        return until[begin + count] - until[begin]


def read_masks(
    entries: Entries, tracks: Sequence[Sequence[Any]], sizes: Sequence[Size | None] | None = None
) -> MaskTable:
    """Masks of every entry as data sets spell them, each checked.

    Args:
        entries: for the names in messages.
        tracks: for every entry its masks, one a frame: an RLE, a list of polygons (if `sizes` are given), or nothing
            (None, {}, "").
        sizes: for every entry the (H, W) that polygons are drawn to.

    Raises:
        InputError: one of the masks is none.
    """
    start = np.cumsum([0, *map(len, tracks)])
    try:
        values = [value or None for track in tracks for value in track]
        if all(value is None or type(value["counts"]) is str for value in values):
            return MaskTable(values, start)
    except (KeyError, TypeError, ValueError, OverflowError):
        pass  # Something is special or wrong: one by one, to name it.
    rles: list[Rle | None] = []
    for place, track in enumerate(tracks):
        for frame, value in enumerate(track):
            where = entries.name(place) + (f", frame {frame}" if sizes is None else "")
            rles.append(_read_mask(value, where, sizes[place] if sizes else None))
    return MaskTable(rles, start)


def check_sizes(places: Sequence[tuple[Entries, MaskTable, np.ndarray]], what: str) -> None:
    """The masks of one place, a video or an image, must be of one size, if they are not empty.

    Args:
        places: entries, their masks, and the id of the place of each entry (N,).
        what: "video" or "image".

    Raises:
        InputError: naming the first entry that differs from one before it.
    """
    tables = [table for _, table, _ in places]
    if len({tuple(rle["size"]) for table in tables for rle in table.rles if rle is not None}) <= 1:
        return
    seen: dict[int, tuple[list[int], str]] = {}
    for entries, table, ids in places:
        owner = np.repeat(np.arange(len(entries)), table.lengths).tolist()
        known = ids.tolist()
        for n, (rle, inside) in enumerate(zip(table.rles, table.area > 0, strict=True)):
            if rle is not None and inside:
                size, other = seen.setdefault(known[owner[n]], (rle["size"], entries.name(owner[n])))
                if rle["size"] != size and list(rle["size"]) != list(size):
                    raise InputError(
                        f"{what} {known[owner[n]]}: masks of different sizes (height, width): "
                        f"{entries.name(owner[n])} has {list(rle['size'])}, {other} has {list(size)}"
                    )


def listed(values: Iterable[Any], count: int = 5) -> str:
    """The first few values, for messages."""
    values = list(values)
    more = f", ... ({len(values)} in all)" if len(values) > count else ""
    return ", ".join(map(repr, values[:count])) + more


def _read_mask(value: Any, where: str, size: Size | None) -> Rle | None:
    if not value:
        return None
    try:
        if isinstance(value, list) and size:
            return masks.from_annotation(value, size)
        if not isinstance(value, dict) or "size" not in value or "counts" not in value:
            raise ValueError("'size' and 'counts' are expected")
        return masks.from_annotation(value, _checked_size(value["size"]))
    except (OverflowError, TypeError, ValueError) as error:
        shape = "not a COCO RLE {'size', 'counts'}" + (" nor polygons" if size else "")
        raise InputError(f"{where}: {shape} ({error})") from None


def _checked_size(size: Any) -> Size:
    if isinstance(size, list | tuple) and len(size) == 2:
        height, width = size
        whole = all(isinstance(n, int | np.integer) for n in size)
        if whole and min(height, width) > 0 and height * width < MAX_PIXELS:
            return int(height), int(width)
    raise ValueError(f"size {_short(size)} is not [height, width]")


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."
