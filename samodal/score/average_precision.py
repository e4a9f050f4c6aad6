"""Average precision as COCO defines it, from IoU matrices: matching, then precision over recall.

Knows nothing of videos or images: a `Group` is the predictions and the truth that may match one another (one
video or image, one category or all). One pass serves all classes of size and occlusion: a *cell* is one such
class, and the matching runs over all cells and IoU thresholds at once.

Source: COCO evaluation (pycocotools, cocoeval), in the S-AModal variant with occlusion classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_PREDICTIONS = (1, 10, 100)
"""Only so many predictions with the highest scores of a group count."""


@dataclass
class Group:
    """D predictions in falling order of score, G truths, C cells.

    Attributes:
        iou: (D, G).
        scores: (D,).
        crowd: bool (G,); a crowd region may be matched any number of times.
        truth_ignored: bool (C, G); a match counts neither for nor against.
        outside: bool (C, D); the prediction lies outside the cell, so that it is no mistake when it matches
            nothing.
        forgotten_predictions: bool (D,), `Protocol.zero_id_is_no_match`: their matches do not use up the
            truth.
        forgotten_truth: bool (G,), the same switch: a match with them counts as none.
    """

    iou: np.ndarray
    scores: np.ndarray
    crowd: np.ndarray
    truth_ignored: np.ndarray
    outside: np.ndarray
    forgotten_predictions: np.ndarray
    forgotten_truth: np.ndarray


def precision_recall(groups: Sequence[Group], num_cells: int) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of every cell over all groups.

    Predictions with equal scores keep the order of the input (within a group, then group after group).

    Returns:
        precision: (10 thresholds, 101 recall points, C cells, 3 limits of predictions); -1 in a cell without
            truth.
        recall: (10, C, 3), the highest that was reached.
    """
    shape = (len(IOU_THRESHOLDS), len(RECALL_POINTS), num_cells, len(MAX_PREDICTIONS))
    precision, recall = np.full(shape, -1.0), np.full((shape[0], *shape[2:]), -1.0)
    num_truth = sum(
        (np.count_nonzero(~group.truth_ignored, axis=1) for group in groups), np.zeros(num_cells, int)
    )
    filled = np.flatnonzero(num_truth)
    matches = [_match(group) for group in groups]
    for m, limit in enumerate(MAX_PREDICTIONS):
        scores = np.concatenate([np.zeros(0), *(group.scores[:limit] for group in groups)])
        order = np.argsort(-scores, kind="stable")
        nothing = np.zeros((num_cells, shape[0], 0), bool)
        right = np.concatenate([nothing, *(right[..., :limit] for right, _ in matches)], axis=2)[..., order]
        wrong = np.concatenate([nothing, *(wrong[..., :limit] for _, wrong in matches)], axis=2)[..., order]
        num_right, num_wrong = np.cumsum(right, axis=2), np.cumsum(wrong, axis=2)
        for cell in filled:
            for t in range(shape[0]):
                curve = _curve(num_right[cell, t], num_wrong[cell, t], num_truth[cell])
                precision[t, :, cell, m], recall[t, cell, m] = curve
    return precision, recall


def mean(values: np.ndarray) -> float:
    """Mean of the entries that exist (are not -1); -1 when there is none."""
    there = values[values > -1]
    return float(there.mean()) if there.size else -1.0


def _match(group: Group) -> tuple[np.ndarray, np.ndarray]:
    """Greedy matching, best score first: bool (C, 10, D) right and wrong predictions; neither = ignored."""
    num_cells, num_truth = group.truth_ignored.shape
    num_predictions, num_thresholds = len(group.scores), len(IOU_THRESHOLDS)
    right = np.zeros((num_cells, num_thresholds, num_predictions), bool)
    if num_truth == 0:
        wrong = np.broadcast_to(~group.outside[:, None], right.shape)
        return right, wrong
    ignored = np.zeros_like(right)
    taken = np.zeros((num_cells, num_thresholds, num_truth), bool)
    # Among the truth that is left, one that counts beats one that is ignored, then the higher IoU, then the
    # later.
    rank = np.argsort(np.argsort(group.iou, axis=1, kind="stable"), axis=1, kind="stable")
    bonus = np.where(group.truth_ignored, 0, num_truth)[:, None]
    enough = group.iou[:, None] >= np.minimum(IOU_THRESHOLDS, 1 - 1e-10)[:, None]  # (D, 10, G)
    cells, thresholds = np.indices((num_cells, num_thresholds), sparse=True)
    for d in range(min(num_predictions, max(MAX_PREDICTIONS))):
        if not enough[d, 0].any():
            continue
        key = np.where(enough[d] & ~taken, rank[d] + bonus, -1)
        best = key.argmax(axis=2)
        found = key[cells, thresholds, best] >= 0
        ignored[:, :, d] = found & group.truth_ignored[cells, best]
        right[:, :, d] = found & ~group.forgotten_truth[best]
        if not group.forgotten_predictions[d]:
            taken[cells, thresholds, best] |= found & ~group.crowd[best]
    ignored |= ~right & group.outside[:, None]
    return right & ~ignored, ~right & ~ignored


def _curve(num_right: np.ndarray, num_wrong: np.ndarray, num_truth: int) -> tuple[np.ndarray, float]:
    """Precision at the 101 recall points (made monotone, 0 where recall is not reached) and the last
    recall."""
    if num_right.size == 0:
        return np.zeros(len(RECALL_POINTS)), 0.0
    recall = num_right / num_truth
    precision = num_right / (num_right + num_wrong + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    where = np.searchsorted(recall, RECALL_POINTS, side="left")
    return np.append(precision, 0.0)[where], float(recall[-1])
