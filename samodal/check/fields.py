"""Fields of a JSON entry that may be missing or broken: noted, never raised."""

from typing import Any

from samodal import masks
from samodal.check.findings import Findings
from samodal.data.matching import integer
from samodal.masks import Rle


def objects(value: Any, what: str, findings: Findings) -> list[dict[str, Any]]:
    """The objects of a list; anything else is noted and left out."""
    if not isinstance(value, list):
        findings.error(f"{what} is no list")
        return []
    found = [entry for entry in value if isinstance(entry, dict)]
    findings.error(f"entries of {what} that are no objects", count=len(value) - len(found))
    return found


def identity(entry: dict[str, Any], key: str, place: str, findings: Findings) -> int | None:
    """A whole number that identifies something; None (and noted) where it is none."""
    if key not in entry:
        findings.error(f"no {key!r}", place)
        return None
    value = entry[key]
    try:
        number = integer(value)
    except (OverflowError, ValueError):
        findings.error(f"{key!r} is no whole number", f"{place} ({value!r:.40})")
        return None
    if not isinstance(value, int):
        findings.warning(
            f"{key!r} is written as {type(value).__name__} instead of a whole number",
            f"{place} ({value!r:.40})",
        )
    if number < 0:
        findings.error(f"{key!r} is negative", f"{place} ({number})")
    return number


def unique(numbers: list[int | None], what: str, findings: Findings) -> None:
    """Note numbers that occur twice."""
    seen: set[int] = set()
    for number in numbers:
        if number is not None and number in seen:
            findings.error(f"duplicate {what}", str(number))
        elif number is not None:
            seen.add(number)


def categories(truth: dict[str, Any], findings: Findings) -> set[int]:
    """The categories that a truth file lists."""
    if not truth.get("categories"):
        findings.error("no 'categories' are listed: protocol reference drops everything then")
        return set()
    listed = objects(truth["categories"], "'categories'", findings)
    found = [identity(entry, "id", f"category {place}", findings) for place, entry in enumerate(listed, 1)]
    unique(found, "category id", findings)
    return {number for number in found if number is not None}


def size(entry: dict[str, Any], place: str, findings: Findings) -> tuple[int, int] | None:
    """(H, W) of a video or image."""
    if "height" not in entry and "width" not in entry:
        findings.warning("no 'height' and 'width'", place)
        return None
    height, width = (identity(entry, key, place, findings) for key in ("height", "width"))
    if height is None or width is None:
        return None
    if height < 1 or width < 1 or height * width > 2**28:
        findings.error("size that no image has", f"{place} ({height} x {width})")
        return None
    return height, width


def mask(value: Any, wanted: tuple[int, int] | None, place: str, findings: Findings) -> Rle | None:
    """A mask, None where there is none or where it is broken; `wanted` is the (H, W) it must have, if known."""
    if not value:
        return None
    found = value.get("size") if isinstance(value, dict) else None
    own = tuple(found) if isinstance(found, list) and len(found) == 2 else wanted
    if own is None or not all(isinstance(n, int) and 0 < n < 2**20 for n in own):
        findings.error("broken masks", f"{place} (size {found!r:.40})")
        return None
    if wanted is not None and own != wanted:
        findings.error(
            "masks of another size than the video or image",
            f"{place} ({own[0]} x {own[1]}, not {wanted[0]} x {wanted[1]})",
        )
        return None
    try:
        rle = masks.from_annotation(value, own)
    except (OverflowError, TypeError, ValueError) as error:
        findings.error("broken masks", f"{place} ({error})")
        return None
    if rle is None:
        findings.warning("empty masks that are not null", place)
    return rle


def score(entry: dict[str, Any], place: str, findings: Findings) -> float | None:
    """The score of a result."""
    value = entry.get("score")
    if "score" not in entry:
        findings.error("no 'score'", place)
    elif isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        findings.error("scores that are no numbers", f"{place} ({value!r:.40})")
    elif not 0 <= value <= 1:
        findings.error("scores outside [0, 1]", f"{place} ({value!r:.40})")
    else:
        return float(value)
    return None


def equal_scores(scores: list[float], findings: Findings) -> None:
    """Note results that all have one score: their order, and so AP, is that of the file."""
    if len(scores) > 1 and len(set(scores)) == 1:
        findings.warning(f"all scores are equal ({scores[0]:g}): AP then depends on the order of the file")


def rate(value: Any, place: str, findings: Findings) -> None:
    """An occlusion rate or None."""
    if value is not None and (
        isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1
    ):
        findings.error("'occlude_rate' outside [0, 1]", f"{place} ({value!r:.40})")


def outside(visible: Rle | None, amodal: Rle | None, place: str, findings: Findings) -> None:
    """Note a visible mask that leaves its amodal mask (of one size)."""
    if visible is None:
        return
    if amodal is None:
        findings.warning("visible masks without an amodal mask", place)
    elif visible["size"] == amodal["size"]:
        pixels = masks.area(visible) - masks.area(masks.intersection([visible, amodal]))
        if pixels:
            findings.warning("visible masks that reach outside the amodal mask", f"{place} ({pixels} pixels)")


def overlap(visible: list[Rle], place: str, findings: Findings, what: str = "visible masks") -> None:
    """Note visible masks of one frame that overlap."""
    if len(visible) > 1 and len({tuple(rle["size"]) for rle in visible}) == 1:
        pixels = sum(map(masks.area, visible)) - masks.area(masks.union(visible))
        if pixels:
            findings.warning(f"frames with overlapping {what}", f"{place} ({pixels} pixels)")
