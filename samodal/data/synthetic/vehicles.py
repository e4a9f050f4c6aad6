"""Cars, vans, lorries and buses of many proportions."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from samodal.data.synthetic import textures
from samodal.data.synthetic.solids import Colour, Sculptor, Shape
from samodal.data.synthetic.style import Style
from samodal.data.synthetic.textures import Rng

PERSON, RIDER, CAR, TRUCK, BUS, MOTORCYCLE, BICYCLE = 24, 25, 26, 27, 28, 32, 33
"""Category ids of Cityscapes."""

GLASS = np.array([38.0, 46, 54])
TYRE = np.array([24.0, 24, 26])
HEADLIGHT = np.array([255.0, 250, 225])
TAILLIGHT = np.array([190.0, 20, 20])


class Phases(Sequence[Shape]):
    """The shapes of a gait, built when they are first asked for."""

    def __init__(self, build: Callable[[int], Shape], count: int) -> None:
        self._build = cache(build)
        self._count = count

    def __len__(self) -> int:
        return self._count

    def __getitem__(self, index: Any) -> Any:
        return self._build(int(index))


CLEARANCE = 0.35
"""Metres between the ground and the bodies of vehicles, at most: feet can be seen below them."""


@dataclass
class Model:
    """A kind of thing that can stand or move in the world.

    Attributes:
        shapes: the phases of its gait, one for what does not move by itself.
        categories: one per instance in it (a rider and a bicycle are two); empty for scenery.
        length, width, height: of its footprint and box, metres.
        stride: metres per cycle of the gait.
    """

    shapes: Sequence[Shape]
    categories: tuple[int, ...]
    length: float
    width: float
    height: float
    stride: float = 1.0


def wheel(
    sculptor: Sculptor, x: float, y: float, radius: float, outwards: float, hidden: bool = True
) -> None:
    """A wheel whose outer face is at `y`; its inner part counts as below the body when parts are sorted."""
    angle = (np.arange(12) + 0.5) * (2 * np.pi / 12)
    profile = np.column_stack([x + radius * np.cos(angle), radius + radius * np.sin(angle)])
    inner = y - 0.22 * outwards
    if hidden:
        below = np.array([[x - radius, min(inner, y), 0], [x + radius, max(inner, y), 0.1]])
        sculptor.extrude(profile, (inner, y - 0.03 * outwards), TYRE, below)
    cap_low, cap_high, _ = sculptor.extrude(profile, (y - 0.03 * outwards, y), TYRE)
    rim = cap_high if outwards > 0 else cap_low
    sculptor.inset(rim, 0.62, np.array([150.0, 152, 156]))
    sculptor.inset(rim, 0.25, np.array([70.0, 72, 76]))


def _axles(sculptor: Sculptor, xs: list[float], width: float, radius: float) -> None:
    for x in xs:
        for side in (-1, 1):
            wheel(sculptor, x, side * width / 2, radius, side)


def _lights(
    sculptor: Sculptor,
    front: int,
    rear: int,
    night: bool,
    heights: tuple[float, float] = (0.45, 0.85),
    extruded: bool = False,
) -> None:
    """Lamps and number plates on the front and rear quads of the part added last.

    On the quads of an extruded profile u goes along the profile (up in front, down at the rear).
    """
    low, high = heights

    def paint(
        face: int, u0: float, u1: float, v0: float, v1: float, colour: Colour, glow: float = 0.0
    ) -> None:
        corners = [(u0, v0), (u1, v0), (u1, v1), (u0, v1)]
        if extruded:
            corners = [(v if face == front else 1 - v, u) for u, v in corners]
        sculptor.decal(face, corners, colour, glow)

    for at in (0.04, 0.76):
        paint(front, at, at + 0.2, low, high, HEADLIGHT, 1.0 if night else 0.15)
        paint(rear, at, at + 0.2, low, high, TAILLIGHT, 0.9 if night else 0.1)
    for face in (front, rear):
        paint(face, 0.38, 0.62, 0.1, 0.35, np.array([225.0, 225, 215]))
    paint(front, 0.28, 0.72, low, high, np.array([25.0, 25, 28]))


def _window(sculptor: Sculptor, face: int, u0: float, u1: float, tint: Colour, low: float = 0.12) -> None:
    """A pane with a lighter streak of sky in it."""
    sculptor.decal(face, [(u0, low), (u1, low), (u1, 0.9), (u0, 0.9)], tint)
    width = u1 - u0
    streak = [
        (u0 + 0.1 * width, low),
        (u0 + 0.4 * width, low),
        (u0 + 0.7 * width, 0.9),
        (u0 + 0.4 * width, 0.9),
    ]
    sculptor.decal(face, streak, tint * 1.4 + 22)


def car(rng: Rng, style: Style, night: bool) -> Model:
    """Hatchback, saloon, estate, sports car, off-roader or pick-up."""
    # length, width, height, sill; rear foot, rear top, front top, front foot of the cabin (0 rear, 1 front)
    kinds = {
        "hatchback": (4.0, 1.75, 1.48, 0.24, (0.02, 0.10, 0.55, 0.74)),
        "saloon": (4.7, 1.82, 1.44, 0.22, (0.14, 0.28, 0.55, 0.72)),
        "estate": (4.7, 1.82, 1.48, 0.22, (0.01, 0.06, 0.57, 0.72)),
        "sports": (4.4, 1.88, 1.26, 0.18, (0.10, 0.36, 0.50, 0.70)),
        "off-roader": (4.6, 1.92, 1.78, 0.34, (0.01, 0.05, 0.60, 0.71)),
        "pick-up": (5.2, 1.95, 1.80, 0.36, (0.40, 0.42, 0.62, 0.72)),
    }
    kind = rng.choice(list(kinds), p=[0.3, 0.25, 0.15, 0.06, 0.18, 0.06])
    length, width, height, sill, cabin = kinds[str(kind)]
    length, width, height = (float(v * rng.uniform(0.93, 1.07)) for v in (length, width, height))
    paint = style.paint(rng)
    waist = height * rng.uniform(0.58, 0.64)
    hood = waist - rng.uniform(0.08, 0.2)
    half, body = length / 2, width / 2 - 0.03
    sculptor = Sculptor()
    radius = float(rng.uniform(0.3, 0.35)) + 0.2 * (sill - 0.2)
    _axles(sculptor, [-0.31 * length, 0.31 * length], width, radius)
    profile = np.array(
        [
            [-half + 0.12, sill],
            [half - 0.08, sill],
            [half, 0.3 * hood + 0.7 * sill],
            [half - 0.02, 0.85 * hood],
            [half - 0.1, hood],
            [-half + cabin[3] * length, waist],
            [-half + 0.04, waist],
            [-half, waist - 0.15],
            [-half + 0.02, 0.3 * hood + 0.7 * sill],
        ]
    )
    bounds = np.array([[-half, -body, 0.12], [half, body, waist]])
    right, left, sides = sculptor.extrude(profile, (-body, body), paint, bounds)
    seams = [0.28, 0.5, 0.72] if rng.random() < 0.7 else [0.3, 0.66]
    skin = textures.car_side(paint, seams)
    sculptor.texture(right, skin)
    sculptor.texture(left, skin[:, ::-1])
    _lights(sculptor, sides[2], sides[7], night, extruded=True)
    sculptor.decal(
        sides[4], [(0.06, 0.05), (0.94, 0.05), (0.9, 0.9), (0.1, 0.9)], np.clip(paint * 1.1 + 6, 0, 255)
    )
    foot = (-half + cabin[0] * length, -half + cabin[3] * length, -body + 0.03, body - 0.03)
    lean = body - rng.uniform(0.14, 0.24)
    top = (-half + cabin[1] * length, -half + cabin[2] * length, -lean, lean)
    roof = paint if rng.random() < 0.8 else style.paint(rng)
    faces = sculptor.frustum(foot, top, (waist, height), roof)
    tint = GLASS * rng.uniform(0.6, 1.8)
    _window(sculptor, faces.front, 0.06, 0.94, tint)
    _window(sculptor, faces.rear, 0.1, 0.9, tint * 0.8)
    cuts = [0.06, 0.5, 0.94] if kind in ("sports", "pick-up") else [0.06, 0.36, 0.66, 0.94]
    for u0, u1 in pairwise(cuts):
        _window(sculptor, faces.right, u0 + 0.015, u1 - 0.015, tint)
        _window(sculptor, faces.left, 1 - u1 + 0.015, 1 - u0 - 0.015, tint)
    mirror_x = -half + cabin[3] * length - 0.25
    for side in (-1, 1):
        ys = sorted((side * (width / 2), side * (width / 2 + 0.1)))
        sculptor.box((mirror_x - 0.1, mirror_x + 0.05), (ys[0], ys[1]), (waist, waist + 0.15), paint * 0.8)
    if kind == "pick-up":
        bed = (-half + 0.1, -half + 0.38 * length, -body + 0.1, body - 0.1)
        if rng.random() < 0.5:
            sculptor.frustum(bed, bed, (waist, waist + float(rng.uniform(0.2, 0.5))), rng.uniform(40, 150, 3))
    elif rng.random() < 0.08:
        box = (top[0] + 0.2, top[1] - 0.2, -0.4, 0.4)
        sculptor.frustum(box, box, (height, height + 0.3), np.array([40.0, 40, 45]))
    return Model([sculptor.finish()], (CAR,), length, width + 0.2, height)


def van(rng: Rng, style: Style, night: bool) -> Model:
    """A delivery van, a car in the classes of Cityscapes."""
    length, width, height = rng.uniform(4.8, 6.2), rng.uniform(1.95, 2.1), rng.uniform(1.95, 2.7)
    paint = style.body(rng)
    sculptor = Sculptor()
    _axles(sculptor, [-0.3 * length, 0.33 * length], width, 0.35)
    half, body = length / 2, width / 2 - 0.03
    nose, waist = half - rng.uniform(0.9, 1.3), 1.15
    profile = np.array(
        [
            [-half + 0.03, 0.3],
            [half - 0.05, 0.3],
            [half, 0.55],
            [half - 0.02, 0.9],
            [nose + 0.3, waist],
            [-half, waist],
        ]
    )
    bounds = np.array([[-half, -body, 0.12], [half, body, waist]])
    side = textures.livery(rng, paint, (96, 256), style.hard)
    right, left, sides = sculptor.extrude(profile, (-body, body), paint, bounds)
    sculptor.texture(right, side[48:])
    sculptor.texture(left, side[48:, ::-1])
    _lights(sculptor, sides[2], sides[5], night, (0.3, 0.8), extruded=True)
    lean = body - 0.12
    foot, top = (-half, nose + 0.35, -body, body), (-half + 0.05, nose - 0.45, -lean, lean)
    faces = sculptor.frustum(foot, top, (waist, height), paint)
    if rng.random() < 0.6:
        sculptor.texture(faces.right, side[:48])
        sculptor.texture(faces.left, side[:48])
    tint = GLASS * rng.uniform(0.7, 1.6)
    _window(sculptor, faces.front, 0.05, 0.95, tint, low=0.08)
    _window(sculptor, faces.right, 0.74, 0.93, tint, low=0.08)
    _window(sculptor, faces.left, 0.07, 0.26, tint, low=0.08)
    if rng.random() < 0.6:
        _window(sculptor, faces.rear, 0.08, 0.48, tint, low=0.4)
        _window(sculptor, faces.rear, 0.52, 0.92, tint, low=0.4)
    else:
        sculptor.decal(faces.rear, [(0.49, 0), (0.51, 0), (0.51, 1), (0.49, 1)], paint * 0.5)
    return Model([sculptor.finish()], (CAR,), float(length), float(width), float(height))


def lorry(rng: Rng, style: Style, night: bool) -> Model:
    """Cab and box, tank, tipper or flat bed."""
    length, width, height = rng.uniform(6.5, 11), rng.uniform(2.3, 2.55), rng.uniform(2.9, 3.9)
    cab = rng.uniform(1.7, 2.2)
    half, body = length / 2, width / 2 - 0.04
    paint, load = style.paint(rng), style.body(rng)
    sculptor = Sculptor()
    axles = [half - cab * 0.55, -0.28 * length] + ([-0.28 * length - 1.1] if length > 8 else [])
    _axles(sculptor, axles, width, 0.48)
    grey = np.array([58.0, 58, 62])
    beam = (-half, half - 0.1, -body, body)
    bounds = np.array([[-half, -body, 0.12], [half, body, 0.95]])
    chassis = sculptor.frustum(beam, beam, (float(rng.uniform(0.25, CLEARANCE)), 0.95), grey, bounds)
    _lights(sculptor, chassis.front, chassis.rear, night, (0.3, 0.8))
    front = half - cab
    cab_top = min(height, float(rng.uniform(2.5, 3.0)))
    foot, top = (
        (front + 0.1, half, -body, body),
        (front + 0.1, half - rng.uniform(0.05, 0.3), -body + 0.05, body - 0.05),
    )
    faces = sculptor.frustum(foot, top, (0.95, cab_top), paint)
    tint = GLASS * rng.uniform(0.7, 1.5)
    _window(sculptor, faces.front, 0.06, 0.94, tint, low=0.45)
    sculptor.decal(faces.front, [(0.15, 0.05), (0.85, 0.05), (0.85, 0.35), (0.15, 0.35)], paint * 0.45)
    _window(sculptor, faces.right, 0.35, 0.9, tint, low=0.48)
    _window(sculptor, faces.left, 0.1, 0.65, tint, low=0.48)
    kind = rng.choice(["box", "tank", "tipper", "flat"], p=[0.62, 0.12, 0.16, 0.1])
    if kind == "tank":
        angle = (np.arange(10) + 0.5) * (2 * np.pi / 10)
        radius = (height - 1.0) / 2
        ring = np.column_stack(
            [np.cos(angle) * min(body, radius * 1.1), 1.0 + radius + np.sin(angle) * radius]
        )
        ends = [np.column_stack([np.full(10, at), ring]) for at in (-half, front)]
        sculptor.prism(ends[0], ends[1], load)
    else:
        rise = {"box": height, "tipper": 0.95 + 0.45 * (height - 0.95), "flat": 1.5}[str(kind)]
        box = (-half, front, -body, body)
        faces = sculptor.frustum(box, box, (0.95, rise), load)
        picture = textures.livery(
            rng, load, (int(28 * (rise - 0.95)) + 8, int(28 * (front + half))), style.hard
        )
        sculptor.texture(faces.right, picture)
        sculptor.texture(faces.left, picture)
        sculptor.texture(faces.rear, textures.livery(rng, load * 0.95, (picture.shape[0], 64), False))
    return Model([sculptor.finish()], (TRUCK,), float(length), float(width), float(height))


def bus(rng: Rng, style: Style, night: bool) -> Model:
    """A city bus or a coach."""
    length, width, height = rng.uniform(8.5, 12), rng.uniform(2.4, 2.55), rng.uniform(2.8, 3.4)
    half, body = length / 2, width / 2 - 0.04
    paint = style.body(rng)
    sculptor = Sculptor()
    _axles(sculptor, [0.3 * length, -0.27 * length], width, 0.48)
    foot = (-half, half, -body, body)
    top = (-half + 0.05, half - rng.uniform(0.05, 0.25), -body + 0.06, body - 0.06)
    bounds = np.array([[-half, -body, 0.12], [half, body, height]])
    faces = sculptor.frustum(foot, top, (0.28, height), paint, bounds)
    side = textures.bus_side(rng, paint, (84, 320), style.hard)
    sculptor.texture(faces.right, side)
    sculptor.texture(
        faces.left, textures.bus_side(rng, paint, (84, 320), style.hard) if rng.random() < 0.5 else side
    )
    tint = GLASS * rng.uniform(0.7, 1.5)
    _lights(sculptor, faces.front, faces.rear, night, (0.08, 0.18))
    _window(sculptor, faces.front, 0.05, 0.95, tint, low=0.36)
    _window(sculptor, faces.rear, 0.12, 0.88, tint, low=0.5)
    sign = np.array([240.0, 170, 40]) if rng.random() < 0.6 else np.array([30.0, 30, 30])
    sculptor.decal(faces.front, [(0.2, 0.91), (0.8, 0.91), (0.8, 0.985), (0.2, 0.985)], sign, 0.6)
    if rng.random() < 0.5:
        box = (-0.3 * length, 0.1 * length, -0.6, 0.6)
        sculptor.frustum(box, box, (height, height + 0.25), paint * 0.8)
    return Model([sculptor.finish()], (BUS,), float(length), float(width), float(height))
