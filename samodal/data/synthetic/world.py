"""A world from a seed: everything that can be seen, and the way of the camera through it."""

from dataclasses import dataclass

import numpy as np

from samodal.data.synthetic import textures
from samodal.data.synthetic.camera import Camera
from samodal.data.synthetic.encounters import draw_encounters
from samodal.data.synthetic.ground import Ground, draw_ground
from samodal.data.synthetic.sides import draw_furniture, draw_houses, draw_parked, draw_walkers
from samodal.data.synthetic.style import Style
from samodal.data.synthetic.textures import Rng
from samodal.data.synthetic.town import STEP, Town, draw_traffic, plan_town
from samodal.data.synthetic.traffic import Solid, drop_collisions, far_limit
from samodal.data.synthetic.weather import Weather, draw_weather

PRESETS = ("easy", "hard")


@dataclass
class World:
    """Everything that can be seen in a clip, at all times. T frames.

    Attributes:
        seed: also for what is drawn anew in every frame (rain, the place of the noise).
        cameras: (T, 6) x, y, z in metres, yaw, pitch, roll in radians.
        fov: horizontal field of view in radians.
        solids: with their ways; those that are instances carry track ids.
        categories: track id -> category.
        limits: track id -> metres beyond which it counts as scenery.
        ground, sky: pictures; weather: light.
        plate: (512, 512, 3) int16 sensor noise.
    """

    seed: int
    cameras: np.ndarray
    fov: float
    solids: list[Solid]
    categories: dict[int, int]
    limits: dict[int, float]
    ground: Ground
    sky: np.ndarray
    weather: Weather
    plate: np.ndarray

    def camera(self, frame: int, size: tuple[int, int]) -> Camera:
        """The camera of a frame for images of size (H, W)."""
        x, y, z, yaw, pitch, roll = self.cameras[frame]
        return Camera(np.array([x, y, z]), yaw, pitch, roll, self.fov, size)


def build_world(seed: int, frames: int, preset: str = "easy") -> World:
    """The world of a seed, long enough for so many frames.

    Raises:
        ValueError: unknown preset.
    """
    if preset not in PRESETS:
        raise ValueError(f"preset {preset!r}: choose one of {', '.join(PRESETS)}")
    hard = preset == "hard"
    rng = np.random.default_rng([seed, int(hard)])
    style, weather = Style(hard), draw_weather(rng)
    town = plan_town(rng, style, frames, weather.lamps)
    ego, *traffic = draw_traffic(rng, town)
    things = [ego, *draw_furniture(rng, town), *draw_parked(rng, town), *traffic, *draw_walkers(rng, town)]
    solids = drop_collisions(things, frames)[1:] + draw_houses(rng, town)
    cameras = _cameras(rng, town, ego.poses)
    fov = float(np.radians(rng.uniform(60, 88)))
    wanted = int(rng.integers(3, 6) if hard else rng.integers(1, 4))
    solids += draw_encounters(rng, town, solids, cameras, fov, wanted)
    categories = number_instances(solids)
    low, high = cameras[:, :2].min(0) - 85, cameras[:, :2].max(0) + 85
    skyline = (weather.haze * 0.75 + 0.25 * style.wall(rng) * weather.ambient).clip(0, 255)
    return World(
        seed=seed,
        cameras=cameras,
        fov=fov,
        solids=solids,
        categories=categories,
        limits={i: far_limit(solid.model, fov) for solid in solids for i in solid.track_ids},
        ground=draw_ground(rng, style, town.roads, low, high, weather.name == "rain"),
        sky=textures.sky(rng, weather.top, weather.low, weather.clouds, skyline),
        weather=weather,
        plate=np.round(rng.normal(0, weather.noise, (512, 512, 3))).astype(np.int16),
    )


def number_instances(solids: list[Solid]) -> dict[int, int]:
    """Give every instance its track id, from 1 on; returns track id -> category."""
    categories: dict[int, int] = {}
    for solid in solids:
        first = len(categories) + 1
        solid.track_ids = tuple(range(first, first + len(solid.model.categories)))
        categories.update(zip(solid.track_ids, solid.model.categories, strict=True))
    return categories


def _cameras(rng: Rng, town: Town, ego: np.ndarray) -> np.ndarray:
    """(T, 6) poses: in the ego car, looking ahead, shaking a little, diving when it brakes."""
    frames = len(ego)
    time = np.arange(frames) * STEP
    speed, push = np.zeros(frames), np.zeros(frames)
    if frames > 1:
        speed = np.linalg.norm(np.gradient(ego[:, :2], STEP, axis=0), axis=1)
        push = np.gradient(speed, STEP)
    shake = rng.normal(0, 0.0012, (3, frames)) * np.minimum(speed / 8, 1)
    aside = rng.uniform(0.1, 0.6) if town.parked else rng.normal(0, 0.05)
    sway = rng.uniform(0, 0.006) * np.sin(rng.uniform(1.5, 4) * time + rng.uniform(0, 6))
    forward = np.column_stack([np.cos(ego[:, 2]), np.sin(ego[:, 2])])
    return np.column_stack(
        [
            ego[:, :2] + 0.8 * forward,
            np.full(frames, rng.uniform(1.2, 1.7)),
            ego[:, 2] + aside + shake[0],
            rng.uniform(-0.07, 0.0) + shake[1] + sway + 0.003 * push,
            rng.normal(0, 0.006) + shake[2] + 0.5 * sway,
        ]
    )
