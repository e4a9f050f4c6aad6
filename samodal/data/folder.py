"""A plain folder: frames or a video file, and PNG id maps beside them; visible masks only."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from samodal.data.clip import Clip, Dataset, Instance
from samodal.data.listing import subfolders
from samodal.data.visible import read_visible
from samodal.errors import InputError
from samodal.frames import open_video
from samodal.video import Video, VideoTracks


def open_folder(
    root: str | Path, split: str = "val", masks: str = "masks", frames: str | None = None
) -> Dataset:
    """Open own data.

    Args:
        root: a clip, which has a folder `masks` of PNG id maps or 0/255 masks, one a frame, and either a folder
            `frames` (or `JPEGImages`, `images`) or one video file; or a folder of clips; or `<root>/<split>/` with
            clips.
        split: of the last layout; the others have none and are taken whole.
        masks: the name of the folder of masks.
        frames: the name of the folder of frames or of the video file.

    Raises:
        InputError: nothing there, or masks and frames do not fit together.
    """
    root = Path(root)
    if not root.is_dir():
        raise InputError(f"{root}: no such folder")
    home = root / split if (root / split).is_dir() else root
    clips = (
        [home]
        if (home / masks).is_dir()
        else [home / n for n in subfolders(home) if (home / n / masks).is_dir()]
    )
    if not clips:
        raise InputError(f"{home / masks}: no such folder; PNG id maps, one a frame, are expected there")

    def clip(index: int) -> Clip:
        folder = clips[index]
        video = open_video(_frames(folder, masks, frames))
        return Clip(names[index], video, _Tracks(folder / masks, video), {}, index + 1, annotated=())

    names = [folder.resolve().name for folder in clips]
    return Dataset(names, clip)


def _frames(folder: Path, masks: str, frames: str | None) -> Path:
    if frames:
        return folder / frames
    for name in ("frames", "JPEGImages", "images"):
        if (folder / name).is_dir():
            return folder / name
    files = [
        path for path in sorted(folder.iterdir()) if path.is_file() and path.suffix.lower() in VIDEO_SUFFIXES
    ]
    if len(files) != 1:
        raise InputError(
            f"{folder / 'frames'}: no such folder, and {len(files)} video files in {folder}; one of both is expected"
        )
    return files[0]


VIDEO_SUFFIXES = {".mp4", ".avi", ".mov", ".mkv", ".webm", ".m4v"}


@dataclass
class _Tracks:
    """Frame index -> its instances. What the ids mean is told by all maps together, so they are read at once."""

    folder: Path
    video: Video

    @cached_property
    def tracks(self) -> VideoTracks:
        return read_visible(self.folder, self.video)

    def __call__(self, frame: int) -> list[Instance]:
        tracks = [track for track in self.tracks if track.visible[frame]]
        return [Instance(track.track_id, track.category_id, None, track.visible[frame]) for track in tracks]
