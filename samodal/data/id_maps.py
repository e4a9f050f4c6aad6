"""Folders of PNG masks, one a frame: id maps (palette, 8 or 16 bit grey, RGB) and 0/255 masks (DAVIS)."""

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from pycocotools import mask as coco

from samodal import masks
from samodal.data.matching import video_numbers
from samodal.errors import InputError
from samodal.frames import check_run, frame_numbers, natural_order, unreadable_image
from samodal.masks import Rle
from samodal.video import Track, Video

WHITE = {255, 65535, 0xFFFFFF}  # one instance, drawn white on black
VOID = 255  # beside other ids in 8 bit maps: pixels that nobody labelled (DAVIS, PASCAL palettes)
CLASS_UNIT = 1000  # from here on an id is class * 1000 + n, and smaller ids are regions without instances
IGNORED_CLASS = 10  # KITTI MOTS
MOST_IDS = 2000  # more in one map: a picture, not a map
ONE_A_FRAME = "one a frame is expected, all black where nothing is seen"
ONE_FOLDER_EACH = "one a frame is expected, with an id for each instance, or a folder of masks for each"
FEWEST_GREYS = 8  # so many both below and above the middle are no ids beside white: edges are smooth

log = logging.getLogger("samodal")


def read_tracks(path: Path, video: Video, numbers: Sequence[int] | None) -> list[Track]:
    """The visible tracks of a video.

    Ids are the pixel values (R + 256 G + 65536 B in RGB maps), 0 is background. Maps and frames are matched
    by name or number where the video is a folder, else by order.

    Args:
        path: a folder of maps; a folder of folders with masks, one for each instance, which get the ids 1, 2, ... in
            the order of their names; or the map of the only frame.
        video: what the maps must fit.
        numbers: for every frame of the video, its number in the names of the maps; None: told by the names.

    Raises:
        InputError: no PNG, a frame without map, a map of another size, a picture that is no map.
    """
    if path.is_dir() and (folders := _instance_folders(path)):
        return [
            Track(number, 1, 1.0, [_united(found) for found in _read_maps(folder, video, numbers)[0]])
            for number, folder in enumerate(folders, 1)
        ]
    maps, depth = _read_maps(path, video, numbers)
    tracks = {value: [found.get(value) for found in maps] for value in set().union(*maps)}
    identities = _identify(set(tracks), depth)
    if left_out := tracks.keys() - identities.keys():
        log.warning("%s: the values %s stand for no instance and are left out", path, sorted(left_out)[:20])
    return [Track(*identities[value], 1.0, tracks[value]) for value in sorted(identities)]


def _instance_folders(path: Path) -> list[Path]:
    """The folders of the instances, where there are such and no maps beside them."""
    inside = [entry for entry in path.iterdir() if not entry.name.startswith(".")]
    folders = [entry for entry in inside if entry.is_dir() and any(map(_is_map, entry.iterdir()))]
    return [] if any(map(_is_map, inside)) else sorted(folders, key=natural_order)


def _is_map(path: Path) -> bool:
    return path.suffix.lower() == ".png" and not path.name.startswith(".")


def _united(found: dict[int, Rle]) -> Rle | None:
    return masks.union(list(found.values())) if found else None


def _read_maps(
    path: Path, video: Video, numbers: Sequence[int] | None
) -> tuple[list[dict[int, Rle]], np.dtype]:
    """Of every frame value -> mask; and the finest type of pixels."""
    paths = _match(path, video, numbers)
    depth, maps = np.dtype(np.uint8), []
    for name in paths:
        ids = read_ids(name)
        if ids.shape != video.size:
            turned = ids.shape == video.size[::-1]
            cure = (
                "turn the masks: frames are upright, as a player shows them" if turned else "resize the masks"
            )
            raise InputError(
                f"{name}: mask of size {list(ids.shape)} (height, width), but the frames of {video.name} "
                f"have {list(video.size)}; {cure}"
            )
        depth = max(depth, ids.dtype)
        try:
            maps.append(encode_ids(ids))
        except ValueError as error:
            raise InputError(f"{name}: {error}") from None
    if _is_smooth(maps):
        raise InputError(
            f"{path}: white masks with grey edges (by resizing, drawing or JPEG): every grey would be an instance of "
            "its own; write nothing between black and white, and resize by nearest neighbour"
        )
    return maps, depth


def _is_smooth(maps: Sequence[dict[int, Rle]]) -> bool:
    """Whether it is white on black with a little of many greys between; ids are few, or stay near 0."""
    areas: dict[int, int] = {}
    for found in maps:
        for value, rle in found.items():
            areas[value] = areas.get(value, 0) + masks.area(rle)
    white = max(areas, default=0)
    lighter = sum(2 * value > white for value in areas)
    near_white = sum(area for value, area in areas.items() if value > white * 7 / 8)
    grey = sum(area for value, area in areas.items() if white / 8 < value <= white * 7 / 8)
    return white in WHITE and min(lighter, len(areas) - lighter) > FEWEST_GREYS and near_white > grey


def read_ids(path: Path) -> np.ndarray:
    """Read one PNG as an id map (H, W): uint8 or uint16 as stored, int32 (R + 256 G + 65536 B) from RGB."""
    try:
        with Image.open(path) as image:
            values, mode = np.asarray(image), image.mode
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise unreadable_image(path, error) from None
    if mode == "RGB" or (mode == "RGBA" and (values[..., 3] == 255).all()):
        return values[..., :3].astype(np.int32) @ np.array([1, 256, 65536], np.int32)
    if mode == "RGBA" and np.isin(values[..., 3], (0, 255)).all():  # nothing is where it is transparent
        return (values[..., :3] * (values[..., 3:] > 0)).astype(np.int32) @ np.array(
            [1, 256, 65536], np.int32
        )
    if values.ndim == 2 and mode != "F":
        return values.astype(np.uint16 if mode.startswith("I") else np.uint8)
    raise InputError(f"{path}: image of kind {mode!r}; grey, palette or RGB without transparency is expected")


def encode_ids(ids: np.ndarray) -> dict[int, Rle]:
    """One RLE for every id but 0 in an id map (H, W), in one pass over the pixels.

    Raises:
        ValueError: so many different values that it is a picture.
    """
    height, width = ids.shape
    pixels = ids.T.reshape(-1)  # column-major, as RLE is
    starts = np.flatnonzero(np.concatenate([[True], pixels[1:] != pixels[:-1]]))
    ends = np.append(starts[1:], pixels.size)
    order = np.argsort(pixels[starts], kind="stable")
    distinct, first = np.unique(pixels[starts][order], return_index=True)
    if len(distinct) > MOST_IDS:
        raise ValueError(f"{len(distinct)} different values; is this a picture instead of an id map?")
    encoded = {}
    for value, runs in zip(distinct.tolist(), np.split(order, first[1:]), strict=True):
        if value == 0:
            continue
        edges = np.stack([starts[runs], ends[runs]], axis=1).reshape(-1)
        counts = np.diff(np.concatenate([[0], edges, [pixels.size]]))
        counts = counts if counts[-1] else counts[:-1]  # no run of length 0 at the end, as in COCO
        rle = coco.frPyObjects({"size": [height, width], "counts": counts.tolist()}, height, width)
        encoded[value] = Rle(size=[height, width], counts=rle["counts"].decode("ascii"))
    return encoded


def encoded_map(path: Path, size: tuple[int, int]) -> dict[int, Rle]:
    """One RLE for every id but 0 in the PNG of an id map.

    Raises:
        InputError: a broken image, one of another size than (H, W), or a picture.
    """
    ids = read_ids(path)
    if ids.shape != size:
        raise InputError(
            f"{path}: mask of size {list(ids.shape)} (height, width), but {list(size)} is expected"
        )
    try:
        return encode_ids(ids)
    except ValueError as error:
        raise InputError(f"{path}: {error}") from None


def _identify(values: set[int], depth: np.dtype) -> dict[int, tuple[int, int]]:
    """Pixel value -> (track id, category id), without the values that stand for no instance."""
    if len(values) == 1 and values <= WHITE:
        return dict.fromkeys(values, (1, 1))
    if depth == np.uint8 and VOID - 1 not in values:
        values = values - {VOID}
    if depth == np.uint16 and max(values, default=0) >= CLASS_UNIT:
        classes = {value: value // CLASS_UNIT for value in values}
        return {v: (v, category) for v, category in classes.items() if category not in (0, IGNORED_CLASS)}
    return {value: (value, 1) for value in values}


def _match(path: Path, video: Video, numbers: Sequence[int] | None) -> list[Path]:
    """The map of every frame."""
    paths = sorted(filter(_is_map, path.iterdir()), key=natural_order) if path.is_dir() else [path]
    if not paths:
        others = ", ".join(sorted({entry.suffix or entry.name for entry in path.iterdir()})[:5])
        raise InputError(
            f"{path}: no PNG masks in it, but {others or 'nothing'}; one PNG a frame is expected"
        )
    names = [path.stem for path in paths]
    wanted: Sequence[str] | Sequence[int] | None = video_numbers(video, numbers)
    held: Sequence[str] | Sequence[int] | None = frame_numbers(names)
    if numbers is None and video.frame_names and set(video.frame_names) & set(names):
        wanted, held = video.frame_names, names
    if wanted is None or held is None:
        try:
            check_run(path, names)
        except InputError as error:
            raise InputError(f"{error}; {ONE_A_FRAME}") from None
        if len(paths) != len(video):
            several = len(paths) % len(video) == 0
            raise InputError(
                f"{path}: {len(paths)} masks for the {len(video)} frames of {video.name}; "
                + (ONE_FOLDER_EACH if several else ONE_A_FRAME)
            )
        return paths
    by_name = dict(zip(held, paths, strict=True))
    if len(by_name) < len(paths):
        raise InputError(f"{path}: several masks for one frame; {ONE_FOLDER_EACH}")
    missing = [name for name in wanted if name not in by_name]
    if missing:
        raise InputError(
            f"{path}: no mask for frame {missing[0]} of {video.name} ({len(missing)} of its {len(video)} "
            f"frames have none); the masks go from {paths[0].name} to {paths[-1].name}; "
            + ("give them the numbers of the frames" if len(paths) == len(video) else ONE_A_FRAME)
        )
    if len(paths) > len(video):
        log.warning("%s: %d masks of other frames are left out", path, len(paths) - len(video))
    return [by_name[name] for name in wanted]
