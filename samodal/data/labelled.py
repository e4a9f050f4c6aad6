"""What is passed from the reader of one format to the writer of another: the masks of whole sets of videos."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from samodal.data.clip import Clip
from samodal.errors import InputError
from samodal.frames import FOLDER_FPS
from samodal.video import Track, Video, VideoTracks

FrameSource = Callable[[str], Video | None]
"""Name of a video -> its frames, None where nobody knows them."""


@dataclass
class LabelledVideo:
    """The masks of one video, whatever format they come from: all that a writer needs, predictions too.

    A `Clip` is truth, asked for frame by frame (training reads one frame of many clips); it has no place for scores and
    states, ignored regions, rates without visible masks, or the names and ids that a file must get back.

    Attributes:
        name: unique in its set.
        video: the frames, or `unseen` ones where the format has none and nobody said where they are.
        tracks: visible and amodal masks, each only where the source has them; `video_id` is the source's.
        file_names: (T) every frame's file, relative to the folder of all images, such as "0001/000000.png".
        ignored: regions that nobody labelled (crowds, class 10 of MOTS), as visible masks of tracks.
        rates: None where the occlusion rates follow from the masks. Where the source has amodal masks only: track
            id -> (T) rates, of the tracks whose rates it gives.
        image_ids: (T) ids of the frames in COCO files, where the source has some.
        unannotated: number of frames of which the source does not know the full masks, though of others it does.
        extra: what only some data sets know.
    """

    name: str
    video: Video
    tracks: VideoTracks
    file_names: list[str]
    ignored: list[Track] = field(default_factory=list)
    rates: dict[int, list[float | None]] | None = None
    image_ids: list[int] | None = None
    unannotated: int = 0
    extra: dict[str, Any] = field(default_factory=dict)

    def occlusion_rates(self, track: Track) -> list[float | None] | None:
        """Hidden area / amodal area a frame (T); None where the source says nothing of it."""
        if not any(track.amodal):
            return None
        return track.occlusion_rates if self.rates is None else self.rates.get(track.track_id)


@dataclass
class LabelledSet:
    """Videos, read when they are asked for, and the names of the categories."""

    videos: Sequence[LabelledVideo]
    categories: dict[int, str] = field(default_factory=dict)


def unseen(name: str, frame_names: Sequence[str], size: tuple[int, int]) -> Video:
    """A video of which length and size (H, W) are known, but not the frames: looking at one is an InputError."""
    times = np.arange(len(frame_names)) / FOLDER_FPS
    return Video(_Unseen(name, len(frame_names)), times, size, name, list(frame_names))


class _Unseen(Sequence[np.ndarray]):
    def __init__(self, name: str, length: int) -> None:
        self.name, self.length = name, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
        raise InputError(
            f"{self.name}: the frames are needed, but only masks were given; say --frames FOLDER"
        )


class LabelledClips(Sequence[LabelledVideo]):
    """The clips of a data set (`samodal.data.open_dataset`)."""

    def __init__(self, clips: Sequence[Clip]) -> None:
        self.clips = clips

    def __len__(self) -> int:
        return len(self.clips)

    def __getitem__(self, index: int) -> LabelledVideo:  # type: ignore[override]
        clip = self.clips[index]
        image_ids = clip.extra.get("image_ids") or [clip.extra.get("image_id")]
        return LabelledVideo(
            clip.name,
            clip.video,
            VideoTracks(clip.video.size, len(clip), clip.truth.tracks, clip.video_id),
            frame_files(clip.name, clip.video),
            image_ids=None if None in image_ids else list(image_ids),
            unannotated=len(clip) - len(clip.annotated) if clip.annotated else 0,
            extra=clip.extra,
        )


def frame_files(name: str, video: Video) -> list[str]:
    """The frames' files as "<video>/<frame>.<suffix>", by their own names where they are files, else by number."""
    if paths := getattr(video.frames, "paths", None):
        return [f"{name}/{path.name}" for path in paths]
    stems = video.frame_names or [f"{index:05d}" for index in range(len(video))]
    return [f"{name}/{stem}.jpg" for stem in stems]


def recategorise(labelled: LabelledVideo, classes: Mapping[int, int]) -> None:
    """Change the categories of all tracks by a map; others stay as they are."""
    for track in labelled.tracks:
        track.category_id = classes.get(track.category_id, track.category_id)
