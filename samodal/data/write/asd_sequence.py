"""The files of one sequence of AmodalSynthDrive (see `samodal.data.asd`)."""

import json
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from samodal import masks
from samodal.data.clip import Instance
from samodal.errors import InputError


def sequence_folder(root: str | Path, split: str, camera: str, name: str) -> Path:
    """The folder with the images of a sequence; where it exists, the sequence is complete."""
    return Path(root) / split / "images" / camera / name


def write_sequence(
    root: str | Path,
    split: str,
    camera: str,
    name: str,
    frames: Iterable[tuple[np.ndarray, list[Instance]]],
    extra: Mapping[str, Any] | None = None,
    image_suffix: str = ".jpg",
) -> None:
    """Write one sequence; it appears when it is complete, and nothing is left of one that was cut off.

    Args:
        root: of the data set; the files go to `<root>/<split>/{images,amodal_instance_seg}/<camera>/<name>/`.
        split: train, val or test.
        camera: front, back, left or right.
        name: of the sequence.
        frames: image, uint8 (H, W, 3) RGB, and instances, frame by frame. Visible masks must not overlap.
        extra: more truth, written to `<root>/<split>/truth/<camera>/<name>.json`; arrays become lists.
        image_suffix: ".jpg" as in the original, or ".png" for lossless images.

    Raises:
        ValueError: overlapping visible masks, or 1000 and more tracks of one category.
    """
    images = sequence_folder(root, split, camera, name)
    annotations = Path(root) / split / "amodal_instance_seg" / camera / name
    truth = Path(root) / split / "truth" / camera / f"{name}.json"
    partial = Path(root) / split / f".{camera}_{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        for folder in ("images", "annotations"):
            (partial / folder).mkdir(parents=True)
        keys: dict[int, int] = {}
        for index, (image, instances) in enumerate(frames):
            stem = f"{camera}_full_{index:04d}"
            _write_image(partial / "images" / f"{stem}_rgb{image_suffix}", image)
            ids, entries = _annotate(instances, image.shape[:2], keys)
            Image.fromarray(ids).save(partial / "annotations" / f"{stem}_aminseg.png")
            (partial / "annotations" / f"{stem}_aminseg.json").write_text(json.dumps(entries))
        (partial / "truth.json").write_text(json.dumps(extra or {}, default=_plain))
        # The images come last: a sequence is there when they are.
        for source, target in (("truth.json", truth), ("annotations", annotations), ("images", images)):
            target.parent.mkdir(parents=True, exist_ok=True)
            if target.is_dir():
                shutil.rmtree(target)
            (partial / source).replace(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _annotate(
    instances: list[Instance], size: tuple[int, int], keys: dict[int, int]
) -> tuple[np.ndarray, dict[str, dict[str, Any]]]:
    """The id map (H, W) uint16 and the JSON entries of one frame; `keys` (track id -> key) grows."""
    ids = np.zeros(size, np.uint16)
    entries = {}
    for instance in instances:
        if instance.track_id not in keys:
            keys[instance.track_id] = _new_key(instance.category_id, keys)
        key = keys[instance.track_id]
        if instance.amodal is None:
            raise InputError(
                f"track {instance.track_id}: its full mask is not known, which this layout needs"
            )
        amodal = masks.decode(instance.amodal)
        visible = np.zeros(size, bool) if instance.visible is None else masks.decode(instance.visible)
        if ids[visible].any():
            raise ValueError(f"the visible mask of track {instance.track_id} overlaps another one")
        ids[visible] = key
        hidden = amodal & ~visible
        occluded = bool(hidden.any())
        entries[str(key)] = {
            "category_id": instance.category_id,
            "track_id": instance.track_id,
            "occluded": occluded,
            "amodal_mask": instance.amodal if occluded else None,
            "occlusion_mask": masks.encode(hidden) if occluded else None,
        }
    return ids, entries


def _new_key(category_id: int, keys: Mapping[int, int]) -> int:
    """`category * 1000 + n` with the next free n."""
    first = category_id * 1000
    key = first + sum(first <= key < first + 1000 for key in keys.values())
    if key >= first + 1000 or key > 65535:
        raise ValueError(f"category {category_id}: no key below 65536 left for another track")
    return key


def _write_image(path: Path, image: np.ndarray) -> None:
    if path.suffix == ".jpg":
        Image.fromarray(image).save(path, quality=95, subsampling=0)
    else:
        Image.fromarray(image).save(path)


def _plain(value: Any) -> Any:
    if isinstance(value, np.ndarray | np.generic):
        return value.tolist()
    raise TypeError(f"{type(value).__name__} cannot be written as JSON")
