"""The rule of S-AModal for hidden frames (recover="reference"): the last mask, moved along with one tracked point.

Kept so that published numbers can be repeated. It knows neither size nor what comes after the gap, and the point it
goes by is a random one; `samodal.recover` does better.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from samodal import masks
from samodal.masks import Rle
from samodal.video import Track

BORDER = 20  # pixels: what reaches so near to the left or right border is taken to have left

Follow = Callable[[int, np.ndarray, range], np.ndarray]
"""(frame s, point (2,) (x, y) known in it, hidden frames from s + 1 on) -> (n, 2), where the point is in those."""


@dataclass(frozen=True)
class Gap:
    """A run of frames without a mask, after one that has one.

    Attributes:
        last: the frame that shows the instance last.
        mask: the amodal mask of that frame.
        start: (2,) its point (x, y).
        frames: the frames without a mask, up to the next sighting or the end.
        reach: (2,) pixels along x and y, the mean step of the point between all sightings so far; nan after one.
    """

    last: int
    mask: Rle
    start: np.ndarray
    frames: range
    reach: np.ndarray


def shift_by_point(track: Track, follow: Follow) -> Track:
    """Fill the frames in which a track has no amodal mask, as the original does.

    In a hidden frame k, s being the last frame that shows the instance: the track stops if its mask in frame k - 1
    reaches the left or right border (20 pixels), or its point in frame s does, and stays stopped up to the next
    sighting. Else the mask of frame s is shifted by the way the point has gone since, along each axis by at most
    (k - s) mean steps that the point took between sightings.

    Args:
        track: with `amodal` masks and `points` where it is seen; the first point of a frame counts. Not changed.
        follow: the point tracker. Not asked for gaps that are stopped at once.

    Returns:
        A new track. Its hidden frames have the tracked point (float, not limited as the mask is), and the score of
        the last sighting: the original does not say how sure it is.

    Source: S-AModal section 3.3; of the original, the recovery scripts for ground truth and for GenVIS masks.
    """
    result = replace(
        track,
        amodal=list(track.amodal),
        states=list(track.states),
        scores=list(track.scores),
        points=list(track.points),
        reasons=list(track.reasons),
    )
    for gap in gaps(track):
        stopped = begins_at_border(gap)
        places = None if stopped else follow(gap.last, gap.start, gap.frames)
        for number, frame in enumerate(gap.frames, 1):
            if not stopped and places is not None:
                limit = gap.reach * number
                way = places[number - 1] - gap.start
                way = np.where(np.isnan(limit), way, np.clip(way, -limit, limit))
                moved = shift(gap.mask, way)
                result.points[frame] = places[number - 1][None]
                if masks.area(moved):
                    result.amodal[frame], result.states[frame] = moved, "hidden"
                    result.scores[frame] = track.scores[gap.last]
                    result.reasons[frame] = f"moved with a point, not seen for {number} frames"
                    stopped = _at_border(moved, gap.start)
                    continue
                stopped = True
            result.amodal[frame], result.states[frame] = None, "gone"
            result.scores[frame], result.reasons[frame] = None, "left the frame"
    return result


def gaps(track: Track) -> list[Gap]:
    """The runs of frames of a track without an amodal mask, but for those before the first sighting."""
    seen = [
        (frame, mask, np.asarray(points[0], np.float64))
        for frame, (mask, points) in enumerate(zip(track.amodal, track.points, strict=True))
        if mask is not None and masks.area(mask) and points is not None and len(points)
    ]
    following = [*(frame for frame, _, _ in seen[1:]), len(track)]
    found = []
    for number, ((last, mask, point), end) in enumerate(
        zip(seen, following, strict=False), 1
    ):  # none if never seen
        if end > last + 1:
            steps = np.abs(np.diff([place for _, _, place in seen[:number]], axis=0))
            reach = steps.mean(0) if len(steps) else np.full(2, np.nan)
            found.append(Gap(last, mask, point, range(last + 1, end), reach))
    return found


def begins_at_border(gap: Gap) -> bool:
    """Whether the instance is taken to have left, so that there is nothing to follow."""
    return _at_border(gap.mask, gap.start)


def shift(mask: Rle, way: np.ndarray) -> Rle:
    """A mask shifted by (x, y) pixels, in steps of 1/32 pixel; a pixel belongs to it that is half covered or more.

    In whole numbers, because versions of OpenCV differ where a pixel is covered by exactly a half.
    """
    height, width = mask["size"]
    x, y, w, h = masks.box(mask)
    whole, part = np.divmod(np.rint(32 * np.asarray(way, np.float64)).astype(int), 32)
    crop = np.pad(masks.decode(mask)[y : y + h, x : x + w].astype(int), 1)
    rows = (32 - part[1]) * crop[1:] + part[1] * crop[:-1]
    inside = 2 * ((32 - part[0]) * rows[:, 1:] + part[0] * rows[:, :-1]) >= 32 * 32  # (h + 1, w + 1)
    result = np.zeros((height, width), bool)
    left, top = x + whole[0], y + whole[1]
    right, bottom = left + inside.shape[1], top + inside.shape[0]
    part_x, part_y = slice(*np.clip((left, right), 0, width)), slice(*np.clip((top, bottom), 0, height))
    result[part_y, part_x] = inside[
        part_y.start - top : part_y.stop - top, part_x.start - left : part_x.stop - left
    ]
    return masks.encode(result)


def _at_border(mask: Rle, point: np.ndarray) -> bool:
    x, _, w, _ = masks.box(mask)
    right = mask["size"][1] - BORDER
    return x <= BORDER or x + w >= right or not BORDER < point[0] < right
