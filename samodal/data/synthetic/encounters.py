"""Gaps by construction: people and parked cars where something will hide them and let them out again."""

from dataclasses import dataclass

import numpy as np

from samodal.data.synthetic import people, vehicles
from samodal.data.synthetic.order import overlap
from samodal.data.synthetic.roads import Road
from samodal.data.synthetic.textures import Rng
from samodal.data.synthetic.town import STEP, Town
from samodal.data.synthetic.traffic import Solid, walk

TRIES = 400
"""Places and paces that are tried for every clip."""
NEAREST = 5.0
"""Metres from the camera at which a gap is worth having."""


@dataclass
class _Try:
    """Somebody on a pavement (pace in metres a second along the road), or a car at the kerb (pace None)."""

    road: Road
    s: float
    d: float
    pace: float | None

    def way(self, frames: int) -> np.ndarray:
        moved = (self.pace or 0.0) * np.arange(frames) * STEP
        return self.road.path.at(self.s + moved, self.d)

    def solid(self, rng: Rng, town: Town) -> Solid:
        if self.pace is not None:
            model = people.pedestrian(rng, town.style)
            return walk(rng, model, self.road, town.frames, STEP, self.s, self.d, self.pace)
        pose = self.way(1)
        pose[:, 2] += np.pi * (self.d > 0)
        return Solid(vehicles.car(rng, town.style, False), pose, np.zeros(1, int))


def draw_encounters(
    rng: Rng, town: Town, solids: list[Solid], cameras: np.ndarray, fov: float, count: int
) -> list[Solid]:
    """Up to `count` more people and parked cars that are seen, hidden for some frames, and seen again.

    Args:
        solids: everything else, with its ways.
        cameras: (T, 6) poses.
        fov: horizontal field of view in radians.
    """
    tries = [_draw_try(rng, town) for _ in range(TRIES)]
    ways = np.stack([one.way(town.frames) for one in tries])
    parked = np.array([one.pace is None for one in tries])
    # Half the size, the height and the far limit of a large car and of a large person.
    halves, heights = np.where(parked, 2.5, 0.4), np.where(parked, 1.6, 1.95)
    limits = np.where(parked, 44.0, 24.0) / np.tan(fov / 2) * 0.72
    hidden, seen = _sight(ways, halves, heights, limits, solids, cameras, fov)
    lengths = np.array([_gap(h, s) for h, s in zip(hidden, seen, strict=True)])
    taken: list[Solid] = []
    corners = [solid.corners() for solid in solids]
    # Long gaps are rarer than short ones and wanted as much.
    for k in np.argsort(-lengths * rng.uniform(0.2, 1, TRIES)):
        if len(taken) == count or lengths[k] < 2:
            break
        new = tries[k].solid(rng, town)
        outline = new.corners()
        if not any(overlap(outline, other).any() for other in corners):
            taken.append(new)
            corners.append(outline)
    return taken


def _draw_try(rng: Rng, town: Town) -> _Try:
    road = town.roads[rng.integers(len(town.roads))]
    begin, end = town.span(road)
    s, side = float(rng.uniform(max(begin, -25), min(end, 60))), int(rng.choice([-1, 1]))
    if road.parking >= 2 and rng.random() < 0.25 and road.free(s, 8):
        return _Try(road, s, side * (road.kerb - road.parking / 2), None)
    pace = 0.0 if rng.random() < 0.15 else rng.uniform(0.8, 1.9) * rng.choice([-1, 1])
    return _Try(road, s, side * float(rng.uniform(road.kerb + 1.1, road.front - 0.5)), float(pace))


def _sight(
    ways: np.ndarray, halves: np.ndarray, heights: np.ndarray, limits: np.ndarray, solids: list[Solid],
    cameras: np.ndarray, fov: float,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """For C ways (C, T, 3): fully hidden behind one solid, and free to be seen; bool (C, T) each."""
    count, frames = ways.shape[:2]
    hidden, free = np.zeros((count, frames), bool), np.zeros((count, frames), bool)
    tops = np.array([solid.model.height for solid in solids])
    bottoms = np.array([vehicles.CLEARANCE if solid.model.categories else 0.0 for solid in solids])
    outlines = [solid.corners() for solid in solids]
    for frame in range(frames):
        x, y, z, yaw = cameras[frame, :4]
        corners = np.stack([outline[min(frame, len(outline) - 1)] for outline in outlines]) - [x, y]
        angle, depth = _polar(corners, yaw)
        ahead = (depth.min(1) > 0.5) & (np.abs(angle).max(1) < 1.4)
        low, high, far = angle.min(1), angle.max(1), depth.mean(1)
        middle, away = _polar(ways[:, frame, :2] - [x, y], yaw)
        half = halves / np.maximum(away, 1.0)
        # Seen from z, the top of a solid at distance `far` reaches as high as the top of the one behind it.
        tall = (tops - z) / np.maximum(far, 0.5) >= ((heights - z) / np.maximum(away, 1.0))[:, None]
        nearer = ahead & (far < away[:, None])
        feet = z * (1 - far / np.maximum(away, 1.0)[:, None]) >= bottoms
        covers = nearer & tall & feet & (low <= (middle - half)[:, None]) & (high >= (middle + half)[:, None])
        touches = nearer & (low <= middle[:, None]) & (high >= middle[:, None])
        inside = (np.abs(middle) < 0.46 * fov) & (away > NEAREST) & (away < limits)
        hidden[:, frame] = covers.any(1) & inside
        free[:, frame] = ~touches.any(1) & inside
    return hidden, free


def _polar(points: np.ndarray, yaw: float) -> tuple[np.ndarray, np.ndarray]:
    """Angle from the line of sight (left positive) and distance of points (..., 2) around the camera."""
    angle = np.arctan2(points[..., 1], points[..., 0]) - yaw
    return (angle + np.pi) % (2 * np.pi) - np.pi, np.hypot(points[..., 0], points[..., 1])


def _gap(hidden: np.ndarray, free: np.ndarray) -> int:
    """Frames in the longest run of `hidden` that has frames of `free` before and after it."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], hidden.astype(np.int8), [0]])))
    runs = [(int(b - a)) for a, b in edges.reshape(-1, 2) if free[:a].sum() >= 2 and free[b:].sum() >= 2]
    return max(runs, default=0)
