"""The overlap of all instances that may match: IoU over space and, in videos, time.

Whichever pairs of instances there are, and in whichever groups, they lie one after the other in flat columns, and so do
their pairs of masks, one for every frame that both have.
"""

from collections.abc import Iterator

import numpy as np

from samodal.score import average_precision as ap
from samodal.score.entries import MaskTable
from samodal.score.instances import Grouped, PredictedInstances, TrueInstances
from samodal.score.iou import shared_pixels
from samodal.score.protocols import Protocol

AT_ONCE = 2**18
"""Pairs of masks that are looked at together; bounds the memory."""


def overlapping_pairs(
    predictions: PredictedInstances,
    truth: TrueInstances,
    grouped: Grouped,
    grouped_truth: Grouped,
    rules: Protocol,
) -> ap.Pairs:
    """All pairs of one group that could match; their numbers count along `grouped` and `grouped_truth`."""
    found = [np.zeros((3, 0))]
    for p, g in _pairs_of_groups(predictions.masks, grouped, grouped_truth):
        rows, truth_rows = grouped.rows[p], grouped_truth.rows[g]
        iou = overlap(predictions.masks, rows, truth.masks, truth_rows, truth.crowd[truth_rows], rules)
        enough = np.flatnonzero(iou >= ap.LOWEST_IOU)
        found.append(np.array([p[enough], g[enough], iou[enough]]))
    prediction, real, iou = np.concatenate(found, axis=1)
    return ap.Pairs(prediction.astype(int), real.astype(int), iou)


def _pairs_of_groups(
    masks: MaskTable, grouped: Grouped, grouped_truth: Grouped
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Every prediction with every truth of its group, int (L,) each, a part at a time."""
    first, stop = (np.searchsorted(grouped_truth.group, grouped.group, side) for side in ("left", "right"))
    work = np.cumsum((stop - first) * masks.lengths[grouped.rows])
    for p in np.split(np.arange(len(work)), np.flatnonzero(np.diff(work // AT_ONCE)) + 1):
        owner, g = _runs(first[p], stop[p] - first[p])
        if owner.size:
            yield p[owner], g


def overlap(
    masks: MaskTable,
    p: np.ndarray,
    truth_masks: MaskTable,
    g: np.ndarray,
    crowd: np.ndarray,
    rules: Protocol,
) -> np.ndarray:
    """Sum of intersections / sum of unions over all frames of L pairs, (L,); 0 where it is below `LOWEST_IOU`.

    Which pairs can reach that is known beforehand from what is cheap: two masks share at most the area of the smaller
    one, and at most the stretch of pixels in which both lie.

    Args:
        masks: of all predictions.
        p: which of them, int (L,).
        truth_masks: of all truths.
        g: which of them, int (L,).
        crowd: bool (L,), the truth is a crowd region: the union does not count, only the prediction's own area.
        rules: the protocol.
    """
    length, truth_length = masks.lengths[p], truth_masks.lengths[g]
    both = np.minimum(length, truth_length)
    own = masks.first_sums(p, both if rules.stops_at_shorter else length)
    total = own + truth_masks.first_sums(g, both if rules.stops_at_shorter else truth_length)
    own_area_counts = crowd & (not rules.crowd_by_union)

    pair, place = _runs(masks.start[p], both)
    _, truth_place = _runs(truth_masks.start[g], both)
    stretch = np.minimum(masks.last[place], truth_masks.last[truth_place])
    stretch -= np.maximum(masks.first[place], truth_masks.first[truth_place])
    smaller = np.minimum(masks.area[place], truth_masks.area[truth_place])
    near = np.maximum(np.minimum(smaller, stretch), 0)
    most = _sums(near, both)
    possible = (most > 0) & (most >= ap.LOWEST_IOU * np.where(own_area_counts, own, total - most))

    wanted = np.flatnonzero(possible[pair] & (near > 0))
    pixels = np.zeros(len(pair), np.int64)
    pixels[wanted] = shared_pixels(
        [masks.rles[n] for n in place[wanted].tolist()],
        [truth_masks.rles[n] for n in truth_place[wanted].tolist()],
    )
    shared = _sums(pixels, both)
    union = np.where(own_area_counts, own, total - shared)
    return np.divide(shared, union, out=np.zeros(len(p)), where=union > 0)


def _runs(first: np.ndarray, count: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """`count[n]` whole numbers from `first[n]` on, for all n one after the other: n and the numbers, int each."""
    owner = np.repeat(np.arange(len(count)), count)
    return owner, np.arange(len(owner)) + (first - (np.cumsum(count) - count))[owner]


def _sums(values: np.ndarray, count: np.ndarray) -> np.ndarray:
    """The sum of the first `count[0]` values, of the next `count[1]`, and so on."""
    return np.diff(np.append(0, np.cumsum(values))[np.append(0, np.cumsum(count))])
