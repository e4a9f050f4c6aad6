"""Checks of COCO files with an entry an instance and image: truth and results."""

from collections import defaultdict
from typing import Any

from samodal.check import fields, lists
from samodal.check.findings import Finding, Findings
from samodal.masks import Rle

Visible = dict[int, list[Rle]]
"""Image -> the visible masks in it."""


def check_truth(truth: dict[str, Any]) -> list[Finding]:
    """Faults of a COCO truth file ({images, categories, annotations}) that was parsed from JSON."""
    findings = Findings()
    images = lists.places(truth, "image", findings)
    sizes = {number: fields.size(image, f"image {number}", findings) for number, image in images.items()}
    visible: Visible = defaultdict(list)
    for entry, place, image in lists.annotations(truth, "image", images, findings):
        if "iscrowd" not in entry:
            findings.warning("no 'iscrowd', which the COCO API needs", place)
        size = None if image is None else sizes.get(image)
        _check_instance(entry, place, image, size, visible, findings)
    _check_overlaps(visible, findings)
    return list(findings)


def check_results(results: list[Any]) -> list[Finding]:
    """Faults of COCO results that were parsed from JSON."""
    findings = Findings()
    visible: Visible = defaultdict(list)
    for entry, place, image in lists.results(results, "image", findings):
        _check_instance(entry, place, image, None, visible, findings)
    _check_overlaps(visible, findings)
    return list(findings)


def _check_instance(
    entry: dict[str, Any],
    place: str,
    image: int | None,
    size: tuple[int, int] | None,
    visible: Visible,
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
    if found["visible_segm"] and image is not None and not entry.get("iscrowd"):
        visible[image].append(found["visible_segm"])


def _check_overlaps(visible: Visible, findings: Findings) -> None:
    for image, found in visible.items():
        fields.overlap(found, f"image {image}", findings)
