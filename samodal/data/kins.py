"""KINS (Qi et al., CVPR 2019): KITTI's object images with amodal masks, COCO-style JSON; clips of one frame."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from samodal.data.clip import Clip, Dataset, Instance
from samodal.data.listing import existing_or_first, first_existing, inside, listed_video
from samodal.data.records import by_id, category_names, image_size, mask, objects, text, visible_part, whole
from samodal.errors import InputError
from samodal.files import read_json

CATEGORIES = {1: "cyclist", 2: "pedestrian", 3: "rider", 4: "car", 5: "tram", 6: "truck", 7: "van", 8: "misc"}
CAR = 4
"""The only category that S-AModal uses."""

FIELDS = [  # full mask, visible mask
    ("a_segm", "i_segm"),  # 2020
    ("amodal_segm", "visible_segm"),
    ("segmentation", "inmodal_seg"),  # 2019
]
FILES = {
    "train": ("update_train_2020.json", "instances_train.json"),
    "test": ("update_test_2020.json", "instances_val.json"),
}
IMAGES = {"train": "training/image_2", "test": "testing/image_2"}


@dataclass
class KinsImage:
    """One image of KINS and its annotations, not decoded yet.

    Attributes:
        image_id: in the JSON file.
        name: of the image file.
        size: (H, W).
        annotations: entries of the JSON file.
    """

    image_id: int
    name: str
    size: tuple[int, int]
    annotations: list[dict[str, Any]]


def open_kins(
    root: str | Path,
    split: str = "test",
    images: str | Path | None = None,
    categories: Collection[int] | None = None,
) -> Dataset:
    """Open KINS; every image is a clip of one frame, because nothing links the instances of two images.

    Args:
        root: a folder with `update_{train,test}_2020.json` or `instances_{train,val}.json` (2019), also in
            `annotations/`; or one such file. Annotations have `a_segm` and `i_segm` (2020), `amodal_segm` and
            `visible_segm`, or `segmentation` and `inmodal_seg` (2019): full and visible mask.
        split: train, or test (val is another name for it).
        images: the folder of the images; else KITTI's `training/image_2` or `testing/image_2`, or `image_2`.
        categories: only these, such as {4}, cars, as in S-AModal.

    Returns:
        Clips; the id of the annotation is the `track_id`, `extra` has `image_id` and `file_name`.

    Raises:
        InputError: files are missing or broken.
    """
    path, split = annotation_file(Path(root), split)
    folder = Path(images) if images else image_folder(path.parent, split)
    found, names = read_kins(path, categories)

    def clip(index: int) -> Clip:
        image = found[index]
        frame = inside(folder, image.name, f"{path}: image {image.image_id}")
        return Clip(
            name=frame.stem,
            video=listed_video([frame], image.size, frame.stem),
            instances=partial(image_instances, image, path),
            extra={"image_id": image.image_id, "file_name": image.name},
            video_id=image.image_id,
        )

    return Dataset([Path(image.name).stem for image in found], clip, names)


def annotation_file(root: Path, split: str) -> tuple[Path, str]:
    """The JSON file of a split, and the name of the split: train or test.

    Raises:
        InputError: another split, or no such file.
    """
    split = "test" if split == "val" else split
    if split not in FILES:
        raise InputError(f"split {split!r}: KINS has {' and '.join(FILES)}")
    candidates = [folder / name for folder in (root, root / "annotations") for name in FILES[split]]
    return root if root.is_file() else first_existing(candidates, "the annotations of KINS"), split


def image_folder(folder: Path, split: str) -> Path:
    """Where the images are, beside the annotations or one folder up."""
    places = [parent / name for parent in (folder, folder.parent) for name in (IMAGES[split], "image_2")]
    return existing_or_first(places)


def read_kins(
    path: Path, categories: Collection[int] | None = None
) -> tuple[list[KinsImage], Mapping[int, str]]:
    """The images of an annotation file, in its order, and the names of its categories.

    Raises:
        InputError: not such a file.
    """
    content = read_json(path)
    entries = by_id(objects(content, "images", path), "image", path)
    annotations: dict[int, list[dict[str, Any]]] = defaultdict(list)
    seen: set[int] = set()
    for place, entry in enumerate(objects(content, "annotations", path), 1):
        where = f"{path}: annotation {place}"
        number, image_id = whole(entry, "id", where), whole(entry, "image_id", where)
        if number in seen:
            raise InputError(f"{where}: id {number} occurs twice; ids must differ")
        if image_id not in entries:
            raise InputError(f"{where}: is of image {image_id}, which is not in the list of images")
        seen.add(number)
        if categories is None or whole(entry, "category_id", where) in categories:
            annotations[image_id].append(entry)
    images = [
        KinsImage(
            image_id,
            text(entry, "file_name", f"{path}: image {image_id}"),
            image_size(entry, f"{path}: image {image_id}"),
            annotations[image_id],
        )
        for image_id, entry in entries.items()
    ]
    return images, category_names(content, path) or CATEGORIES


def image_instances(image: KinsImage, path: Path, frame: int = 0) -> list[Instance]:
    """The instances of an image, in the file's order; those whose full mask has no pixel are left out.

    Raises:
        InputError: a mask is missing, broken or of another size than its image.
    """
    found = []
    for entry in image.annotations:
        where = f"{path}: annotation {entry['id']}"
        full, seen = _fields(entry, where)
        amodal = mask(entry[full], image.size, where)
        visible = mask(entry[seen], image.size, where)
        if amodal:
            category = whole(entry, "category_id", where)
            found.append(Instance(int(entry["id"]), category, amodal, visible_part(visible, amodal)))
    return found


def _fields(entry: dict[str, Any], where: str) -> Sequence[str]:
    for pair in FIELDS:
        if all(key in entry for key in pair):
            return pair
    raise InputError(f"{where}: has neither {', nor '.join(' and '.join(pair) for pair in FIELDS)}")
