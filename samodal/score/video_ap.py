"""Average precision of tracks: IoU over space and time, with classes of size and occlusion."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.score.entries import Entries, MaskTable, read_masks
from samodal.score.evaluation import evaluate
from samodal.score.instances import (
    PredictedInstances,
    TrueInstances,
    occlusion_rates,
    part,
    read_categories,
    read_places,
)
from samodal.score.protocols import UNKNOWN_OCCLUSION, Protocol, get_protocol


def video_ap(
    truth: dict[str, Any],
    predictions: Sequence[dict[str, Any]],
    protocol: str | Protocol = "reference",
    class_agnostic: bool = True,
) -> dict[str, Any]:
    """Average precision of amodal tracks, as in YouTube-VIS, with the occlusion classes of S-AModal.

    The IoU of two tracks is the sum of intersections over the sum of unions of all frames; a missing mask is
    empty. A track's area is the mean over its frames with a mask; its occlusion score the mean of the higher
    half of its occlusion rates. Equal scores keep the order of the input. At most 100 predictions a video
    count. The inputs are not changed.

    Args:
        truth: YouTube-VIS truth: `videos` (with `id`), `categories` (with `id`) and `annotations` with `id`,
            `video_id`, `category_id`, `segmentations` (RLE or None a frame), and if known `occlude_rate` (a
            number in [0, 1] or None a frame), `areas` (a number or None a frame; by `reference` they count in place
            of the masks' own), `iscrowd`, `ignore`.
        predictions: YouTube-VIS results: `video_id`, `category_id`, `score`, `segmentations`.
        protocol: `reference` (the original's numbers, quirks included), `strict`, or your own mixture of
            switches; see `samodal.score.protocols`.
        class_agnostic: categories play no part, as in S-AModal; otherwise the mean over categories.

    Returns:
        `protocol`, `class_agnostic`, `stats` (18 floats in the original's order, -1 without truth in that
        class), the same as named values (`ap`, `ap50`, `ap75`, `ar100`, `ap50_small_area`, `ap50_heavy`, ...,
        None without truth) with `ap_`, `ap50_` and `ar50_` for every occlusion class, `precision`
        (10, 101, K, A, O, 3) and `recall` (10, K, A, O, 3) over IoU thresholds, recall points, categories,
        areas, occlusions, and limits of predictions.

    Raises:
        InputError: what is wrong, with the entry it is in: missing keys, ids that are negative, no whole numbers or
            (in the truth) not unique, scores and rates that are no numbers, a video that the truth does not have,
            broken masks or masks of different sizes in one video.

    Source: S-AModal, its YTVOSeval variant; golden/08_video_eval.
    """
    rules = protocol if isinstance(protocol, Protocol) else get_protocol(protocol)
    return evaluate(
        _read_truth(Entries(part(truth, "annotations"), "truth annotation"), rules),
        _read_predictions(Entries(predictions, "prediction")),
        read_places(truth, "videos"),
        read_categories(truth),
        "video",
        rules,
        class_agnostic,
    )


def _read_truth(annotations: Entries, rules: Protocol) -> TrueInstances:
    ids = annotations.unique("id")
    masks = _read_tracks(annotations)
    return TrueInstances(
        entries=annotations,
        id=ids,
        place=annotations.whole_numbers("video_id"),
        category=annotations.whole_numbers("category_id"),
        masks=masks,
        size=_true_areas(annotations, masks) if rules.areas_of_file else _mean_areas(masks),
        occlusion=_occlusion_scores(annotations, rules),
        crowd=annotations.flags("iscrowd"),
        ignore=annotations.flags("ignore"),
    )


def _read_predictions(results: Entries) -> PredictedInstances:
    masks = _read_tracks(results)
    return PredictedInstances(
        entries=results,
        id=np.arange(len(results)),
        place=results.whole_numbers("video_id"),
        category=results.whole_numbers("category_id"),
        masks=masks,
        size=_mean_areas(masks),
        score=results.numbers("score"),
    )


def _read_tracks(entries: Entries) -> MaskTable:
    tracks = entries.column("segmentations")
    for place, track in enumerate(tracks):
        if not isinstance(track, list | tuple):
            raise InputError(
                f"{entries.name(place)}: 'segmentations' is not a list with one mask or null a frame"
            )
    return read_masks(entries, tracks)


def _mean_areas(masks: MaskTable) -> np.ndarray:
    """Mean over the frames with a mask; 0 without any."""
    return masks.sums(masks.area) / np.maximum(masks.sums(masks.area > 0), 1)


def _true_areas(annotations: Entries, masks: MaskTable) -> np.ndarray:
    """The same, by the `areas` of the entries that have them: a number or None a frame."""
    sizes = _mean_areas(masks)
    for place, said in enumerate(annotations.column("areas", None)):
        if said is not None:
            known = [area for area in annotations.known_numbers(place, "areas") if area > 0]
            sizes[place] = np.mean(known) if known else 0.0
    return sizes


def _occlusion_scores(annotations: Entries, rules: Protocol) -> np.ndarray:
    """Mean of the higher half (rounded up) of the frames' occlusion rates."""
    scores = np.full(len(annotations), UNKNOWN_OCCLUSION)
    for place, rates in enumerate(occlusion_rates(annotations, rules)):
        if rates is not None:
            known = sorted(annotations.known_numbers(place, "occlude_rate"))
            higher = known[len(known) // 2 :]
            # Added in rising order, as the original does: at the ends of a class the last bit decides.
            scores[place] = min(float(np.mean(higher)), 1.0) if higher else 0.0
    return scores
