"""Light and weather of a clip."""

from dataclasses import dataclass

import numpy as np

from samodal.data.synthetic.textures import Rng


@dataclass(frozen=True)
class Weather:
    """How the world is lit and seen.

    Attributes:
        name: clear, overcast, rain, fog, dusk or night.
        sun: (3,) unit vector towards the light.
        ambient, direct: (3,) factors of colours, in the shade and straight in the light.
        haze: (3,) colour of the far; density: its share per metre.
        top, low: (3,) sky overhead and at the horizon; clouds: 0 to 1.
        rain: streaks in a frame of 640 x 360 pixels; shadow: darkness of cast shadows, 0 to 1.
        noise: standard deviation of the sensor's noise, in 0 to 255; blur: of the lens, pixels at width 640.
        lamps: headlights and street lamps are on.
    """

    name: str
    sun: np.ndarray
    ambient: np.ndarray
    direct: np.ndarray
    haze: np.ndarray
    density: float
    top: np.ndarray
    low: np.ndarray
    clouds: float
    rain: int
    shadow: float
    noise: float
    blur: float
    lamps: bool


def draw_weather(rng: Rng) -> Weather:
    """Any weather, good weather most often."""
    names = ["clear", "overcast", "rain", "fog", "dusk", "night"]
    name = str(rng.choice(names, p=[0.36, 0.26, 0.12, 0.08, 0.1, 0.08]))
    azimuth = rng.uniform(0, 2 * np.pi)
    height = {"clear": rng.uniform(0.5, 1.2), "dusk": rng.uniform(0.12, 0.3)}.get(name, 1.2)
    sun = np.array([np.cos(azimuth) * np.cos(height), np.sin(azimuth) * np.cos(height), np.sin(height)])
    warm, cool = np.array([1.06, 1.0, 0.92]), np.array([0.94, 1.0, 1.07])
    # ambient, direct, horizon, overhead
    looks = {
        "clear": (0.62 * cool, 0.55 * warm, [205, 220, 235], [70, 120, 195]),
        "overcast": (0.8 * cool, 0.18 * cool, [205, 208, 212], [160, 168, 178]),
        "rain": (0.62 * cool, 0.12 * cool, [165, 170, 176], [120, 127, 136]),
        "fog": (0.78 * cool, 0.12 * cool, [200, 203, 205], [185, 190, 194]),
        "dusk": (0.46 * cool, np.array([0.52, 0.4, 0.3]), [240, 180, 125], [75, 90, 140]),
        "night": (np.array([0.22, 0.23, 0.3]), 0.08 * cool, [45, 45, 58], [10, 12, 24]),
    }
    ambient, direct, low, top = looks[name]
    horizon = np.clip(np.array(low) * rng.uniform(0.92, 1.06, 3), 0, 255)
    density = {
        "clear": rng.uniform(0.001, 0.003),
        "rain": rng.uniform(0.005, 0.011),
        "fog": rng.uniform(0.012, 0.028),
    }
    return Weather(
        name=name,
        sun=sun,
        ambient=ambient * rng.uniform(0.92, 1.08),
        direct=direct,
        haze=horizon,
        density=float(density.get(name, rng.uniform(0.002, 0.005))),
        top=np.array(top, float),
        low=horizon,
        clouds=float(rng.uniform(0.1, 0.9) if name in ("clear", "dusk") else 0.8),
        rain=int(rng.uniform(40, 130)) if name == "rain" else 0,
        shadow=float({"clear": rng.uniform(0.35, 0.55), "dusk": 0.3}.get(name, 0.0)),
        noise=float(rng.uniform(4, 8) if name in ("night", "dusk") else rng.uniform(1, 4)),
        blur=float(rng.uniform(0.3, 0.8)),
        lamps=name in ("dusk", "night", "fog") or (name == "rain" and rng.random() < 0.5),
    )
