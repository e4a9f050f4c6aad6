"""Masks: COCO run-length encoding (RLE) is the form in memory, arrays appear only while they are worked on.

An `Rle` is `{"size": [H, W], "counts": str}`, column-major as COCO defines it, and can be put into JSON as it
is. A mask array is bool (H, W). Coordinates are pixels, x right, y down, pixel centres at integers.
"""

from collections.abc import Sequence
from typing import Any, TypedDict

import cv2
import numpy as np
from pycocotools import mask as coco


class Rle(TypedDict):
    """A compressed COCO RLE: size [H, W] and the counts as text."""

    size: list[int]
    counts: str


def encode(mask: np.ndarray) -> Rle:
    """Encode one mask array (H, W), non-zero = inside."""
    rows, columns = bounds(mask)
    part = mask[rows, columns]
    if part.size < mask.size / 4:  # the rest, which is empty, would be most of the work
        return encode_box(part, columns.start, rows.start, mask.shape)
    rle = coco.encode(np.asfortranarray(mask != 0, dtype=np.uint8))
    return {"size": [int(n) for n in rle["size"]], "counts": rle["counts"].decode("ascii")}


def decode(rle: Rle) -> np.ndarray:
    """Decode to a bool array (H, W)."""
    return coco.decode(rle).astype(bool)


Window = tuple[int, int, int, int]
"""A part of the plane, left, top, right, bottom in pixels; the last two are the first outside."""


class Runs:
    """A mask of which parts are decoded, each in the time that the part takes and not the whole image.

    Attributes:
        rle: the mask.
        size: (H, W) of the image.
    """

    def __init__(self, rle: Rle) -> None:
        self.rle = rle
        self.size = (rle["size"][0], rle["size"][1])
        self._stops = np.cumsum(run_lengths(rle["counts"]))

    def part(self, window: Window) -> np.ndarray:
        """The mask within a window, bool (h, w); nothing is outside the image."""
        result = self.nowhere(window)
        left, top, right, bottom = clipped(window, self.size)
        if left < right and top < bottom:
            height = self.size[0]
            first, end = left * height, right * height
            low, high = np.searchsorted(self._stops, (first, end), side="right")
            edges = np.concatenate([[first], self._stops[low:high], [end]])
            inside = np.arange(low, low + len(edges) - 1) % 2 == 1
            columns = np.repeat(inside, edges[1:] - edges[:-1]).reshape(-1, height)
            x, y = left - window[0], top - window[1]
            result[y : y + bottom - top, x : x + right - left] = columns[:, top:bottom].T
        return result

    def inside(self, window: Window) -> np.ndarray:
        """Which pixels of a window lie in the image, bool (h, w)."""
        result = self.nowhere(window)
        left, top, right, bottom = clipped(window, self.size)
        result[max(0, top - window[1]) : max(0, bottom - window[1]), left - window[0] : right - window[0]] = (
            True
        )
        return result

    @staticmethod
    def nowhere(window: Window) -> np.ndarray:
        """No pixel of a window, bool (h, w)."""
        left, top, right, bottom = window
        return np.zeros((max(0, bottom - top), max(0, right - left)), bool)


def clipped(window: Window, size: tuple[int, int]) -> Window:
    """The part of a window that lies in an image of size (H, W); empty where none does."""
    left, top, right, bottom = window
    height, width = size
    return (
        min(max(left, 0), width),
        min(max(top, 0), height),
        min(max(right, 0), width),
        min(max(bottom, 0), height),
    )


def decode_box(rle: Rle) -> tuple[np.ndarray, int, int]:
    """The part of a mask within its box, bool (h, w), and the box's corner x, y: far less than a whole frame."""
    x, y, width, height = box(rle)
    return Runs(rle).part((x, y, x + width, y + height)), x, y


def encode_box(part: np.ndarray, x: int, y: int, size: tuple[int, int]) -> Rle:
    """The mask of `size` (H, W) that is `part` (h, w), non-zero = inside, with its corner at x, y, and empty elsewhere.

    The part must lie within the image. The same as `encode` of the whole, in far less time.
    """
    height, width = size
    columns = np.zeros((part.shape[1], height), bool)
    columns[:, y : y + part.shape[0]] = part.T != 0
    edges = np.flatnonzero(np.diff(columns.ravel(), prepend=False, append=False)) + x * height
    runs = np.diff(np.union1d(edges, height * width), prepend=0)  # no run of no length at the end
    return _as_text(coco.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width))


def empty(size: tuple[int, int]) -> Rle:
    """The mask without a pixel, of size (H, W)."""
    return encode(np.zeros(size, np.uint8))


def area(rle: Rle | None) -> int:
    """Number of pixels; None counts as empty."""
    return 0 if rle is None else int(coco.area(rle))


def box(rle: Rle) -> tuple[int, int, int, int]:
    """Bounding box (x, y, width, height) in pixels; all zero for an empty mask."""
    x, y, width, height = coco.toBbox(rle)
    return int(x), int(y), int(width), int(height)


def union(rles: Sequence[Rle]) -> Rle:
    """Pixels in any of the masks (at least one mask, all of one size)."""
    return _as_text(coco.merge(list(rles), intersect=False))


def intersection(rles: Sequence[Rle]) -> Rle:
    """Pixels in all of the masks (at least one mask, all of one size)."""
    return _as_text(coco.merge(list(rles), intersect=True))


def iou(a: Rle | None, b: Rle | None) -> float:
    """Intersection over union; 1 when both are empty (nothing was asked for, nothing was given)."""
    if area(a) == 0 and area(b) == 0:
        return 1.0
    if a is None or b is None:
        return 0.0
    return float(coco.iou([a], [b], [0])[0, 0])


def occlusion_rate(amodal: Rle | None, visible: Rle | None) -> float | None:
    """Hidden area / amodal area in [0, 1]; None where there is no amodal mask."""
    full = area(amodal)
    if amodal is None or full == 0:
        return None
    seen = 0 if visible is None else area(intersection([amodal, visible]))
    return 1.0 - seen / full


def erode(mask: np.ndarray, size: int = 7) -> np.ndarray:
    """Erode a bool mask by a `size` x `size` square; pixels outside the image count as mask.

    Source: S-AModal, point selection from the visible mask (7x7 by default).
    """
    kernel = np.ones((size, size), np.uint8)
    eroded = cv2.erode(mask.astype(np.uint8), kernel, borderType=cv2.BORDER_CONSTANT, borderValue=1)
    return eroded.astype(bool)


def bounds(mask: np.ndarray) -> tuple[slice, slice]:
    """Rows and columns of the box of a bool mask (H, W); both empty where it has no pixel."""
    rows = np.flatnonzero(mask.any(axis=1))
    if len(rows) == 0:
        return slice(0, 0), slice(0, 0)
    rows_of_box = slice(int(rows[0]), int(rows[-1]) + 1)
    columns = np.flatnonzero(mask[rows_of_box].any(axis=0))
    return rows_of_box, slice(int(columns[0]), int(columns[-1]) + 1)


def around(mask: np.ndarray, distance: float) -> np.ndarray:
    """The pixels at most `distance` (pixels) away from a mask, and those of the mask itself: bool (H, W)."""
    result = np.zeros(mask.shape, bool)
    rows, columns = bounds(mask)
    if rows.stop:
        reach = int(np.ceil(distance))
        part = (
            slice(max(rows.start - reach, 0), rows.stop + reach),
            slice(max(columns.start - reach, 0), columns.stop + reach),
        )
        away = cv2.distanceTransform((mask[part] == 0).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
        result[part] = away <= distance
    return result


def without_specks(mask: np.ndarray, visible: np.ndarray | None = None, share: float = 0.05) -> np.ndarray:
    """A bool mask (H, W) without detached parts below `share` of its area, but with all parts that are `visible`."""
    result = np.zeros(mask.shape, bool)
    part = bounds(mask)
    if part[0].stop:
        _, labels, stats, _ = cv2.connectedComponentsWithStats(mask[part].astype(np.uint8))
        areas = stats[:, cv2.CC_STAT_AREA]
        kept = areas >= share * areas[1:].sum()
        if visible is not None:
            kept[labels[visible[part] != 0]] = True
        kept[0] = False
        result[part] = kept[labels]
    return result


def warp(rle: Rle, affine: np.ndarray) -> Rle:
    """Move a mask by a 2x3 affine map of pixel coordinates (x, y); what leaves the image is cut off.

    Linear interpolation, then inside where the value is at least one half.
    """
    height, width = rle["size"]
    # Only the box is decoded and moved: a full frame for a small mask is what makes warping slow.
    part, x, y = decode_box(rle)
    h, w = part.shape
    if w == 0:
        return rle
    crop = cv2.copyMakeBorder(part.astype(np.float32), 1, 1, 1, 1, cv2.BORDER_CONSTANT, value=0)
    matrix = np.asarray(affine, np.float64)
    corners = np.array([[x - 1, y - 1], [x + w, y - 1], [x + w, y + h], [x - 1, y + h]], np.float64)
    moved = corners @ matrix[:, :2].T + matrix[:, 2]
    left, top = np.maximum(np.floor(moved.min(0)).astype(int), 0)
    right, bottom = np.minimum(np.ceil(moved.max(0)).astype(int) + 1, (width, height))
    if left >= right or top >= bottom:
        return empty((height, width))
    local = matrix.copy()
    local[:, 2] += matrix[:, :2] @ (x - 1, y - 1) - (left, top)
    soft = cv2.warpAffine(crop, local, (int(right - left), int(bottom - top)), flags=cv2.INTER_LINEAR)
    return encode_box(soft >= 0.5, int(left), int(top), (height, width))


def from_annotation(value: Any, size: tuple[int, int]) -> Rle | None:
    """Read a mask as data sets spell it: compressed or uncompressed RLE, a list of polygons, or nothing.

    Args:
        value: RLE dict (counts as text, bytes or a list of run lengths), polygons
            [[x0, y0, x1, y1, ...], ...], None, {} or "".
        size: the (H, W) that the mask must have.

    Returns:
        The mask, or None where there is none (None, {}, "", no pixel).

    Raises:
        ValueError: the size differs, the run lengths do not add up, or a polygon is none.
    """
    if not value:
        return None
    height, width = size
    if isinstance(value, list):
        rle = _as_text(coco.merge(coco.frPyObjects(_polygons(value, size), height, width)))
    elif isinstance(value, dict) and "counts" in value and "size" in value:
        counts, found = value["counts"], value["size"]
        if not isinstance(found, list | tuple) or list(found) != [height, width]:
            raise ValueError(f"mask of size {found} (height, width) in a video of size {[height, width]}")
        if isinstance(counts, list):
            runs = _integers(counts)
            check_runs(runs, size)
            rle = _as_text(
                coco.frPyObjects({"size": [height, width], "counts": runs.tolist()}, height, width)
            )
        else:
            text = counts.decode("latin-1") if isinstance(counts, bytes) else str(counts)
            check_runs(run_lengths(text), size)
            rle = {"size": [height, width], "counts": text}
    else:
        raise ValueError("neither an RLE {'size', 'counts'} nor a list of polygons")
    return rle if area(rle) else None


def run_lengths(counts: str) -> np.ndarray:
    """The run lengths (int64) behind compressed counts: outside, inside, outside, ... in column-major order.

    Each number is written in groups of five bits, low group first, in characters from "0" on: bit 5 says that
    more groups follow, bit 4 of the last group is the sign. From the fourth number on, the difference to the
    number two places before is stored. (COCO API, maskApi.c: rleFrString.)

    Raises:
        ValueError: a character that cannot be there, or a number that is cut off.
    """
    raw = np.frombuffer(counts.encode("utf-8"), np.uint8).astype(np.int64) - 48
    if raw.size == 0 or raw.min() < 0 or raw.max() > 63 or raw[-1] & 32:
        raise ValueError("broken RLE counts")
    last = (raw & 32) == 0
    number = np.concatenate([[0], np.cumsum(last)[:-1]])
    first = np.concatenate([[0], np.flatnonzero(last)[:-1] + 1])
    group = np.arange(raw.size) - first[number]
    if group.max() > 6:
        raise ValueError("broken RLE counts")
    runs = np.bincount(number, (raw & 31) << (5 * group)).astype(np.int64)
    negative = (raw[last] & 16) != 0
    runs[negative] -= np.int64(1) << (5 * (group[last][negative] + 1))
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def check_runs(runs: np.ndarray, size: tuple[int, int]) -> None:
    """Raise ValueError unless the run lengths are not negative and fill an image of `size` (H, W) exactly."""
    total, wanted = int(runs.sum()), size[0] * size[1]
    if (runs < 0).any():
        raise ValueError(f"broken RLE: holds negative runs ({int(runs.min())} pixels)")
    if (runs > wanted).any() or total != wanted:
        raise ValueError(f"broken RLE: runs add up to {total} pixels instead of {wanted}")


def _as_text(rle: dict[str, Any]) -> Rle:
    counts = rle["counts"]
    text = counts.decode("ascii") if isinstance(counts, bytes) else counts
    return {"size": [int(n) for n in rle["size"]], "counts": text}


def _integers(counts: list[Any]) -> np.ndarray:
    try:
        runs = np.array(counts, np.float64)
    except (TypeError, ValueError):
        raise ValueError("broken RLE counts") from None
    if runs.ndim != 1 or not (np.abs(runs) < 2**40).all() or (runs != np.floor(runs)).any():
        raise ValueError("broken RLE counts")
    return runs.astype(np.int64)


def _polygons(value: list[Any], size: tuple[int, int]) -> list[list[float]]:
    """Check the polygons, because pycocotools crashes on what is none."""
    polygons = []
    for polygon in value:
        try:
            xy = np.array(polygon, np.float64)
        except (TypeError, ValueError):
            xy = np.zeros(0)
        if xy.ndim != 1 or xy.size < 6 or xy.size % 2:
            raise ValueError("broken polygon: [x0, y0, x1, y1, x2, y2, ...] is expected")
        if not (np.abs(xy) <= 10 * max(size)).all():
            raise ValueError("broken polygon: coordinates far outside the image")
        polygons.append(xy.tolist())
    return polygons
