"""One door to every format that `samodal convert` reads."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path

from samodal.data import DATASETS, coco, id_maps, mots, open_dataset, youtube_vis_sets
from samodal.data.asd import CATEGORIES, GENVIS_CATEGORIES
from samodal.data.labelled import (
    FrameSource,
    LabelledClips,
    LabelledSet,
    LabelledVideo,
    frame_files,
    recategorise,
    unseen,
)
from samodal.data.records import checked_size
from samodal.errors import InputError
from samodal.frames import natural_order, open_video
from samodal.video import Video, VideoTracks

MOTS_CATEGORIES = {1: "car", 2: "pedestrian"}


class _Lazy(Sequence[LabelledVideo]):
    """Videos that are read when they are asked for."""

    def __init__(self, length: int, read: Callable[[int], LabelledVideo]) -> None:
        self.length, self.read = length, read

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> LabelledVideo:  # type: ignore[override]
        if index >= self.length:
            raise IndexError(index)
        return self.read(index)


def read_labelled(
    path: Path,
    form: str,
    split: str = "val",
    camera: str = "front",
    frames: Path | None = None,
    like: Path | None = None,
) -> LabelledSet:
    """Open a set of labelled videos in any format.

    Args:
        path: file or folder.
        form: one of `FORMATS`: a name of `READERS`, or of a data set of `samodal.data.open_dataset`.
        split: of a data set.
        camera: of AmodalSynthDrive.
        frames: where the frames are, for formats without: a video or a folder of frames, or a folder with one folder
            (or video) for every video, under its name.
        like: a COCO truth file; COCO results need it.

    Raises:
        InputError: unknown format, nothing there, or it is broken.
    """
    path = Path(path)
    if form in READERS:
        if not path.exists():
            raise InputError(f"{path}: no such file or folder")
        return READERS[form](path, _frame_source(frames), like)
    if form not in DATASETS:
        raise InputError(f"--from {form}: unknown; known are {', '.join(FORMATS)}")
    options = {"camera": camera} if form in ("asd", "amodalsynthdrive") else {}
    clips = open_dataset(form, path, split, **options)
    names = CATEGORIES if options else getattr(clips, "categories", {})
    return LabelledSet(LabelledClips(clips), dict(names))


def _frame_source(frames: Path | None) -> FrameSource:
    """Where `name` is beside others in the folder `frames` it is taken, else `frames` is the video."""

    def find(name: str) -> Video | None:
        if frames is None:
            return None
        if frames.is_dir():
            beside = [path for path in frames.iterdir() if name in (path.name, path.stem)]
            if beside:
                return open_video(beside[0])
        return open_video(frames)

    return find


def _read_genvis(path: Path, frames: FrameSource, like: Path | None) -> LabelledSet:
    labelled = youtube_vis_sets.read_file(path, frames)
    for video in labelled.videos:
        recategorise(video, GENVIS_CATEGORIES)
    return LabelledSet(labelled.videos, dict(CATEGORIES))


# ---- MOTS ------------------------------------------------------------------------------------------------


def _read_mots(path: Path, frames: FrameSource, like: Path | None, first: int = 0) -> LabelledSet:
    """A txt, or a folder of them; a *.seqmap beside them (name, "empty", first, end) tells the lengths."""
    if path.is_file():
        paths = {path.stem: path}
    else:
        # First where KITTI has them: beside that folder, calibrations are txt, too.
        found = list(path.glob("instances_txt/*.txt")) or list(path.glob("*.txt"))
        paths = {text.stem: text for text in sorted(found, key=natural_order)}
        if not paths:  # MOTSChallenge: <sequence>/gt/gt.txt
            paths = {text.parents[1].name: text for text in sorted(path.glob("*/gt/gt.txt"))}
    if not paths:
        raise InputError(f"{path}: no MOTS txt in it; one a video is expected")
    ranges = _read_seqmaps(path if path.is_dir() else path.parent)
    names = list(paths)

    def read(index: int) -> LabelledVideo:
        name = names[index]
        return _read_mots_video(paths[name], name, index + 1, frames(name), ranges.get(name), first)

    return LabelledSet(_Lazy(len(names), read), dict(MOTS_CATEGORIES))


def _read_mots_video(
    path: Path, name: str, video_id: int, video: Video | None, numbers: range | None, first: int
) -> LabelledVideo:
    try:
        text = path.read_text("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text ({error})") from None
    extent = mots.extent(text, path)
    if video is None:
        if extent is None:
            raise InputError(
                f"{path}: holds no mask, so that nothing tells the size of the video; say --frames FOLDER"
            )
        lowest, highest, size = extent
        numbers = range(first, highest + 1) if numbers is None else numbers
        if len(numbers) > youtube_vis_sets.LONGEST:
            raise InputError(f"{path}: frame number {highest} cannot be right")
        if lowest not in numbers or highest not in numbers:
            raise InputError(
                f"{path}: holds masks of frames {lowest} to {highest}, not {numbers.start} to {numbers.stop - 1}"
            )
        checked_size(size, str(path))
        video = unseen(name, [f"{number:06d}" for number in numbers], size)
    tracks = mots.read_all(text, path, video, None) if extent else []
    ignored = [track for track in tracks if track.category_id == mots.IGNORED_CLASS]
    tracks = [track for track in tracks if track.category_id != mots.IGNORED_CLASS]
    return LabelledVideo(
        name,
        video,
        VideoTracks(video.size, len(video), tracks, video_id),
        frame_files(name, video),
        ignored,
    )


def _read_seqmaps(folder: Path) -> dict[str, range]:
    """Name -> frame numbers, from lines `name empty 000000 000447`; the last number is the first frame after."""
    found = {}
    for path in sorted(folder.glob("*.seqmap")):
        for number, line in enumerate(path.read_text("utf-8-sig", "replace").splitlines(), 1):
            if not line.strip():
                continue
            match = re.fullmatch(r"(\S+)\s+empty\s+(\d{1,9})\s+(\d{1,9})\s*", line)
            if not match:
                raise InputError(
                    f"{path}, line {number}: 'name empty first end' is expected, such as 0002 empty 000000 000233"
                )
            found[match[1]] = range(int(match[2]), int(match[3]))
    return found


# ---- DAVIS -----------------------------------------------------------------------------------------------


def _read_davis(path: Path, frames: FrameSource, like: Path | None) -> LabelledSet:
    """A folder of PNG id maps, or folders of them: `<root>/Annotations/480p/<video>/00000.png`."""
    if not path.is_dir():
        raise InputError(f"{path}: a folder of PNG id maps, or of folders of them, is expected")
    annotations = path / "Annotations" if (path / "Annotations").is_dir() else path
    folders = [annotations] if _maps(annotations) else []
    for pattern in ("*", "480p/*", "Full-Resolution/*", "*/*"):
        folders = folders or [found for found in annotations.glob(pattern) if _maps(found)]
    if not folders:
        raise InputError(f"{path}: no folders of PNG masks in it (<root>/Annotations/480p/<video>/00000.png)")
    folders.sort(key=natural_order)

    def read(index: int) -> LabelledVideo:
        folder = folders[index]
        name = folder.resolve().name
        video = frames(name)
        if video is None:
            maps = _maps(folder)
            size = id_maps.read_ids(maps[0]).shape
            video = unseen(name, [png.stem for png in maps], (int(size[0]), int(size[1])))
        tracks = id_maps.read_tracks(folder, video, None)
        found = VideoTracks(video.size, len(video), tracks, index + 1)
        return LabelledVideo(name, video, found, frame_files(name, video))

    return LabelledSet(_Lazy(len(folders), read))


def _maps(folder: Path) -> list[Path]:
    """The PNGs in a folder; hidden ones are what file systems leave behind."""
    return sorted((path for path in folder.glob("*.png") if path.name[0] != "."), key=natural_order)


READERS: dict[str, Callable[[Path, FrameSource, Path | None], LabelledSet]] = {
    "youtube-vis": lambda path, frames, like: youtube_vis_sets.read_file(path, frames),
    "youtube-vis-results": lambda path, frames, like: youtube_vis_sets.read_file(path, frames),
    "genvis": _read_genvis,
    "mots": _read_mots,
    "motschallenge": lambda path, frames, like: _read_mots(path, frames, like, first=1),
    "davis": _read_davis,
    "coco": coco.read_file,
    "coco-results": coco.read_file,
}
FORMATS = tuple(dict.fromkeys([*READERS, *DATASETS]))
"""All names that `read_labelled` knows."""
