"""The rhythm of a walk: the silhouette of who walks repeats, and goes on to repeat where it is hidden."""

from collections.abc import Sequence

import numpy as np

from samodal.motion.observation import Observation

LEAST_WORTH = 0.5  # of a mask that tells the rhythm
LEAST = 8  # masks that tell it
SHORTEST, LONGEST = 4.0, 12.0  # periods, in frames: at ten frames a second, steps of 0.4 to 1.2 s
OFTEN = 2  # periods that were seen
PERIODIC = 0.3  # share of the silhouette's changes, its slow ones aside, that repeats where there is a rhythm
AMPLE = 0.1  # and by how much pixels change with it, in the mean (root of squares): legs do, noise does not
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
    away = frame - np.array([o.frame for o in observations])
    return np.exp(SHARP * (np.cos(2 * np.pi * away / period) - 1))


def find_period(observations: Sequence[Observation], worth: np.ndarray) -> float | None:
    """The period, in frames, with which a silhouette repeats; None where it does not.

    A sine and a cosine of each period are fitted to every pixel of the silhouettes, brought to one place and size,
    beside a parabola for what changes slowly. The period that explains most is taken, if it explains enough.

    Args:
        observations: as of `in_step`, n of them.
        worth: as of `in_step`.
    """
    good = np.flatnonzero(worth > LEAST_WORTH).tolist()
    if len(good) < LEAST:
        return None
    frames = np.array([observations[k].frame for k in good], np.float64)
    periods = np.arange(SHORTEST, LONGEST + 0.1, 0.25)
    periods = periods[OFTEN * periods <= np.ptp(frames) + 1]
    if len(periods) == 0:
        return None
    weights = worth[good][:, None]
    silhouettes = weights * np.array([observations[k].silhouette for k in good])
    since = (frames - frames.mean())[:, None] / 10
    slow, _ = np.linalg.qr(weights * since ** np.arange(3))
    angles = 2 * np.pi * frames / periods[:, None]
    waves = weights * np.stack([np.cos(angles), np.sin(angles)], axis=2)
    changes = silhouettes - slow @ (slow.T @ silhouettes)
    waves, _ = np.linalg.qr(waves - slow @ (slow.T @ waves))
    repeats = ((waves.transpose(0, 2, 1) @ changes) ** 2).sum((1, 2))
    best = int(repeats.argmax())
    enough = max(PERIODIC * float((changes**2).sum()), AMPLE**2 * changes.size)
    return float(periods[best]) if repeats[best] > enough else None
