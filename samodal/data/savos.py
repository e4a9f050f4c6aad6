"""The two sets of SaVos (Yao et al., NeurIPS 2022): KINS-car (KITTI drives, truth from KINS) and FISHBOWL.

Their pickles hold, for every object and time t (a place in the sorted frames), a dict with the RLE `VM`, the visible
mask that PointTrack predicted, its box `VM_bbox` or `VM_bx` (first row, last row, first column, last column), and in
FISHBOWL `FM` and `FM_bx`, the true full mask. A box is not read: a mask says where it is.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from samodal import masks
from samodal.data.clip import Clip, Dataset, Instance
from samodal.data.kins import CAR, KinsImage, annotation_file, image_instances, read_kins
from samodal.data.kitti_devkit import Pair, devkit_pairs, listed_pairs, same_drive
from samodal.data.listing import MOST_FRAMES, first_existing, inside, listed_video
from samodal.data.matching import integer
from samodal.data.pickles import read_pickle
from samodal.data.records import checked_size, mask, visible_part
from samodal.errors import InputError
from samodal.frames import natural_order
from samodal.masks import Rle

Moments = dict[int, dict[str, Any]]
"""Time -> the masks of one object, as they stand in the pickle."""

LEAST_IOU = 0.5
"""From here on a predicted visible mask and one of KINS are the same car."""


# ---- KINS-car --------------------------------------------------------------------------------------------


def open_kins_car(
    root: str | Path,
    split: str = "val",
    kins: str | Path | None = None,
    mapping: str | Path | None = None,
    pairs: str | Path | None = None,
    categories: Collection[int] | None = (CAR,),
) -> Dataset:
    """Open KINS-car: KITTI drives with predicted visible masks, and truth in the few frames that KINS annotated.

    In those frames (`Clip.annotated`) the instances are those of KINS; the track id is that of the predicted mask
    that they overlap by an IoU of at least 0.5, else a new one. In all other frames the instances are the predicted
    visible masks, with unknown full masks. The drives of a split are those of its pickle; no drive is cut.

    Args:
        root: with `car_data/<split>_data.pkl` or `<split>_data.pkl`, and the frames
            `Kitti/raw_video/<date>/<drive>/*.png`.
        split: train, val or test.
        kins: KINS's annotations of its training images; else `update_train_2020.json` or
            `instances_train.json` in root.
        mapping: the folder `mapping` of KITTI's object devkit, which says what frame an image is; else
            `mapping` or `devkit_object/mapping` in root.
        pairs: JSON with a list of [raw frame, KINS image], in place of `mapping`.
        categories: of KINS, only these (cars).

    Raises:
        InputError: files are missing or broken. A pickle that asks for anything to be run is refused unread.
    """
    root = Path(root)
    path = first_existing([root / "car_data" / f"{split}_data.pkl", root / f"{split}_data.pkl"], "the pickle")
    truth_path = Path(kins) if kins else annotation_file(root, "train")[0]
    if pairs is None:
        places = [Path(mapping)] if mapping else [root / "mapping", root / "devkit_object" / "mapping"]
        linked = devkit_pairs(
            first_existing(places, "the folder mapping of KITTI's object devkit, or `pairs`,")
        )
    else:
        linked = listed_pairs(pairs)
    drives = _nested(read_pickle(path), path)
    images, names = read_kins(truth_path, categories)
    truth = truth_frames(drives, linked, images)
    listed = list(drives)

    def clip(index: int) -> Clip:
        name = listed[index]
        where = f"{path}: {name}"
        objects = {
            _whole(key, where): _moments(value, f"{where}, object {key}")
            for key, value in drives[name].items()
        }
        date = "_".join(name.split("_")[:3])
        folder = inside(root, f"Kitti/raw_video/{date}/{name}", where)
        frames = sorted(folder.glob("*.png"), key=natural_order)
        if not frames:
            frames = _unseen(folder, [int(frame) for frame in truth[name] if frame.isdigit()], objects, where)
        places = {frame.stem: place for place, frame in enumerate(frames)}
        annotated = {places[frame]: image for frame, image in truth[name].items() if frame in places}
        drive = _Drive(objects, annotated, path, truth_path)
        video = listed_video(frames, drive.size(where), name)
        return Clip(name, video, drive, {}, index + 1, sorted(annotated))

    return Dataset(listed, clip, names)


def truth_frames(
    drives: Collection[str], pairs: Sequence[Pair], images: Sequence[KinsImage]
) -> dict[str, dict[str, KinsImage]]:
    """Drive -> frame (name of its file without suffix) -> the image of KINS that it is.

    Drives are the same where their names are, apart from `_sync`; images are known by their file's name.
    """
    by_image = {Path(image.name).stem: image for image in images}
    found: dict[str, dict[str, KinsImage]] = defaultdict(dict)
    for pair in pairs:
        if pair.image in by_image:
            found[same_drive(pair.drive)][pair.frame] = by_image[pair.image]
    return {drive: found.get(same_drive(drive), {}) for drive in drives}


@dataclass
class _Drive:
    """Frame index -> its instances; can be sent to a loader process."""

    objects: dict[int, Moments]
    annotated: dict[int, KinsImage]
    path: Path
    truth_path: Path

    def __call__(self, frame: int) -> list[Instance]:
        seen = {}
        for number, moments in self.objects.items():
            if frame in moments:
                where = f"{self.path}: object {number}, time {frame}"
                size = checked_size(_rle(moments[frame], "VM", where).get("size"), where)
                if rle := mask(_rle(moments[frame], "VM", where), size, where):
                    seen[number] = rle
        if frame not in self.annotated:
            return [Instance(number, CAR, None, rle) for number, rle in seen.items()]
        first_new = max(self.objects, default=0) + 1
        return with_tracks(image_instances(self.annotated[frame], self.truth_path), seen, first_new)

    def size(self, where: str) -> tuple[int, int]:
        """(H, W) of the drive's frames."""
        if self.annotated:
            return next(iter(self.annotated.values())).size
        for moments in self.objects.values():
            for moment in moments.values():
                return checked_size(_rle(moment, "VM", where).get("size"), where)
        raise InputError(f"{where}: holds no mask at all")


def with_tracks(truth: Sequence[Instance], seen: Mapping[int, Rle], first_new: int) -> list[Instance]:
    """Instances with the ids of the predicted masks that they are, one to one; else `first_new` + own id."""
    ids = list(seen)
    overlap = np.array([[masks.iou(one.visible, seen[number]) for number in ids] for one in truth])
    ids_of = {}
    if overlap.size:
        for row, column in zip(*linear_sum_assignment(-overlap), strict=True):
            if overlap[row, column] >= LEAST_IOU:
                ids_of[row] = ids[column]
    return [replace(one, track_id=ids_of.get(row, first_new + one.track_id)) for row, one in enumerate(truth)]


def _unseen(folder: Path, numbers: list[int], objects: Mapping[int, Moments], where: str) -> list[Path]:
    """The frames of a drive whose images are not there: as many as are spoken of."""
    last = max([*numbers, *(frame for moments in objects.values() for frame in moments)], default=-1)
    if last >= MOST_FRAMES:
        raise InputError(f"{where}: speaks of frame {last}; at most {MOST_FRAMES} are expected")
    return [folder / f"{number:010d}.png" for number in range(last + 1)]


# ---- FISHBOWL --------------------------------------------------------------------------------------------


def open_fishbowl(root: str | Path, split: str = "test") -> Dataset:
    """Open FISHBOWL: every frame with full masks; the visible masks are predicted ones.

    Args:
        root: with `<split>_data/<split>_data.pkl`, keys `<video>_<object>`, and the frames
            `<split>_data/<split>_frames/<video>/*`; or the folder `<split>_data` itself.
        split: test (published), train or val.

    Raises:
        InputError: files are missing or broken. A pickle that asks for anything to be run is refused unread.
    """
    root = Path(root)
    folders = [root / f"{split}_data", root]
    path = first_existing([folder / f"{split}_data.pkl" for folder in folders], "the pickle")
    videos: dict[str, dict[int, Any]] = defaultdict(dict)
    for key, moments in _nested(read_pickle(path), path).items():
        video, _, number = key.rpartition("_")
        if not video:
            raise InputError(f"{path}: {key!r:.40}: a key '<video>_<object>' is expected")
        videos[video][_whole(number, f"{path}: {key}")] = moments
    listed = sorted(videos, key=lambda name: natural_order(Path(name)))

    def clip(index: int) -> Clip:
        name = listed[index]
        where = f"{path}: {name}"
        objects = {number: _moments(value, f"{where}_{number}") for number, value in videos[name].items()}
        folder = inside(path.parent, f"{split}_frames/{name}", where)
        frames = sorted(folder.iterdir(), key=natural_order) if folder.is_dir() else []
        frames = frames or _unseen(folder, [], objects, where)
        sizes = [_rle(m, "FM", where).get("size") for moments in objects.values() for m in moments.values()]
        size = checked_size(sizes[0] if sizes else None, where)
        video = listed_video(frames, size, name)
        return Clip(name, video, partial(_fish, objects, size, where), video_id=index + 1)

    return Dataset(listed, clip, {1: "fish"})


def _fish(objects: dict[int, Moments], size: tuple[int, int], where: str, frame: int) -> list[Instance]:
    found = []
    for number, moments in objects.items():
        if frame in moments:
            there = f"{where}_{number}, time {frame}"
            amodal = mask(_rle(moments[frame], "FM", there), size, there)
            visible = mask(_rle(moments[frame], "VM", there), size, there)
            if amodal:
                found.append(Instance(number, 1, amodal, visible_part(visible, amodal)))
    return found


# ---- what a pickle may hold ------------------------------------------------------------------------------


def _nested(content: Any, path: Path) -> dict[str, dict[Any, Any]]:
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path}: a dict with the objects of every video is expected")
    for key, value in content.items():
        if not isinstance(key, str) or not isinstance(value, dict):
            raise InputError(f"{path}: {key!r:.40}: a name and a dict are expected")
    return content


def _moments(value: Any, where: str) -> Moments:
    if not isinstance(value, dict):
        raise InputError(f"{where}: a dict {{time: masks}} is expected")
    found = {}
    for time, moment in value.items():
        if not isinstance(moment, dict):
            raise InputError(f"{where}, time {time!r:.20}: a dict with masks is expected")
        found[_whole(time, where)] = moment
    return found


def _whole(value: Any, where: str) -> int:
    try:
        number = integer(value)
    except (ValueError, OverflowError):
        number = -1
    if number < 0:
        raise InputError(f"{where}: {value!r:.20} is no whole number from 0 on")
    return number


def _rle(moment: dict[str, Any], key: str, where: str) -> dict[str, Any]:
    """An RLE, or the only one of a list, as FISHBOWL has them."""
    value = moment.get(key)
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if not isinstance(value, dict):
        raise InputError(f"{where}: {key!r} is no RLE")
    return value
