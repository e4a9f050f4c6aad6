"""What the seen frames say about an instance: centre and size of its masks, and how far to trust them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache

import cv2
import numpy as np

from samodal import masks
from samodal.masks import Rle
from samodal.motion.scenery import Scenery

SHRINKING = 0.04  # an amodal area is not expected to fall by more than this share a frame,
GROWING = 0.15  # nor to grow by more than this (things come near more often than they hurry away),
SCATTER = 0.6  # and counts as too small when it is below this share of what is expected
GUESS = 0.05  # what a guessed pixel counts beside a seen one,
BEYOND = 0.001  # and one beyond the border of the image, where masks end whatever is there
PIXEL = 0.15  # standard deviation of a centre, in pixels, of the best of masks
TURNING = 0.02  # standard deviation, in sizes, of what corners do not tell, because things are solid and turn
ODD = 4.0  # standard deviations between masks and a step at which the step is not believed,
JUMP = 0.25  # if they are also so many sizes apart
SILHOUETTE = 16  # pixels of a silhouette's side,
REACH = 2.8  # which is so many sizes of the instance
UNKNOWN = 10.0  # standard deviation of what a cut mask does not tell, in units of the size


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


def trust(observations: Sequence[Observation]) -> np.ndarray:
    """(n,) in (0, 1]: how good the masks are, the smaller of `visible_fraction` and `shrunk`."""
    seen = np.array([o.visible_fraction for o in observations])
    return np.maximum(np.minimum(seen, shrunk(observations)), 0.01)


def shrunk(observations: Sequence[Observation]) -> np.ndarray:
    """(n,) in (0, 1]: below 1 where the mask is too small beside those of nearby frames, in proportion.

    When little is visible, networks tend to answer with little more than what is visible, and the visible fraction
    then says that nothing is hidden. But things do not shrink that fast.
    """
    return _shrunk(tuple(observations))


@lru_cache(maxsize=4)  # asked several times for one frame
def _shrunk(observations: tuple[Observation, ...]) -> np.ndarray:
    frames, scales = np.array([(o.frame, o.scale) for o in observations]).T
    cut = np.array([o.is_cut for o in observations])
    return np.where(cut, 1.0, _as_expected(frames, scales))


def _as_expected(frames: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """(n,) in (0, 1]: below 1 where a size is too small beside those of nearby frames, in proportion of the areas."""
    areas = scales**2
    after = np.subtract.outer(frames, frames)  # [k, j]: how long frame k is after frame j
    expected = (areas * np.exp(np.where(after > 0, -SHRINKING, GROWING) * after)).max(1)
    return np.minimum(areas / expected / SCATTER, 1.0)


@dataclass(frozen=True)
class Measurements:
    """Centre and size of the whole instance over n frames, also where the image border cuts its mask.

    Attributes:
        frames: (n,) int64.
        centers: (n, 2) pixels.
        scales: (n,) pixels.
        feet: (n,) how far below the centre the mask ends, in sizes.
        center_noise: (2, n, n) covariance of the errors of x, and of those of y, in pixels.
        size_noise: (n, n) covariance of the errors of log(scale).
    """

    frames: np.ndarray
    centers: np.ndarray
    scales: np.ndarray
    feet: np.ndarray
    center_noise: np.ndarray
    size_noise: np.ndarray

    @property
    def center_sigmas(self) -> np.ndarray:
        """(n, 2) standard deviations in pixels."""
        return np.sqrt(np.diagonal(self.center_noise, axis1=1, axis2=2).T)

    @property
    def size_sigmas(self) -> np.ndarray:
        """(n,) standard deviations of log(scale)."""
        return np.sqrt(np.diagonal(self.size_noise))


def measure(observations: Sequence[Observation]) -> Measurements:
    """Measurements with standard deviations: larger the less a mask can be trusted.

    A mask that the image border cuts is measured by its free edges, compared with the best whole mask. Where steps are
    known, they tell how much of the change from frame to frame is the masks' noise.
    """
    return _measure(tuple(observations))


@lru_cache(maxsize=16)  # all frames of a gap lie between the same observations
def _measure(observations: tuple[Observation, ...]) -> Measurements:
    trusted = trust(observations)
    whole = [(t, o) for t, o in zip(trusted, observations, strict=True) if not o.is_cut]
    reference = max(whole, key=lambda pair: pair[0])[1] if whole else None
    rows = [_measure_one(o, reference) for o in observations]
    centers, scales, feet, center_sigmas, size_sigmas = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    frames = np.array([o.frame for o in observations])
    hidden = 1.0 - np.array([o.visible_fraction for o in observations])
    cut = np.array([o.is_cut for o in observations])
    lacking = 1.0 - np.where(cut, _as_expected(frames, scales), shrunk(observations))
    # A mask that lacks a part is off to one side, which is worse than the noise of one that was guessed whole.
    noise = 0.015 + 0.1 * hidden**2 + 4.0 * lacking**2
    sigmas = np.column_stack(
        [center_sigmas + (PIXEL + noise * scales)[:, None], size_sigmas + noise + PIXEL / scales]
    )
    errors = np.eye(len(frames)) * (sigmas.T**2)[:, :, None]
    measured = Measurements(frames, centers, scales, feet, errors[:2], errors[2])
    return _along_steps(measured, [o.step for o in observations])


def _along_steps(measured: Measurements, steps: Sequence[Step | None]) -> Measurements:
    """The most likely centres and sizes, given what the masks and the steps between neighbouring frames say.

    By least squares: x, y and the logarithm of the size each have a tridiagonal system of normal equations.
    """
    known = [
        (k, *vars(step).values())
        for k, step in enumerate(steps)
        if step is not None and k and measured.frames[k] == measured.frames[k - 1] + 1
    ]
    if not known:
        return measured
    k, start, end, zoom, sigma, zoom_sigma = (np.array(column) for column in zip(*known, strict=True))
    values = np.vstack([measured.centers.T, np.log(measured.scales)])
    trusted = np.vstack([measured.center_sigmas.T, measured.size_sigmas]) ** -2
    # values[:, k] = grows * values[:, k - 1] + moves, give or take the errors of the step.
    grows = np.vstack([zoom, zoom, np.ones(len(k))])
    moves = np.vstack([(end - zoom[:, None] * start).T, np.log(zoom)])
    far = np.vstack([zoom_sigma * (values[:2, k] - end.T), np.zeros(len(k))])
    solid = TURNING * np.vstack([measured.scales[k], measured.scales[k], np.ones(len(k))])
    variances = np.vstack([sigma, sigma, zoom_sigma]) ** 2 + far**2 + solid**2
    # Corners may all stick to something else. Masks are noisy, but not so noisy.
    off = np.abs(values[:2, k] - grows[:2] * values[:2, k - 1] - moves[:2])
    usual = (variances[:2] + 1 / trusted[:2, k] + grows[:2] ** 2 / trusted[:2, k - 1]) ** 0.5
    believed = ((off < ODD * usual) | (off < JUMP * measured.scales[k])).all(0)
    weights = believed / variances
    information = np.eye(len(steps)) * trusted[:, :, None]
    information[:, k, k] += weights
    information[:, k - 1, k - 1] += weights * grows**2
    information[:, k, k - 1] -= weights * grows
    information[:, k - 1, k] -= weights * grows
    total = values * trusted
    total[:, k] += weights * moves
    total[:, k - 1] -= weights * grows * moves
    covariance = np.linalg.inv(information)  # what steps chain together errs together
    x, y, log_scale = (covariance @ total[:, :, None])[:, :, 0]
    return replace(
        measured,
        centers=np.column_stack([x, y]),
        scales=np.exp(log_scale),
        center_noise=covariance[:2],
        size_noise=covariance[2],
    )


def _measure_one(
    seen: Observation, reference: Observation | None
) -> tuple[np.ndarray, float, float, np.ndarray, float]:
    """Centre, scale, feet, and the standard deviations that the cut adds."""
    feet = float(seen.edges[3] - seen.center[1]) / seen.scale
    if not seen.is_cut:
        return seen.center, seen.scale, feet, np.zeros(2), 0.0
    if reference is None:
        return seen.center, seen.scale, feet, np.full(2, 0.2 * seen.scale), 0.2
    offsets = (reference.edges - np.tile(reference.center, 2)) / reference.scale
    edges, free = seen.edges, ~seen.cut
    whole_axes = [axis for axis in (0, 1) if free[axis] and free[axis + 2]]
    scale, size_sigma = seen.scale, UNKNOWN
    if whole_axes:
        spans = [(edges[a + 2] - edges[a]) / (offsets[a + 2] - offsets[a]) for a in whole_axes]
        scale = float(np.mean(spans))
        # The less of it is inside the image, the less likely are its top and bottom to be so.
        size_sigma = 0.03 + 0.2 * (1.0 - min(1.0, (seen.scale / scale) ** 2)) ** 2
    center, sigma = seen.center.copy(), np.full(2, UNKNOWN * seen.scale)
    for axis in (0, 1):
        at = [edge for edge in (axis, axis + 2) if free[edge]]
        if at:
            center[axis] = np.mean(edges[at] - offsets[at] * scale)
            sigma[axis] = (size_sigma if whole_axes else 0.3) * scale
    return center, scale, float(offsets[3]), sigma, size_sigma
