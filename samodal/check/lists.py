"""The lists that files of videos and files of images have in common: who is in them, ids, classes, scores."""

from collections import Counter
from collections.abc import Collection, Iterator
from typing import Any, Literal

from samodal.check import fields
from samodal.check.findings import Findings

MOST_RESULTS = 100  # a video or image; the scores look at no more

What = Literal["video", "image"]
Listed = tuple[dict[str, Any], str, int | None]
"""An entry, what it is called in findings, and the id of its video or image, where it has one."""
ARTICLE = {"video": "a video", "image": "an image"}


def places(truth: dict[str, Any], what: What, findings: Findings) -> dict[int, dict[str, Any]]:
    """The videos or images that a truth file lists, by id."""
    entries = fields.objects(truth.get(f"{what}s"), f"'{what}s'", findings)
    ids = [fields.identity(entry, "id", f"{what} {n}", findings) for n, entry in enumerate(entries, 1)]
    fields.unique(ids, f"{what} id", findings)
    return {number: entry for number, entry in zip(ids, entries, strict=True) if number is not None}


def annotations(
    truth: dict[str, Any], what: What, known: Collection[int], findings: Findings
) -> Iterator[Listed]:
    """The annotations of a truth file, each checked but for its masks; `known` are the ids of `places`."""
    listed = fields.categories(truth, findings)
    entries = fields.objects(truth.get("annotations"), "'annotations'", findings)
    numbers = [
        fields.identity(entry, "id", f"annotation {n}", findings) for n, entry in enumerate(entries, 1)
    ]
    fields.unique(numbers, "annotation id", findings)
    if 0 in numbers:
        findings.warning("annotation id 0, which protocol reference takes for 'no match'; count from 1")
    _check_track_ids(entries, what, findings)
    for n, entry in enumerate(entries, 1):
        where = f"annotation {n}"
        number = fields.identity(entry, f"{what}_id", where, findings)
        if number is not None and number not in known:
            findings.error(f"annotations of {ARTICLE[what]} that is not listed", f"{where} ({what} {number})")
        category = fields.identity(entry, "category_id", where, findings)
        if category is not None and listed and category not in listed:
            findings.error(
                "categories that are not listed: protocol reference drops them", f"{where} ({category})"
            )
        if "occlude_rate" not in entry and not entry.get("iscrowd"):
            findings.warning("no 'occlude_rate', which protocol reference needs", where)
        yield entry, where, number


def results(content: list[Any], what: What, findings: Findings) -> Iterator[Listed]:
    """The entries of a file of results, each checked but for its masks."""
    entries = fields.objects(content, "the file", findings)
    if not entries:
        findings.error("holds no results at all")
    _check_track_ids(entries, what, findings)
    scores = []
    counts: Counter[int] = Counter()
    for n, entry in enumerate(entries, 1):
        where = f"entry {n}"
        number = fields.identity(entry, f"{what}_id", where, findings)
        fields.identity(entry, "category_id", where, findings)
        scores.append(fields.score(entry, where, findings))
        if number is not None:
            counts[number] += 1
        yield entry, where, number
    for number, count in counts.items():
        if count > MOST_RESULTS:
            findings.warning(
                f"more than {MOST_RESULTS} results in {ARTICLE[what]}, of which the scores look at the best",
                f"{what} {number} ({count})",
            )
    fields.equal_scores([score for score in scores if score is not None], findings)


def _check_track_ids(entries: list[dict[str, Any]], what: What, findings: Findings) -> None:
    """One video, or one image, has a track once; a crowd beside it is another thing."""
    seen = set()
    for n, entry in enumerate(entries, 1):
        key = next((key for key in ("track_id", "instance_id") if key in entry), None)
        if key is None:
            continue
        track, number = fields.identity(entry, key, f"entry {n}", findings), entry.get(f"{what}_id")
        place = track, bool(entry.get("iscrowd")), number if isinstance(number, int) else None
        if track is not None and place in seen:
            findings.error(
                f"duplicate track id in {ARTICLE[what]}", f"entry {n} (track {track}, {what} {number})"
            )
        seen.add(place)
