"""BDD100K MOTS (Yu et al., CVPR 2020), from Scalabel JSON (RLE or polygons) or RGBA PNG; visible masks only."""

import logging
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from samodal.data.clip import Clip, Dataset, Instance
from samodal.data.id_maps import encode_ids
from samodal.data.listing import (
    MOST_FRAMES,
    existing_or_first,
    first_existing,
    inside,
    listed_video,
    subfolders,
)
from samodal.data.records import checked_size, mask, objects, text, whole
from samodal.errors import InputError
from samodal.files import read_json
from samodal.frames import natural_order, open_images

CATEGORIES = {
    1: "pedestrian", 2: "rider", 3: "car", 4: "truck", 5: "bus", 6: "train", 7: "motorcycle", 8: "bicycle",
}  # fmt: skip
NUMBERS = {name: number for number, name in CATEGORIES.items()} | {"motor": 7, "bike": 8, "person": 1}
SIZE = (720, 1280)
"""Of all videos; for files that do not say it."""

CROWD, IGNORED = 2, 1  # flags in the green channel, beside occluded (4) and truncated (8)
CURVE_POINTS = 10

log = logging.getLogger("samodal")


def open_bdd100k(
    root: str | Path, split: str = "val", images: str | Path | None = None, crowd: bool = False
) -> Dataset:
    """Open BDD100K MOTS.

    Args:
        root: with `labels/seg_track_20/{rles,polygons}/<split>` (JSON, one a video) or
            `labels/seg_track_20/bitmasks/<split>/<video>/*.png`; or such a folder, or one JSON file.
        split: train or val. A single file or folder is taken whole.
        images: the folder with a folder for every video; else `images/seg_track_20/<split>` in root.
        crowd: also the regions that stand for a crowd of instances.

    Returns:
        Clips; regions to ignore and categories that BDD100K does not score (`other vehicle`, ...) are left out.

    Raises:
        InputError: files are missing or broken.
    """
    root = Path(root)
    path = root
    if root.is_dir() and not any(root.glob("*.json")) and not any(root.glob("*/*.png")):
        labels = root / "labels" / "seg_track_20"
        path = first_existing([labels / kind / split for kind in ("rles", "polygons", "bitmasks")], "masks")
    elif not root.exists():
        raise InputError(f"{root}: no such file or folder")
    frames = (
        Path(images) if images else existing_or_first([root / "images" / "seg_track_20" / split, path.parent])
    )
    files = [path] if path.is_file() else sorted(path.glob("*.json"))
    if files:
        return _json_dataset(files, frames, crowd)
    names = subfolders(path)
    return Dataset(names, lambda index: _png_clip(path / names[index], frames, crowd, index + 1), CATEGORIES)


# ---- Scalabel JSON ---------------------------------------------------------------------------------------


def _json_dataset(files: Sequence[Path], images: Path, crowd: bool) -> Dataset:
    """A file may hold one video (then it is read when asked for) or several."""
    if len(files) > 1:
        names = [path.stem for path in files]

        def one(index: int) -> Clip:
            found = _videos(files[index])
            if len(found) != 1:
                raise InputError(
                    f"{files[index]}: holds {len(found)} videos; one a file is expected in a folder of files"
                )
            return _json_clip(*next(iter(found.items())), files[index], images, crowd, index + 1)

        return Dataset(names, one, CATEGORIES)
    videos = list(_videos(files[0]).items())

    def clip(index: int) -> Clip:
        return _json_clip(*videos[index], files[0], images, crowd, index + 1)

    return Dataset([name for name, _ in videos], clip, CATEGORIES)


def _videos(path: Path) -> dict[str, list[dict[str, Any]]]:
    """The name of a video -> its frames, in order; every frame must be there."""
    content = read_json(path)
    entries = objects(content if isinstance(content, dict) else {"frames": content}, "frames", path)
    videos: dict[str, dict[int, dict[str, Any]]] = defaultdict(dict)
    for place, entry in enumerate(entries, 1):
        where = f"{path}: frame {place}"
        name = text(entry, "videoName" if "videoName" in entry else "video_name", where)
        index = whole(entry, "frameIndex" if "frameIndex" in entry else "frame_index", where)
        if index in videos[name]:
            raise InputError(f"{where}: a second frame {index} of {name}")
        videos[name][index] = entry
    for name, frames in videos.items():
        missing = next((index for index in range(max(frames)) if index not in frames), None)
        if missing is not None or len(frames) > MOST_FRAMES:
            raise InputError(f"{path}: {name}: frame {missing} of 0 to {max(frames)} is missing")
    return {name: [frames[index] for index in sorted(frames)] for name, frames in videos.items()}


def _json_clip(
    name: str, frames: list[dict[str, Any]], path: Path, images: Path, crowd: bool, video_id: int
) -> Clip:
    labels = [_labels(frame, path, crowd) for frame in frames]
    size = (
        next((_size(label, path) for found in labels for label in found if _size(label, path)), None) or SIZE
    )
    ids = _numbers(str(label.get("id")) for found in labels for label in found)
    if unknown := {label["category"] for found in labels for label in found} - NUMBERS.keys():
        log.warning("%s: %s: categories %s are left out", path, name, sorted(unknown))
    folder = inside(images, name, str(path))
    paths = [inside(folder, text(frame, "name", str(path)).rpartition("/")[2], str(path)) for frame in frames]
    found = [[label for label in of_frame if label["category"] in NUMBERS] for of_frame in labels]
    instances = partial(_json_frame, found, ids, size, f"{path}: {name}")
    return Clip(name, listed_video(paths, size, name), instances, {}, video_id, annotated=())


def _labels(frame: dict[str, Any], path: Path, crowd: bool) -> list[dict[str, Any]]:
    """The labels of a frame that are masks of instances."""
    where = f"{path}: frame {frame.get('name')!s:.60}"
    found = [] if frame.get("labels") is None else objects(frame, "labels", where)
    kept = []
    for label in found:
        text(label, "category", where)
        attributes = label.get("attributes") or {}
        if not isinstance(attributes, dict):
            raise InputError(f"{where}: 'attributes' is {attributes!r:.40}; an object is expected")
        if attributes.get("ignored") or attributes.get("ignore") or (attributes.get("crowd") and not crowd):
            continue
        if label.get("rle") or label.get("poly2d"):
            kept.append(label)
    return kept


def _size(label: dict[str, Any], path: Path) -> tuple[int, int] | None:
    rle = label.get("rle")
    return checked_size(rle.get("size"), str(path)) if isinstance(rle, dict) else None


def _numbers(ids: Any) -> dict[str, int]:
    """Track ids as numbers: themselves where all are, else by first appearance, from 1."""
    found = list(dict.fromkeys(ids))
    if all(one.isascii() and one.isdigit() and len(one) < 18 and one == str(int(one)) for one in found):
        return {one: int(one) for one in found}
    return {one: place for place, one in enumerate(found, 1)}


def _json_frame(
    labels: list[list[dict[str, Any]]], ids: dict[str, int], size: tuple[int, int], where: str, frame: int
) -> list[Instance]:
    found: dict[int, Instance] = {}
    for label in labels[frame]:
        number = ids[str(label.get("id"))]
        there = f"{where}, frame {frame}, label {label.get('id')}"
        value = (
            label["rle"]
            if label.get("rle")
            else [outline(polygon, there) for polygon in _polygons(label, there)]
        )
        if number in found:
            raise InputError(f"{there}: occurs twice in a frame; ids must differ")
        if rle := mask(value, size, there):
            found[number] = Instance(number, NUMBERS[label["category"]], None, rle)
    return list(found.values())


def _polygons(label: dict[str, Any], where: str) -> list[dict[str, Any]]:
    return objects(label, "poly2d", where)


def outline(polygon: dict[str, Any], where: str) -> list[float]:
    """A Scalabel polygon as [x0, y0, x1, y1, ...]; cubic curves become ten straight pieces.

    `types` has a letter for every vertex: L, a corner, or C, one of the two control points between two corners.

    Raises:
        InputError: it is none.
    """
    vertices, types = polygon.get("vertices"), polygon.get("types")
    try:
        points = np.array(vertices, np.float64)
        if types is None:
            types = "L" * len(points)
        corners = [place for place, kind in enumerate(types) if kind == "L"]
        if points.ndim != 2 or points.shape[1] != 2 or len(types) != len(points) or not corners:
            raise ValueError
        path = []
        for corner, following in zip(corners, [*corners[1:], corners[0] + len(points)], strict=True):
            path.append(points[corner])
            if following - corner == 3:
                four = [points[(corner + step) % len(points)] for step in range(4)]
                path += [_on_curve(four, step / CURVE_POINTS) for step in range(1, CURVE_POINTS)]
            elif following - corner != 1:
                raise ValueError
    except (TypeError, ValueError):
        raise InputError(
            f"{where}: broken polygon: 'vertices' [[x, y], ...] and 'types' LLCCL... expected"
        ) from None
    return np.stack(path).reshape(-1).tolist()


def _on_curve(four: Sequence[np.ndarray], t: float) -> np.ndarray:
    """Cubic Bézier curve at t in [0, 1]."""
    a, b, c, d = four
    return (1 - t) ** 3 * a + 3 * (1 - t) ** 2 * t * b + 3 * (1 - t) * t**2 * c + t**3 * d


# ---- PNG -------------------------------------------------------------------------------------------------


def _png_clip(folder: Path, images: Path, crowd: bool, video_id: int) -> Clip:
    maps = sorted(folder.glob("*.png"), key=natural_order)
    size = open_images(maps, folder).size
    frames = [images / folder.name / f"{path.stem}.jpg" for path in maps]
    video = listed_video(frames, size, folder.name)
    return Clip(folder.name, video, partial(_png_frame, maps, crowd), {}, video_id, annotated=())


def _png_frame(maps: Sequence[Path], crowd: bool, frame: int) -> list[Instance]:
    """Red is the category, green the flags, the id is blue * 256 + alpha."""
    path = maps[frame]
    try:
        with Image.open(path) as image:
            values, mode = np.asarray(image), image.mode
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"{path}: broken image ({error})") from None
    if mode != "RGBA":
        raise InputError(f"{path}: image of kind {mode!r}; RGBA (category, flags, id, id) is expected")
    category, flags = values[..., 0], values[..., 1]
    left_out = (flags & (IGNORED if crowd else IGNORED | CROWD)) > 0
    ids = values[..., 2].astype(np.int32) * 256 + values[..., 3]
    ids[left_out | (category == 0) | (category > max(CATEGORIES))] = 0
    numbers, first = np.unique(ids, return_index=True)
    categories = dict(zip(numbers.tolist(), category.reshape(-1)[first].tolist(), strict=True))
    try:
        return [Instance(number, categories[number], None, rle) for number, rle in encode_ids(ids).items()]
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None
