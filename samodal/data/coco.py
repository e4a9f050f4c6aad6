"""COCO files with one entry an instance and image, as truth or results; frames and videos come from an index."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from statistics import fmean
from typing import Any

from samodal import masks
from samodal.data.labelled import FrameSource, LabelledSet, LabelledVideo, unseen
from samodal.data.records import category_names, checked_size, whole
from samodal.errors import InputError
from samodal.files import read_json
from samodal.frames import natural_order
from samodal.masks import Rle
from samodal.video import Track, VideoTracks

EXPECTED = "a COCO truth file ({images, annotations}) or COCO results (a list of {image_id, segmentation}) are expected"


@dataclass
class Index:
    """Which image is which frame of which video.

    Attributes:
        videos: name -> its images in order, as the COCO file lists them.
        ids: name -> id of the video.
    """

    videos: dict[str, list[dict[str, Any]]]
    ids: dict[str, int]


def read_index(content: Any, path: Path) -> Index:
    """The index in a COCO truth file.

    Images belong to the video `video_id` and are ordered by `frame_index` (or `frame_id`, or their names); an image
    without `video_id` is a video of one frame.

    Raises:
        InputError: another format, or ids that occur twice.
    """
    images: Any = content.get("images") if isinstance(content, dict) else None
    if not _objects(images):
        raise InputError(f"{path}: unknown format; {EXPECTED}")
    listed = content.get("videos", [])
    if not _objects(listed):
        raise InputError(f"{path}: 'videos' must be a list of objects")
    names = {
        whole(video, "id", f"{path}: video {place}"): str(video.get("name", f"video_{video.get('id')}"))
        for place, video in enumerate(listed, 1)
    }
    if len(names) < len(listed) or len(set(names.values())) < len(names):
        raise InputError(f"{path}: an id or a name occurs twice in 'videos'; they must differ")
    grouped: dict[str, list[dict[str, Any]]] = {name: [] for name in names.values()}
    ids = {name: video_id for video_id, name in names.items()}
    seen: set[int] = set()
    for place, image in enumerate(images, 1):
        image_id = whole(image, "id", f"{path}: image {place}")
        if image_id in seen:
            raise InputError(f"{path}: image id {image_id} occurs twice; ids must differ")
        seen.add(image_id)
        if "video_id" in image:
            video_id = whole(image, "video_id", f"{path}: image {image_id}")
            name = names.setdefault(video_id, f"video_{video_id}")
        else:
            video_id, name = image_id, PurePosixPath(str(image.get("file_name", image_id))).stem
        if "video_id" not in image and name in grouped:
            name = f"{name}-{image_id}"
        ids[name] = video_id
        grouped.setdefault(name, []).append(image)
    return Index({name: sorted(group, key=_order) for name, group in grouped.items() if group}, ids)


def read_file(path: Path, frames: FrameSource, like: Path | None = None) -> LabelledSet:
    """Read truth or results of all images, put together to tracks by `track_id` (or `instance_id`).

    `amodal_segm` and `visible_segm` are what they are called; `segmentation` alone is the amodal mask where the entry
    has an `occlude_rate`, else the visible one.

    Args:
        path: the file.
        frames: where frames may be.
        like: a COCO truth file, which results need to tell which image belongs to which video.

    Raises:
        InputError: another format, ids that do not fit, broken masks.
    """
    content = read_json(path)
    if not isinstance(content, list):
        return read_truth(content, path, frames)
    if like is None:
        raise InputError(f"{path}: results do not say which image is which frame; say --like TRUTH.json")
    return read_results(content, path, frames, read_json(like), like)


def read_truth(content: Any, path: Path, frames: FrameSource) -> LabelledSet:
    """As `read_file`, from what is in a truth file."""
    entries = content.get("annotations") if isinstance(content, dict) else None
    return read_results(entries, path, frames, content, path)


def read_results(entries: Any, path: Path, frames: FrameSource, truth: Any, like: Path) -> LabelledSet:
    """As `read_file`, from the results that are in a file, and the truth that is in the file `like`."""
    index = read_index(truth, like)
    categories = truth.get("categories", [])
    if not _objects(entries) or not _objects(categories):
        raise InputError(f"{path}: unknown format; {EXPECTED}")
    by_image: dict[int, list[tuple[int, dict[str, Any]]]] = {}
    known = {whole(image, "id", str(path)) for group in index.videos.values() for image in group}
    for place, entry in enumerate(entries, 1):
        image_id = whole(entry, "image_id", f"{path}: entry {place}")
        if image_id not in known:
            raise InputError(f"{path}: entry {place} is of image {image_id}, which is not in 'images'")
        by_image.setdefault(image_id, []).append((place, entry))
    videos = [
        _read_video(path, name, index.ids[name], images, by_image, frames)
        for name, images in index.videos.items()
    ]
    return LabelledSet(videos, category_names(truth, like))


def _read_video(
    path: Path,
    name: str,
    video_id: int,
    images: list[dict[str, Any]],
    by_image: dict[int, list[tuple[int, dict[str, Any]]]],
    frames: FrameSource,
) -> LabelledVideo:
    where = f"{path}: {name}"
    image_ids = [whole(image, "id", where) for image in images]
    sizes = {(whole(image, "height", where), whole(image, "width", where)) for image in images}
    if len(sizes) > 1:
        raise InputError(f"{where}: images of different sizes {sorted(sizes)} (height, width) in one video")
    size = sizes.pop()
    checked_size(size, where)
    files = [str(image.get("file_name", f"{name}/{frame:05d}.jpg")) for frame, image in enumerate(images)]
    video = frames(name) or unseen(name, [PurePosixPath(file).stem for file in files], size)
    if (len(video), video.size) != (len(images), size):
        raise InputError(
            f"{where}: {len(images)} images of size {list(size)}, but {video.name} has {len(video)} frames of "
            f"{list(video.size)}"
        )
    tracks: dict[tuple[int, bool], Track] = {}
    rates: dict[int, list[float | None]] = {}
    amodal_only = False
    for frame, image_id in enumerate(image_ids):
        for place, entry in by_image.get(image_id, []):
            spot = f"{path}: entry {place}"
            key = next((k for k in ("track_id", "instance_id", "id") if k in entry), None)
            track_id = whole(entry, key, spot) if key else place
            ignored = bool(entry.get("iscrowd"))
            if (track_id, ignored) not in tracks:
                nothing: list[Rle | None] = [None] * len(images)
                category = whole(entry, "category_id", spot) if "category_id" in entry else 1
                tracks[track_id, ignored] = Track(track_id, category, 1.0, nothing)
            track = tracks[track_id, ignored]
            if track.amodal[frame] or track.visible[frame]:
                raise InputError(
                    f"{spot}: track id {track_id} occurs twice in image {image_id}; ids must differ"
                )
            visible, amodal = _masks(entry, size, spot)
            if ignored:
                visible, amodal = visible or amodal, None
            track.visible[frame], track.amodal[frame] = visible, amodal
            track.states[frame] = "visible" if visible else "hidden" if amodal else "absent"
            if "score" in entry:
                track.scores[frame] = _share(entry, "score", spot)
            if amodal and "visible_segm" not in entry:
                amodal_only = True
                if entry.get("occlude_rate") is not None:
                    rates.setdefault(track_id, [None] * len(images))[frame] = _share(
                        entry, "occlude_rate", spot
                    )
    for track in tracks.values():
        if known := [score for score in track.scores if score is not None]:
            track.score = fmean(known)
    return LabelledVideo(
        name,
        video,
        VideoTracks(
            size, len(images), [track for (_, ignored), track in tracks.items() if not ignored], video_id
        ),
        files,
        [track for (_, ignored), track in tracks.items() if ignored],
        rates if amodal_only else None,
        image_ids,
    )


def _masks(entry: dict[str, Any], size: tuple[int, int], where: str) -> tuple[Rle | None, Rle | None]:
    """The visible and the amodal mask of one entry."""
    amodal, visible = entry.get("amodal_segm"), entry.get("visible_segm")
    if "amodal_segm" not in entry and "visible_segm" not in entry:
        if entry.get("occlude_rate") is not None:
            amodal = entry.get("segmentation")
        else:
            visible = entry.get("segmentation")
    try:
        return masks.from_annotation(visible, size), masks.from_annotation(amodal, size)
    except ValueError as error:
        raise InputError(f"{where}: {error}") from None


def _share(entry: dict[str, Any], key: str, where: str) -> float:
    """A number in [0, 1]."""
    value = entry[key]
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"{where}: {key!r} is {value!r}; a number from 0 to 1 is expected")
    return float(value)


def _order(image: dict[str, Any]) -> tuple[int, list[str | int]]:
    number = next((image[key] for key in ("frame_index", "frame_id") if isinstance(image.get(key), int)), 0)
    return number, natural_order(Path(str(image.get("file_name", ""))))


def _objects(values: Any) -> bool:
    return (
        isinstance(values, Sequence)
        and not isinstance(values, str)
        and all(isinstance(x, dict) for x in values)
    )
