"""What a frame that shows an instance says of it: its mask, place, size and shape."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np

from samodal import masks
from samodal.masks import Rle
from samodal.motion.scenery import Scenery

GUESS = 0.05  # what a guessed pixel counts beside a seen one,
BEYOND = 0.001  # and one beyond the border of the image, where masks end whatever is there
TAILS = 0.03  # share of a mask that is left out above, and below, where its height is measured
SILHOUETTE = 16  # pixels of a silhouette's side,
REACH = 2.8  # which is so many sizes of the instance


@dataclass(frozen=True, eq=False)
class Step:
    """A point p of an instance in the frame before is now at `end` + `zoom` (p - `start`).

    Attributes:
        start: (x, y) the middle of the corners that were followed, in the frame before.
        end: (x, y) where that is now.
        zoom: how much larger the instance appears.
        sigma: standard deviation of `end`, in pixels.
        zoom_sigma: standard deviation of log(zoom).
    """

    start: np.ndarray
    end: np.ndarray
    zoom: float
    sigma: float
    zoom_sigma: float


@dataclass(frozen=True, eq=False)
class Observation:
    """One frame in which the instance was seen.

    Attributes:
        frame: its index.
        size: (H, W) of the image.
        shape: bool (h, w), the amodal mask within its box; never empty.
        visible_fraction: visible area / amodal area, in [0, 1].
        center: (x, y) of the mask's centroid.
        scale: square root of the mask's area.
        edges: left, top, right, bottom of the mask's box (outer borders of the pixels).
        cut: for each edge, whether the image border cuts the mask there.
        sure: float32 (h + 2 m, w + 2 m), the box with a margin of m = `margin` pixels on every side: 1 where it was
            seen whether the instance is there, `GUESS` where another instance hides it, `BEYOND` outside the image.
        step: how what is seen moved since the frame before; None: not known.
    """

    frame: int
    size: tuple[int, int]
    shape: np.ndarray
    visible_fraction: float
    center: np.ndarray
    scale: float
    edges: np.ndarray
    cut: np.ndarray
    sure: np.ndarray
    step: Step | None = None

    @cached_property
    def is_cut(self) -> bool:
        """Whether a part lies outside the image."""
        return bool(self.cut.any())

    @cached_property
    def height(self) -> float:
        """Of the mask without its uppermost and lowest 3 %, in pixels; these may be a few stray ones."""
        above = np.concatenate([[0], np.cumsum(self.shape.sum(1))])
        top, bottom = np.interp([TAILS, 1 - TAILS], above / above[-1], np.arange(len(above)))
        return float(bottom - top)

    @cached_property
    def aspect(self) -> float:
        """log(width / height) of the mask, both measured as standard deviations of its pixels."""
        return 0.5 * float(np.log(_variance(self.shape.sum(0)) / _variance(self.shape.sum(1))))

    @property
    def margin(self) -> int:
        """Of `sure` and `signed_distance` around the box, in pixels."""
        return _margin(self.shape)

    @property
    def amodal(self) -> Rle:
        """The mask."""
        x, y = np.rint(self.edges[:2] + 0.5).astype(int).tolist()
        return masks.encode_box(self.shape, x, y, self.size)

    @cached_property
    def signed_distance(self) -> tuple[np.ndarray, np.ndarray]:
        """Distance to the mask's edge in pixels, positive inside, with a margin; (x, y) of its first pixel."""
        inside = np.pad(self.shape.astype(np.uint8), self.margin)
        distance = cv2.distanceTransform(inside, cv2.DIST_L2, 3)
        distance -= cv2.distanceTransform(1 - inside, cv2.DIST_L2, 3)
        return distance, self.edges[:2] + 0.5 - self.margin

    @cached_property
    def silhouette(self) -> np.ndarray:
        """The shape regardless of place and size, float32 (256,): 16 x 16 pixels around the centre, 1 inside, -1
        outside, in between at the edge."""
        distance, corner = self.signed_distance
        zoom = SILHOUETTE / REACH / self.scale
        shift = (SILHOUETTE - 1) / 2 - zoom * (self.center - corner)
        place = np.array([[zoom, 0, shift[0]], [0, zoom, shift[1]]])
        small = cv2.warpAffine(
            distance, place, (SILHOUETTE, SILHOUETTE), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        return (2 * zoom * small).clip(-1, 1).ravel()


def observe(
    frame: int,
    mask: Rle,
    visible_fraction: float,
    scenery: Scenery | None = None,
    step: Step | None = None,
) -> Observation:
    """Measure an amodal mask that has at least one pixel.

    Args:
        frame: its frame.
        mask: the amodal mask.
        visible_fraction: visible area / amodal area.
        scenery: what the frame shows; None: nothing is known to hide anything.
        step: how what is seen moved since the frame before.
    """
    height, width = size = (mask["size"][0], mask["size"][1])
    shape, x, y = masks.decode_box(mask)
    h, w = shape.shape
    columns, rows = shape.sum(0), shape.sum(1)
    total = float(columns.sum())
    center = np.array([x + columns @ np.arange(w) / total, y + rows @ np.arange(h) / total])
    edges = np.array([x, y, x + w, y + h], np.float64) - 0.5
    cut = np.array([x <= 0, y <= 0, x + w >= width, y + h >= height])
    m = _margin(shape)
    window = (x - m, y - m, x + w + m, y + h + m)
    if scenery is None:
        sure = np.ones((h + 2 * m, w + 2 * m), np.float32)
    else:
        sure = np.where(scenery.others(window), np.float32(GUESS), np.float32(1))
        sure[~scenery.scene.inside(window)] = BEYOND
    shape = np.ascontiguousarray(shape)
    return Observation(
        frame, size, shape, float(visible_fraction), center, total**0.5, edges, cut, sure, step
    )


def _margin(shape: np.ndarray) -> int:
    return 2 + max(shape.shape) // 8


def _variance(counts: np.ndarray) -> float:
    """Of the place of pixels, of which there are `counts` at 0, 1, 2 and so on; each fills its whole pixel."""
    at, share = np.arange(len(counts)), counts / counts.sum()
    return float(share @ (at - share @ at) ** 2) + 1 / 12
