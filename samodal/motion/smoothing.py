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
    moving = constant_velocity(times, values, sigmas, at, velocity, change)
    parked = constant_velocity(times, values, sigmas, at, 0.0, PARKED * change)
    odds = 1.0 / (1.0 + np.exp(np.clip(parked[2] - moving[2], -50.0, 50.0)))
    mean = odds * moving[0] + (1.0 - odds) * parked[0]
    spread = odds * (1.0 - odds) * (moving[0] - parked[0]) ** 2
    return mean, np.sqrt(odds * moving[1] + (1.0 - odds) * parked[1] + spread)


def constant_velocity(
    times: np.ndarray, values: np.ndarray, sigmas: np.ndarray, at: np.ndarray, velocity: float, change: float
) -> tuple[np.ndarray, np.ndarray, float]:
    """One model of `smooth`: (m,) means, (m,) variances, and the log probability of the values (up to a constant).

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
    cov = anywhere + velocity**2 * np.outer(t, t) + change**2 * (early**3 / 3 + early**2 * apart / 2)
    known, to_known = cov[:n, :n] + np.diag(sigmas**2), cov[:n, n:]
    solved = np.linalg.solve(known, np.column_stack([values - level, to_known]))
    residual, gain = solved[:, 0], solved[:, 1:]
    misfit = ((values - level) @ residual + TRUST) / (n + TRUST)
    variance = np.diagonal(cov[n:, n:]) - (gain * to_known).sum(0)
    evidence = -0.5 * (np.linalg.slogdet(known)[1] + (n + TRUST) * np.log(misfit))
    return level + to_known.T @ residual, np.maximum(variance, 1e-3 * sigmas.min() ** 2) * misfit, evidence
