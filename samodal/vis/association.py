"""Who is who over time: masks found frame by frame, put together to tracks, from the masks alone.

Every track expects its mask where its velocity carries it. Frame by frame the masks found are given
to the tracks by the overlap with what these expect, in three rounds: sure masks; unsure ones, to tracks that go on
without a break; and what is left, by their boxes with a margin, for things that jump or come out of hiding. Sure masks
that nobody expects begin new tracks. (The first two rounds are those of ByteTrack, Zhang et al., ECCV 2022; the margin
is that of C-BIoU, Yang et al., WACV 2023.)
"""

from collections import Counter
from collections.abc import Sequence

import numpy as np
from pycocotools import mask as coco
from scipy.optimize import linear_sum_assignment

from samodal import masks
from samodal.masks import Rle
from samodal.video import Track, VideoTracks
from samodal.vis.categories import category_ids
from samodal.vis.interface import Found

PATIENCE = 30
"""Frames without a mask after which a track is over."""
SHORTEST = 3
"""Frames with a mask that a track needs to be one; fewer in videos that are shorter."""
SURE_IOU, UNSURE_IOU, BOX_IOU = 0.3, 0.5, 0.1
"""The least overlap in each of the rounds."""
MARGIN = 0.6
"""Of a box, on each side, as a share of its side."""
SMOOTH = 0.5
"""Share of the last step in the velocity."""
LASTING = 0.9
"""Of the velocity, what is left of it a frame later while the track has no mask."""


def associate(
    frames: Sequence[Sequence[Found]],
    size: tuple[int, int],
    threshold: float = 0.5,
    classes: Sequence[str] = (),
) -> VideoTracks:
    """Put masks of single frames together to tracks.

    Args:
        frames: what was found in every frame; the masks of a frame do not overlap.
        size: (H, W) of the masks.
        threshold: scores from here on are sure.
        classes: names in the order in which they get their ids, see `category_ids`.

    Returns:
        Tracks in order of their first frame, ids from 1. Class: the one with the highest sum of scores; score: the
        mean.
    """
    paths: list[_Path] = []
    for index, unordered in enumerate(frames):
        found = sorted(
            unordered, key=_rank
        )  # so that ties do not depend on the order in which masks are given
        alive = [path for path in paths if index - path.frames[-1] <= PATIENCE]
        expected = [path.expected(index) for path in alive]
        sure = [n for n, one in enumerate(found) if one.score >= threshold]
        unsure = [n for n, one in enumerate(found) if one.score < threshold]
        iou = _mask_iou([path.mask_at(box) for path, box in zip(alive, expected, strict=True)], found)
        taken = _assign(iou, range(len(alive)), sure, SURE_IOU)

        going_on = [
            row for row, path in enumerate(alive) if row not in taken and path.frames[-1] == index - 1
        ]
        taken |= _assign(iou, going_on, unsure, UNSURE_IOU)

        left = [n for n in sure if n not in taken.values()]
        waiting = [row for row in range(len(alive)) if row not in taken]
        near = _box_iou(expected, [_box(one.mask) for one in found])
        near *= np.array(
            [[path.found[-1].category == one.category for one in found] for path in alive]
        ).reshape(near.shape)
        taken |= _assign(near, waiting, left, BOX_IOU)

        for row, column in taken.items():
            alive[row].see(index, found[column])
        paths += [_Path(index, found[n]) for n in left if n not in taken.values()]
    return _tracks(paths, len(frames), size, classes)


class _Path:
    """A track that grows. Boxes are (centre x, centre y, width, height)."""

    def __init__(self, index: int, found: Found) -> None:
        self.frames, self.found = [index], [found]
        self.box, self.velocity = _box(found.mask), np.zeros(2)

    def expected(self, index: int) -> np.ndarray:
        """The box in a coming frame. Its size stays: what shrinks most often begins to hide."""
        steps = (1 - LASTING ** (index - self.frames[-1])) / (1 - LASTING)
        return self.box + np.append(self.velocity * steps, (0, 0))

    def mask_at(self, box: np.ndarray) -> Rle:
        """The last mask, carried to a box."""
        shift = (box - self.box)[:2]
        return masks.warp(self.found[-1].mask, np.column_stack([np.eye(2), shift]))

    def see(self, index: int, found: Found) -> None:
        """Take what was found in a frame."""
        box = _box(found.mask)
        step = (box - self.box)[:2] / (index - self.frames[-1])
        self.velocity = step if len(self.frames) == 1 else (1 - SMOOTH) * self.velocity + SMOOTH * step
        self.box = box
        self.frames.append(index)
        self.found.append(found)


def _rank(one: Found) -> tuple[float, tuple[float, ...], str, str]:
    """The surest first, then from left to right."""
    return -one.score, masks.box(one.mask), one.mask["counts"], one.category


def _box(mask: Rle) -> np.ndarray:
    x, y, width, height = masks.box(mask)
    return np.array([x + (width - 1) / 2, y + (height - 1) / 2, width, height])


def _mask_iou(expected: list[Rle], found: Sequence[Found]) -> np.ndarray:
    """IoU of all pairs, (len(expected), len(found))."""
    iou = np.zeros((len(expected), len(found)))
    if iou.size:
        iou[:] = coco.iou(expected, [one.mask for one in found], [0] * len(found))
    return iou


def _box_iou(a: Sequence[np.ndarray], b: Sequence[np.ndarray]) -> np.ndarray:
    """IoU of all pairs of boxes with their margins, (len(a), len(b))."""
    if not (len(a) and len(b)):
        return np.zeros((len(a), len(b)))
    (low_a, high_a), (low_b, high_b) = (_corners(np.array(boxes)) for boxes in (a, b))
    sides = np.minimum(high_a[:, None], high_b) - np.maximum(low_a[:, None], low_b)
    shared = np.maximum(sides, 0).prod(axis=2)
    return shared / ((high_a - low_a).prod(axis=1)[:, None] + (high_b - low_b).prod(axis=1) - shared)


def _corners(boxes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    half = boxes[:, 2:] * (0.5 + MARGIN)
    return boxes[:, :2] - half, boxes[:, :2] + half


def _assign(overlap: np.ndarray, rows: Sequence[int], columns: Sequence[int], least: float) -> dict[int, int]:
    """Row -> column, each at most once, so that the overlaps add up to the most; none below `least`."""
    part = overlap[np.ix_(list(rows), list(columns))]
    pairs = zip(*linear_sum_assignment(np.where(part >= least, part, 0), maximize=True), strict=True)
    return {rows[row]: columns[column] for row, column in pairs if part[row, column] >= least}


def _tracks(
    paths: list[_Path], num_frames: int, size: tuple[int, int], classes: Sequence[str]
) -> VideoTracks:
    kept = [path for path in paths if len(path.frames) >= min(SHORTEST, num_frames)]
    names = [one.category for path in kept for one in path.found]
    ids = category_ids([*classes, *names])
    tracks = []
    for number, path in enumerate(kept, 1):
        votes: Counter[str] = Counter()
        visible: list[Rle | None] = [None] * num_frames
        for frame, one in zip(path.frames, path.found, strict=True):
            votes[one.category] += one.score  # type: ignore[assignment]
            visible[frame] = one.mask
        score = float(np.mean([one.score for one in path.found]))
        tracks.append(Track(number, ids[votes.most_common(1)[0][0]], score, visible))
    return VideoTracks(size, num_frames, tracks)
