"""`samodal check`: says in plain words what is wrong or suspicious, before anybody scores a zero."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from samodal.check import images, videos
from samodal.check.datasets import SPLITS, asd_sequences, check_asd, check_videos, is_asd
from samodal.check.findings import Finding
from samodal.check.match import check_leakage, check_match, video_names
from samodal.data import DATASETS
from samodal.data.labelled import LabelledSet
from samodal.data.labelled_files import FORMATS, READERS, read_labelled
from samodal.errors import InputError
from samodal.files import read_json
from samodal.frames import IMAGE_SUFFIXES
from samodal.progress import progress

__all__ = ["Finding", "check_paths", "verdict"]

VIDEO_SUFFIXES = {".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"}
CHECKPOINTS = (".pth", ".pt", ".bin", ".safetensors", ".ckpt")
SCALABEL = {"videoName", "video_name", "frameIndex", "frame_index", "labels"}
"""Fields of a frame in BDD100K's files."""


def check_paths(paths: Sequence[Path], form: str | None = None) -> dict[str, list[Finding]]:
    """Check files and folders, each by itself and against each other.

    Args:
        paths: truth and results (YouTube-VIS, COCO; results are compared with every truth of their kind, truth files
            with each other, as splits), MOTS txt, folders of data sets, checkpoints, model folders.
        form: the format of the folders, a name that `samodal convert --from` knows; None: told by what they hold.

    Returns:
        Path, or pair of paths, -> what was found, nothing where all is well. One of several paths that is not there,
        or of which nobody knows what it is, is a finding, too.

    Raises:
        InputError: the only path is such a one.
    """
    found: dict[str, list[Finding]] = {}
    truths: dict[str, dict[str, Any]] = {}
    results: dict[str, list[Any]] = {}
    paths = list(dict.fromkeys(paths))
    for path in paths:
        try:
            found[str(path)], content = _check_path(path, form)
        except InputError as error:
            if len(paths) == 1:
                raise
            found[str(path)] = [Finding("error", str(error).removeprefix(f"{path}: "))]
            continue
        if isinstance(content, dict):
            truths[str(path)] = content
        elif content is not None:
            results[str(path)] = content
    for name, truth in truths.items():
        for other, listed in results.items():
            found[f"{name} and {other}"] = check_match(truth, listed)
    if len(truths) > 1:
        splits = {name: video_names(truth) for name, truth in truths.items()}
        found[" and ".join(truths)] = check_leakage(splits)
    return found


def verdict(found: dict[str, list[Finding]]) -> tuple[int, int]:
    """The number of kinds of errors and of warnings."""
    kinds = [finding.severity for findings in found.values() for finding in findings]
    return kinds.count("error"), kinds.count("warning")


def _check_path(path: Path, form: str | None) -> tuple[list[Finding], dict[str, Any] | list[Any] | None]:
    """Faults of one path; and what is in it, where it is truth (an object) or results (a list)."""
    if not path.exists():
        raise InputError(f"{path}: no such file or folder")
    if form is not None:
        return _check_dataset(path, form), None
    if path.suffix in CHECKPOINTS or (path / "config.json").is_file():
        from samodal.check.checkpoints import check_checkpoint

        return check_checkpoint(path), None
    if path.is_dir() and is_asd(path):
        with progress("checking", len(asd_sequences(path))) as advance:
            return check_asd(path, advance), None
    if path.is_dir():
        return _check_dataset(path, _folder_form(path)), None
    if path.suffix == ".txt":
        return _check_dataset(path, "mots"), None
    if path.suffix.lower() in IMAGE_SUFFIXES | VIDEO_SUFFIXES:
        raise InputError(
            f"{path}: a picture; masks are checked here, and that they fit it by samodal predict"
        )
    content = read_json(path)
    if _is_scalabel(content):
        return _check_dataset(path, "bdd100k"), None
    return _check_json(content, path), content


def _is_scalabel(content: Any) -> bool:
    """Whether it is a list of frames with labels, as BDD100K has it, or an object with such a list."""
    frames = content.get("frames") if isinstance(content, dict) else content
    return isinstance(frames, list) and any(
        isinstance(frame, dict) and len(SCALABEL & frame.keys()) > 1 for frame in frames
    )


def _check_json(content: Any, path: Path) -> list[Finding]:
    if isinstance(content, dict) and "annotations" in content:
        return images.check_truth(content) if "images" in content else videos.check_truth(content)
    if isinstance(content, list):
        of_images = any(isinstance(entry, dict) and "image_id" in entry for entry in content)
        return images.check_results(content) if of_images else videos.check_results(content)
    raise InputError(
        f"{path}: unknown format; truth ({{videos or images, annotations}}) or results (a list) are expected"
    )


def _folder_form(path: Path) -> str:
    """The format of a folder: PNG masks, or MOTS txt."""
    for pattern, form in {
        "*.txt": "mots",
        "instances_txt/*.txt": "mots",
        "*/gt/gt.txt": "motschallenge",
    }.items():
        if any(path.glob(pattern)):
            return form
    if (path / "Annotations").is_dir() or any(path.glob("*.png")) or any(path.glob("*/*.png")):
        return "davis"
    known = ", ".join(FORMATS)
    raise InputError(f"{path}: cannot tell what kind of data set this is; say --format, one of {known}")


def _check_dataset(path: Path, form: str) -> list[Finding]:
    """Read a data set through its reader, all splits that are there."""
    sets: dict[str, LabelledSet] = {}
    if form in READERS or form not in DATASETS:
        sets["all"] = read_labelled(path, form)
    else:
        for split in SPLITS:
            try:
                sets[split] = read_labelled(path, form, split)
            except InputError as error:
                reason = error
            if sets and path.is_file():  # it is taken whole, whatever the split
                break
        if not sets:
            raise reason
    found: list[Finding] = []
    names: dict[str, list[str]] = {}
    with progress("checking", sum(len(labelled.videos) for labelled in sets.values())) as advance:
        for split, labelled in sets.items():
            findings, names[split] = check_videos(labelled.videos, set(labelled.categories), advance)
            found += findings
    if len(set(map(tuple, names.values()))) < len(names):  # a folder that is taken whole, whatever the split
        return list(dict.fromkeys(found))
    return found + check_leakage(names)
