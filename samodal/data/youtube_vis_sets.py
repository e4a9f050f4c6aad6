"""YouTube-VIS files as a whole: all videos of a truth or results file, visible and amodal masks, without frames."""

import math
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any, get_args

from samodal import masks
from samodal.data.labelled import FrameSource, LabelledSet, LabelledVideo, frame_files, unseen
from samodal.data.records import by_id, category_names, checked_size, whole
from samodal.data.youtube_vis import EXPECTED
from samodal.errors import InputError
from samodal.files import read_json
from samodal.masks import Rle
from samodal.video import State, Track, Video, VideoTracks, points_from_json

LONGEST = 1_000_000  # frames of a video; a file that says more is damaged


def read_file(path: Path, frames: FrameSource) -> LabelledSet:
    """Read a truth file ({videos, annotations}), results (a list), or an `amodal.json`.

    Entries with `visible_segmentations` have both masks; entries without, but with `occlude_rate` or `states`, have
    amodal masks only; all others visible ones. Annotations with `iscrowd` become ignored regions.

    Raises:
        InputError: another format, ids or lengths that do not fit, broken masks.
    """
    return read_content(read_json(path), path, frames)


def read_content(content: Any, path: Path, frames: FrameSource) -> LabelledSet:
    """As `read_file`, from what is in the file."""
    listed: Any = []
    entries, categories = content, []
    if isinstance(content, dict) and "annotations" in content and "videos" in content:
        listed, entries, categories = content["videos"], content["annotations"], content.get("categories", [])
    parts = (listed, entries, categories)
    if not all(isinstance(part, list) and all(isinstance(x, dict) for x in part) for part in parts):
        raise InputError(f"{path}: unknown format; {EXPECTED}")
    known = by_id(listed, "video", path)
    by_video: dict[int, list[tuple[int, dict[str, Any]]]] = {video_id: [] for video_id in known}
    for place, entry in enumerate(entries, 1):
        video_id = whole(entry, "video_id", f"{path}: entry {place}")
        if listed and video_id not in known:
            raise InputError(f"{path}: entry {place} is of video {video_id}, which is not in 'videos'")
        by_video.setdefault(video_id, []).append((place, entry))
    if not by_video:
        raise InputError(f"{path}: holds no videos at all; {EXPECTED}")
    names = _names(known, by_video.keys())
    videos = [
        _read_video(path, video_id, names[video_id], known.get(video_id, {}), by_video[video_id], frames)
        for video_id in by_video
    ]
    return LabelledSet(videos, category_names({"categories": categories}, path))


def video_ids(content: Any, path: Path) -> dict[str, int]:
    """Name -> id of the videos that a truth file lists.

    Raises:
        InputError: not such a file, or ids that occur twice.
    """
    listed = content.get("videos") if isinstance(content, dict) else None
    if not isinstance(listed, list) or not all(isinstance(video, dict) for video in listed):
        raise InputError(f"{path}: a truth file with 'videos' (YouTube-VIS) or 'images' (COCO) is expected")
    known = by_id(listed, "video", path)
    return {name: video_id for video_id, name in _names(known, known.keys()).items()}


def _names(known: dict[int, dict[str, Any]], ids: Any) -> dict[int, str]:
    """What to call each video: the folder of its frames, its name, or its id; always different ones."""
    names = {}
    for video_id in ids:
        video = known.get(video_id, {})
        files = video.get("file_names")
        first = str(files[0]) if isinstance(files, list) and files else ""
        folder = PurePosixPath(first).parent.name or PurePosixPath(str(video.get("file_name", ""))).name
        names[video_id] = str(video.get("name") or folder or f"video_{video_id}")
    double = {name for name in names.values() if list(names.values()).count(name) > 1}
    return {i: f"{name}-{i}" if name in double else name for i, name in names.items()}


def _read_video(
    path: Path,
    video_id: int,
    name: str,
    listed: dict[str, Any],
    entries: list[tuple[int, dict[str, Any]]],
    frames: FrameSource,
) -> LabelledVideo:
    where = f"{path}: video {video_id}"
    file_names = listed.get("file_names") or []
    if not isinstance(file_names, list):
        raise InputError(f"{where}: 'file_names' must be a list with one name a frame")
    for place, entry in entries:
        if not isinstance(entry.get("segmentations"), list):
            raise InputError(
                f"{path}: entry {place} has no list 'segmentations' with a mask (or null) a frame"
            )
    length = len(file_names) or len(entries[0][1]["segmentations"] if entries else [])
    if "length" in listed:
        length = whole(listed, "length", where)
    if not 0 < length <= LONGEST or (file_names and length != len(file_names)):
        raise InputError(f"{where}: has {len(file_names)} 'file_names' and 'length' {listed.get('length')}")
    stems = [PurePosixPath(str(file)).stem for file in file_names] or [f"{i:05d}" for i in range(length)]
    video = frames(name) or unseen(name, stems, _size(where, listed, entries))
    if len(video) != length:
        raise InputError(f"{where}: {length} frames in the file, but {len(video)} in {video.name}")
    tracks: list[Track] = []
    ignored: list[Track] = []
    rates: dict[int, list[float | None]] = {}
    amodal_only = False
    for place, entry in entries:
        track = _read_track(entry, place, path, video)
        if entry.get("iscrowd"):
            ignored.append(track)
            continue
        tracks.append(track)
        if any(track.amodal) and "visible_segmentations" not in entry:
            amodal_only = True
            if known := entry.get("occlude_rate", entry.get("occlusion_rates")):
                rates[track.track_id] = _numbers(
                    known, f"{path}: track {track.track_id}: 'occlude_rate'", video
                )
    ids = [track.track_id for track in (*tracks, *ignored)]
    if len(set(ids)) < len(ids):
        double = next(i for i in ids if ids.count(i) > 1)
        raise InputError(f"{where}: track id {double} occurs twice; ids must differ")
    return LabelledVideo(
        name,
        video,
        VideoTracks(video.size, length, tracks, video_id),
        [str(file) for file in file_names] or frame_files(name, video),
        ignored,
        rates if amodal_only else None,
    )


def _size(where: str, listed: dict[str, Any], entries: list[tuple[int, dict[str, Any]]]) -> tuple[int, int]:
    """(H, W) as the file says it, or as the first mask has it."""
    if "height" in listed and "width" in listed:
        size = whole(listed, "height", where), whole(listed, "width", where)
    else:
        found = (
            value["size"]
            for _, entry in entries
            for key in ("segmentations", "visible_segmentations")
            for value in (entry[key] if isinstance(entry.get(key), list) else [])
            if isinstance(value, dict) and isinstance(value.get("size"), list) and len(value["size"]) == 2
        )
        height, width = next(found, (0, 0))
        size = whole({"height": height}, "height", where), whole({"width": width}, "width", where)
    if size == (0, 0):
        raise InputError(
            f"{where}: neither 'height' and 'width' nor a mask tells its size; say --frames FOLDER"
        )
    return checked_size(size, where)


def _read_track(entry: dict[str, Any], place: int, path: Path, video: Video) -> Track:
    key = next((key for key in ("track_id", "id") if key in entry), None)
    # Tracks may be called by any number; only scores ask for ids that are not negative.
    track_id = whole(entry, key, f"{path}: entry {place}", least=-(2**62)) if key else place
    where = f"{path}: track {track_id}"
    score = entry.get("score", 1.0)
    found = _masks(entry["segmentations"], where, video)
    nothing: list[Rle | None] = [None] * len(video)
    visible, amodal = found, nothing
    if "visible_segmentations" in entry:
        visible, amodal = _masks(entry["visible_segmentations"], where, video), found
    elif "occlude_rate" in entry or "states" in entry:
        visible, amodal = nothing, found
    track = Track(
        track_id=track_id,
        category_id=whole(entry, "category_id", where) if "category_id" in entry else 1,
        score=_numbers([math.nan if score is None else score], f"{where}: 'score'")[0] or 0.0,
        visible=visible,
        amodal=amodal,
        states=[_state(seen, full) for seen, full in zip(visible, amodal, strict=True)],
    )
    if "states" in entry:
        track.states = _list(entry["states"], f"{where}: 'states'", video)
        if not set(track.states) <= set(get_args(State)):
            raise InputError(f"{where}: 'states' can be {', '.join(get_args(State))}")
    if "scores" in entry:
        track.scores = _numbers(entry["scores"], f"{where}: 'scores'", video)
    if "reasons" in entry:
        track.reasons = _list(entry["reasons"], f"{where}: 'reasons'", video)
    for name, least in (("occluders", -(2**62)), ("depths", 0)):
        if name in entry:
            setattr(track, name, _whole_or_none(entry[name], f"{where}: {name!r}", video, least))
    if "points" in entry:
        points = _list(entry["points"], f"{where}: 'points'", video)
        try:
            track.points = [None if xy is None else points_from_json(xy) for xy in points]
        except (OverflowError, TypeError, ValueError):
            raise InputError(f"{where}: 'points' must be [[x, y], ...] or null a frame") from None
    return track


def _state(visible: Rle | None, amodal: Rle | None) -> State:
    if visible:
        return "visible"
    return "hidden" if amodal else "absent"


def _masks(values: Any, where: str, video: Video) -> list[Rle | None]:
    found: list[Rle | None] = []
    for frame, value in enumerate(_list(values, f"{where}: 'segmentations'", video)):
        try:
            found.append(masks.from_annotation(value, video.size))
        except ValueError as error:
            raise InputError(f"{where}, frame {frame}: {error}") from None
    return found


def _list(values: Any, where: str, video: Video) -> list[Any]:
    if not isinstance(values, list) or len(values) != len(video):
        count = len(values) if isinstance(values, list) else "no list of"
        raise InputError(
            f"{where}: {count} values, but {video.name} has {len(video)} frames; one a frame is expected"
        )
    return values


def _whole_or_none(values: Any, where: str, video: Video, least: int) -> list[int | None]:
    checked = _list(values, where, video)
    for value in checked:
        if value is not None and not (type(value) is int and value >= least):
            raise InputError(f"{where} is {value!r}; a whole number or null a frame is expected")
    return checked


def _numbers(values: Sequence[Any], where: str, video: Video | None = None) -> list[float | None]:
    """Numbers in [0, 1] or None."""
    checked = values if video is None else _list(values, where, video)
    for value in checked:
        number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (number and 0 <= value <= 1):
            raise InputError(f"{where} is {value!r}; a number from 0 to 1 is expected")
    return [None if value is None else float(value) for value in checked]
