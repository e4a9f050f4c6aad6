"""Average precision as COCO defines it: matching by IoU, then precision over recall.

Knows nothing of videos or images: predictions and truth of one *group* (a video or an image, one category or all) may
match one another. One pass serves all classes of size and occlusion: a *cell* is one such class, and the matching runs
over all groups, cells and IoU thresholds at once. Only the pairs that overlap enough are looked at.

Source: COCO evaluation (pycocotools, cocoeval), in the S-AModal variant with occlusion classes.
"""

from dataclasses import dataclass

import numpy as np

IOU_THRESHOLDS = np.linspace(0.5, 0.95, 10)
LOWEST_IOU = 0.5
"""Pairs with less can never match."""
RECALL_POINTS = np.linspace(0.0, 1.0, 101)
MAX_PREDICTIONS = (1, 10, 100)
"""Only so many predictions with the highest scores of a group count."""


@dataclass
class Pairs:
    """The L pairs that could match: IoU of at least `LOWEST_IOU`.

    Attributes:
        prediction, truth: which ones, int (L,).
        iou: (L,).
    """

    prediction: np.ndarray
    truth: np.ndarray
    iou: np.ndarray


@dataclass
class Predictions:
    """P predictions of all groups, group after group, in each the best score first; C cells.

    Attributes:
        group: int (P,), rising.
        rank: int (P,), place within the group, from 0.
        scores: (P,).
        outside: bool (P, C); the prediction lies outside the cell, so that it is no mistake when it matches nothing.
        forgotten: bool (P,), `Protocol.zero_id_is_no_match`: their matches do not use up the truth.
    """

    group: np.ndarray
    rank: np.ndarray
    scores: np.ndarray
    outside: np.ndarray
    forgotten: np.ndarray


@dataclass
class Truth:
    """G truths of all groups.

    Attributes:
        crowd: bool (G,); a crowd region may be matched any number of times.
        ignored: bool (G, C); a match counts neither for nor against.
        forgotten: bool (G,), `Protocol.zero_id_is_no_match`: a match with them counts as none.
    """

    crowd: np.ndarray
    ignored: np.ndarray
    forgotten: np.ndarray


def match(pairs: Pairs, predictions: Predictions, truth: Truth) -> tuple[np.ndarray, np.ndarray]:
    """Greedy matching within every group, best score first.

    Among the truth that is left, one that counts beats one that is ignored, then the higher IoU, then the later.

    Returns:
        right and wrong predictions, bool (P, C cells, 10 thresholds); neither means ignored.
    """
    shape = (*predictions.outside.shape, len(IOU_THRESHOLDS))
    right, ignored = np.zeros(shape, bool), np.zeros(shape, bool)
    taken = np.zeros((*truth.ignored.shape, len(IOU_THRESHOLDS)), bool)
    enough_at = np.minimum(IOU_THRESHOLDS, 1 - 1e-10)
    busy, candidates, ious = _candidates(pairs)
    # In one turn every group handles one prediction, so that all that is done in it is independent.
    groups = predictions.group[busy]
    turn = np.arange(len(busy)) - np.searchsorted(groups, groups)
    for this_turn in range(turn.max(initial=-1) + 1):
        rows = np.flatnonzero(turn == this_turn)
        shape = (len(rows), *taken.shape[1:])
        best, found, regular = np.zeros(shape, int), np.zeros(shape, bool), np.zeros(shape, bool)
        for which, iou in zip(
            candidates[rows].T[::-1], ious[rows].T[::-1], strict=True
        ):  # the best comes last
            free = (iou[:, None, None] >= enough_at) & ~taken[which]
            counts = free & ~truth.ignored[which, :, None]
            np.copyto(best, which[:, None, None], where=counts | (free & ~regular))
            found |= free
            regular |= counts
        right[busy[rows]] = found & ~truth.forgotten[best]
        ignored[busy[rows]] = found & ~regular
        uses_up = found & ~truth.crowd[best] & ~predictions.forgotten[busy[rows], None, None]
        _, cell, threshold = at = np.nonzero(uses_up)
        taken[best[at], cell, threshold] = True
    ignored |= ~right & predictions.outside[..., None]
    return right & ~ignored, ~right & ~ignored


def precision_recall(
    scores: np.ndarray, rank: np.ndarray, right: np.ndarray, wrong: np.ndarray, num_truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Precision and recall of every cell over all groups.

    Predictions with equal scores keep their order (within a group, then group after group).

    Args:
        scores: of P predictions, (P,).
        rank: their places within their groups, (P,).
        right: bool (P, C, 10), see `match`.
        wrong: the same.
        num_truth: how many are to be found, int (C,).

    Returns:
        precision: (10 thresholds, 101 recall points, C cells, 3 limits of predictions); -1 in a cell without truth.
        recall: (10, C, 3), the highest that was reached.
    """
    shape = (len(IOU_THRESHOLDS), len(RECALL_POINTS), len(num_truth), len(MAX_PREDICTIONS))
    precision, recall = np.full(shape, -1.0), np.full((shape[0], *shape[2:]), -1.0)
    order = np.argsort(-scores, kind="stable")
    rank = rank[order]
    for cell in np.flatnonzero(num_truth):
        right_here, wrong_here = right[order, cell].T, wrong[order, cell].T
        for m, limit in enumerate(MAX_PREDICTIONS):
            within = np.flatnonzero(rank < limit)
            for t, (hits, misses) in enumerate(
                zip(right_here[:, within], wrong_here[:, within], strict=True)
            ):
                precision[t, :, cell, m], recall[t, cell, m] = _curve(hits, misses, num_truth[cell])
    return precision, recall


def mean(values: np.ndarray) -> float:
    """Mean of the entries that exist (are not -1); -1 when there is none."""
    there = values[values > -1]
    return float(there.mean()) if there.size else -1.0


def _candidates(pairs: Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The B predictions that have any, their truths (B, K), the best first, and the IoUs (B, K), 0 where there are
    fewer than K."""
    order = np.lexsort((-pairs.truth, -pairs.iou, pairs.prediction))
    busy, first, count = np.unique(pairs.prediction[order], return_index=True, return_counts=True)
    row = np.repeat(np.arange(len(busy)), count)
    place = np.arange(len(order)) - first[row]
    shape = (len(busy), count.max(initial=0))
    candidates, ious = np.zeros(shape, int), np.zeros(shape)
    candidates[row, place], ious[row, place] = pairs.truth[order], pairs.iou[order]
    return busy, candidates, ious


def _curve(right: np.ndarray, wrong: np.ndarray, num_truth: int) -> tuple[np.ndarray, float]:
    """Precision at the 101 recall points (made monotone, 0 where recall is not reached) and the last recall.

    Recall grows, and precision has its peaks, where a prediction is right: the places between do not matter.
    """
    hits = np.flatnonzero(right)
    num_right = np.arange(1, len(hits) + 1)
    num_wrong = np.cumsum(wrong)[hits]
    precision = num_right / (num_right + num_wrong + np.spacing(1))
    precision = np.maximum.accumulate(precision[::-1])[::-1]
    where = np.searchsorted(num_right / num_truth, RECALL_POINTS, side="left")
    return np.append(precision, 0.0)[where], len(hits) / num_truth
