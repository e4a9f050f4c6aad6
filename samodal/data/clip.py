"""What every reader of a data set gives: clips, that is, a video and what is known of every frame."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from samodal.errors import InputError
from samodal.masks import Rle, area
from samodal.video import State, Track, Video, VideoTracks


@dataclass
class Instance:
    """What is known of one instance in one frame; at least one of the masks is there.

    Attributes:
        track_id: unique in its clip.
        category_id: the data set's own category.
        amodal: the full mask, cut at the image border, never empty; None where the data set does not know it.
        visible: what is seen of it; None where nothing is.
    """

    track_id: int
    category_id: int
    amodal: Rle | None
    visible: Rle | None


@dataclass
class Clip:
    """A video with truth, both read when asked for.

    Attributes:
        name: unique in its data set.
        video: the frames.
        instances: frame index -> the instances known in that frame.
        extra: what only some data sets know (ego-motion, depth order, occluders, ids of images, ...).
        video_id: the id of the video in its data set, from 1 where the data set has none of its own.
        annotated: the frames in which every instance that is there is known with its full mask; None: all
            frames. Empty where there are only visible masks. Of the other frames nothing is known but what
            `instances` gives, often nothing at all: they are unknown, not empty.
    """

    name: str
    video: Video
    instances: Callable[[int], list[Instance]]
    extra: dict[str, Any] = field(default_factory=dict)
    video_id: int = 1
    annotated: Sequence[int] | None = None

    def __len__(self) -> int:
        return len(self.video)

    @cached_property
    def truth(self) -> VideoTracks:
        """The instances of all frames put together, one track each, in order of first appearance.

        Where a full mask is not known, `amodal` is None and the state is "visible".
        """
        tracks: dict[int, Track] = {}
        for frame in range(len(self)):
            for instance in self.instances(frame):
                track = tracks.get(instance.track_id)
                if track is None:
                    nothing: list[Rle | None] = [None] * len(self)
                    track = Track(instance.track_id, instance.category_id, 1.0, visible=nothing)
                    tracks[instance.track_id] = track
                track.amodal[frame] = instance.amodal
                track.visible[frame] = instance.visible if area(instance.visible) else None
                state: State = "visible" if track.visible[frame] else "hidden"
                track.states[frame] = state
        return VideoTracks(self.video.size, len(self), list(tracks.values()), self.video_id)


class Dataset(Sequence[Clip]):
    """A data set: clips that are made when they are asked for.

    Args:
        names: of the clips.
        clip: index -> clip.
        categories: category -> its name, where known.
    """

    def __init__(
        self, names: Sequence[str], clip: Callable[[int], Clip], categories: Mapping[int, str] | None = None
    ) -> None:
        self.names, self.categories = list(names), dict(categories or {})
        self._clip = clip

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> Clip:  # type: ignore[override]
        return self._clip(range(len(self))[index])


def amodal_frames(clips: Sequence[Clip]) -> list[Sequence[int]]:
    """For every clip the frames that can be trained on or scored: those whose full masks are known.

    Raises:
        InputError: there are none in any clip.
    """
    frames = [range(len(clip)) if clip.annotated is None else clip.annotated for clip in clips]
    if clips and not any(frames):
        raise InputError(
            f"{clips[0].name}: this data set has no amodal masks, only visible ones; training and scoring need "
            "amodal truth, as in AmodalSynthDrive, KINS, FISHBOWL or SAIL-VOS"
        )
    return frames
