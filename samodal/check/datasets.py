"""Checks of data sets through their readers, and of AmodalSynthDrive's files beneath it (the reader forgives much)."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from samodal import masks
from samodal.check import fields
from samodal.check.findings import Finding, Findings
from samodal.check.match import check_leakage
from samodal.data.asd import CATEGORIES, WRONG_CATEGORIES
from samodal.data.id_maps import encode_ids, read_ids
from samodal.data.labelled import LabelledVideo
from samodal.errors import InputError
from samodal.files import read_json
from samodal.frames import check_run
from samodal.masks import Rle

SPLITS = ("train", "val", "test")


def check_video(video: LabelledVideo, categories: set[int]) -> list[Finding]:
    """Faults of one video that any reader gave; `categories` are the known ones, empty where nobody lists them."""
    findings = Findings()
    fields.unique([track.track_id for track in video.tracks], "track id", findings)
    if not len(video.tracks):
        findings.warning("videos without a track", video.name)
    for track in video.tracks:
        place = f"{video.name} track {track.track_id}"
        if categories and track.category_id not in categories:
            findings.warning(
                "categories without a name in the list", f"{place} (category {track.category_id})"
            )
        if not any(track.visible) and not any(track.amodal):
            findings.warning("tracks without a mask", place)
        if any(track.amodal) and video.rates is None:
            for frame, (seen, full) in enumerate(zip(track.visible, track.amodal, strict=True)):
                if seen and full:
                    fields.outside(seen, full, f"{place} frame {frame}", findings)
    for frame in range(video.tracks.num_frames):
        found = [rle for track in video.tracks if (rle := track.visible[frame])]
        fields.overlap(found, f"{video.name} frame {frame}", findings)
    return list(findings)


def check_videos(
    videos: Sequence[LabelledVideo], categories: set[int], advance: Callable[[], None]
) -> tuple[list[Finding], list[str]]:
    """Read and check all videos; those that cannot be read are findings too. Also returns the names."""
    findings = Findings()
    names = []
    for index in range(len(videos)):
        try:
            video = videos[index]
        except InputError as error:
            findings.error("videos that cannot be read", str(error))
        else:
            findings.extend(check_video(video, categories))
            names.append(video.name)
        advance()
    return list(findings), names


def is_asd(root: Path) -> bool:
    """Whether a folder looks like AmodalSynthDrive."""
    return any((root / split / "amodal_instance_seg").is_dir() for split in (*SPLITS, "full"))


def check_asd(root: Path, advance: Callable[[], None] = lambda: None) -> list[Finding]:
    """Faults in the files of AmodalSynthDrive's layout, all splits and cameras; `advance` is called every sequence."""
    findings = Findings()
    sequences: dict[str, set[str]] = {}
    for annotations in asd_sequences(root):
        sequences.setdefault(annotations.relative_to(root).parts[0], set()).add(annotations.name)
        images = Path(*annotations.parts[: len(root.parts)], annotations.relative_to(root).parts[0], "images")
        images = images.joinpath(*annotations.relative_to(root).parts[2:])
        findings.extend(check_asd_sequence(annotations, images))
        advance()
    findings.extend(check_leakage({split: sorted(names) for split, names in sequences.items()}))
    return list(findings)


def asd_sequences(root: Path) -> list[Path]:
    """The folders with the annotations of every sequence and camera."""
    found = root.glob("*/amodal_instance_seg/**/*_aminseg.json")
    return sorted({path.parent for path in found if ".partial" not in str(path)})


def check_asd_sequence(annotations: Path, images: Path) -> list[Finding]:
    """Faults in the files of one sequence, from the folders of its annotations and of its images."""
    findings = Findings()
    jsons = {path.name.removesuffix("_aminseg.json"): path for path in annotations.glob("*_aminseg.json")}
    frames = {path.name.rpartition("_rgb.")[0]: path for path in images.glob("*_rgb.*")}
    for stem in sorted(frames.keys() - jsons.keys()):
        findings.error("images without annotations", stem)
    for stem in sorted(jsons.keys() - frames.keys()):
        findings.error("annotations without an image", stem)
    for camera in sorted({stem.partition("_full_")[0] for stem in frames}):  # several may share a folder
        try:
            check_run(images, [stem for stem in sorted(frames) if stem.startswith(f"{camera}_full_")])
        except InputError as error:
            findings.error("sequences with holes", str(error))
    tracks: dict[Any, Any] = {}
    for stem, path in sorted(jsons.items()):
        try:
            findings.extend(
                _check_asd_frame(read_json(path), read_ids(path.with_suffix(".png")), tracks), f"{stem}:"
            )
        except (InputError, ValueError) as error:
            findings.error("frames that cannot be read", str(error))
    named = Findings()
    named.extend(list(findings), annotations.name)
    return list(named)


def _check_asd_frame(entries: Any, ids: Any, categories: dict[Any, Any]) -> list[Finding]:
    """`categories` (track id -> category) grows from frame to frame."""
    findings = Findings()
    if not isinstance(entries, dict):
        findings.error("annotations that are no object {key: {category_id, track_id, ...}}")
        return list(findings)
    size = int(ids.shape[0]), int(ids.shape[1])
    regions = encode_ids(ids)
    seen = set()
    for key, entry in entries.items():
        place = f"instance {key}"
        if not isinstance(entry, dict) or not key.isdecimal():
            findings.error("instances that are no object, or whose key is no number", place)
            continue
        if key == "0":
            findings.error("instance key 0, which is the background of the PNG")
        track = fields.identity(entry, "track_id", place, findings)
        category = fields.identity(entry, "category_id", place, findings)
        if track is not None and track in seen:
            findings.error("duplicate track id in a frame", f"{place} (track {track})")
        seen.add(track)
        if category in WRONG_CATEGORIES:
            findings.warning(
                "categories known to be wrong in the published files; the reader mends them",
                f"{place} ({category})",
            )
        elif category is not None and category not in CATEGORIES:
            findings.error("categories that are not known", f"{place} ({category})")
        category = WRONG_CATEGORIES.get(category or 0, category)
        if categories.setdefault(track, category) != category:
            findings.warning("tracks whose category changes", f"{place} (track {track})")
        region = regions.get(int(key))
        amodal = _asd_mask(entry.get("amodal_mask"), size, f"{place} amodal_mask", findings)
        _asd_mask(entry.get("occlusion_mask"), size, f"{place} occlusion_mask", findings)
        if amodal is None and region is None:
            findings.warning("instances without any pixel", place)
        if amodal is not None:
            fields.outside(region, amodal, place, findings)
    for value in sorted(regions.keys() - {int(key) for key in entries if key.isdecimal()}):
        if value >= 1000:  # smaller ones are regions without instances
            findings.warning("regions of the PNG that no annotation names", f"id {value}")
    return list(findings)


def _asd_mask(value: Any, size: tuple[int, int], place: str, findings: Findings) -> Rle | None:
    """Like `fields.mask`, but empty masks may have any size: the published files hold full-HD ones."""
    try:
        if isinstance(value, dict) and value and masks.from_annotation(value, tuple(value["size"])) is None:
            findings.warning("empty masks that are not null", place)
            return None
    except (KeyError, OverflowError, TypeError, ValueError):
        pass  # named by `fields.mask`
    return fields.mask(value, size, place, findings)
