"""The rhythm of a walk: the silhouette of who walks repeats, and goes on to repeat where it is hidden."""

from collections.abc import Sequence

import numpy as np

from samodal.motion.observation import Observation

LEAST_WORTH = 0.5  # of a mask that tells the rhythm
LEAST = 6  # masks that tell it
SHORTEST, LONGEST = 4.0, 12.0  # periods, in frames: at ten frames a second, steps of 0.4 to 1.2 s
TRIED = 40  # frequencies in between
OFTEN = 1.5  # periods that were seen
AMPLE = 0.05  # by how much pixels change with it, in the mean (root of squares): legs do, noise does not
SHARE = 0.25  # of the changes, the slow ones aside, that waves explain: of legs, not of what comes and goes
APART = 3  # frames: a mask is foretold from those further away
SHARP = 2.0  # how much more masks of the same phase count: e^4 times those of the opposite one


def in_step(observations: Sequence[Observation], worth: np.ndarray, frame: int) -> np.ndarray:
    """How much the masks of n observations count for one frame by their phase, (n,) in (0, 1]; all 1 without a rhythm.

    Args:
        observations: of one instance.
        worth: (n,) how well seen each mask is, in [0, 1].
        frame: the frame in which a mask is wanted.
    """
    period = find_period(observations, worth)
    if period is None:
        return np.ones(len(observations))
    return _likeness(frame - np.array([o.frame for o in observations]), 1 / period)


def _likeness(away: np.ndarray, frequency: np.ndarray | float) -> np.ndarray:
    """How much masks count that are so many frames away, in (0, 1]."""
    return np.exp(SHARP * (np.cos(2 * np.pi * away * frequency) - 1))


def find_period(observations: Sequence[Observation], worth: np.ndarray) -> float | None:
    """The period, in frames, with which a silhouette repeats; None where it does not.

    The period is taken that leaves the least unexplained, in two ways: as waves, and when masks are foretold from
    others of the same phase. It must move enough of the silhouette, explain enough of its changes, and foretell
    masks better than none does.

    Args:
        observations: as of `in_step`, n of them.
        worth: as of `in_step`.
    """
    good = np.flatnonzero(worth > LEAST_WORTH).tolist()
    if len(good) < LEAST:
        return None
    frames = np.array([observations[k].frame for k in good], np.float64)
    frequencies = np.linspace(1 / LONGEST, 1 / SHORTEST, TRIED)
    frequencies = frequencies[frequencies * (np.ptp(frames) + 1) >= OFTEN]
    if len(frequencies) == 0:
        return None
    silhouettes, worth = np.array([observations[k].silhouette for k in good]), worth[good]
    share, moved = _waves(frames, silhouettes, worth, frequencies)
    if moved.max() < AMPLE:
        return None
    missed = _foretold(frames, silhouettes, worth, frequencies)
    best = int((missed * (1 - share)).argmin())
    regular = moved[best] > AMPLE and share[best] > SHARE and missed[best] < 1
    return float(1 / frequencies[best]) if regular else None


def _waves(
    frames: np.ndarray, silhouettes: np.ndarray, worth: np.ndarray, frequencies: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """A sine and a cosine of each frequency, fitted to every pixel beside a parabola for what changes slowly.

    Args:
        frames: (n,).
        silhouettes: (n, pixels).
        worth: (n,).
        frequencies: (f,).

    Returns:
        (f,) the share of the changes that they explain, the slow ones aside, and (f,) their root mean square.
    """
    slow, _ = np.linalg.qr(worth[:, None] * ((frames - frames.mean())[:, None] / 10) ** np.arange(3))
    changes = worth[:, None] * silhouettes
    changes -= slow @ (slow.T @ changes)
    total = float((changes**2).sum())
    if total < AMPLE**2 * changes.size:  # as of most things: it is known already that none explains enough
        return np.zeros(len(frequencies)), np.zeros(len(frequencies))
    angles = 2 * np.pi * frames * frequencies[:, None]
    waves = worth * np.stack([np.cos(angles), np.sin(angles)], axis=1)  # (f, 2, n)
    waves -= (waves @ slow) @ slow.T
    along = waves @ changes
    # Frames that all are even do not show the sine of period 4.
    normal = waves @ waves.transpose(0, 2, 1) + 1e-6 * np.eye(2)
    explained = np.linalg.solve(normal, along @ along.transpose(0, 2, 1)).trace(axis1=1, axis2=2)
    return explained / total, np.sqrt(explained / changes.size)


def _foretold(
    frames: np.ndarray, silhouettes: np.ndarray, worth: np.ndarray, frequencies: np.ndarray
) -> np.ndarray:
    """(f,) the squared error of masks that are foretold from others by their phase, beside that without phases.

    A mask is foretold as `carry` does it, from masks that are more than a few frames away; arguments as of `_waves`.
    """
    away = frames[:, None] - frames
    near = np.where(np.abs(away) > APART, worth**2 / np.maximum(np.abs(away), 1), 0.0)
    asked = near.any(axis=1)
    alike = silhouettes @ silhouettes.T
    counts = near * np.concatenate([np.ones((1, *away.shape)), _likeness(away, frequencies[:, None, None])])
    counts = counts[:, asked] / counts[:, asked].sum(2, keepdims=True)
    errors = np.diagonal(alike)[asked] + (counts * (counts @ alike - 2 * alike[asked])).sum(2)
    errors = errors @ worth[asked] ** 2
    return errors[1:] / max(float(errors[0]), 1e-9)
