"""YouTube-VIS: results as GenVIS and others write them, truth files, and our own `amodal.json`."""

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from samodal import masks
from samodal.data.matching import integer
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.video import Track, Video

EXPECTED = (
    "YouTube-VIS results (a list of {video_id, category_id, score, segmentations}) or a YouTube-VIS truth "
    "file ({videos, annotations}) are expected"
)


def read_tracks(
    content: Any, path: Path, video: Video, video_id: int | None, numbers: Sequence[int] | None
) -> tuple[list[Track], int]:
    """The visible tracks of one video and the id of that video.

    Args:
        content: the parsed JSON. Where entries have `visible_segmentations` (amodal.json) these are taken.
        path: named in messages.
        video: what the masks must fit.
        video_id: which video of the file. None: the one whose name in the truth file is that of `video`, or
            the only one.
        numbers: for every frame of `video`, its place in the file's lists; None: the lists are as long as it.

    Raises:
        InputError: another format, a video that is not in the file, lists of another length, broken masks, or
            a track id that occurs twice.
    """
    entries, videos = _entries(content, path)
    ids = [_field(entry, "video_id", path, place) for place, entry in enumerate(entries, 1)]
    video_id = _choose_video(set(ids), videos, video, video_id, path)
    tracks: dict[int, Track] = {}
    for place, entry in enumerate(entries, 1):
        if ids[place - 1] != video_id:
            continue
        track = _read_track(entry, place, path, video, numbers)
        if track.track_id in tracks:
            raise InputError(
                f"{path}: track id {track.track_id} occurs twice in video {video_id}; ids must differ"
            )
        tracks[track.track_id] = track
    return list(tracks.values()), video_id


def _entries(content: Any, path: Path) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    videos: Any = []
    entries = content
    if isinstance(content, dict) and "annotations" in content and "videos" in content:
        entries, videos = content["annotations"], content["videos"]
    if not all(
        isinstance(part, list) and all(isinstance(x, dict) for x in part) for part in (entries, videos)
    ):
        raise InputError(f"{path}: unknown format; {EXPECTED}")
    if not entries:
        raise InputError(f"{path}: holds no tracks at all; {EXPECTED}")
    for place, entry in enumerate(entries, 1):
        if "segmentations" not in entry:
            raise InputError(f"{path}: entry {place} has no 'segmentations'; {EXPECTED}")
    return entries, videos


def _choose_video(
    ids: set[int], videos: list[dict[str, Any]], video: Video, video_id: int | None, path: Path
) -> int:
    known = ids | {_field(entry, "id", path, place) for place, entry in enumerate(videos, 1)}
    listed = ", ".join(map(str, sorted(known)[:20])) + (", ..." if len(known) > 20 else "")
    if video_id is not None:
        if video_id not in known:
            raise InputError(f"{path}: no video {video_id} in it; --video-id can be {listed}")
        return video_id
    named = [entry["id"] for entry in videos if video.name in _names(entry)]
    if len(named) == 1:
        return integer(named[0])
    if len(known) > 1:
        raise InputError(f"{path}: holds several videos; choose one with --video-id ({listed})")
    return known.pop()


def _names(video: dict[str, Any]) -> set[str]:
    """What a truth file may call a video: its name, or the folder of its frames."""
    files = video.get("file_names")
    if not isinstance(files, list):
        files = []
    names = {str(video.get("name")), str(video.get("file_name"))}
    return names | {PurePosixPath(str(file)).parent.name for file in files[:1]}


def _read_track(
    entry: dict[str, Any], place: int, path: Path, video: Video, numbers: Sequence[int] | None
) -> Track:
    track_id = place
    for key in ("track_id", "id"):
        if key in entry:
            track_id = _field(entry, key, path, place)
            break
    found = entry.get("visible_segmentations", entry["segmentations"])
    if not isinstance(found, list):
        raise InputError(
            f"{path}: track {track_id}: 'segmentations' must be a list with one mask (or null) a frame"
        )
    if numbers is not None:
        if max(numbers) >= len(found):
            raise InputError(
                f"{path}: track {track_id} has {len(found)} masks, frame {max(numbers)} is asked for"
            )
        found = [found[number] for number in numbers]
    elif len(found) != len(video):
        raise InputError(
            f"{path}: track {track_id} has {len(found)} masks (or nulls), but {video.name} has {len(video)} "
            "frames; one a frame is expected"
        )
    return Track(
        track_id=track_id,
        category_id=_field(entry, "category_id", path, place) if "category_id" in entry else 1,
        score=_score(entry, path, place),
        visible=[_mask(value, video, path, track_id, frame) for frame, value in enumerate(found)],
    )


def _mask(value: Any, video: Video, path: Path, track_id: int, frame: int) -> Rle | None:
    try:
        return masks.from_annotation(value, video.size)
    except ValueError as error:
        raise InputError(f"{path}: track {track_id}, frame {frame}: {error}") from None


def _field(entry: dict[str, Any], key: str, path: Path, place: int) -> int:
    try:
        return integer(entry[key])
    except (KeyError, ValueError):
        raise InputError(
            f"{path}: entry {place}: {key!r} is {entry.get(key)!r}; a whole number is expected"
        ) from None


def _score(entry: dict[str, Any], path: Path, place: int) -> float:
    try:
        score = float(entry.get("score", 1.0))
    except (OverflowError, TypeError, ValueError):
        score = math.nan
    if not 0 <= score <= 1:
        raise InputError(
            f"{path}: entry {place}: 'score' is {entry['score']!r}; a number from 0 to 1 is expected"
        )
    return score
