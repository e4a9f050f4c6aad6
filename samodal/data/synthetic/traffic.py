"""Who drives and walks where: drivers keep behind each other, walkers their pace, and nobody collides."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from samodal.data.synthetic.order import overlap, rectangles
from samodal.data.synthetic.people import PHASES
from samodal.data.synthetic.roads import Path, Road
from samodal.data.synthetic.textures import Rng
from samodal.data.synthetic.vehicles import Model

SMALL = 200.0
"""Pixels that an instance covers at its far limit in an image 640 pixels wide."""


@dataclass
class Solid:
    """A model with its way through the clip.

    Attributes:
        poses: (T, 3) x, y, heading; (1, 3) for what stands still all the time.
        phases: (T,) number of the shape to draw in each frame, or (1,).
        track_ids: one per instance of the model.
    """

    model: Model
    poses: np.ndarray
    phases: np.ndarray
    track_ids: tuple[int, ...] = ()

    def pose(self, frame: int) -> np.ndarray:
        """(3,) x, y, heading."""
        return self.poses[min(frame, len(self.poses) - 1)]

    def corners(self) -> np.ndarray:
        """(T, 4, 2) or (1, 4, 2) corners of the footprint."""
        return rectangles(self.poses, self.model.length, self.model.width)


@dataclass(frozen=True, eq=False)
class Lane:
    """A way to drive: along a path (direction 1) or against it (-1), d metres to the left of it."""

    path: Path
    d: float
    direction: int = 1

    def pose(self, progress: np.ndarray | float, shift: np.ndarray | float = 0.0) -> np.ndarray:
        """(..., 3) x, y, heading after `progress` metres, `shift` metres to the driver's left."""
        pose = self.path.at(
            self.direction * np.asarray(progress), self.d + self.direction * np.asarray(shift)
        )
        pose[..., 2] += np.pi * (self.direction < 0)
        return pose


@dataclass
class Driver:
    """Somebody in a lane.

    Attributes:
        progress, speed: where and how fast at the start (metres, metres a second).
        wish: the speed without anybody in front.
        stop: progress of a line that must not be crossed, if any.
        brake: seconds (from, to) of a stop for no visible reason, if any.
    """

    model: Model
    lane: Lane
    progress: float
    speed: float
    wish: float
    stop: float = np.inf
    brake: tuple[float, float] = (np.inf, np.inf)


def drive(drivers: list[Driver], frames: int, step: float) -> np.ndarray:
    """Progress (N, T) of all drivers, each keeping behind the one in front.

    Source: Intelligent Driver Model, Treiber et al., Physical Review E 62 (2000).
    """
    leaders = _leaders(drivers)
    progress = np.array([driver.progress for driver in drivers])
    speed = np.array([driver.speed for driver in drivers])
    wish = np.array([max(driver.wish, 0.1) for driver in drivers])
    length = np.array([driver.model.length for driver in drivers])
    stop = np.array([driver.stop for driver in drivers])
    brake = np.array([driver.brake for driver in drivers])
    result = np.empty((len(drivers), frames))
    for frame in range(frames):
        result[:, frame] = progress
        room = np.where(leaders >= 0, progress[leaders] - progress - (length[leaders] + length) / 2, np.inf)
        closing = np.where(leaders >= 0, speed - speed[leaders], 0.0)
        to_line = np.where(progress + length / 2 < stop + 0.5, stop - progress - length / 2, np.inf)
        line_first = to_line + 1.5 < room
        room, closing = np.where(line_first, to_line + 1.5, room), np.where(line_first, speed, closing)
        wanted = 2.0 + np.maximum(0, speed * 1.1 + speed * closing / 4.5)
        pull = 1.8 * (1 - (speed / wish) ** 4 - (wanted / np.maximum(room, 0.3)) ** 2)
        braking = (brake[:, 0] <= frame * step) & (frame * step < brake[:, 1])
        pull = np.where(braking, np.minimum(pull, -4.0), np.clip(pull, -8.0, 2.5))
        after = np.maximum(speed + pull * step, 0)
        progress = progress + (speed + after) / 2 * step
        speed = after
    return result


def _leaders(drivers: list[Driver]) -> np.ndarray:
    leaders = np.full(len(drivers), -1)
    for i, driver in enumerate(drivers):
        ahead = [
            (other.progress, j)
            for j, other in enumerate(drivers)
            if other.lane is driver.lane and other.progress > driver.progress
        ]
        if ahead:
            leaders[i] = min(ahead)[1]
    return leaders


def queue(
    rng: Rng, pick: Callable[[], Model], lane: Lane, span: tuple[float, float], spacing: float, wish: float,
    stop: float = np.inf,
) -> list[Driver]:  # fmt: skip
    """Drivers in one lane over a span of progress; those before a red light stand in line."""
    drivers = []
    at = span[0] + rng.uniform(0, spacing)
    while at < span[1]:
        model = pick()
        at += model.length / 2
        speed = wish * rng.uniform(0.85, 1.15)
        room = stop - at
        start = speed if room < 0 else min(speed, np.sqrt(max(room - 6, 0) * 2 * 2.0))
        brake = (
            (rng.uniform(0, 3), rng.uniform(3, 6))
            if rng.random() < 0.07 and np.isinf(stop)
            else (np.inf, np.inf)
        )
        drivers.append(Driver(model, lane, at, start, speed, stop if room > 0 else np.inf, brake))
        gap = rng.exponential(spacing) if not (0 < room < 40) else rng.uniform(0, 3)
        at += model.length / 2 + 2.5 + gap
    return drivers


def gait(model: Model, travelled: np.ndarray) -> np.ndarray:
    """Which shape to draw after so many metres (T,); standing people stand."""
    if len(model.shapes) == 1:
        return np.zeros(len(travelled), int)
    phase = np.floor(travelled / model.stride * PHASES).astype(int) % PHASES
    if len(model.shapes) > PHASES and np.ptp(travelled) < 0.05:
        return np.full(len(travelled), PHASES)
    return phase


def walk(
    rng: Rng, model: Model, road: Road, frames: int, step: float, s: float, d: float, pace: float
) -> Solid:
    """Somebody who walks along a road (against it with a negative pace), or stands (pace 0)."""
    time = np.arange(frames) * step
    sway = d + 0.15 * np.sin(0.8 * time + rng.uniform(0, 6)) * (pace != 0)
    poses = road.path.at(s + pace * time, sway)
    poses[:, 2] += np.pi if pace < 0 else (rng.uniform(-np.pi, np.pi) if pace == 0 else 0.0)
    return Solid(model, poses, gait(model, abs(pace) * time + rng.uniform(0, 1)))


def cross(
    rng: Rng, model: Model, road: Road, frames: int, step: float, s: float, d: float, pace: float
) -> Solid:
    """Somebody who crosses a road at s, starting at d, to the left with a positive pace."""
    time = np.arange(frames) * step
    poses = road.path.at(np.full(frames, s), d + pace * time)
    poses[:, 2] += np.pi / 2 if pace > 0 else -np.pi / 2
    return Solid(model, poses, gait(model, abs(pace) * time + rng.uniform(0, 1)))


def far_limit(model: Model, fov: float) -> float:
    """Metres beyond which a model counts as scenery; the same in all frames and image sizes."""
    area = 0.7 * model.height * np.sqrt(model.length * model.width)
    return float(320 / np.tan(fov / 2) * np.sqrt(area / SMALL))


def drop_collisions(solids: list[Solid], frames: int, keep: int = 1) -> list[Solid]:
    """Leave out whoever would collide with one before it in the list; the first `keep` always stay."""
    corners = [np.broadcast_to(solid.corners(), (frames, 4, 2)) for solid in solids]
    centres = np.stack([c.mean(1) for c in corners])
    reach = np.array([np.hypot(s.model.length, s.model.width) / 2 for s in solids])
    kept: list[int] = []
    for i in range(len(solids)):
        apart = np.linalg.norm(centres[kept] - centres[i], axis=-1).min(-1) if kept else np.zeros(0)
        close = [j for j, gap in zip(kept, apart, strict=True) if gap < reach[i] + reach[j]]
        if i < keep or not any(overlap(corners[i], corners[j]).any() for j in close):
            kept.append(i)
    return [solids[i] for i in kept]
