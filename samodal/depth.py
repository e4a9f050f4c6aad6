"""Who hides whom, and who is nearer, as far as visible masks can tell.

Where the visible mask of one instance lies on the amodal mask of another, the first is in front. That orders those that
touch; of the others, what reaches further down in the image is taken to be nearer, as on a road.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from samodal import masks
from samodal.masks import Rle
from samodal.video import Track, VideoTracks

LEAST = 0.05  # share of a hidden part that must lie behind an instance for that to be called its occluder
SEEN = 4  # pixels in front that count


@dataclass(frozen=True)
class Shown:
    """An instance in one frame: its box x0, y0, x1, y1 (of the amodal mask) and within it both masks, bool (h, w)."""

    track_id: int
    box: tuple[int, int, int, int]
    amodal: np.ndarray
    visible: np.ndarray


def with_depth(tracks: VideoTracks) -> VideoTracks:
    """The same tracks with `occluders` and `depths`; see `samodal.video.Track`."""
    result = [replace(t, occluders=[None] * len(t), depths=[None] * len(t)) for t in tracks]
    by_id = {track.track_id: track for track in result}
    for frame in range(tracks.num_frames):
        shown = list(_shown(result, frame))
        in_front = hiding(shown)
        for place, index in enumerate(depth_order(shown, in_front)):
            track = by_id[shown[index].track_id]
            track.depths[frame] = place
            track.occluders[frame] = _occluder(shown, in_front, index)
    return replace(tracks, tracks=result)


def hiding(shown: list[Shown]) -> np.ndarray:
    """(N, N) int: how many pixels of the hidden part of instance i show instance j, at [j, i]."""
    pixels = np.zeros((len(shown), len(shown)), np.int64)
    for i, one in enumerate(shown):
        hidden = one.amodal & ~one.visible
        if hidden.any():
            for j, other in enumerate(shown):
                if i != j:
                    pixels[j, i] = _common(hidden, one.box, other.visible, other.box)
    return pixels


def depth_order(shown: list[Shown], in_front: np.ndarray) -> list[int]:
    """Indices of N instances from near to far.

    Args:
        shown: the instances.
        in_front: see `hiding`.
    """
    nearer = (in_front > in_front.T) & (in_front >= SEEN)  # [j, i]: j is before i
    bottom = np.array([one.box[3] for one in shown])
    left, order = list(range(len(shown))), []
    while left:
        waiting = nearer[np.ix_(left, left)].sum(0)  # how many of those left are before each of them
        # No instance is free in a circle: then that one goes first which the fewest hide.
        first = min(range(len(left)), key=lambda k: (waiting[k], -bottom[left[k]], k))
        order.append(left.pop(first))
    return order


def _occluder(shown: list[Shown], in_front: np.ndarray, index: int) -> int | None:
    hidden = np.count_nonzero(shown[index].amodal & ~shown[index].visible)
    if not hidden or in_front[:, index].max() < max(SEEN, LEAST * hidden):
        return None
    return shown[int(in_front[:, index].argmax())].track_id


def _shown(tracks: list[Track], frame: int) -> Iterator[Shown]:
    for track in tracks:
        amodal = track.amodal[frame]
        if amodal is not None and masks.area(amodal):
            full, x, y = masks.decode_box(amodal)
            h, w = full.shape
            box = (x, y, x + w, y + h)
            visible = np.zeros_like(full, bool)
            _paste(track.visible[frame], visible, box)
            yield Shown(track.track_id, box, full.astype(bool), visible)


def _paste(rle: Rle | None, into: np.ndarray, box: tuple[int, int, int, int]) -> None:
    """Draw the part of a mask that lies in a box."""
    if rle is not None and masks.area(rle):
        part, x, y = masks.decode_box(rle)
        mine, its = _overlap(box, (x, y, x + part.shape[1], y + part.shape[0]))
        into[mine] = part[its]


def _common(
    a: np.ndarray, box: tuple[int, int, int, int], b: np.ndarray, other: tuple[int, int, int, int]
) -> int:
    mine, its = _overlap(box, other)
    return int(np.count_nonzero(a[mine] & b[its]))


def _overlap(
    box: tuple[int, int, int, int], other: tuple[int, int, int, int]
) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Where two boxes overlap, as rows and columns of each; empty where they do not."""
    x0, y0 = max(box[0], other[0]), max(box[1], other[1])
    x1, y1 = max(x0, min(box[2], other[2])), max(y0, min(box[3], other[3]))
    return (
        (slice(y0 - box[1], y1 - box[1]), slice(x0 - box[0], x1 - box[0])),
        (slice(y0 - other[1], y1 - other[1]), slice(x0 - other[0], x1 - other[0])),
    )
