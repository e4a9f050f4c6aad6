"""Checks of COCO files with an entry an instance and image: truth and results."""

from collections import defaultdict
from typing import Any

from samodal.check import fields
from samodal.check.findings import Finding, Findings
from samodal.masks import Rle

MOST_RESULTS = 100  # an image; the scores look at no more


def check_truth(truth: dict[str, Any]) -> list[Finding]:
    """Faults of a COCO truth file ({images, categories, annotations}) that was parsed from JSON."""
    findings = Findings()
    listed = fields.categories(truth, findings)
    images = fields.objects(truth.get("images"), "'images'", findings)
    ids = [fields.identity(image, "id", f"image {place}", findings) for place, image in enumerate(images, 1)]
    fields.unique(ids, "image id", findings)
    sizes = {
        number: fields.size(image, f"image {number}", findings)
        for number, image in zip(ids, images, strict=True)
        if number is not None
    }
    annotations = fields.objects(truth.get("annotations"), "'annotations'", findings)
    places = [f"annotation {place}" for place in range(1, len(annotations) + 1)]
    numbers = [
        fields.identity(entry, "id", place, findings)
        for entry, place in zip(annotations, places, strict=True)
    ]
    fields.unique(numbers, "annotation id", findings)
    if 0 in numbers:
        findings.warning("annotation id 0, which protocol reference takes for 'no match'; count from 1")
    visible: dict[int, list[Rle]] = defaultdict(list)
    for entry, place in zip(annotations, places, strict=True):
        image = fields.identity(entry, "image_id", place, findings)
        if image is not None and image not in sizes:
            findings.error("annotations of an image that is not listed", f"{place} (image {image})")
        category = fields.identity(entry, "category_id", place, findings)
        if category is not None and listed and category not in listed:
            findings.error(
                "categories that are not listed: protocol reference drops them", f"{place} ({category})"
            )
        if "iscrowd" not in entry:
            findings.warning("no 'iscrowd', which the COCO API needs", place)
        if "occlude_rate" not in entry and not entry.get("iscrowd"):
            findings.warning("no 'occlude_rate', which protocol reference needs", place)
        _check_instance(entry, place, sizes.get(-1 if image is None else image), visible, findings)
    for image, found in visible.items():
        fields.overlap(found, f"image {image}", findings)
    _check_track_ids(annotations, findings)
    return list(findings)


def check_results(results: list[Any]) -> list[Finding]:
    """Faults of COCO results that were parsed from JSON."""
    findings = Findings()
    entries = fields.objects(results, "the file", findings)
    if not entries:
        findings.error("holds no results at all")
    scores = []
    counts: dict[int, int] = defaultdict(int)
    visible: dict[int, list[Rle]] = defaultdict(list)
    for number, entry in enumerate(entries, 1):
        place = f"entry {number}"
        image = fields.identity(entry, "image_id", place, findings)
        fields.identity(entry, "category_id", place, findings)
        scores.append(fields.score(entry, place, findings))
        _check_instance(entry, place, None, visible, findings)
        counts[-1 if image is None else image] += 1
    for image, count in counts.items():
        if count > MOST_RESULTS:
            findings.warning(
                f"more than {MOST_RESULTS} results in an image, of which the scores look at the best",
                f"image {image} ({count})",
            )
    fields.equal_scores([score for score in scores if score is not None], findings)
    for image, found in visible.items():
        fields.overlap(found, f"image {image}", findings)
    _check_track_ids(entries, findings)
    return list(findings)


def _check_instance(
    entry: dict[str, Any],
    place: str,
    size: tuple[int, int] | None,
    visible: dict[int, list[Rle]],
    findings: Findings,
) -> None:
    """The masks of one entry; where its visible mask is known as such, it is added to those of the image."""
    if "segmentation" not in entry:
        findings.error("no 'segmentation'", place)
    found = {
        key: fields.mask(entry.get(key), size, f"{place} {key}", findings)
        for key in ("segmentation", "amodal_segm", "visible_segm")
    }
    if not any(entry.get(key) for key in found):
        findings.warning("instances without a mask", place)
    if "amodal_segm" in entry:
        fields.outside(found["visible_segm"], found["amodal_segm"], place, findings)
    fields.rate(entry.get("occlude_rate"), place, findings)
    image = entry.get("image_id")
    if found["visible_segm"] and isinstance(image, int) and not entry.get("iscrowd"):
        visible[image].append(found["visible_segm"])


def _check_track_ids(entries: list[dict[str, Any]], findings: Findings) -> None:
    seen = set()
    for place, entry in enumerate(entries, 1):
        key = next((key for key in ("track_id", "instance_id") if key in entry), None)
        if key is None:
            continue
        track, image = fields.identity(entry, key, f"entry {place}", findings), entry.get("image_id")
        where = track, bool(entry.get("iscrowd")), image if isinstance(image, int) else None
        if track is not None and where in seen:
            findings.error("duplicate track id in an image", f"entry {place} (track {track}, image {image})")
        seen.add(where)
