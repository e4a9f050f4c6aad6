"""KITTI MOTS and MOTSChallenge (Voigtlaender et al., CVPR 2019) as clips, from txt or PNG; visible masks only."""

from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from samodal.data.clip import Clip, Dataset, Instance
from samodal.data.id_maps import encoded_map, read_ids
from samodal.data.listing import (
    MOST_FRAMES,
    Names,
    chosen,
    existing_or_first,
    first_existing,
    inside,
    listed_video,
    pick,
    pick_split,
    subfolders,
)
from samodal.data.mots import IGNORED_CLASS, Line, parse
from samodal.data.records import checked_size, mask
from samodal.errors import InputError

CATEGORIES = {1: "car", 2: "pedestrian"}
CLASS_UNIT = 1000  # id = class * 1000 + n

KITTI_VAL = ["0002", "0006", "0007", "0008", "0010", "0013", "0014", "0016", "0018"]
KITTI_TRAIN = [f"{number:04d}" for number in range(21) if f"{number:04d}" not in KITTI_VAL]
KITTI_SPLITS = {"train": KITTI_TRAIN, "val": KITTI_VAL}


def open_kitti_mots(root: str | Path, split: str = "val", sequences: Names | None = None) -> Dataset:
    """Open KITTI MOTS; frames are counted from 0.

    Args:
        root: with `instances_txt/<sequence>.txt` or `instances/<sequence>/<frame>.png` (also in `training/`), and the
            frames in `training/image_02/<sequence>/` or `image_02/<sequence>/`; or one txt file.
        split: train (12 sequences), val (9), or all. A single file is taken whole.
        sequences: only these, in place of a split: names, or a file with names.

    Raises:
        InputError: files are missing or broken.
    """
    root = Path(root)
    if root.is_file():
        return _from_labels([root], [root.parent / "frames"], 0)
    labels = _label_folder([root, root / "training"])
    images = existing_or_first([root / "training" / "image_02", root / "image_02"])
    found = _label_names(labels)
    if sequences is not None:
        found = pick(found, chosen(sequences, split), labels)
    elif split in KITTI_SPLITS:
        found = pick_split(found, KITTI_SPLITS[split], split, labels)
    elif split != "all":
        raise InputError(
            f"split {split!r}: KITTI MOTS has train, val (and all); no masks of test are published"
        )
    return _from_labels([_label(labels, name) for name in found], [images / name for name in found], 0)


def open_motschallenge(root: str | Path, split: str = "train", sequences: Names | None = None) -> Dataset:
    """Open MOTSChallenge (MOTS20); frames are counted from 1.

    Args:
        root: with `train/<sequence>/gt/gt.txt` and `train/<sequence>/img1/<frame>.jpg`; or with
            `instances_txt/<sequence>.txt` or `instances/<sequence>/<frame>.png`, and `train/images/<sequence>/` or
            `images/<sequence>/`; or one txt file.
        split: train; no masks of others are published.
        sequences: only these: names, or a file with names.

    Raises:
        InputError: files are missing or broken.
    """
    root = Path(root)
    if root.is_file():
        return _from_labels(
            [root], [root.parent / "img1"], 1, root.parent.parent.name if root.stem == "gt" else None
        )
    if split not in ("train", "all"):
        raise InputError(f"split {split!r}: MOTSChallenge has train; choose some of it by `sequences`")
    folders = root / "train"
    if found := [name for name in subfolders(folders) if (folders / name / "gt" / "gt.txt").is_file()]:
        found = found if sequences is None else pick(found, chosen(sequences, split), folders)
        labels = [folders / name / "gt" / "gt.txt" for name in found]
        dataset = _from_labels(labels, [folders / name / "img1" for name in found], 1)
    else:
        labels_folder = _label_folder([root, root / "train"])
        images = existing_or_first([root / "train" / "images", root / "images"])
        found = _label_names(labels_folder)
        found = found if sequences is None else pick(found, chosen(sequences, split), labels_folder)
        dataset = _from_labels(
            [_label(labels_folder, name) for name in found], [images / name for name in found], 1
        )
    return dataset


def _label_folder(roots: Sequence[Path]) -> Path:
    kinds = [root / kind for kind in ("instances_txt", "instances") for root in roots]
    return first_existing(kinds, "txt files or folders of PNG masks")


def _label_names(folder: Path) -> list[str]:
    names = sorted(path.stem for path in folder.glob("*.txt")) or subfolders(folder)
    if not names:
        raise InputError(f"{folder}: empty; <sequence>.txt or <sequence>/<frame>.png is expected")
    return names


def _label(folder: Path, name: str) -> Path:
    text = inside(folder, f"{name}.txt", str(folder))
    return text if text.is_file() else folder / name


def _from_labels(
    labels: Sequence[Path], images: Sequence[Path], first: int, name: str | None = None
) -> Dataset:
    names = [name or (path.parent.parent.name if path.name == "gt.txt" else path.stem) for path in labels]

    def clip(index: int) -> Clip:
        read = _png_clip if labels[index].is_dir() else _txt_clip
        return read(names[index], labels[index], images[index], first, index + 1)

    return Dataset(names, clip, CATEGORIES)


def _txt_clip(name: str, path: Path, images: Path, first: int, video_id: int) -> Clip:
    try:
        content = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    lines: dict[int, list[Line]] = defaultdict(list)
    seen: set[tuple[int, int]] = set()
    size, last = None, 0
    for number, text in enumerate(content.splitlines(), 1):
        if not text.strip():
            continue
        line = parse(text, number, path)
        if line.frame < first or line.track_id < 0 or line.category_id < 0:
            raise InputError(f"{path}, line {number}: frames are counted from {first}, ids are not negative")
        size = size or checked_size((line.height, line.width), f"{path}, line {number}")
        last = max(last, line.frame - first)
        if line.category_id == IGNORED_CLASS:
            continue
        if (line.frame, line.track_id) in seen:
            raise InputError(
                f"{path}, line {number}: id {line.track_id} occurs twice in frame {line.frame}; ids must differ"
            )
        seen.add((line.frame, line.track_id))
        lines[line.frame - first].append(line)
    if size is None:
        raise InputError(f"{path}: no masks in it; lines 'frame id class height width rle' are expected")
    frames = _frames(images, first, last, path)
    return Clip(
        name,
        listed_video(frames, size, name),
        partial(_txt_frame, lines, size, path),
        {},
        video_id,
        annotated=(),
    )


def _txt_frame(lines: dict[int, list[Line]], size: tuple[int, int], path: Path, frame: int) -> list[Instance]:
    found = []
    for line in lines.get(frame, []):
        value = {"size": [line.height, line.width], "counts": line.rle}
        if rle := mask(value, size, f"{path}, line {line.number}"):
            found.append(Instance(line.track_id, line.category_id, None, rle))
    return found


def _png_clip(name: str, folder: Path, images: Path, first: int, video_id: int) -> Clip:
    maps = {int(path.stem) - first: path for path in folder.glob("*.png") if path.stem.isdecimal()}
    if not maps or min(maps) < 0:
        raise InputError(f"{folder}: PNG masks with the number of their frame, from {first} on, are expected")
    frames = _frames(images, first, max(maps), folder)
    ids = read_ids(next(iter(maps.values())))
    size = (int(ids.shape[0]), int(ids.shape[1]))
    return Clip(
        name, listed_video(frames, size, name), partial(_png_frame, maps, size), {}, video_id, annotated=()
    )


def _png_frame(maps: dict[int, Path], size: tuple[int, int], frame: int) -> list[Instance]:
    if frame not in maps:
        return []
    found = []
    for value, rle in encoded_map(maps[frame], size).items():
        category = value // CLASS_UNIT
        if category not in (0, IGNORED_CLASS):
            found.append(Instance(value, category, None, rle))
    return found


def _frames(images: Path, first: int, last: int, path: Path) -> list[Path]:
    """The image of every frame from the first to the last one that has an image or a mask (counted from 0)."""
    there = {int(image.stem) - first: image for image in images.glob("*.*") if image.stem.isdecimal()}
    last = max(last, *there) if there else last
    if last >= MOST_FRAMES:
        raise InputError(f"{path}: speaks of frame {last + first}; at most {MOST_FRAMES} frames are expected")
    return [there.get(frame, images / f"{frame + first:06d}.png") for frame in range(last + 1)]
