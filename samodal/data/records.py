"""Fields of parsed JSON (or a pickle) that anybody may have written: typed, or one clear error."""

from collections.abc import Iterable
from typing import Any

from samodal import masks
from samodal.data.matching import integer
from samodal.errors import InputError
from samodal.masks import Rle

MOST_PIXELS = 2**28
"""Of an image; what is larger is a broken number."""


def objects(content: Any, key: str, where: object) -> list[dict[str, Any]]:
    """The list of objects `content[key]`.

    Raises:
        InputError: it is not there, or something else.
    """
    value = content.get(key) if isinstance(content, dict) else None
    if not isinstance(value, list) or not all(isinstance(entry, dict) for entry in value):
        raise InputError(
            f"{where}: no list of objects {key!r} in it; is it a file of another format, or cut off?"
        )
    return value


def whole(entry: dict[str, Any], key: str, where: str, least: int = 0) -> int:
    """The whole number `entry[key]`, at least `least`.

    Raises:
        InputError: it is not there, or something else.
    """
    try:
        number = integer(entry[key])
    except (KeyError, ValueError, OverflowError):
        number = least - 1
    if number < least or number >= 2**63:
        raise InputError(
            f"{where}: {key!r} is {entry.get(key)!r:.40}; a whole number from {least} on is expected"
        )
    return number


def text(entry: dict[str, Any], key: str, where: str) -> str:
    """The text `entry[key]`.

    Raises:
        InputError: it is not there, or something else.
    """
    value = entry.get(key)
    if not isinstance(value, str) or not value:
        raise InputError(f"{where}: {key!r} is {value!r:.40}; text is expected")
    return value


def image_size(entry: dict[str, Any], where: str) -> tuple[int, int]:
    """(H, W) from `height` and `width`.

    Raises:
        InputError: they are not there, or no size of an image.
    """
    return checked_size((whole(entry, "height", where, 1), whole(entry, "width", where, 1)), where)


def checked_size(size: Any, where: str) -> tuple[int, int]:
    """The (H, W) of an RLE or an entry.

    Raises:
        InputError: no two whole numbers, or so large that they are broken.
    """
    try:
        height, width = map(integer, size)
    except (TypeError, ValueError, OverflowError):
        height = width = 0
    if height < 1 or width < 1 or height * width > MOST_PIXELS:
        raise InputError(f"{where}: size {size!r:.60} is no (height, width) of an image")
    return height, width


def by_id(entries: Iterable[dict[str, Any]], what: str, path: object) -> dict[int, dict[str, Any]]:
    """id -> entry, in their order.

    Raises:
        InputError: an id is missing or occurs twice.
    """
    found: dict[int, dict[str, Any]] = {}
    for place, entry in enumerate(entries, 1):
        number = whole(entry, "id", f"{path}: {what} {place}")
        if number in found:
            raise InputError(f"{path}: two entries for {what} {number}; ids must differ")
        found[number] = entry
    return found


def category_names(content: dict[str, Any], path: object) -> dict[int, str]:
    """category -> name from the list `categories`; nothing if there is no such list.

    Raises:
        InputError: the list is broken.
    """
    if content.get("categories") is None:
        return {}
    entries = by_id(objects(content, "categories", path), "category", path)
    return {number: str(entry.get("name", number)) for number, entry in entries.items()}


def mask(value: Any, size: tuple[int, int], where: str) -> Rle | None:
    """A mask in any spelling (see `masks.from_annotation`) of size (H, W); None where there is no pixel.

    Raises:
        InputError: it is broken or of another size.
    """
    try:
        return masks.from_annotation(value, size)
    except (TypeError, ValueError, OverflowError) as error:
        raise InputError(f"{where}: {error}") from None


def visible_part(visible: Rle | None, amodal: Rle) -> Rle | None:
    """The visible mask as far as it is inside the full one; None where no pixel is."""
    inside = None if visible is None else masks.intersection([visible, amodal])
    return inside if masks.area(inside) else None
