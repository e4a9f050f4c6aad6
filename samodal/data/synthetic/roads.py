"""Roads: centre lines, lanes, kerbs and pavements, in metres along (s) and to the left of (d) a line."""

from dataclasses import dataclass

import numpy as np

from samodal.data.synthetic.textures import Rng


@dataclass
class Path:
    """A line on the ground: points (M, 2), the distance s (M,) along it and its heading (M,) in radians."""

    points: np.ndarray
    s: np.ndarray
    heading: np.ndarray

    @staticmethod
    def through(points: np.ndarray, start: float = 0.0) -> "Path":
        """The path over points (M, 2); `start` is the s of the first one."""
        steps = np.diff(points, axis=0)
        s = start + np.concatenate([[0], np.cumsum(np.linalg.norm(steps, axis=1))])
        heading = np.unwrap(np.arctan2(steps[:, 1], steps[:, 0]))
        return Path(points, s, np.interp(s, (s[:-1] + s[1:]) / 2, heading))

    def at(self, s: np.ndarray | float, d: np.ndarray | float = 0.0) -> np.ndarray:
        """Poses (..., 3) x, y, heading at s, moved d to the left."""
        heading = np.interp(s, self.s, self.heading)
        x = np.interp(s, self.s, self.points[:, 0]) - d * np.sin(heading)
        y = np.interp(s, self.s, self.points[:, 1]) + d * np.cos(heading)
        return np.stack(np.broadcast_arrays(x, y, heading), axis=-1)


@dataclass
class Road:
    """A street with the same section everywhere. People drive on the right.

    Attributes:
        path: its centre line.
        lanes: in each direction, of `lane` metres.
        bike, parking, pavement: width of the bicycle lane (0 = none), the parking strip and the pavement.
        gap: (from, to) along s where a junction leaves no room at the sides; None without one.
    """

    path: Path
    lanes: int
    lane: float
    bike: float
    parking: float
    pavement: float
    gap: tuple[float, float] | None = None

    @property
    def kerb(self) -> float:
        """Distance of the kerb from the centre line."""
        return self.lanes * self.lane + self.bike + self.parking

    @property
    def front(self) -> float:
        """Distance of the houses from the centre line."""
        return self.kerb + self.pavement

    def offset(self, direction: int, lane: int) -> float:
        """d of the middle of a lane, 0 = the innermost; direction 1 goes along s, -1 against it."""
        return -direction * (lane + 0.5) * self.lane

    def free(self, s: float, margin: float = 0.0) -> bool:
        """Is there no junction at s."""
        return self.gap is None or s < self.gap[0] - margin or s > self.gap[1] + margin


def draw_road(rng: Rng, path: Path) -> Road:
    """A street of random section along a line."""
    return Road(
        path=path,
        lanes=int(rng.random() < 0.4) + 1,
        lane=float(rng.uniform(3.1, 3.7)),
        bike=1.6 if rng.random() < 0.45 else 0.0,
        parking=2.3 if rng.random() < 0.85 else 0.3,
        pavement=float(rng.uniform(3.0, 5.5)),
    )


def winding(rng: Rng, start: float, end: float, bend: float) -> Path:
    """A gently curved line through the origin, along x there; `bend` (radians) is its swing to each side."""
    s = np.arange(start, end, 1.0)
    period, phase = rng.uniform(90, 220), rng.uniform(0, 2 * np.pi)
    heading = bend * (np.sin(2 * np.pi * s / period + phase) - np.sin(phase))
    points = np.concatenate(
        [[[0, 0]], np.cumsum(np.column_stack([np.cos(heading), np.sin(heading)])[:-1], axis=0)]
    )
    return Path.through(points - points[np.searchsorted(s, 0)], start)


def straight(x: float, y: float, heading: float, start: float, end: float) -> Path:
    """A straight line through (x, y), where s is 0."""
    s = np.array([start, (start + end) / 2, end])
    return Path.through(np.array([x, y]) + s[:, None] * [np.cos(heading), np.sin(heading)], start)


def turning(entry: np.ndarray, exit_: np.ndarray, before: float, after: float) -> Path:
    """A path along one pose (x, y, heading), around a smooth bend, along another; s is 0 at the first."""
    a, b = entry[:2], exit_[:2]
    out, into = np.array([np.cos(entry[2]), np.sin(entry[2])]), np.array([np.cos(exit_[2]), np.sin(exit_[2])])
    reach = 0.62 * np.linalg.norm(b - a) * 0.9
    t = np.linspace(0, 1, 40)[:, None]
    bend = (
        (1 - t) ** 3 * a
        + 3 * (1 - t) ** 2 * t * (a + reach * out * 0.62)
        + 3 * (1 - t) * t**2 * (b - reach * into * 0.62)
        + t**3 * b
    )
    points = np.concatenate([[a - before * out], bend, [b + after * into]])
    return Path.through(points, -before)
