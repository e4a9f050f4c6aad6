"""Visible masks from a model that looks at single images: frame by frame, then put together over time."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from samodal import masks
from samodal.errors import InputError
from samodal.frame_log import FrameLog
from samodal.video import Video, VideoTracks
from samodal.vis.association import associate
from samodal.vis.interface import Found, InstanceSegmenter, no_progress

OWN = 0.5
"""Share of a mask that must be left when better ones are taken away; with less it is the same thing twice."""


class FrameByFrame:
    """A `VisibleMasks` from an `InstanceSegmenter`.

    Args:
        segmenter: looks at the frames.
        name: of the segmenter, for messages.
        identity: all that its answers depend on.
        classes: only these; empty: all that it finds.
        threshold: as of `VisOptions`.
    """

    def __init__(
        self,
        segmenter: InstanceSegmenter,
        name: str,
        identity: dict[str, Any],
        classes: Sequence[str] = (),
        threshold: float = 0.5,
    ) -> None:
        self.segmenter, self.name, self.identity = segmenter, name, identity
        self.classes, self.threshold = tuple(classes), threshold

    def __call__(
        self, video: Video, progress: Callable[[], None] = no_progress, log: FrameLog | None = None
    ) -> VideoTracks:
        """See `VisibleMasks`.

        Raises:
            InputError: the segmenter returns something else than it should.
        """
        frames = []
        for index in range(len(video)):
            if log is not None and index in log:
                found = [Found(**entry) for entry in log[index]]
            else:
                found = self.look(video[index])
                if log is not None:
                    log.add(index, [asdict(one) for one in found])
            frames.append(found)
            progress()
        return associate(frames, video.size, self.threshold, self.classes)

    def look(self, image: np.ndarray) -> list[Found]:
        """What an image (uint8 (H, W, 3) RGB) shows, down to half the threshold, best first, without overlaps."""
        answer = self.segmenter(image)
        if not isinstance(answer, Sequence):
            raise InputError(
                f"{self.name}: returned a {type(answer).__name__}, not a list of (mask, class, score)"
            )
        checked = [_checked(entry, image.shape[:2], self.name) for entry in answer]
        wanted = [
            (mask, category, score)
            for mask, category, score in checked
            if score >= self.threshold / 2 and (not self.classes or category in self.classes)
        ]
        kept = without_overlaps([mask for mask, _, _ in wanted], [score for _, _, score in wanted])
        return [Found(masks.encode(mask), *wanted[n][1:]) for n, mask in kept.items()]


def without_overlaps(found: Sequence[np.ndarray], scores: Sequence[float]) -> dict[int, np.ndarray]:
    """Of the masks (bool (H, W)) of a frame what better ones do not cover, by their number, best first.

    Empty masks are left out, and those of which less than `OWN` is left.
    """
    kept: dict[int, np.ndarray] = {}
    for n in sorted(range(len(found)), key=lambda n: -scores[n]):
        own = found[n].copy()
        for better in kept.values():
            own &= ~better
        if own.sum() > OWN * found[n].sum():
            kept[n] = own
    return kept


def _checked(entry: Any, size: tuple[int, ...], name: str) -> tuple[np.ndarray, str, float]:
    try:
        mask, category, score = entry
        mask, score = np.asarray(mask), float(score)
    except (TypeError, ValueError) as error:  # no triple, a tensor on a GPU, a score that is no number
        raise InputError(f"{name}: (mask, class, score) is expected for every instance ({error})") from None
    if mask.shape != size:
        raise InputError(
            f"{name}: returned a mask of shape {mask.shape} for an image of {tuple(size)} (height, width)"
        )
    if not isinstance(category, str) or not 0 <= score <= 1:
        raise InputError(
            f"{name}: returned class {category!r} and score {score!r}; a name and a number from 0 to 1 are expected"
        )
    return mask != 0, category, score
