"""Checks of YouTube-VIS files: truth and results, by themselves and against each other."""

from collections import defaultdict
from typing import Any

from samodal.check import fields
from samodal.check.findings import Finding, Findings
from samodal.masks import Rle

MOST_RESULTS = 100  # a video; the scores look at no more


def check_truth(truth: dict[str, Any]) -> list[Finding]:
    """Faults of a YouTube-VIS truth file ({videos, categories, annotations}) that was parsed from JSON."""
    findings = Findings()
    listed = fields.categories(truth, findings)
    videos = fields.objects(truth.get("videos"), "'videos'", findings)
    ids = [fields.identity(video, "id", f"video {place}", findings) for place, video in enumerate(videos, 1)]
    fields.unique(ids, "video id", findings)
    lengths: dict[int | None, int | None] = {}
    sizes: dict[int | None, tuple[int, int] | None] = {}
    for number, listed_video in zip(ids, videos, strict=True):
        if number is not None:
            lengths[number] = _length(listed_video, f"video {number}", findings)
            sizes[number] = fields.size(listed_video, f"video {number}", findings)
    annotations = fields.objects(truth.get("annotations"), "'annotations'", findings)
    places = [f"annotation {place}" for place in range(1, len(annotations) + 1)]
    numbers = [
        fields.identity(entry, "id", place, findings)
        for entry, place in zip(annotations, places, strict=True)
    ]
    fields.unique(numbers, "annotation id", findings)
    if 0 in numbers:
        findings.warning("annotation id 0, which protocol reference takes for 'no match'; count from 1")
    visible: dict[tuple[int, int], list[Rle]] = defaultdict(list)
    for entry, place in zip(annotations, places, strict=True):
        video = fields.identity(entry, "video_id", place, findings)
        if video is not None and video not in lengths:
            findings.error("annotations of a video that is not listed", f"{place} (video {video})")
        category = fields.identity(entry, "category_id", place, findings)
        if category is not None and listed and category not in listed:
            findings.error(
                "categories that are not listed: protocol reference drops them", f"{place} ({category})"
            )
        _check_track(entry, place, lengths.get(video), sizes.get(video), visible, findings)
        if "occlude_rate" not in entry and not entry.get("iscrowd"):
            findings.warning("no 'occlude_rate', which protocol reference needs", place)
    _check_overlaps(annotations, visible, findings)
    _check_track_ids(annotations, findings)
    return list(findings)


def check_results(results: list[Any]) -> list[Finding]:
    """Faults of YouTube-VIS results (or an amodal.json) that were parsed from JSON."""
    findings = Findings()
    entries = fields.objects(results, "the file", findings)
    if not entries:
        findings.error("holds no results at all")
    scores = []
    counts: dict[int, int] = defaultdict(int)
    lengths: dict[int, int] = {}
    sizes: dict[int, tuple[int, int]] = {}
    visible: dict[tuple[int, int], list[Rle]] = defaultdict(list)
    for place, entry in ((f"entry {number}", entry) for number, entry in enumerate(entries, 1)):
        video = fields.identity(entry, "video_id", place, findings)
        fields.identity(entry, "category_id", place, findings)
        scores.append(fields.score(entry, place, findings))
        given = entry.get("segmentations")
        length = (
            lengths.setdefault(video, len(given)) if video is not None and isinstance(given, list) else None
        )
        size = sizes.setdefault(video, own) if video is not None and (own := first_size(entry)) else None
        _check_track(entry, place, length, size, visible, findings)
        counts[-1 if video is None else video] += 1
    for video, count in counts.items():
        if count > MOST_RESULTS:
            findings.warning(
                f"more than {MOST_RESULTS} results in a video, of which the scores look at the best",
                f"video {video} ({count})",
            )
    fields.equal_scores([score for score in scores if score is not None], findings)
    _check_overlaps(entries, visible, findings)
    _check_track_ids(entries, findings)
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
    length: int | None,
    size: tuple[int, int] | None,
    visible: dict[tuple[int, int], list[Rle]],
    findings: Findings,
) -> None:
    """The lists of one track; its visible masks are added to those of (video, frame)."""
    lists: dict[str, list[Any]] = {}
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
        lists[key] = entry[key]
        if length is not None and len(entry[key]) != length:
            findings.error(
                f"{key!r} of another length than the video", f"{place} ({len(entry[key])}, not {length})"
            )
    found = {
        key: [
            fields.mask(value, size, f"{place} frame {frame}", findings)
            for frame, value in enumerate(lists.get(key, []))
        ]
        for key in ("segmentations", "visible_segmentations")
    }
    if "segmentations" in lists and not any(found["segmentations"]):
        findings.warning("tracks without a mask", place)
    if "visible_segmentations" in lists:
        for frame, (seen, full) in enumerate(
            zip(found["visible_segmentations"], found["segmentations"], strict=False)
        ):
            fields.outside(seen, full, f"{place} frame {frame}", findings)
    for key in ("occlude_rate", "occlusion_rates"):
        for frame, value in enumerate(lists.get(key, [])):
            fields.rate(value, f"{place} frame {frame}", findings)
    amodal_only = "visible_segmentations" not in lists and {"occlude_rate", "states"} & lists.keys()
    if not entry.get("iscrowd") and not amodal_only and isinstance(entry.get("video_id"), int):
        for frame, seen in enumerate(
            found["visible_segmentations"] if "visible_segmentations" in lists else found["segmentations"]
        ):
            if seen:
                visible[entry["video_id"], frame].append(seen)


def _check_overlaps(
    entries: list[dict[str, Any]], visible: dict[tuple[int, int], list[Rle]], findings: Findings
) -> None:
    both = any("visible_segmentations" in entry for entry in entries)
    what = "visible masks" if both else "masks (amodal ones may, visible ones may not)"
    for (video, frame), found in visible.items():
        fields.overlap(found, f"video {video} frame {frame}", findings, what)


def _check_track_ids(entries: list[dict[str, Any]], findings: Findings) -> None:
    seen = set()
    for place, entry in enumerate(entries, 1):
        if "track_id" not in entry:
            continue
        track = fields.identity(entry, "track_id", f"entry {place}", findings)
        video = entry.get("video_id")
        key = track, video if isinstance(video, int) else None
        if track is not None and key in seen:
            findings.error("duplicate track id in a video", f"entry {place} (track {track}, video {video})")
        seen.add(key)
