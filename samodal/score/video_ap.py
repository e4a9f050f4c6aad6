"""Average precision of tracks: IoU over space and time, with classes of size and occlusion."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from samodal import masks
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.score import average_precision as ap
from samodal.score.iou import track_areas, track_intersections
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
            number in [0, 1] or None a frame), `iscrowd`, `ignore`.
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
        InputError: missing keys, a score that is no number, a video that the truth does not have, broken
            masks or masks of different sizes in one video.

    Source: S-AModal, its YTVOSeval variant; golden/08_video_eval.
    """
    rules = protocol if isinstance(protocol, Protocol) else get_protocol(protocol)
    annotations, results = _read_truth(truth, rules), _read_predictions(predictions)
    videos = sorted({_need(video, "id", "video") for video in _need(truth, "videos", "truth")})
    strangers = {track.video for track in (*annotations, *results)} - set(videos)
    if strangers:
        raise InputError(
            f"tracks of video {_first(list(strangers))}, but the truth lists only {_first(videos)}"
        )

    listed = sorted({_need(category, "id", "category") for category in truth.get("categories", ())})
    if rules.listed_categories_only:
        # The original goes through the listed categories one after the other, also when it does not compare
        # them.
        annotations = [track for category in listed for track in annotations if track.category == category]
        results = [track for category in listed for track in results if track.category == category]
    found = sorted({*listed, *(track.category for track in annotations)})
    categories = [None] if class_agnostic or not found else found

    num_cells = len(rules.areas) * len(rules.occlusions)
    curves = []
    for category in categories:
        groups = [
            _group(
                [t for t in annotations if t.video == video and category in (None, t.category)],
                [t for t in results if t.video == video and category in (None, t.category)],
                rules,
            )
            for video in videos
        ]
        curves.append(ap.precision_recall(groups, num_cells))
    cells = (len(rules.areas), len(rules.occlusions), len(ap.MAX_PREDICTIONS))
    precision = np.stack([curve[0] for curve in curves], axis=2)  # (10, 101, K, A * O, 3)
    recall = np.stack([curve[1] for curve in curves], axis=1)  # (10, K, A * O, 3)
    return {
        "protocol": rules.name,
        "class_agnostic": class_agnostic,
        **summary(
            precision.reshape(*precision.shape[:3], *cells), recall.reshape(*recall.shape[:2], *cells), rules
        ),
    }


def summary(precision: np.ndarray, recall: np.ndarray, rules: Protocol) -> dict[str, Any]:
    """The named values and the 18 `stats` from precision (10, 101, K, A, O, 3) and recall (10, K, A, O,
    3)."""
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


@dataclass
class _Track:
    """What the sums need of one annotation or result."""

    id: int
    video: Any
    category: Any
    masks: list[Rle | None]
    score: float = 0.0
    occlusion: float = UNKNOWN_OCCLUSION
    crowd: bool = False
    ignored: bool = False


def _group(truth: list[_Track], predicted: list[_Track], rules: Protocol) -> ap.Group:
    """One video (and category): the IoU of all pairs of tracks, and who counts in which cell."""
    predicted = sorted(predicted, key=lambda track: -track.score)
    num_frames = max((len(track.masks) for track in (*truth, *predicted)), default=0)
    truth_areas = track_areas([track.masks for track in truth], num_frames)
    areas = track_areas([track.masks for track in predicted], num_frames)
    try:
        shared = track_intersections([track.masks for track in predicted], [track.masks for track in truth])
    except InputError as error:
        raise InputError(f"video {truth[0].video!r}: {error}") from None
    crowd = np.array([track.crowd for track in truth], bool)
    truth_size, size = _mean_areas(truth_areas), _mean_areas(areas)
    occlusion = np.array([track.occlusion for track in truth])
    ignored = np.array([track.ignored for track in truth], bool)
    cells = list(product(rules.areas.values(), rules.occlusions.values()))
    return ap.Group(
        iou=_track_iou(shared, areas, truth_areas, predicted, truth, rules),
        scores=np.array([track.score for track in predicted]),
        crowd=crowd,
        truth_ignored=np.array(
            [
                ignored | (truth_size < a[0]) | (truth_size > a[1]) | (occlusion < o[0]) | (occlusion > o[1])
                for a, o in cells
            ]
        ),
        outside=np.array([(size < a[0]) | (size > a[1]) for a, _ in cells]),
        forgotten_predictions=np.array(
            [rules.zero_id_is_no_match and track.id == 0 for track in predicted], bool
        ),
        forgotten_truth=np.array([rules.zero_id_is_no_match and track.id == 0 for track in truth], bool),
    )


def _track_iou(
    shared: np.ndarray,
    areas: np.ndarray,
    truth_areas: np.ndarray,
    predicted: list[_Track],
    truth: list[_Track],
    rules: Protocol,
) -> np.ndarray:
    """Sum of intersections / sum of unions, (D, G); 0 for a pair without a mask."""
    if rules.stops_at_shorter:
        lengths = np.array([len(track.masks) for track in predicted], int)
        truth_lengths = np.array([len(track.masks) for track in truth], int)
        counted = np.minimum(lengths[:, None], truth_lengths)
        own = _first_sums(areas)[np.arange(len(predicted))[:, None], counted]
        total = own + _first_sums(truth_areas)[np.arange(len(truth)), counted] - shared
    else:
        own = np.broadcast_to(areas.sum(1)[:, None], shared.shape)
        total = own + truth_areas.sum(1) - shared
    if not rules.crowd_by_union:
        total = np.where([track.crowd for track in truth], own, total)
    return np.divide(shared, total, out=np.zeros(shared.shape), where=total > 0)


def _first_sums(areas: np.ndarray) -> np.ndarray:
    """(N, T) -> (N, T + 1): the sum over the first n frames, n = 0 to T."""
    return np.cumsum(np.pad(areas, ((0, 0), (1, 0))), axis=1)


def _mean_areas(areas: np.ndarray) -> np.ndarray:
    """Mean over the frames with a mask; 0 without any."""
    return areas.sum(1) / np.maximum(np.count_nonzero(areas, axis=1), 1)


def _read_truth(truth: dict[str, Any], rules: Protocol) -> list[_Track]:
    tracks = []
    for annotation in _need(truth, "annotations", "truth"):
        what = f"truth annotation {annotation.get('id')!r}"
        crowd = bool(annotation.get("iscrowd", 0))
        track = _Track(
            id=_need(annotation, "id", what),
            video=_need(annotation, "video_id", what),
            category=_need(annotation, "category_id", what),
            masks=_read_masks(_need(annotation, "segmentations", what), what),
            occlusion=_occlusion_score(annotation.get("occlude_rate"), what, rules),
            crowd=crowd,
            ignored=crowd or (bool(annotation.get("ignore", 0)) and not rules.only_crowd_is_ignored),
        )
        if any(masks.area(rle) for rle in track.masks) or rules.keeps_empty_truth:
            tracks.append(track)
    return tracks


def _read_predictions(predictions: Sequence[dict[str, Any]]) -> list[_Track]:
    tracks = []
    for number, result in enumerate(predictions):
        what = f"prediction {number}"
        score = _need(result, "score", what)
        if not isinstance(score, int | float | np.number) or not np.isfinite(score):
            raise InputError(f"{what}: score {score!r} is not a number")
        tracks.append(
            _Track(
                id=number,
                video=_need(result, "video_id", what),
                category=_need(result, "category_id", what),
                masks=_read_masks(_need(result, "segmentations", what), what),
                score=float(score),
            )
        )
    return tracks


def _read_masks(values: Sequence[Any], what: str) -> list[Rle | None]:
    return [
        _read_mask(value, f"{what}, frame {frame}") if value else None for frame, value in enumerate(values)
    ]


def _read_mask(value: Any, what: str) -> Rle | None:
    if not isinstance(value, dict) or "size" not in value:
        raise InputError(f"{what}: not a COCO RLE {{'size', 'counts'}}")
    try:
        return masks.from_annotation(value, tuple(value["size"]))
    except (OverflowError, TypeError, ValueError) as error:
        raise InputError(f"{what}: not a COCO RLE ({error})") from None


def _occlusion_score(rates: Sequence[float | None] | None, what: str, rules: Protocol) -> float:
    """Mean of the higher half (rounded up) of the frames' occlusion rates."""
    if rates is None:
        if rules.occlusions["all"][0] > UNKNOWN_OCCLUSION:
            raise InputError(
                f"{what}: no 'occlude_rate', which protocol {rules.name!r} needs; 'strict' does not"
            )
        return UNKNOWN_OCCLUSION
    known = sorted((rate for rate in rates if rate is not None), reverse=True)
    higher = known[: (len(known) + 1) // 2]
    return sum(higher) / len(higher) if higher else 0.0


def _need(entry: dict[str, Any], key: str, what: str) -> Any:
    if key not in entry:
        raise InputError(f"{what}: no {key!r}")
    return entry[key]


def _first(values: list[Any], count: int = 5) -> str:
    return ", ".join(map(repr, values[:count])) + (
        f", ... ({len(values)} in all)" if len(values) > count else ""
    )
