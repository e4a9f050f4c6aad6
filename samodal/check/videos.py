"""Checks of YouTube-VIS files: truth and results, by themselves and against each other."""

from collections import defaultdict
from typing import Any

from samodal.check import fields, lists
from samodal.check.findings import Finding, Findings
from samodal.masks import Rle

Visible = dict[tuple[int, int], list[Rle]]
"""Video and frame -> the visible masks in it."""


def check_truth(truth: dict[str, Any]) -> list[Finding]:
    """Faults of a YouTube-VIS truth file ({videos, categories, annotations}) that was parsed from JSON."""
    findings = Findings()
    videos = lists.places(truth, "video", findings)
    lengths = {number: _length(video, f"video {number}", findings) for number, video in videos.items()}
    sizes = {number: fields.size(video, f"video {number}", findings) for number, video in videos.items()}
    visible: Visible = defaultdict(list)
    entries = []
    for entry, place, video in lists.annotations(truth, "video", videos, findings):
        length, size = (None, None) if video is None else (lengths.get(video), sizes.get(video))
        _check_track(entry, place, video, length, size, visible, findings)
        entries.append(entry)
    _check_overlaps(entries, visible, findings)
    return list(findings)


def check_results(results: list[Any]) -> list[Finding]:
    """Faults of YouTube-VIS results (or an amodal.json) that were parsed from JSON."""
    findings = Findings()
    lengths: dict[int, int] = {}
    sizes: dict[int, tuple[int, int]] = {}
    visible: Visible = defaultdict(list)
    entries = []
    for entry, place, video in lists.results(results, "video", findings):
        length = size = None
        if video is not None:  # as the first entry of the video has them
            if isinstance(given := entry.get("segmentations"), list):
                length = lengths.setdefault(video, len(given))
            if own := first_size(entry):
                size = sizes.setdefault(video, own)
        _check_track(entry, place, video, length, size, visible, findings)
        entries.append(entry)
    _check_overlaps(entries, visible, findings)
    return list(findings)


def first_size(entry: dict[str, Any]) -> tuple[int, int] | None:
    """(H, W) of the first mask of a track, None where there is none."""
    values = entry.get("segmentations")
    for value in values if isinstance(values, list) else []:
        size = value.get("size") if isinstance(value, dict) else None
        if isinstance(size, list) and len(size) == 2 and all(isinstance(n, int) for n in size):
            return size[0], size[1]
    return None


def _length(video: dict[str, Any], place: str, findings: Findings) -> int | None:
    files = video.get("file_names")
    length = fields.identity(video, "length", place, findings) if "length" in video else None
    if not isinstance(files, list):
        if length is None:
            findings.warning("videos with neither 'file_names' nor 'length'", place)
        return length
    if length is not None and length != len(files):
        findings.error(
            "videos whose 'length' is not the number of their 'file_names'",
            f"{place} ({length}, {len(files)})",
        )
    return len(files)


def _check_track(
    entry: dict[str, Any],
    place: str,
    video: int | None,
    length: int | None,
    size: tuple[int, int] | None,
    visible: Visible,
    findings: Findings,
) -> None:
    """The lists of one track; its visible masks are added to those of (video, frame)."""
    given: dict[str, list[Any]] = {}
    for key in (
        "segmentations",
        "visible_segmentations",
        "occlude_rate",
        "occlusion_rates",
        "states",
        "scores",
        "areas",
        "bboxes",
    ):
        if key not in entry and key != "segmentations":
            continue
        if not isinstance(entry.get(key), list):
            findings.error(f"{key!r} is missing or no list", place)
            continue
        given[key] = entry[key]
        if length is not None and len(entry[key]) != length:
            findings.error(
                f"{key!r} of another length than the video", f"{place} ({len(entry[key])}, not {length})"
            )
    found = {
        key: [
            fields.mask(value, size, f"{place} frame {frame}", findings)
            for frame, value in enumerate(given.get(key, []))
        ]
        for key in ("segmentations", "visible_segmentations")
    }
    if "segmentations" in given and not any(found["segmentations"]):
        findings.warning("tracks without a mask", place)
    if "visible_segmentations" in given:
        for frame, (seen, full) in enumerate(
            zip(found["visible_segmentations"], found["segmentations"], strict=False)
        ):
            fields.outside(seen, full, f"{place} frame {frame}", findings)
    for key in ("occlude_rate", "occlusion_rates"):
        for frame, value in enumerate(given.get(key, [])):
            fields.rate(value, f"{place} frame {frame}", findings)
    amodal_only = "visible_segmentations" not in given and {"occlude_rate", "states"} & given.keys()
    if not entry.get("iscrowd") and not amodal_only and video is not None:
        for frame, seen in enumerate(
            found["visible_segmentations"] if "visible_segmentations" in given else found["segmentations"]
        ):
            if seen:
                visible[video, frame].append(seen)


def _check_overlaps(entries: list[dict[str, Any]], visible: Visible, findings: Findings) -> None:
    both = any("visible_segmentations" in entry for entry in entries)
    what = "visible masks" if both else "masks (amodal ones may, visible ones may not)"
    for (video, frame), found in visible.items():
        fields.overlap(found, f"video {video} frame {frame}", findings, what)
