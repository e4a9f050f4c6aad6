"""What every reader of a data set gives: clips, that is, a video and the truth of every frame."""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from samodal.masks import Rle, area
from samodal.video import State, Track, Video, VideoTracks


@dataclass
class Instance:
    """The truth of one instance in one frame.

    Attributes:
        track_id: unique in its clip.
        category_id: the data set's own category.
        amodal: the full mask, cut at the image border; never empty.
        visible: what is seen of it; None where nothing is.
    """

    track_id: int
    category_id: int
    amodal: Rle
    visible: Rle | None


@dataclass
class Clip:
    """A video with truth, both read when asked for.

    Attributes:
        name: unique in its data set.
        video: the frames.
        instances: frame index -> the instances whose amodal mask has a pixel in that frame.
        extra: what only some data sets know (ego-motion, depth order, occluders, ...).
    """

    name: str
    video: Video
    instances: Callable[[int], list[Instance]]
    extra: dict[str, Any] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.video)

    @cached_property
    def truth(self) -> VideoTracks:
        """The instances of all frames put together, one track each, in order of first appearance."""
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
        return VideoTracks(self.video.size, len(self), list(tracks.values()))
