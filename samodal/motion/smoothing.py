"""Constant velocity, filtered and smoothed: the one estimator behind position and depth."""

import numpy as np

PRIOR_COUNT = 5  # how many values' worth of trust the given sigmas have, when the residuals disagree


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

    This is what a Kalman filter (values before `at`) and a Rauch-Tung-Striebel smoother (values on both
    sides) of the constant-velocity model give, in closed form: all states are jointly Gaussian, so a few
    dozen values need one small linear system instead of two passes.

    Args:
        times: (n,) frames, ascending.
        values: (n,) measured values.
        sigmas: (n,) standard deviations of the values.
        at: (m,) frames to estimate.
        velocity: standard deviation of the velocity at the first time, before anything is measured.
        change: standard deviation of the change of velocity in one frame.

    Returns:
        (m,) means, (m,) standard deviations. The latter grow or shrink with the misfit of the values: a thing
        that moved more wildly than `sigmas` and `change` say is predicted with less confidence.
    """
    n = len(times)
    weights = sigmas**-2.0
    level = float(weights @ values / weights.sum())
    t = np.concatenate([times, at]).astype(np.float64) - min(times[0], at[0])
    early, apart = np.minimum.outer(t, t), np.abs(np.subtract.outer(t, t))
    wander = change**2 * (early**3 / 3 + early**2 * apart / 2)
    anywhere = (10.0 * (np.ptp(values) + sigmas.min())) ** 2  # the start may lie anywhere
    cov = anywhere + velocity**2 * np.outer(t, t) + wander
    known, to_known = cov[:n, :n] + np.diag(sigmas**2), cov[:n, n:]
    solved = np.linalg.solve(known, np.column_stack([values - level, to_known]))
    residual, gain = solved[:, 0], solved[:, 1:]
    mean = level + to_known.T @ residual
    variance = np.diagonal(cov[n:, n:]) - (gain * to_known).sum(0)
    misfit = ((values - level) @ residual + PRIOR_COUNT) / (n + PRIOR_COUNT)
    return mean, np.sqrt(np.maximum(variance, 1e-3 * sigmas.min() ** 2) * misfit)
