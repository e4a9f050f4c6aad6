"""Constant velocity, filtered and smoothed, with a parked gate: the one estimator behind position and depth."""

import numpy as np

TRUST = 5  # how many values' worth of trust the given standard deviations have, when the residuals disagree
PARKED = 0.05  # share of the usual change of velocity that a thing at rest is granted


def smooth(
    times: np.ndarray,
    values: np.ndarray,
    sigmas: np.ndarray,
    at: np.ndarray,
    *,
    velocity: float,
    change: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Estimate a quantity of slowly changing velocity at some times from noisy values at others.

    Two models answer, one of a moving thing and one of a thing at rest, and are averaged with the probability that
    the values give to each: a parked thing does not drift away with the velocity that noise seems to give it.

    Args:
        times: (n,) frames, ascending.
        values: (n,) measured values.
        sigmas: (n,) standard deviations of the values.
        at: (m,) frames to estimate.
        velocity: standard deviation of the velocity at the first time, before anything is measured.
        change: standard deviation of the change of velocity in one frame.

    Returns:
        (m,) means, (m,) standard deviations.
    """
    velocities, changes = np.array([velocity, 0.0]), np.array([change, PARKED * change])
    means, variances, evidence = constant_velocity(times, values, sigmas, at, velocities, changes)
    moving = 1.0 / (1.0 + np.exp(np.clip(evidence[1] - evidence[0], -50.0, 50.0)))
    odds = np.array([moving, 1.0 - moving])
    spread = moving * (1.0 - moving) * (means[0] - means[1]) ** 2
    return odds @ means, np.sqrt(odds @ variances + spread)


def constant_velocity(
    times: np.ndarray,
    values: np.ndarray,
    sigmas: np.ndarray,
    at: np.ndarray,
    velocity: np.ndarray,
    change: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Models of `smooth`, k at once: (k, m) means, (k, m) variances, and the log probability of the values (up to a
    constant), (k,).

    This is what a Kalman filter (values before `at`) and a Rauch-Tung-Striebel smoother (values on both sides) of
    the constant-velocity model give, in closed form: all states are jointly Gaussian, so a few dozen values need
    one small linear system instead of two passes. The variances are then scaled by the misfit of the values: what
    moved more wildly than `sigmas` and `change` say is predicted with less confidence.
    """
    n = len(times)
    weights = sigmas**-2.0
    level = float(weights @ values / weights.sum())
    t = np.concatenate([times, at]).astype(np.float64) - min(times[0], at[0])
    early, apart = np.minimum.outer(t, t), np.abs(np.subtract.outer(t, t))
    anywhere = (10.0 * (np.ptp(values) + sigmas.min())) ** 2  # the start may lie anywhere
    steady, wandering = np.outer(t, t), early**3 / 3 + early**2 * apart / 2
    cov = anywhere + velocity[:, None, None] ** 2 * steady + change[:, None, None] ** 2 * wandering
    known, to_known = cov[:, :n, :n] + np.diag(sigmas**2), cov[:, :n, n:]
    off = np.broadcast_to((values - level)[:, None], (len(cov), n, 1))
    solved = np.linalg.solve(known, np.concatenate([off, to_known], axis=2))
    residual, gain = solved[:, :, 0], solved[:, :, 1:]
    misfit = (residual @ (values - level) + TRUST) / (n + TRUST)
    variance = np.diagonal(cov[:, n:, n:], axis1=1, axis2=2) - (gain * to_known).sum(1)
    evidence = -0.5 * (np.linalg.slogdet(known)[1] + (n + TRUST) * np.log(misfit))
    mean = level + (residual[:, None] @ to_known)[:, 0]
    return mean, np.maximum(variance, 1e-3 * sigmas.min() ** 2) * misfit[:, None], evidence
