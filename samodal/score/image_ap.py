"""Average precision of masks in single images, with classes of size and occlusion."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from samodal.score.entries import Entries, MaskTable, Size, read_masks
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


def image_ap(
    truth: dict[str, Any],
    predictions: Sequence[dict[str, Any]],
    protocol: str | Protocol = "reference",
    class_agnostic: bool = True,
) -> dict[str, Any]:
    """Average precision of amodal masks, as in COCO, with the occlusion classes of S-AModal.

    Equal scores keep the order of the input. At most 100 predictions an image count. The inputs are not changed.

    Args:
        truth: COCO truth: `images` (with `id`; for polygons also `height`, `width`), `categories` (with `id`) and
            `annotations` with `id`, `image_id`, `category_id`, `segmentation` (RLE, compressed or not, or polygons),
            and if known `area` (else that of the mask), `occlude_rate` (a number; above 1 counts as 1), `iscrowd`,
            `ignore`.
        predictions: COCO results: `image_id`, `category_id`, `segmentation`, `score`.
        protocol: `reference` (the original's numbers, quirks included), `strict`, or your own mixture of switches; see
            `samodal.score.protocols`.
        class_agnostic: categories play no part, as in S-AModal; otherwise the mean over categories.

    Returns:
        As `samodal.score.video_ap`.

    Raises:
        InputError: what is wrong, with the entry it is in: missing keys, ids that are negative, no whole numbers or (in
            the truth) not unique, scores, areas and rates that are no numbers, an image that the truth does not have,
            broken masks or masks of different sizes in one image.

    Source: S-AModal, its COCOeval variant; golden/07_image_eval.
    """
    rules = protocol if isinstance(protocol, Protocol) else get_protocol(protocol)
    rules = replace(rules, crowd_by_union=False, stops_at_shorter=False)  # quirks of its video scores alone
    images = Entries(part(truth, "images"), "image")
    annotations, results = (
        Entries(part(truth, "annotations"), "truth annotation"),
        Entries(predictions, "prediction"),
    )
    sizes = _image_sizes(images)
    return evaluate(
        _read_truth(annotations, sizes, rules),
        _read_predictions(results, sizes),
        read_places(truth, "images"),
        read_categories(truth),
        "image",
        rules,
        class_agnostic,
    )


def _read_truth(annotations: Entries, sizes: dict[int, Size], rules: Protocol) -> TrueInstances:
    ids, image_ids = annotations.unique("id"), annotations.whole_numbers("image_id")
    masks = _read_masks(annotations, image_ids, sizes)
    area = annotations.numbers("area", default=np.nan, lowest=0)
    occlusion_rates(annotations, rules)
    return TrueInstances(
        entries=annotations,
        id=ids,
        place=image_ids,
        category=annotations.whole_numbers("category_id"),
        masks=masks,
        size=np.where(np.isnan(area), masks.area, area),
        occlusion=np.minimum(annotations.numbers("occlude_rate", default=UNKNOWN_OCCLUSION, lowest=0), 1.0),
        crowd=annotations.flags("iscrowd"),
        ignore=annotations.flags("ignore"),
    )


def _read_predictions(results: Entries, sizes: dict[int, Size]) -> PredictedInstances:
    image_ids = results.whole_numbers("image_id")
    masks = _read_masks(results, image_ids, sizes)
    return PredictedInstances(
        entries=results,
        id=np.arange(1, len(results) + 1),  # the original counts them from 1 here
        place=image_ids,
        category=results.whole_numbers("category_id"),
        masks=masks,
        size=masks.area.astype(float),
        score=results.numbers("score"),
    )


def _read_masks(entries: Entries, image_ids: np.ndarray, sizes: dict[int, Size]) -> MaskTable:
    tracks = list(zip(entries.column("segmentation"), strict=True))  # of one frame each
    return read_masks(entries, tracks, [sizes.get(image_id) for image_id in image_ids.tolist()])


def _image_sizes(images: Entries) -> dict[int, Size]:
    """Image -> (H, W), where the file says it; for polygons."""
    sizes = zip(images.column("height", None), images.column("width", None), strict=True)
    ids = images.whole_numbers("id").tolist()
    return {n: size for n, size in zip(ids, sizes, strict=True) if all(type(side) is int for side in size)}
