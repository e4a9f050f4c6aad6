"""Constant velocity, filtered and smoothed, with a parked gate: the one estimator behind position and depth."""

import numpy as np

TRUST = 5  # how many values' worth of trust the given noise has, when the residuals disagree
PARKED = 0.05  # share of the usual change of velocity that a thing at rest is granted
# The camera's way is not known exactly: so a thing at rest is granted
UNEVEN = 0.3  # this share of the speed that the camera's way gives it,
JERK = 0.05  # and this share as a change in a frame.
# The odds of keeping its place before the camera, moving, and resting, before anything is measured.
ODDS = np.array([0.1, 0.5, 1.0])


def smooth(
    times: np.ndarray,
    values: np.ndarray,
    noise: np.ndarray,
    at: np.ndarray,
    *,
    velocity: float,
    change: float,
    still: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate a quantity of slowly changing velocity at some times from noisy values at others.

    Three models answer: of a thing at rest in the world, of one that moves in it, and of one that keeps its place
    before the camera. They are averaged with the probability that the values give to each: a parked thing does not
    drift away with the velocity that noise seems to give it, and what was seen once is likely to stand.

    Args:
        times: (n,) frames, ascending.
        values: (n,) measured values.
        noise: (n, n) covariance of the values' errors.
        at: (m,) frames to estimate.
        velocity: standard deviation of the velocity at the first time, before anything is measured.
        change: standard deviation of the change of velocity in one frame.
        still: the course of a thing at rest in the world, up to a constant: its values at `times` and `at`, (n,) and
            (m,). None: a camera that does not move, or of which nothing is known.

    Returns:
        (m,) means, (m,) standard deviations.
    """
    before, then = still or (np.zeros(len(times)), np.zeros(len(at)))
    speed = np.ptp(np.append(before, then)) / max(np.ptp(np.append(times, at)), 1)
    means, variances, evidence = constant_velocity(
        times,
        np.array([values, values - before, values - before]),
        noise,
        at,
        np.array([0.0, velocity, UNEVEN * speed]),
        np.array([PARKED * change, change, PARKED * change + JERK * speed]),
    )
    means[1:] += then
    odds = ODDS * np.exp(evidence - evidence.max())
    odds /= odds.sum()
    mean = odds @ means
    return mean, np.sqrt(odds @ (variances + (means - mean) ** 2))


def constant_velocity(
    times: np.ndarray,
    values: np.ndarray,
    noise: np.ndarray,
    at: np.ndarray,
    velocity: np.ndarray,
    change: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Models of `smooth`, k at once, of values (k, n): (k, m) means, (k, m) variances, and the log probability of the
    values (up to a constant), (k,).

    This is what a Kalman filter (values before `at`) and a Rauch-Tung-Striebel smoother (values on both sides) of
    the constant-velocity model give, in closed form: all states are jointly Gaussian, so a few dozen values need
    one small linear system instead of two passes. The variances are then scaled by the misfit of the values: what
    moved more wildly than `noise` and `change` say is predicted with less confidence.
    """
    n = len(times)
    weights = 1 / np.diagonal(noise)
    least = float(np.diagonal(noise).min())
    level = (values @ weights / weights.sum())[:, None]
    t = np.concatenate([times, at]).astype(np.float64) - min(times[0], at[0])
    early, apart = np.minimum.outer(t, t), np.abs(np.subtract.outer(t, t))
    anywhere = (10.0 * (np.ptp(values) + least**0.5)) ** 2  # the start may lie anywhere
    steady, wandering = np.outer(t, t), early**3 / 3 + early**2 * apart / 2
    cov = anywhere + velocity[:, None, None] ** 2 * steady + change[:, None, None] ** 2 * wandering
    known, to_known = cov[:, :n, :n] + noise, cov[:, :n, n:]
    solved = np.linalg.solve(known, np.concatenate([(values - level)[:, :, None], to_known], axis=2))
    residual, gain = solved[:, :, 0], solved[:, :, 1:]
    misfit = ((residual * (values - level)).sum(1) + TRUST) / (n + TRUST)
    variance = np.diagonal(cov[:, n:, n:], axis1=1, axis2=2) - (gain * to_known).sum(1)
    evidence = -0.5 * (np.linalg.slogdet(known)[1] + (n + TRUST) * np.log(misfit))
    mean = level + (residual[:, None] @ to_known)[:, 0]
    return mean, np.maximum(variance, 1e-3 * least) * misfit[:, None], evidence
