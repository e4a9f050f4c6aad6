"""YouTube-VIS and OVIS truth files, and the results of GenVIS and others, as clips.

Video ids and frames come from the lists of the file, never from a number of frames per video.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from samodal.data.clip import Clip, Dataset, Instance
from samodal.data.listing import MOST_FRAMES, existing_or_first, first_existing, inside, listed_video
from samodal.data.records import (
    by_id,
    category_names,
    checked_size,
    image_size,
    mask,
    objects,
    visible_part,
    whole,
)
from samodal.errors import InputError
from samodal.files import read_json
from samodal.video import Video

PATTERNS = (
    "{}.json", "{}/instances.json", "annotations/instances_{}.json", "instances_{}.json", "annotations_{}.json",
)  # fmt: skip
SPELLINGS = {"val": ("valid", "val"), "valid": ("valid", "val")}


@dataclass
class _RawTrack:
    """A track as it stands in the file; `amodal` is None where the file has only visible masks."""

    where: str
    track_id: int
    category_id: int
    visible: list[Any]
    amodal: list[Any] | None


# ---- truth -----------------------------------------------------------------------------------------------


def open_youtube_vis(root: str | Path, split: str = "val", images: str | Path | None = None) -> Dataset:
    """Open a YouTube-VIS or OVIS truth file: videos with visible masks.

    Full masks are known where every track has `visible_segmentations` beside its `segmentations`, as ours have
    (`amodal.json`): then `segmentations` are the full masks.

    Args:
        root: the truth file, or a folder with `<split>.json`, `<split>/instances.json`,
            `annotations/instances_<split>.json`, `instances_<split>.json` or `annotations_<split>.json` (OVIS).
        split: train, val (or valid) or test. A single file is taken whole.
        images: the folder that `file_names` start from; else `<split>/JPEGImages`, `JPEGImages`, `<split>` or
            `images` beside the file or one folder up.

    Raises:
        InputError: files are missing or broken; lists of another length than their video; a video that is not
            in the list; full masks without the visible ones.
    """
    path = _truth_file(Path(root), split)
    content = read_json(path)
    videos = _videos(content, path, _images(path, split, images))
    tracks: dict[int, list[_RawTrack]] = {number: [] for number in videos}
    for place, entry in enumerate(objects(content, "annotations", path), 1):
        where = f"{path}: annotation {place}"
        number = whole(entry, "video_id", where)
        if number not in videos:
            raise InputError(f"{where}: is of video {number}, which is not in the list of videos")
        tracks[number].append(_raw_track(entry, place, where, len(videos[number])))
    full = all(track.amodal is not None for of_video in tracks.values() for track in of_video)
    return _dataset(videos, tracks, None if full else (), category_names(content, path), {})


def _truth_file(root: Path, split: str) -> Path:
    if root.is_file():
        return root
    names = SPELLINGS.get(split, (split,))
    return first_existing([root / p.format(name) for name in names for p in PATTERNS], "the truth file")


def _images(path: Path, split: str, images: str | Path | None) -> Path:
    if images:
        return Path(images)
    names = SPELLINGS.get(split, (split,))
    places = [*(f"{name}/JPEGImages" for name in names), "JPEGImages", *names, "images"]
    return existing_or_first(
        [folder / place for folder in (path.parent, path.parent.parent) for place in places]
    )


def _videos(content: Any, path: Path, images: Path) -> dict[int, Video]:
    """Video id -> video, whose frames need not be there."""
    videos = {}
    for number, entry in by_id(objects(content, "videos", path), "video", path).items():
        where = f"{path}: video {number}"
        files = entry.get("file_names")
        if not isinstance(files, list) or not files or not all(isinstance(name, str) for name in files):
            raise InputError(f"{where}: 'file_names' must be a list with the name of every frame")
        if "length" in entry and whole(entry, "length", where) != len(files):
            raise InputError(
                f"{where}: 'length' is {entry['length']}, but 'file_names' has {len(files)} names"
            )
        frames = [inside(images, name, where) for name in files]
        name = str(entry.get("name") or frames[0].parent.name)
        videos[number] = listed_video(frames, image_size(entry, where), name)
    return videos


# ---- results ---------------------------------------------------------------------------------------------


def open_genvis(
    root: str | Path,
    split: str = "val",
    videos: Sequence[Clip] | str | Path | None = None,
    images: str | Path | None = None,
    categories: Mapping[int, int] | None = None,
) -> Dataset:
    """Open YouTube-VIS results, as GenVIS writes them: the visible masks that a method found.

    Args:
        root: the JSON file, a list of {video_id, category_id, score, segmentations}, or a folder with
            `results.json`.
        split: of the truth file `videos`, for its images.
        videos: what the ids mean: an opened data set, whose clips have a `video_id`, or a truth file. None:
            the frames are not known, only how many there are and their size.
        images: for a truth file, as in `open_youtube_vis`.
        categories: category in the results -> category wanted, such as `samodal.data.asd.GENVIS_CATEGORIES`.

    Returns:
        Clips, in the order of their ids; `extra["scores"]` has track id -> score. A track without id is numbered
        by its place in the file, from 1.

    Raises:
        InputError: files are missing or broken; lists of another length than their video; an unknown video.
    """
    root = Path(root)
    path = root if root.is_file() else first_existing([root / "results.json"], "the results")
    content = read_json(path)
    tracks: dict[int, list[_RawTrack]] = defaultdict(list)
    scores: dict[int, dict[int, float]] = defaultdict(dict)
    for place, entry in enumerate(objects({"results": content}, "results", path), 1):
        where = f"{path}: entry {place}"
        number = whole(entry, "video_id", where)
        track = _raw_track(entry, place, where)
        track.category_id = (categories or {}).get(track.category_id, track.category_id)
        tracks[number].append(track)
        scores[number][track.track_id] = _score(entry, where)
    known = _known_videos(videos, split, images) if videos is not None else _unknown_videos(tracks)
    for number, of_video in tracks.items():
        if number not in known:
            raise InputError(
                f"{of_video[0].where}: is of video {number}, but there are only {sorted(known)[:20]}"
            )
        for track in of_video:
            _check_length(track, len(known[number]))
    return _dataset(known, tracks, (), {}, scores)


def _known_videos(
    videos: Sequence[Clip] | str | Path, split: str, images: str | Path | None
) -> dict[int, Video]:
    if isinstance(videos, str | Path):
        path = Path(videos)
        return _videos(read_json(path), path, _images(path, split, images))
    return {clip.video_id: clip.video for clip in videos}


def _unknown_videos(tracks: Mapping[int, list[_RawTrack]]) -> dict[int, Video]:
    videos = {}
    for number, of_video in sorted(tracks.items()):
        where, length = of_video[0].where, len(of_video[0].visible)
        if length > MOST_FRAMES:
            raise InputError(f"{where}: has {length} frames; at most {MOST_FRAMES} are expected")
        sizes = [
            value.get("size")
            for track in of_video
            for value in (*track.visible, *(track.amodal or ()))
            if isinstance(value, dict) and value
        ]
        if not sizes:
            raise InputError(
                f"{where}: no mask tells the size of video {number}; pass `videos`, what the ids mean"
            )
        size = checked_size(sizes[0], f"{where}: video {number}")
        frames = [Path(f"video_{number}", f"{frame:05d}.jpg") for frame in range(length)]
        videos[number] = listed_video(frames, size, f"video_{number}")
    return videos


def _score(entry: dict[str, Any], where: str) -> float:
    try:
        score = float(entry.get("score", 1.0))
    except (TypeError, ValueError, OverflowError):
        score = -1.0
    if not 0 <= score <= 1:
        raise InputError(f"{where}: 'score' is {entry['score']!r:.40}; a number from 0 to 1 is expected")
    return score


# ---- both ------------------------------------------------------------------------------------------------


def _raw_track(entry: dict[str, Any], place: int, where: str, length: int | None = None) -> _RawTrack:
    key = next((key for key in ("track_id", "id") if key in entry), None)
    category = whole(entry, "category_id", where) if "category_id" in entry else 1
    track = _RawTrack(
        where, whole(entry, key, where) if key else place, category, entry.get("segmentations", []), None
    )
    if "visible_segmentations" in entry:
        track.amodal, track.visible = track.visible, entry["visible_segmentations"]
    elif "occlude_rate" in entry:  # only full masks have one
        raise InputError(
            f"{where}: has full masks ('occlude_rate' says so), but no 'visible_segmentations'; both are needed here. "
            "samodal score and samodal convert take such files"
        )
    _check_length(track, length)
    return track


def _check_length(track: _RawTrack, length: int | None) -> None:
    for found in (track.visible, *([] if track.amodal is None else [track.amodal])):
        if not isinstance(found, list) or not found:
            raise InputError(
                f"{track.where}: 'segmentations' must be a list with a mask (or null) for every frame"
            )
        if length is not None and len(found) != length:
            raise InputError(
                f"{track.where}: track {track.track_id} has {len(found)} masks (or nulls), but its video has {length}"
            )


def _dataset(
    videos: Mapping[int, Video],
    tracks: Mapping[int, list[_RawTrack]],
    annotated: Sequence[int] | None,
    categories: Mapping[int, str],
    scores: Mapping[int, Mapping[int, float]],
) -> Dataset:
    for of_video in tracks.values():
        seen: set[int] = set()
        for track in of_video:
            if track.track_id in seen:
                raise InputError(
                    f"{track.where}: track id {track.track_id} occurs twice in its video; ids must differ"
                )
            seen.add(track.track_id)
    numbers = list(videos)

    def clip(index: int) -> Clip:
        number = numbers[index]
        video = videos[number]
        extra = {"scores": dict(scores[number])} if number in scores else {}
        instances = partial(_instances, tracks.get(number, []), video.size)
        return Clip(video.name, video, instances, extra, number, annotated)

    return Dataset([videos[number].name for number in numbers], clip, categories)


def _instances(tracks: Sequence[_RawTrack], size: tuple[int, int], frame: int) -> list[Instance]:
    found = []
    for track in tracks:
        where = f"{track.where}: track {track.track_id}, frame {frame}"
        visible = mask(track.visible[frame], size, where)
        amodal = None if track.amodal is None else mask(track.amodal[frame], size, where)
        if amodal:
            found.append(Instance(track.track_id, track.category_id, amodal, visible_part(visible, amodal)))
        elif visible:
            found.append(Instance(track.track_id, track.category_id, None, visible))
    return found
