"""AmodalSynthDrive (arXiv 2309.06547): a reader that forgives the faults of the published files.

A frame has an image, a PNG of 16 bit whose pixels are instance keys (the visible masks), and a JSON file
`{key: {category_id, track_id, occluded, amodal_mask, occlusion_mask}}`. Cameras are front, back, left, right
and bev (images only). Track ids are unique in one sequence only.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from samodal import masks
from samodal.data.clip import Clip, Instance
from samodal.data.id_maps import encode_ids, read_ids
from samodal.data.listing import Names, chosen, pick, pick_split
from samodal.data.matching import integer
from samodal.data.records import visible_part
from samodal.errors import InputError
from samodal.files import read_json
from samodal.frames import natural_order, open_images
from samodal.masks import Rle

CATEGORIES = {24: "person", 25: "rider", 26: "car", 27: "truck", 28: "bus", 32: "motorcycle", 33: "bicycle"}
"""The classes that S-AModal uses, with the Cityscapes ids."""

GENVIS_CATEGORIES = dict(enumerate(CATEGORIES, 1))
"""The categories 1 to 7 of GenVIS trained on this set -> ours."""

WRONG_CATEGORIES = {21: 27, 11: 26}  # seen in the published files: a truck (27) and a car (26)


class AsdDataset(Sequence[Clip]):
    """The sequences of one split and camera, in order of their names; a clip is read when it is asked for.

    Args:
        root: the data set. Three layouts are known, tried in this order:
            `<root>/<split>/{images,amodal_instance_seg}/<camera>/<sequence>/`,
            `<root>/full/{images,amodal_instance_seg}/<camera>/<sequence>/`,
            `<root>/<split>/{images,amodal_instance_seg}/<sequence>/`;
            files are `<camera>_full_<frame>_{rgb.jpg,aminseg.json,aminseg.png}`.
        split: train, val or test. The layout `full` does not tell splits apart: there it is the official list
            (`official_split`) that does, or `sequences`.
        camera: front, back, left or right.
        sequences: only these, in place of the official list: names, or a file with names (text, one a line; or
            JSON, a list or {split: list}, as the official list is).

    Raises:
        InputError: no such layout, camera or sequence.
    """

    categories = CATEGORIES

    def __init__(
        self,
        root: str | Path,
        split: str = "val",
        camera: str = "front",
        sequences: Names | None = None,
    ) -> None:
        root = Path(root)
        layouts = [  # images, annotations
            (root / split / "images" / camera, root / split / "amodal_instance_seg" / camera),
            (root / "full" / "images" / camera, root / "full" / "amodal_instance_seg" / camera),
            (root / split / "images", root / split / "amodal_instance_seg"),
        ]
        for images, annotations in layouts:
            if found := _folders_with_frames(images, camera):
                self.images, self.annotations = images, annotations
                break
        else:
            tried = ", ".join(str(images) for images, _ in layouts)
            raise InputError(
                f"{root}: no sequences of camera {camera!r} in AmodalSynthDrive's layout; tried {tried}"
            )
        if not self.annotations.is_dir():
            raise InputError(
                f"{self.annotations}: no such folder; the masks of camera {camera!r} are expected there"
            )
        if sequences is not None:
            found = pick(found, chosen(sequences, split), images)
        elif images == layouts[1][0]:
            found = pick_split(found, official_split(split), split, images)
        self.names, self.camera = found, camera
        self.truth = root / split / "truth" / camera

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Clip:  # type: ignore[override]
        """The video ids count from 1 in order of the names, as GenVIS counts them."""
        name = self.names[index]
        paths = _frame_paths(self.images / name, self.camera)
        video = open_images(paths, self.images / name)
        stems = [path.name.removesuffix(f"_rgb{path.suffix}") for path in paths]

        paths_of_masks = tuple(self.annotations / name / f"{stem}_aminseg.json" for stem in stems)
        extra = self.truth / f"{name}.json"
        known = read_json(extra) if extra.exists() else {}
        return Clip(
            name, video, _Frames(paths_of_masks, video.size), known, video_id=range(1, len(self) + 1)[index]
        )


@dataclass(frozen=True)
class _Frames:
    """Frame index -> its instances. Not a closure, because loader processes get it as a pickle."""

    files: tuple[Path, ...]
    size: tuple[int, int]

    def __call__(self, frame: int) -> list[Instance]:
        return _read_once(self.files[frame], self.size)


@lru_cache(maxsize=4)
def _read_once(path: Path, size: tuple[int, int]) -> list[Instance]:
    """A frame is asked for by the visible and the amodal side in turn: the last few stay at hand."""
    return read_frame(path, size)


def read_frame(path: Path, size: tuple[int, int]) -> list[Instance]:
    """The instances of one frame from its `_aminseg.json` and the PNG of the same name, in the file's order.

    The visible mask is the region of the PNG. Without masks in the JSON (not occluded) it is the amodal mask
    too; instances without any pixel are left out.

    Raises:
        InputError: a file is missing or broken, or a mask is not of `size` (H, W).
    """
    annotations = read_json(path)
    png = path.with_suffix(".png")
    if not png.is_file():
        raise InputError(f"{png}: no such file; every frame needs its PNG of visible instances")
    ids = read_ids(png)
    if ids.shape != size:
        raise InputError(f"{png}: size {list(ids.shape)} (height, width), but the image has {list(size)}")
    if not isinstance(annotations, dict):
        raise InputError(f"{path}: an object {{key: {{category_id, track_id, ...}}}} is expected")
    regions = encode_ids(ids)
    found: dict[int, Instance] = {}
    for key, entry in annotations.items():
        try:
            instance = _read_instance(entry, regions.get(integer(key)), size)
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{path}: instance {key}: {error!r}") from None
        if instance is None:
            continue
        if instance.track_id in found:
            raise InputError(f"{path}: track id {instance.track_id} occurs twice; ids must differ")
        found[instance.track_id] = instance
    return list(found.values())


def _read_instance(entry: dict[str, Any], region: Rle | None, size: tuple[int, int]) -> Instance | None:
    category, track_id = integer(entry["category_id"]), integer(entry["track_id"])
    if category < 0 or track_id < 0:
        raise ValueError(f"category {category}, track {track_id}: ids are not negative")
    amodal = _mask(entry.get("amodal_mask"), size) or region
    if amodal is None:
        return None
    return Instance(
        track_id=track_id,
        category_id=WRONG_CATEGORIES.get(category, category),
        amodal=amodal,
        visible=visible_part(region, amodal),
    )


def _mask(value: Any, size: tuple[int, int]) -> Rle | None:
    """Read a mask; an empty one may have any size (the published files write full-HD ones)."""
    if not value:
        return None
    rle = masks.from_annotation(value, tuple(value["size"]))
    return None if rle is None else masks.from_annotation(rle, size)


def official_split(split: str) -> list[str]:
    """The sequences of the official split: 105 train, 15 val, 30 test.

    The split of S-AModal is another one that was not published. Source: robot-learning-freiburg/
    amodal-optical-flow, datasets/amsynthdrive.json.

    Raises:
        InputError: another split.
    """
    lists = json.loads(files("samodal.data").joinpath("amodalsynthdrive_split.json").read_text("utf-8"))
    if split not in lists:
        raise InputError(f"split {split!r}: AmodalSynthDrive has {', '.join(lists)}")
    return lists[split]


def _frame_paths(folder: Path, camera: str) -> list[Path]:
    return sorted(folder.glob(f"{camera}_full_*_rgb.*"), key=natural_order)


def _folders_with_frames(images: Path, camera: str) -> list[str]:
    if not images.is_dir():
        return []
    folders = [folder for folder in images.iterdir() if folder.is_dir() and not folder.name.startswith(".")]
    return sorted(folder.name for folder in folders if any(folder.glob(f"{camera}_full_*_rgb.*")))
