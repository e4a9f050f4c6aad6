"""What one seen frame says about an instance: centre and size of its amodal mask, and how far to trust them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samodal import masks
from samodal.masks import Rle


@dataclass(frozen=True)
class Observation:
    """One frame in which the instance was seen.

    Attributes:
        frame: its index.
        mask: the amodal mask, never empty.
        visible_fraction: visible area / amodal area, in [0, 1].
        center: (x, y) of the mask's centroid.
        scale: square root of the mask's area.
        edges: left, top, right, bottom of the mask's box (outer borders of the pixels).
        cut: for each edge, whether the image border cuts the mask there.
    """

    frame: int
    mask: Rle
    visible_fraction: float
    center: np.ndarray
    scale: float
    edges: np.ndarray
    cut: np.ndarray

    @property
    def is_cut(self) -> bool:
        """Whether a part lies outside the image."""
        return bool(self.cut.any())


def observe(frame: int, mask: Rle, visible_fraction: float) -> Observation:
    """Measure an amodal mask that has at least one pixel."""
    height, width = mask["size"]
    x, y, w, h = masks.box(mask)
    crop = masks.decode(mask)[y : y + h, x : x + w]
    columns, rows = crop.sum(0), crop.sum(1)
    total = float(columns.sum())
    center = np.array([x + columns @ np.arange(w) / total, y + rows @ np.arange(h) / total])
    edges = np.array([x, y, x + w, y + h], np.float64) - 0.5
    cut = np.array([x <= 0, y <= 0, x + w >= width, y + h >= height])
    return Observation(frame, mask, float(visible_fraction), center, total**0.5, edges, cut)


def worth(observation: Observation) -> float:
    """How good a mask is to carry: its visible fraction, a quarter of it where the image border cuts the mask."""
    return max(observation.visible_fraction, 0.01) / (4 if observation.is_cut else 1)


def best(observations: Sequence[Observation], frame: int, patience: float = 15.0) -> Observation:
    """The observation whose mask is worth carrying to `frame`: well seen, whole, and not long ago."""
    return max(observations, key=lambda o: worth(o) * float(np.exp(-abs(frame - o.frame) / patience)))


@dataclass(frozen=True)
class Measurements:
    """Centre and size over n observed frames, of the whole instance (also where the image border cuts the mask).

    Attributes:
        frames: (n,) int64.
        centers: (n, 2) pixels.
        scales: (n,) pixels.
        center_sigmas: (n, 2) pixels.
        size_sigmas: (n,), of log(scale).
    """

    frames: np.ndarray
    centers: np.ndarray
    scales: np.ndarray
    center_sigmas: np.ndarray
    size_sigmas: np.ndarray


def measure(observations: Sequence[Observation]) -> Measurements:
    """Measurements with standard deviations: larger the less was visible.

    A mask that the border cuts is measured by its free edges, compared with those of the best whole mask.
    """
    whole = [o for o in observations if not o.is_cut]
    reference = best(whole, observations[-1].frame) if whole else None
    rows = [_measure_one(o, reference) for o in observations]
    centers, scales, center_sigmas, size_sigmas = (np.array(column) for column in zip(*rows, strict=True))
    hidden = 1.0 - np.array([o.visible_fraction for o in observations])
    noise = 0.02 + 0.25 * hidden**2
    return Measurements(
        np.array([o.frame for o in observations]),
        centers,
        scales,
        center_sigmas + (0.3 + noise * scales)[:, None],
        size_sigmas + noise + 0.3 / scales,
    )


UNKNOWN = 10.0  # standard deviation of what a cut mask does not tell, in units of the size


def _measure_one(o: Observation, reference: Observation | None) -> tuple[np.ndarray, float, np.ndarray, float]:
    if not o.is_cut:
        return o.center, o.scale, np.zeros(2), 0.0
    if reference is None:
        return o.center, o.scale, np.full(2, 0.2 * o.scale), 0.2
    offsets = (reference.edges - np.tile(reference.center, 2)) / reference.scale
    free = ~o.cut
    spans = [axis for axis in (0, 1) if free[axis] and free[axis + 2]]
    scale, size_sigma = o.scale, UNKNOWN
    if spans:
        scale = float(np.mean([(o.edges[a + 2] - o.edges[a]) / (offsets[a + 2] - offsets[a]) for a in spans]))
        size_sigma = 0.03
    center, sigma = o.center.copy(), np.full(2, UNKNOWN * o.scale)
    for axis in (0, 1):
        edges = [edge for edge in (axis, axis + 2) if free[edge]]
        if edges:
            center[axis] = np.mean([o.edges[e] - offsets[e] * scale for e in edges])
            sigma[axis] = (0.03 if spans else 0.3) * o.scale
    return center, scale, sigma, size_sigma
