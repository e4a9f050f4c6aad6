"""SAIL-VOS (Hu et al., CVPR 2019) as the COCO-VID JSON of VATrack: videos with full and visible masks."""

from collections import defaultdict
from functools import partial
from pathlib import Path
from typing import Any

from samodal.data.clip import Clip, Dataset, Instance
from samodal.data.listing import existing_or_first, first_existing, inside, listed_video
from samodal.data.records import by_id, category_names, image_size, mask, objects, text, visible_part, whole
from samodal.errors import InputError
from samodal.files import read_json

KINDS = ("joint", "amodal", "visible")  # all hold both masks, under different names


def open_sail_vos(root: str | Path, split: str = "val", images: str | Path | None = None) -> Dataset:
    """Open SAIL-VOS or SAIL-VOS-cut.

    The published files leave out what is hidden by more than 75 %: in these frames such an instance is not in
    the truth although it is there.

    Args:
        root: with `{sailvos_cut_json,sailvos_complete_json}/{joint,amodal,visible}/{train,valid}.json`, or
            `{joint,amodal,visible}/{train,valid}.json`; or one such file.
        split: train, or val (valid).
        images: the folder that `file_name` starts from; else `sailvos_cut_png` or `sailvos_complete_png` beside
            the folder of the JSON files.

    Returns:
        Clips, in the order of the file; the track id is `instance_id`, `extra` has `image_ids`.

    Raises:
        InputError: files are missing or broken; a frame missing in a video.
    """
    root = Path(root)
    name = "valid" if split == "val" else split
    sets = [(root / f"sailvos_{kind}_json", root / f"sailvos_{kind}_png") for kind in ("cut", "complete")]
    folders = [*(json for json, _ in sets), root]
    candidates = [folder / kind / f"{name}.json" for folder in folders for kind in KINDS]
    path = root if root.is_file() else first_existing(candidates, "COCO-VID JSON")
    above = path.parent.parent
    beside = [above.with_name(above.name.replace("_json", "_png"))] if above.name.endswith("_json") else []
    folder = Path(images) if images else existing_or_first([*beside, *(png for _, png in sets), path.parent])
    return _dataset(read_json(path), path, folder)


def _dataset(content: Any, path: Path, folder: Path) -> Dataset:
    videos = by_id(objects(content, "videos", path), "video", path)
    images = by_id(objects(content, "images", path), "image", path)
    frames: dict[int, dict[int, int]] = {number: {} for number in videos}  # video -> frame -> image
    for number, image in images.items():
        where = f"{path}: image {number}"
        video, frame = whole(image, "video_id", where), whole(image, "frame_id", where)
        if video not in frames:
            raise InputError(f"{where}: is of video {video}, which is not in the list of videos")
        if frame in frames[video]:
            raise InputError(f"{where}: a second frame {frame} of video {video}")
        frames[video][frame] = number
    annotations: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for place, entry in enumerate(objects(content, "annotations", path), 1):
        image_id = whole(entry, "image_id", f"{path}: annotation {place}")
        if image_id not in images:
            raise InputError(
                f"{path}: annotation {place}: is of image {image_id}, which is not in the list of images"
            )
        annotations[image_id].append(entry)
    numbers = [number for number in videos if frames[number]]
    names = [str(videos[number].get("name", number)) for number in numbers]

    def clip(index: int) -> Clip:
        number = numbers[index]
        places = sorted(frames[number])  # the counting may have holes: VATrack takes every n-th frame
        ids = [frames[number][place] for place in places]
        sizes = {image_size(images[one], f"{path}: image {one}") for one in ids}
        if len(sizes) > 1:
            raise InputError(f"{path}: video {number}: frames of different sizes {sorted(sizes)}")
        size = sizes.pop()
        paths = [
            _image(folder, text(images[one], "file_name", f"{path}: image {one}"), str(path)) for one in ids
        ]
        entries = [annotations.get(one, []) for one in ids]
        video = listed_video(paths, size, names[index])
        return Clip(names[index], video, partial(_frame, entries, size, path), {"image_ids": ids}, number)

    return Dataset(names, clip, category_names(content, path))


def _image(folder: Path, name: str, where: str) -> Path:
    """Some copies have `<video>/images/<frame>`, others `<video>/<frame>`."""
    path = inside(folder, name, where)
    short = path.parent.parent / path.name
    return short if path.parent.name == "images" and not path.exists() and short.exists() else path


def _frame(
    entries: list[list[dict[str, Any]]], size: tuple[int, int], path: Path, frame: int
) -> list[Instance]:
    found: dict[int, Instance] = {}
    for entry in entries[frame]:
        where = f"{path}: annotation {entry.get('id')!s:.20}"
        full, seen = _masks(entry, where)
        amodal, visible = mask(full, size, where), mask(seen, size, where)
        track = whole(entry, "instance_id" if "instance_id" in entry else "track_id", where)
        if track in found:
            raise InputError(f"{where}: instance {track} occurs twice in a frame; ids must differ")
        if amodal:
            category = whole(entry, "category_id", where)
            found[track] = Instance(track, category, amodal, visible_part(visible, amodal))
    return list(found.values())


def _masks(entry: dict[str, Any], where: str) -> tuple[Any, Any]:
    """Full and visible mask: `segmentation` is the full one, the visible one, or both, and the others say which."""
    whole_one, seen = entry.get("amodal_mask"), entry.get("visible_mask")
    if "segmentation" in entry and whole_one is None:
        whole_one = entry["segmentation"]
    if whole_one is None or "visible_mask" not in entry:
        raise InputError(f"{where}: 'visible_mask', and 'segmentation' or 'amodal_mask', are expected")
    return whole_one, seen
