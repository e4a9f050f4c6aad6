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


class PointShift:
    """The rule for one instance, frame by frame: `see` where it has a mask, `move` in every frame after that.

    In a hidden frame k, s being the last frame that shows the instance: it has left if its mask in frame k - 1
    reaches the left or right border (20 pixels), or its point in frame s does, and stays so up to the next sighting.
    Else the mask of frame s is shifted by the way the point has gone since, along each axis by at most (k - s) mean
    steps that the point took between sightings.

    Attributes:
        point: (2,) (x, y) in the frame that showed the instance last.
        age: frames since then.
        left: it has left; there is nothing to follow.
        lost: the tracker did not find the point in the last frame.
    """

    def __init__(self, mask: Rle, point: np.ndarray) -> None:
        self._way, self._steps = np.zeros(2), 0
        self._begin(mask, point)

    def see(self, mask: Rle, point: np.ndarray) -> None:
        """Take the mask of a frame, at least one pixel, and the point (2,) in it."""
        self._way, self._steps = self._way + np.abs(point - self.point), self._steps + 1
        self._begin(mask, point)

    def _begin(self, mask: Rle, point: np.ndarray) -> None:
        self._mask, self.point, self.age = mask, np.asarray(point, np.float64), 0
        self.left, self.lost = _at_border(mask, self.point), False

    def move(self, place: np.ndarray | None) -> Rle | None:
        """The mask of the next frame, where the point is now at `place` (2,).

        None where that is not known (nothing is asked for what has left), or where the mask is out of the image.
        """
        self.age += 1
        self.lost = place is None and not self.left
        if self.left or place is None:
            return None
        way = place - self.point
        if self._steps:
            limit = self._way / self._steps * self.age
            way = np.clip(way, -limit, limit)
        moved = shift(self._mask, way)
        self.left = not masks.area(moved) or _at_border(moved, self.point)
        return moved if masks.area(moved) else None

    def reason(self, moved: Rle | None) -> str:
        """Why the frame is hidden, or gone, in words; of what `move` gave."""
        if moved is not None:
            return f"moved with a point, not seen for {self.age} frames"
        return "its point is lost" if self.lost else "left the frame"


def known_place(place: np.ndarray) -> np.ndarray | None:
    """Where a tracker has a point, (2,); None where it says that it does not know (not finite)."""
    return place if np.isfinite(place).all() else None


def shift_by_point(track: Track, follow: Follow) -> Track:
    """Fill the frames in which a track has no amodal mask, as the original does; see `PointShift`.

    Args:
        track: with `amodal` masks and `points` where it is seen; the first point of a frame counts. Not changed.
        follow: the point tracker. Not asked for gaps in which the instance has left at once.

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
    rule = None
    for one in sightings(track):
        if rule is None:
            rule = PointShift(one.mask, one.point)
        else:
            rule.see(one.mask, one.point)
        places = None if rule.left or not one.hidden else follow(one.frame, one.point, one.hidden)
        for number, frame in enumerate(one.hidden):
            place = None if rule.left or places is None else known_place(places[number])
            moved = rule.move(place)
            result.amodal[frame], result.reasons[frame] = moved, rule.reason(moved)
            result.states[frame] = "gone" if moved is None else "hidden"
            result.scores[frame] = None if moved is None else track.scores[one.frame]
            if place is not None:
                result.points[frame] = place[None]
    return result


@dataclass(frozen=True)
class Sighting:
    """A frame with a mask.

    Attributes:
        frame: its index.
        mask: the amodal mask.
        point: (2,) its first point (x, y), float64.
        hidden: the frames without a mask that follow, up to the next sighting or the end; often none.
    """

    frame: int
    mask: Rle
    point: np.ndarray
    hidden: range


def sightings(track: Track) -> list[Sighting]:
    """The frames of a track that have an amodal mask and points."""
    seen = [
        (frame, mask, np.asarray(points[0], np.float64))
        for frame, (mask, points) in enumerate(zip(track.amodal, track.points, strict=True))
        if mask is not None and masks.area(mask) and points is not None and len(points)
    ]
    following = [*(frame for frame, _, _ in seen[1:]), len(track)]
    return [Sighting(*one, range(one[0] + 1, end)) for one, end in zip(seen, following, strict=False)]


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
