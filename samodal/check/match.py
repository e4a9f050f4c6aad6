"""Checks of files against each other: do results fit their truth, does one split hold what another one has."""

import re
from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from samodal.check.findings import Finding, Findings
from samodal.check.videos import first_size
from samodal.data.asd import GENVIS_CATEGORIES

DRIVE = re.compile(r"\d{4}_\d{2}_\d{2}_drive_\d{4}")  # KITTI


def check_match(truth: dict[str, Any], results: Sequence[Any]) -> list[Finding]:
    """Faults of results (YouTube-VIS or COCO) that show only beside their truth; both parsed from JSON."""
    findings = Findings()
    kind, what = (
        ("video_id", "video") if "videos" in truth and not _has_images(truth) else ("image_id", "image")
    )
    listed = {entry["id"]: entry for entry in _objects(truth.get(f"{what}s")) if _is_id(entry.get("id"))}
    entries = _objects(results)
    if entries and not any(kind in entry for entry in entries):
        findings.error(f"the truth is of {what}s, but no result has {kind!r}: results of another kind")
        return list(findings)
    ids = [entry.get(kind) for entry in entries]
    known = [number for number in ids if isinstance(number, int)]
    strangers = [(place, n) for place, n in enumerate(ids, 1) if isinstance(n, int) and n not in listed]
    for place, number in strangers:
        findings.error(f"results of {what}s that are not in the truth", f"entry {place} ({what} {number})")
    if strangers and min(known) == 0 and {number + 1 for number in known} <= set(listed):
        findings.error(f"ids of {what}s seem to count from 0 in the results, but from 1 in the truth")
    elif known and len(strangers) == len(known):
        findings.error(
            f"no result is of any {what} of the truth: do the ids count alike?", _span(listed, known)
        )
    for number in sorted(set(listed) - set(known)):
        findings.warning(f"{what}s of the truth without any result", f"{what} {number}")
    _check_categories(truth, entries, findings)
    lengths: dict[Any, int | None] = {
        number: len(entry["file_names"]) if isinstance(entry.get("file_names"), list) else entry.get("length")
        for number, entry in listed.items()
    }
    for place, entry in enumerate(entries, 1):
        number = entry.get(kind, -1)
        if not _is_id(number) or number not in listed:
            continue
        given = entry.get("segmentations")
        if isinstance(given, list) and lengths[number] is not None and len(given) != lengths[number]:
            findings.error(
                "results of another length than the video",
                f"entry {place} ({len(given)}, not {lengths[number]})",
            )
        size = first_size(entry) or first_size({"segmentations": [entry.get("segmentation")]})
        wanted = listed[number].get("height"), listed[number].get("width")
        if size and None not in wanted and size != wanted:
            findings.error(
                f"masks of another size than the {what}",
                f"entry {place} ({size[0]} x {size[1]}, not {wanted[0]} x {wanted[1]})",
            )
    return list(findings)


def check_leakage(splits: Mapping[str, Sequence[str]]) -> list[Finding]:
    """Sequences, or drives of KITTI, that are in more than one split.

    Args:
        splits: name of the split -> names of its videos, or paths of its images.
    """
    findings = Findings()
    names = list(splits)
    keys = {split: {key(name) for name in splits[split]} for split in names}
    for place, split in enumerate(names):
        for other in names[place + 1 :]:
            for both in sorted(keys[split] & keys[other]):
                findings.error(f"sequences that are in {split} and in {other}", both)
    return list(findings)


def key(name: str) -> str:
    """What must not be in two splits: the drive in a name of KITTI, else the whole name."""
    drive = DRIVE.search(name)
    return drive[0] if drive else name


def video_names(truth: dict[str, Any]) -> list[str]:
    """The names of the videos (or of images without videos) in a truth file."""
    names = []
    for video in _objects(truth.get("videos")) or _objects(truth.get("images")):
        files = video.get("file_names")
        first = PurePosixPath(str(files[0])).parent if isinstance(files, list) and files else None
        names.append(str(video.get("name") or first or video.get("file_name") or ""))
    return [name for name in names if name and name != "."]


def _check_categories(truth: dict[str, Any], entries: list[dict[str, Any]], findings: Findings) -> None:
    listed = {entry.get("id") for entry in _objects(truth.get("categories")) if _is_id(entry.get("id"))}
    found = [entry.get("category_id") for entry in entries]
    strangers = [(place, n) for place, n in enumerate(found, 1) if _is_id(n) and n not in listed]
    if not listed or not strangers:
        return
    for place, category in strangers:
        findings.error(
            "classes of results that the truth does not list: protocol reference drops them",
            f"entry {place} (class {category})",
        )
    if set(filter(_is_id, found)) <= GENVIS_CATEGORIES.keys() and listed & set(GENVIS_CATEGORIES.values()):
        findings.error(
            "classes seem to be those of GenVIS, 1 to 7: samodal convert --from genvis --to youtube-vis-results "
            "changes them"
        )


def _objects(value: Any) -> list[dict[str, Any]]:
    return [entry for entry in value if isinstance(entry, dict)] if isinstance(value, Sequence) else []


def _has_images(truth: dict[str, Any]) -> bool:
    return "images" in truth


def _is_id(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _span(listed: Mapping[Any, Any], found: Sequence[int]) -> str:
    truth = f"{min(listed)} to {max(listed)}" if listed else "none"
    return f"truth {truth}, results {min(found)} to {max(found)}"
