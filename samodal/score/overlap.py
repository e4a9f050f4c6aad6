"""The overlap of all instances that may match: IoU over space and, in videos, time."""

import numpy as np

from samodal.score import average_precision as ap
from samodal.score.entries import MaskTable
from samodal.score.instances import Grouped, PredictedInstances, TrueInstances, common_groups
from samodal.score.iou import shared_pixels
from samodal.score.protocols import Protocol


def overlapping_pairs(
    predictions: PredictedInstances,
    truth: TrueInstances,
    grouped: Grouped,
    grouped_truth: Grouped,
    rules: Protocol,
) -> ap.Pairs:
    """All pairs of one group that could match; their numbers count along `grouped` and `grouped_truth`."""
    found = [np.zeros((3, 0))]
    for here, there in common_groups(grouped, grouped_truth):
        p, g = grouped.rows[here], grouped_truth.rows[there]
        iou = overlap(predictions.masks, p, truth.masks, g, truth.crowd[g], rules)
        rows, columns = np.nonzero(iou >= ap.LOWEST_IOU)
        found.append(np.array([rows + here.start, columns + there.start, iou[rows, columns]]))
    prediction, real, iou = np.concatenate(found, axis=1)
    return ap.Pairs(prediction.astype(int), real.astype(int), iou)


def overlap(
    masks: MaskTable,
    p: np.ndarray,
    truth_masks: MaskTable,
    g: np.ndarray,
    crowd: np.ndarray,
    rules: Protocol,
) -> np.ndarray:
    """Sum of intersections / sum of unions over all frames, (len(p), len(g)); 0 where it is below `LOWEST_IOU`.

    Which pairs can reach that is known beforehand from what is cheap: two masks share at most the area of the smaller
    one, and at most the stretch of pixels in which both lie.
    """
    num_frames = max(masks.lengths[p].max(), truth_masks.lengths[g].max())
    frames, truth_frames = masks.frames(p, num_frames), truth_masks.frames(g, num_frames)
    area, truth_area = masks.area[frames], truth_masks.area[truth_frames]
    total, own = _total_areas(area, truth_area, masks.lengths[p], truth_masks.lengths[g], rules)
    own_area_counts = crowd & (not rules.crowd_by_union)

    begin, end = masks.first[frames], masks.last[frames]
    truth_begin, truth_end = truth_masks.first[truth_frames], truth_masks.last[truth_frames]
    most, near = np.zeros(total.shape, np.int64), np.zeros((num_frames, *total.shape), bool)
    for frame in range(num_frames):
        stretch = np.minimum(end[:, frame, None], truth_end[:, frame])
        stretch -= np.maximum(begin[:, frame, None], truth_begin[:, frame])
        np.greater(stretch, 0, out=near[frame])
        smaller = np.minimum(area[:, frame, None], truth_area[:, frame])
        most += np.minimum(smaller, stretch) * near[frame]
    possible = (most > 0) & (most >= ap.LOWEST_IOU * np.where(own_area_counts, own, total - most))

    shared = np.zeros(total.shape, np.int64)
    if possible.any():
        for frame in range(num_frames):
            first = [masks.rles[n] for n in frames[:, frame].tolist()]
            second = [truth_masks.rles[n] for n in truth_frames[:, frame].tolist()]
            shared += shared_pixels(first, second, possible & near[frame])
    union = np.where(own_area_counts, own, total - shared)
    return np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)


def _total_areas(
    area: np.ndarray, truth_area: np.ndarray, length: np.ndarray, truth_length: np.ndarray, rules: Protocol
) -> tuple[np.ndarray, np.ndarray]:
    """Of every pair: both areas together, and the prediction's own, summed over the frames that count, (D, G)."""
    if not rules.stops_at_shorter:
        own = np.broadcast_to(area.sum(1)[:, None], (len(area), len(truth_area)))
        return own + truth_area.sum(1), own
    counted = np.minimum(length[:, None], truth_length)
    own = _first_sums(area)[np.arange(len(area))[:, None], counted]
    return own + _first_sums(truth_area)[np.arange(len(truth_area)), counted], own


def _first_sums(areas: np.ndarray) -> np.ndarray:
    """(N, T) -> (N, T + 1): the sum over the first n frames, n = 0 to T."""
    return np.cumsum(np.pad(areas, ((0, 0), (1, 0))), axis=1)
