"""What finds the visible masks of a video, as the rest of the package sees it, and what users plug in."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from samodal.frame_log import FrameLog
from samodal.masks import Rle
from samodal.video import Video, VideoTracks


@dataclass(frozen=True)
class Found:
    """One instance that a frame shows: its visible mask, the name of its class, and a score in [0, 1]."""

    mask: Rle
    category: str
    score: float


class InstanceSegmenter(Protocol):
    """Looks at one image; who is who over time is found afterwards. Plugs in if its argument is called `image`."""

    def __call__(self, image: np.ndarray) -> Sequence[tuple[np.ndarray, str, float]]:
        """Uint8 (H, W, 3) RGB -> for each instance its mask bool (H, W), the name of its class, a score in [0, 1]."""
        ...


class VideoSegmenter(Protocol):
    """Looks at a whole video and says who is who itself. Plugs in if its argument is called `video`."""

    def __call__(self, video: Video) -> VideoTracks:
        """The video's instances, as tracks with visible masks."""
        ...


def no_progress() -> None:
    """Nobody is told."""


class VisibleMasks(Protocol):
    """What `samodal.vis.open_vis` gives.

    Attributes:
        identity: all that its masks depend on besides the video, as JSON knows it.
    """

    identity: dict[str, Any]

    def __call__(
        self, video: Video, progress: Callable[[], None] = no_progress, log: FrameLog | None = None
    ) -> VideoTracks:
        """The tracks of the video's instances, with visible masks that do not overlap.

        Args:
            video: the frames.
            progress: called after every frame.
            log: what is known already; what is found in other frames is added, by those that can go on from there.
        """
        ...
