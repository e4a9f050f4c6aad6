"""Overlap of masks and of tracks, as whole numbers of pixels, from run lengths alone: nothing is decoded."""

from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

import numpy as np
from pycocotools import mask as coco

from samodal import masks
from samodal.errors import InputError
from samodal.masks import Rle

Mask = Rle | np.ndarray | None
"""A mask as RLE or as array (H, W), non-zero = inside; None is empty."""
MaskTrack = Sequence[Rle | None]
"""The masks of one instance, one a frame, None where there is none."""


def mask_iou(pred: Mask, truth: Mask, visible: Mask) -> tuple[float, float | None]:
    """IoU of one predicted amodal mask, as a whole and of its hidden part alone.

    Args:
        pred: the predicted amodal mask.
        truth: the true amodal mask.
        visible: the true visible mask; None or empty where the instance is hidden completely.

    Returns:
        full: IoU of `pred` and `truth`; 1 when both are empty (as `masks.iou`: nothing asked for, nothing
            given).
        hidden: IoU of (pred minus visible) and (truth minus visible); None where the truth has no hidden
            pixel, to be left out of a mean.

    Raises:
        InputError: masks of different sizes.
    """
    pred, truth, visible = (_as_rle(mask) for mask in (pred, truth, visible))
    _check_sizes(pred, truth, visible)
    pred_truth = _shared(pred, truth)
    union = masks.area(pred) + masks.area(truth) - pred_truth
    full = pred_truth / union if union else 1.0

    hidden_truth = masks.area(truth) - _shared(truth, visible)
    if hidden_truth == 0:
        return full, None
    hidden_pred = masks.area(pred) - _shared(pred, visible)
    hidden_both = pred_truth - _shared(pred, truth, visible)
    return full, hidden_both / (hidden_truth + hidden_pred - hidden_both)


def mean_iou(
    pred: Sequence[Mask], truth: Sequence[Mask], visible: Sequence[Mask]
) -> tuple[float | None, float | None]:
    """Mean over instances of the two IoUs of `mask_iou`, so that small instances count as much as large ones.

    Args:
        pred: the predicted amodal mask of every instance.
        truth: the true amodal masks.
        visible: the true visible masks.

    Returns:
        full: over all instances; None when there is none.
        hidden: over the instances with a hidden part; None when there is none.

    Raises:
        InputError: lists of different lengths, or masks of different sizes.
    """
    _check_lengths(pred, truth, visible)
    scores = [mask_iou(*masks) for masks in zip(pred, truth, visible, strict=True)]
    full, hidden = [full for full, _ in scores], [hidden for _, hidden in scores if hidden is not None]
    return (
        sum(full) / len(full) if full else None,
        sum(hidden) / len(hidden) if hidden else None,
    )


def pooled_iou(
    pred: Sequence[Mask], truth: Sequence[Mask], visible: Sequence[Mask] | None = None
) -> float | None:
    """IoU of all instances' pixels together, so that large instances dominate: the original's "mean IoU".

    Args:
        pred: the predicted amodal mask of every instance.
        truth: the true amodal masks.
        visible: if given, they are joined to the predictions first, as the original does.

    Returns:
        Sum of intersections / sum of unions; None when no mask has a pixel.

    Raises:
        InputError: lists of different lengths, or masks of different sizes in one instance.

    Source: S-AModal, sam_inference.py; golden/07_image_eval/mean_iou.
    """
    _check_lengths(pred, truth, *([] if visible is None else [visible]))
    shared = union = 0
    for n, (guess, real) in enumerate(zip(map(_as_rle, pred), map(_as_rle, truth), strict=True)):
        seen = _as_rle(visible[n]) if visible is not None else None
        _check_sizes(guess, real, seen)
        parts = [rle for rle in (guess, seen) if rle is not None]
        joined = masks.union(parts) if parts else None
        both = _shared(joined, real)
        shared += both
        union += masks.area(joined) + masks.area(real) - both
    return shared / union if union else None


def track_areas(tracks: Sequence[MaskTrack], num_frames: int) -> np.ndarray:
    """Areas in pixels, int64 (N, num_frames); 0 where there is no mask."""
    areas = np.zeros((len(tracks), num_frames), np.int64)
    places = [(row, frame) for row, track in enumerate(tracks) for frame, rle in enumerate(track) if rle]
    if places:
        rows, frames = np.array(places).T
        areas[rows, frames] = _areas([tracks[row][frame] for row, frame in places])
    return areas


def track_intersections(first: Sequence[MaskTrack], second: Sequence[MaskTrack]) -> np.ndarray:
    """Shared pixels of every pair of tracks, summed over the frames in which both have a mask.

    Returns:
        int64 (N, M) for N and M tracks (of any lengths).

    Raises:
        InputError: masks of different sizes.
    """
    _check_sizes(*(rle for track in (*first, *second) for rle in track))
    shared = np.zeros((len(first), len(second)), np.int64)
    longest = max((len(track) for track in (*first, *second)), default=0)
    for frame in range(longest):
        rows = [row for row, track in enumerate(first) if frame < len(track) and track[frame]]
        columns = [column for column, track in enumerate(second) if frame < len(track) and track[frame]]
        if rows and columns:
            pixels = _pairwise_shared([first[n][frame] for n in rows], [second[n][frame] for n in columns])
            shared[np.ix_(rows, columns)] += pixels
    return shared


def shared_pixels(first: Sequence[Rle | None], second: Sequence[Rle | None]) -> np.ndarray:
    """Shared pixels of the first masks of both lists, of the second ones, and so on: int64 (N,); none may be None."""
    merged = (coco.merge([a, b], intersect=True) for a, b in zip(first, second, strict=True))
    return _areas(merged)


def _pairwise_shared(first: list, second: list) -> np.ndarray:
    """Shared pixels of every pair of masks, int64 (N, M).

    pycocotools gives all ratios i / (a + b - i) of a frame in one compiled call, with a box test before each
    pair; rounding brings the whole number i back exactly. Several times faster than a merge for each pair.
    """
    ratio = coco.iou(first, second, [0] * len(second))
    areas = _areas(first)[:, None] + _areas(second)
    return np.rint(ratio * areas / (1.0 + ratio)).astype(np.int64)


def _areas(rles: Iterable[Any]) -> np.ndarray:
    """Area of every mask, int64 (N,); pycocotools 2.0.11 cannot do more than 255 at a time."""
    rles, parts = iter(rles), [np.zeros(0)]
    while some := list(islice(rles, 255)):
        parts.append(coco.area(some))
    return np.concatenate(parts).astype(np.int64)


def _shared(*rles: Rle | None) -> int:
    if any(rle is None for rle in rles):
        return 0
    return int(coco.area(coco.merge(list(rles), intersect=True)))


def _as_rle(mask: Mask) -> Rle | None:
    return masks.encode(mask != 0) if isinstance(mask, np.ndarray) else mask


def _check_lengths(*lists: Sequence[Mask]) -> None:
    if len({len(masks) for masks in lists}) > 1:
        raise InputError(
            f"lists of {', '.join(str(len(masks)) for masks in lists)} masks; one of each is expected"
        )


def _check_sizes(*rles: Rle | None) -> None:
    sizes = {tuple(rle["size"]) for rle in rles if rle is not None}
    if len(sizes) > 1:
        raise InputError(f"masks of different sizes (height, width): {sorted(sizes)}")
