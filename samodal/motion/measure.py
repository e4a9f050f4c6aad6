"""What the seen frames together say about an instance: centre and size, and how far to trust each mask."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from samodal.motion.observation import Observation, Step
from samodal.motion.smoothing import constant_velocity

SHRINKING = 0.04  # an amodal area is not expected to fall by more than this share a frame,
GROWING = 0.15  # nor to grow by more than this (things come near more often than they hurry away),
SCATTER = 0.6  # and counts as too small when it is below this share of what is expected
PIXEL = 0.15  # standard deviation of a centre, in pixels, of the best of masks
TURNING = 0.02  # standard deviation, in sizes, of what corners do not tell, because things are solid and turn
ODD = 4.0  # standard deviations between masks and a step at which the step is not believed,
JUMP = 0.25  # if they are also so many sizes apart
UNKNOWN = 10.0  # standard deviation of what a cut mask does not tell, in units of the size
# The farther to one side of the camera a thing is, the more of its side is seen: (length / width) x (width of the
# image / focal length) of flat, short, middling and long things that keep their heading, and of one that turns,
SIDES = np.array([0.0, 1.0, 2.0, 4.0, 2.0])
# And what else log(width / height) changes: standard deviation a frame,
WIDER = np.array([0.002, 0.002, 0.002, 0.002, 0.012])
WIDER_CHANGE = np.array([0.0003, 0.0003, 0.0003, 0.0003, 0.001])  # and of the change of that in one frame
WIDEST = 0.5  # greatest change of log(width / height) that is believed
TELLING = 0.5  # trust, beside the best, of a mask whose log(width / height) counts,
ASPECT = 0.03  # and its standard deviation where the mask is seen whole;
GUESSED = 0.5  # to which this is added, times what it lacks in trust,
HALF_A_PIXEL = 0.5  # and such an error of width and height


def trust(observations: Sequence[Observation]) -> np.ndarray:
    """(n,) in (0, 1]: how good the masks are, the smaller of `visible_fraction` and `shrunk`."""
    seen = np.array([o.visible_fraction for o in observations])
    return np.maximum(np.minimum(seen, shrunk(observations)), 0.01)


def shrunk(observations: Sequence[Observation]) -> np.ndarray:
    """(n,) in (0, 1]: below 1 where the mask is too small beside those of nearby frames, in proportion.

    When little is visible, networks tend to answer with little more than what is visible, and the visible fraction
    then says that nothing is hidden. But things do not shrink that fast.
    """
    return np.minimum(fullness(observations) / SCATTER, 1.0)


def fullness(observations: Sequence[Observation]) -> np.ndarray:
    """(n,) in (0, 1]: the mask's area as a share of what those of nearby frames let expect; 1 where it is cut."""
    return _fullness(tuple(observations))


@lru_cache(maxsize=4)  # asked several times for one frame
def _fullness(observations: tuple[Observation, ...]) -> np.ndarray:
    frames, scales = np.array([(o.frame, o.scale) for o in observations]).T
    cut = np.array([o.is_cut for o in observations])
    return np.where(cut, 1.0, _of_expected(frames, scales))


def _of_expected(frames: np.ndarray, scales: np.ndarray) -> np.ndarray:
    """(n,) in (0, 1]: areas as a share of what those of nearby frames let expect."""
    areas = scales**2
    after = np.subtract.outer(frames, frames)  # [k, j]: how long frame k is after frame j
    return areas / (areas * np.exp(np.where(after > 0, -SHRINKING, GROWING) * after)).max(1)


def widening(observations: Sequence[Observation], frame: int, columns: np.ndarray) -> np.ndarray:
    """How much wider, at the same height, the instance looks in a frame than in those of n observations: (n,) ratios.

    What drives past is seen more and more from its side: a box that keeps its heading looks wider in proportion to
    1 + side |x - c| / w, where c is the middle of the image and w its width. For each of `SIDES`, the masks together
    tell a smooth course of what is left, and how likely it is. What single masks differ from the course, by steps of
    who walks or as a network's noise, is no widening.

    Args:
        observations: n of them.
        frame: the one in which it is asked.
        columns: (n + 1,) of the instance's centre in their frames and in that one, all as that one's camera sees them:
            when a camera only turns, things move in the image, but they are seen from the same side.
    """
    trusted = trust(observations)
    good = trusted >= TELLING * trusted.max()
    whole = [k for k, o in enumerate(observations) if good[k] and not o.is_cut]
    if len(whole) < 2:
        return np.ones(len(observations))
    frames = np.array([*(o.frame for o in observations), frame])
    width = observations[0].size[1]
    aside = np.minimum(np.abs(columns / width - 0.5), 1.0)
    usual = np.log1p(np.outer(SIDES, aside))
    aspects = np.array([observations[k].aspect for k in whole]) - usual[:, whole]
    boxes = np.array([observations[k].shape.shape for k in whole])
    sigmas = ASPECT + GUESSED * (1 - trusted[whole]) + np.hypot(*(HALF_A_PIXEL / boxes.T))
    courses, odds = _courses(frames[whole], aspects, sigmas, frames)
    # A mask that is off counts for as little as it is off by: one bad one would point far away.
    sigmas = np.hypot(sigmas, odds @ (aspects - courses[:, whole]))
    courses, odds = _courses(frames[whole], aspects, sigmas, frames)
    course = odds @ (courses + usual)
    return np.exp(np.clip(course[-1] - course[:-1], -WIDEST, WIDEST))


def _courses(
    frames: np.ndarray, aspects: np.ndarray, sigmas: np.ndarray, at: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Where the aspects (5, n) of some frames, known to within `sigmas`, lead in others, (5, m); the odds, (5,)."""
    means, _, evidence = constant_velocity(frames, aspects, np.diag(sigmas**2), at, WIDER, WIDER_CHANGE)
    odds = np.exp(evidence - evidence.max())
    return means, odds / odds.sum()


@dataclass(frozen=True)
class Measurements:
    """Centre and size of the whole instance over n frames, also where the image border cuts its mask.

    Attributes:
        frames: (n,) int64.
        centers: (n, 2) pixels.
        scales: (n,) pixels: of the best mask, the square root of its area; of the others, by how much they are higher.
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

    Sizes are told by heights: the far side of a thing that is hidden from one side is a guess, its height is seen; and
    what drives past is seen more and more from its side, which makes it wider, but no nearer.

    A mask that the image border cuts is measured by its free edges, compared with the best whole mask. Where steps are
    known, they tell how much of the change from frame to frame is the masks' noise.
    """
    return _measure(tuple(observations))


@lru_cache(maxsize=16)  # all frames of a gap lie between the same observations
def _measure(observations: tuple[Observation, ...]) -> Measurements:
    trusted = trust(observations)
    whole = [(t, o) for t, o in zip(trusted, observations, strict=True) if not o.is_cut]
    reference = max(whole, key=lambda pair: pair[0])[1] if whole else None
    wider = np.ones(len(observations))
    if reference is not None:
        columns = np.array([o.center[0] for o in (*observations, reference)])
        wider = 1 / widening(observations, reference.frame, columns)
    rows = [_measure_one(o, reference, w) for o, w in zip(observations, wider, strict=True)]
    centers, scales, feet, center_sigmas, size_sigmas = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    frames = np.array([o.frame for o in observations])
    hidden = 1.0 - np.array([o.visible_fraction for o in observations])
    cut = np.array([o.is_cut for o in observations])
    lacking = 1.0 - np.where(
        cut, np.minimum(_of_expected(frames, scales) / SCATTER, 1.0), shrunk(observations)
    )
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
    seen: Observation, reference: Observation | None, wider: float
) -> tuple[np.ndarray, float, float, np.ndarray, float]:
    """Centre, scale, feet, and the standard deviations that the cut adds; `wider` than the reference, at its height."""
    if not seen.is_cut:
        scale = reference.scale * seen.height / reference.height if reference else seen.scale
        return seen.center, scale, float(seen.edges[3] - seen.center[1]) / scale, np.zeros(2), 0.0
    if reference is None:
        feet = float(seen.edges[3] - seen.center[1]) / seen.scale
        return seen.center, seen.scale, feet, np.full(2, 0.2 * seen.scale), 0.2
    offsets = (reference.edges - np.tile(reference.center, 2)) / reference.scale
    offsets[[0, 2]] *= wider
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
