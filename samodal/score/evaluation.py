"""From instances to scores: the one way that image-level and video-level average precision both go."""

from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.score import average_precision as ap
from samodal.score.entries import check_sizes, listed
from samodal.score.instances import Grouped, Instances, PredictedInstances, TrueInstances
from samodal.score.overlap import overlapping_pairs
from samodal.score.protocols import Protocol


def evaluate(
    truth: TrueInstances,
    predictions: PredictedInstances,
    places: np.ndarray,
    listed_categories: np.ndarray,
    what: str,
    rules: Protocol,
    class_agnostic: bool,
) -> dict[str, Any]:
    """Average precision with classes of size and occlusion.

    Args:
        truth: G instances.
        predictions: P instances.
        places: the ids of all videos or images.
        listed_categories: those of the truth file.
        what: "video" or "image", for messages.
        rules: the protocol.
        class_agnostic: categories play no part; otherwise the mean over categories.

    Returns:
        As `samodal.score.video_ap` says.

    Raises:
        InputError: an instance in a place that is not listed, or masks of different sizes in one place.
    """
    for instances in (truth, predictions):
        strange = np.flatnonzero(~np.isin(instances.place, places))
        if strange.size:
            raise InputError(
                f"{instances.entries.name(strange[0])}: in {what} {instances.place[strange[0]]}, "
                f"but the truth lists only {listed(np.sort(places).tolist()) or 'none'}"
            )
    check_sizes([(part.entries, part.masks, part.place) for part in (truth, predictions)], what)

    categories = np.unique(listed_categories)
    keep_truth, keep = np.ones(len(truth.id), bool), np.ones(len(predictions.id), bool)
    if rules.listed_categories_only:
        keep_truth, keep = np.isin(truth.category, categories), np.isin(predictions.category, categories)
    else:
        categories = np.union1d(categories, truth.category)
    if not rules.keeps_empty_truth:
        keep_truth &= truth.masks.sums(truth.masks.area) > 0
    if class_agnostic or not len(categories):
        categories = np.array([-1])
    else:
        keep &= np.isin(predictions.category, categories)

    true = _grouped(truth, keep_truth, places, categories, rules)
    grouped = _grouped(predictions, keep, places, categories, rules, predictions.score)
    real = _real(truth, true, rules)
    predicted = _predicted(predictions, grouped, rules)
    pairs = overlapping_pairs(predictions, truth, grouped, true, rules)
    right, wrong = ap.match(pairs, predicted, real)

    curves = []
    for number in range(len(categories)):
        rows = grouped.group // len(places) == number
        num_truth = np.count_nonzero(~real.ignored[true.group // len(places) == number], axis=0)
        curves.append(
            ap.precision_recall(
                predicted.scores[rows], predicted.rank[rows], right[rows], wrong[rows], num_truth
            )
        )
    shape = (len(rules.areas), len(rules.occlusions), len(ap.MAX_PREDICTIONS))
    precision = np.stack([curve[0] for curve in curves], axis=2)  # (10, 101, K, A * O, 3)
    recall = np.stack([curve[1] for curve in curves], axis=1)  # (10, K, A * O, 3)
    return {
        "protocol": rules.name,
        "class_agnostic": class_agnostic,
        **summary(
            precision.reshape(*precision.shape[:3], *shape), recall.reshape(*recall.shape[:2], *shape), rules
        ),
    }


def summary(precision: np.ndarray, recall: np.ndarray, rules: Protocol) -> dict[str, Any]:
    """The named values and the 18 `stats` from precision (10, 101, K, A, O, 3) and recall (10, K, A, O, 3)."""
    at50, at75 = (np.isclose(ap.IOU_THRESHOLDS, threshold) for threshold in (0.5, 0.75))
    values = {
        "ap": ap.mean(precision[..., 0, 0, -1]),
        "ap50": ap.mean(precision[at50][..., 0, 0, -1]),
        "ap75": ap.mean(precision[at75][..., 0, 0, -1]),
        **{f"ar{limit}": ap.mean(recall[..., 0, 0, m]) for m, limit in enumerate(ap.MAX_PREDICTIONS)},
    }
    for a, name in list(enumerate(rules.areas))[1:]:
        values[f"ap50_{name}_area"] = ap.mean(precision[at50][..., a, 0, -1])
        values[f"ar_{name}_area"] = ap.mean(recall[..., a, 0, -1])
    for o, name in list(enumerate(rules.occlusions))[1:]:
        values[f"ap_{name}"] = ap.mean(precision[..., 0, o, -1])
        values[f"ap50_{name}"] = ap.mean(precision[at50][..., 0, o, -1])
        values[f"ar50_{name}"] = ap.mean(recall[at50][..., 0, o, -1])
    order = ["ap", "ap50", "ap75"]
    order += [f"ap50_{name}_area" for name in ("small", "medium", "large")]
    order += [f"ap50_{name}" for name in ("partial", "medium", "heavy")]
    order += ["ar1", "ar10", "ar100"]
    order += [f"ar_{name}_area" for name in ("small", "medium", "large")]
    order += [f"ar50_{name}" for name in ("partial", "medium", "heavy")]
    stats = [values[name] for name in order]
    named = {name: None if value == -1 else value for name, value in values.items()}
    return {"stats": stats, **named, "precision": precision, "recall": recall}


def _grouped(
    instances: Instances,
    keep: np.ndarray,
    places: np.ndarray,
    categories: np.ndarray,
    rules: Protocol,
    scores: np.ndarray | None = None,
) -> Grouped:
    """Instances to keep by group, in each by falling score, then as in the file; at most 100 predictions of each.

    A group is category number * number of places + place number. The original goes through the listed categories one
    after the other, also when it does not compare them: that is then the order "as in the file".
    """
    rows = np.flatnonzero(keep)
    place, category = np.searchsorted(np.sort(places), instances.place[rows]), instances.category[rows]
    compared = categories[0] >= 0
    group = place + (np.searchsorted(categories, category) * len(places) if compared else 0)
    falling = np.zeros(len(rows)) if scores is None else -scores[rows]
    in_file = category if rules.listed_categories_only else np.zeros(len(rows))
    order = np.lexsort((in_file, falling, group))
    grouped = Grouped(rows[order], group[order])
    if scores is None:
        return grouped
    counts = _rank(grouped.group) < max(ap.MAX_PREDICTIONS)
    return Grouped(grouped.rows[counts], grouped.group[counts])


def _rank(group: np.ndarray) -> np.ndarray:
    """Place within the group, from 0."""
    return np.arange(len(group)) - np.searchsorted(group, group)


def _predicted(predictions: PredictedInstances, grouped: Grouped, rules: Protocol) -> ap.Predictions:
    size = predictions.size[grouped.rows]
    return ap.Predictions(
        group=grouped.group,
        rank=_rank(grouped.group),
        scores=predictions.score[grouped.rows],
        outside=np.stack(
            [~_within(size, area) for area in rules.areas.values() for _ in rules.occlusions], 1
        ),
        forgotten=(predictions.id[grouped.rows] == 0) & rules.zero_id_is_no_match,
    )


def _real(truth: TrueInstances, grouped: Grouped, rules: Protocol) -> ap.Truth:
    rows = grouped.rows
    size, occlusion = truth.size[rows], truth.occlusion[rows]
    ignored = truth.crowd[rows] | (truth.ignore[rows] & (not rules.only_crowd_is_ignored))
    return ap.Truth(
        crowd=truth.crowd[rows],
        ignored=np.stack(
            [
                ignored | ~_within(size, area) | ~_within(occlusion, rate)
                for area in rules.areas.values()
                for rate in rules.occlusions.values()
            ],
            axis=1,
        ),
        forgotten=(truth.id[rows] == 0) & rules.zero_id_is_no_match,
    )


def _within(values: np.ndarray, limits: tuple[float, float]) -> np.ndarray:
    return (values >= limits[0]) & (values <= limits[1])
