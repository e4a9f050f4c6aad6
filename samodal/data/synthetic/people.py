"""People on foot, and riders with their bicycles and motorcycles (one solid, two instances)."""
# ruff: noqa: RUF005 (lists are added to arrays, not joined)

from itertools import pairwise

import numpy as np

from samodal.data.synthetic.solids import Colour, Sculptor, Shape
from samodal.data.synthetic.style import Style
from samodal.data.synthetic.textures import Rng
from samodal.data.synthetic.vehicles import (
    BICYCLE,
    HEADLIGHT,
    MOTORCYCLE,
    PERSON,
    RIDER,
    TAILLIGHT,
    TYRE,
    Model,
    Phases,
    wheel,
)

HAIR = np.array([[30.0, 22, 18], [70, 45, 28], [150, 115, 70], [120, 118, 115]])
PHASES = 10
"""Poses in one cycle of a gait."""


def _ring(x: float, y: float, z: float, rx: float, ry: float, sides: int = 8) -> np.ndarray:
    angle = (np.arange(sides) + 0.5) * (2 * np.pi / sides)
    return np.column_stack([x + rx * np.cos(angle), y + ry * np.sin(angle), np.full(sides, z)])


def _head(sculptor: Sculptor, at: np.ndarray, radius: float, skin: Colour, hair: Colour) -> None:
    """Neck, face and hair (or a hat, or a helmet) around the point `at`."""
    x, y, z = at
    sculptor.prism(
        _ring(x, y, z - 1.25 * radius, 0.55 * radius, 0.5 * radius),
        _ring(x, y, z, radius, 0.85 * radius),
        skin,
    )
    rings = [(z, 1.05, 0.92), (z + 0.65 * radius, 0.95, 0.85), (z + 1.1 * radius, 0.5, 0.45)]
    for (z0, a0, b0), (z1, a1, b1) in pairwise(rings):
        low, high = _ring(x, y, z0, a0 * radius, b0 * radius), _ring(x, y, z1, a1 * radius, b1 * radius)
        _, _, sides = sculptor.prism(low, high, hair)
        if z0 == z:  # the forehead
            for side in (0, 7):
                sculptor.decal(sides[side], [(0, 0), (1, 0), (1, 0.6), (0, 0.6)], skin)


def pedestrian(rng: Rng, style: Style) -> Model:
    """Somebody on foot: tall or small, in trousers, a skirt or a coat, perhaps with a bag or an umbrella."""
    height = rng.uniform(1.05, 1.4) if rng.random() < 0.12 else rng.uniform(1.55, 1.95)
    broad = rng.uniform(0.9, 1.25) * height / 1.75
    looks = {
        "top": style.cloth(rng), "legs": style.cloth(rng) * 0.8, "skin": style.skin(rng),
        "hair": HAIR[rng.integers(len(HAIR))],
        "shoes": rng.uniform(15, 90, 3), "bag": rng.uniform(20, 200, 3), "umbrella": rng.uniform(20, 230, 3),
    }  # fmt: skip
    dress = str(rng.choice(["trousers", "skirt", "coat"], p=[0.6, 0.15, 0.25]))
    bag = str(rng.choice(["", "rucksack", "bag"], p=[0.6, 0.22, 0.18]))
    umbrella = rng.random() < 0.08
    swing = rng.uniform(0.35, 0.5)

    def build(phase: int) -> Shape:
        # The last shape stands still.
        stride = swing * np.sin(2 * np.pi * phase / PHASES) if phase < PHASES else 0.06
        return _walker(height, broad, looks, dress, bag, umbrella, stride)

    shapes = Phases(build, PHASES + 1)
    return Model(shapes, (PERSON,), 0.75, 0.65, float(height + 0.45 * umbrella), stride=float(0.8 * height))


def _walker(
    height: float, broad: float, looks: dict[str, Colour], dress: str, bag: str, umbrella: bool, swing: float
) -> Shape:
    sculptor = Sculptor()
    hip, shoulder = 0.5 * height, 0.82 * height
    for side in (-1, 1):
        angle = side * swing
        y = 0.095 * side * broad
        knee = np.array([0.25 * height * np.sin(angle), y, hip - 0.25 * height * np.cos(angle)])
        bent = angle - 0.5 * abs(swing) * (side * swing < 0)
        ankle = knee + [0.23 * height * np.sin(bent), 0, -0.23 * height * np.cos(bent)]
        ankle[2] = max(ankle[2], 0.05)
        box = np.array([[-0.5, min(y * 2, 0), 0], [0.5, max(y * 2, 0), hip]])
        sculptor.limb(
            np.array([0, y, hip + 0.02]), knee, (0.095 * broad, 0.07 * broad), looks["legs"], 5, box
        )
        bare = looks["skin"] if dress == "skirt" else looks["legs"]
        sculptor.limb(knee, ankle, (0.07 * broad, 0.05 * broad), bare, 5, box)
        toe = (ankle[0] - 0.06, ankle[0] + 0.18, y - 0.05, y + 0.05)
        sculptor.frustum(
            toe,
            (toe[0], toe[1] - 0.06, toe[2], toe[3]),
            (max(ankle[2] - 0.05, 0), ankle[2] + 0.04),
            looks["shoes"],
            box,
        )
    low = {"trousers": 0.0, "skirt": 0.2 * height, "coat": 0.14 * height}[dress]
    if low:
        colour = looks["legs"] if dress == "skirt" else looks["top"]
        box = np.array([[-0.18, -0.2, hip], [0.18, 0.2, hip + 0.02]])
        ring = _ring(0, 0, hip - low, 0.17 * broad, 0.2 * broad)
        sculptor.prism(ring, _ring(0, 0, hip + 0.03, 0.12 * broad, 0.16 * broad), colour, box)
    waist, chest = (
        _ring(0, 0, hip, 0.115 * broad, 0.155 * broad),
        _ring(0, 0, shoulder, 0.12 * broad, 0.2 * broad),
    )
    box = np.array([[-0.12, -0.19, hip + 0.02], [0.12, 0.19, shoulder]])
    sculptor.prism(waist, chest, looks["top"], box)
    for side in (-1, 1):
        y = 0.235 * broad * side
        angle = 0.25 if umbrella and side == 1 else -side * swing * 0.9
        elbow = np.array(
            [0.17 * height * np.sin(angle), y * 1.05, shoulder - 0.02 - 0.17 * height * np.cos(angle)]
        )
        hand = elbow + (np.array([0.16, -0.05, 0.12]) if umbrella and side == 1 else
                        0.15 * height * np.array([np.sin(angle + 0.3), 0, -np.cos(angle + 0.3)]))  # fmt: skip
        near = sorted((0.19 * side, 0.34 * side))
        box = np.array([[-0.4, near[0], 0.3], [0.4, near[1], shoulder]])
        sculptor.limb(
            np.array([0, y, shoulder - 0.02]), elbow, (0.058 * broad, 0.048 * broad), looks["top"], 5, box
        )
        sculptor.limb(elbow, hand, (0.045 * broad, 0.035 * broad), looks["skin"], 5, box)
        if bag == "bag" and side == -1:
            sculptor.box(
                (hand[0] - 0.15, hand[0] + 0.15),
                (hand[1] - 0.06, hand[1] + 0.04),
                (hand[2] - 0.35, hand[2]),
                looks["bag"],
            )
    if bag == "rucksack":
        sculptor.box((-0.32, -0.12), (-0.16, 0.16), (hip + 0.08, shoulder - 0.03), looks["bag"])
    _head(sculptor, np.array([0.02, 0, 0.915 * height]), 0.068 * height, looks["skin"], looks["hair"])
    if umbrella:
        top = height + 0.4
        sculptor.limb(
            np.array([0.25, 0.15, shoulder - 0.1]),
            np.array([0.15, 0.1, top]),
            (0.015, 0.015),
            np.array([40.0] * 3),
            4,
        )
        sculptor.prism(
            _ring(0.15, 0.1, top - 0.25, 0.55, 0.55), _ring(0.15, 0.1, top, 0.05, 0.05), looks["umbrella"]
        )
    return sculptor.finish()


def _pedalling(
    sculptor: Sculptor, seat: np.ndarray, crank: np.ndarray, turn: float, looks: dict[str, Colour], side: int,
    broad: float,
) -> None:  # fmt: skip
    """One leg of a rider."""
    hip = seat + [0, 0.1 * side, 0]
    foot = crank + [
        0.16 * np.cos(turn + np.pi * (side > 0)),
        0.12 * side,
        0.16 * np.sin(turn + np.pi * (side > 0)),
    ]
    knee = (hip + foot) / 2 + [0.2, 0.03 * side, 0.08]
    near = sorted((0.05 * side, 0.4 * side))
    box = np.array([[-1.2, near[0], 0], [1.2, near[1], seat[2]]])
    sculptor.limb(hip, knee, (0.095 * broad, 0.07 * broad), looks["legs"], 5, box)
    sculptor.limb(knee, foot, (0.065 * broad, 0.045 * broad), looks["legs"], 5, box)
    sculptor.limb(foot - [0.08, 0, 0], foot + [0.14, 0, 0], (0.045, 0.04), looks["shoes"], 5, box)


def rider(rng: Rng, style: Style, motor: bool, night: bool) -> Model:
    """Rider (instance 0) and bicycle or motorcycle (instance 1)."""
    size = rng.uniform(0.93, 1.07)
    broad = rng.uniform(0.95, 1.15) * (1.1 if motor else 1.0)
    looks = {"top": style.cloth(rng), "legs": style.cloth(rng) * 0.8, "shoes": rng.uniform(15, 90, 3)}
    helmet = style.paint(rng) if motor or rng.random() < 0.6 else np.array([60.0, 42, 30])
    skin = np.array([35.0, 38, 42]) if motor else style.skin(rng)
    frame = style.paint(rng)
    lean = rng.uniform(0.15, 0.45) if not motor else rng.uniform(0.1, 0.4)
    bag = rng.random() < 0.3
    box_colour = rng.uniform(30, 230, 3)
    phases = 1 if motor else PHASES

    def build(phase: int) -> Shape:
        sculptor = Sculptor()
        seat = np.array([-0.2, 0, (0.8 if motor else 0.95) * size])
        grip = np.array([0.42, 0, (1.0 if motor else 1.05) * size])
        crank = np.array([0.05, 0, 0.3])
        sculptor.slot = 1
        (_motorcycle if motor else _bicycle)(sculptor, size, frame, night, bool(bag), box_colour)
        sculptor.slot = 0
        for side in (-1, 1):
            _pedalling(sculptor, seat, crank, -2 * np.pi * phase / phases, looks, side, broad)
        shoulder = seat + [0.58 * np.sin(lean), 0, 0.55 * size]
        low = _ring(seat[0], 0, seat[2], 0.13 * broad, 0.16 * broad)
        high = _ring(shoulder[0], 0, shoulder[2], 0.12 * broad, 0.2 * broad)
        torso = np.array([[-0.4, -0.19, seat[2]], [shoulder[0] + 0.1, 0.19, shoulder[2]]])
        sculptor.prism(low, high, looks["top"], torso)
        for side in (-1, 1):
            hand = grip + [0, 0.28 * side, 0]
            elbow = (shoulder + hand) / 2 + [-0.02, 0.28 * side, -0.1]
            near = sorted((0.19 * side, 0.5 * side))
            box = np.array([[-0.3, near[0], seat[2]], [0.8, near[1], shoulder[2]]])
            sculptor.limb(
                shoulder + [0, 0.22 * side * broad, -0.03], elbow, (0.06, 0.05), looks["top"], 5, box
            )
            sculptor.limb(elbow, hand, (0.045, 0.04), looks["top"], 5, box)
        _head(sculptor, shoulder + [0.07, 0, 0.22], 0.13 if motor else 0.118, skin, helmet)
        return sculptor.finish()

    category = MOTORCYCLE if motor else BICYCLE
    return Model(
        Phases(build, phases), (RIDER, category), 2.0 if motor else 1.75, 0.75, float(1.8 * size), stride=2.6
    )


def _bicycle(sculptor: Sculptor, size: float, frame: Colour, night: bool, bag: bool, box: Colour) -> None:
    radius = 0.34 * size
    for x in (-0.52, 0.52):
        wheel(sculptor, x, 0.02, radius, 1, hidden=False)
        wheel(sculptor, x, -0.02, radius, -1, hidden=False)
    seat, head, crank = (
        np.array([-0.2, 0, 0.9 * size]),
        np.array([0.38, 0, 0.95 * size]),
        np.array([-0.02, 0, 0.3]),
    )
    rear, front = np.array([-0.52, 0, radius]), np.array([0.52, 0, radius])
    middle = np.array([[-0.6, -0.03, 0.3], [0.6, 0.03, 0.9]])
    for a, b in ((seat, crank), (head, crank), (seat, head), (rear, seat), (rear, crank), (front, head)):
        sculptor.limb(a, b, (0.028, 0.028), frame, 4, middle)
    sculptor.limb(
        head + [0.02, -0.28, 0.08], head + [0.02, 0.28, 0.08], (0.022, 0.022), np.array([40.0] * 3), 4
    )
    sculptor.limb(head, head + [0.02, 0, 0.1], (0.022, 0.022), np.array([40.0] * 3), 4)
    sculptor.box((-0.34, -0.08), (-0.07, 0.07), (0.9 * size, 0.95 * size), np.array([30.0] * 3))
    if bag:
        for side in (-1, 1):
            ys = sorted((0.05 * side, 0.2 * side))
            sculptor.box((-0.75, -0.4), (ys[0], ys[1]), (0.4, 0.75), box)


def _motorcycle(sculptor: Sculptor, size: float, frame: Colour, night: bool, bag: bool, box: Colour) -> None:
    for x in (-0.68, 0.7):
        wheel(sculptor, x, 0.07, 0.31, 1, hidden=False)
        wheel(sculptor, x, -0.07, 0.31, -1, hidden=False)
    profile = np.array([[-0.55, 0.35], [0.35, 0.28], [0.55, 0.6], [0.3, 0.9], [-0.3, 0.82], [-0.85, 0.8]])
    sculptor.extrude(profile, (-0.13, 0.13), frame, np.array([[-0.85, -0.13, 0.3], [0.55, 0.13, 0.8]]))
    sculptor.limb(np.array([0.7, 0, 0.31]), np.array([0.42, 0, 0.95]), (0.07, 0.06), np.array([70.0] * 3), 5)
    faces = sculptor.frustum((0.38, 0.62, -0.2, 0.2), (0.34, 0.5, -0.16, 0.16), (0.75, 1.12), frame)
    sculptor.decal(
        faces.front, [(0.25, 0.2), (0.75, 0.2), (0.75, 0.7), (0.25, 0.7)], HEADLIGHT, 1.0 if night else 0.4
    )
    sculptor.limb(np.array([0.4, -0.36, 1.0]), np.array([0.4, 0.36, 1.0]), (0.03, 0.03), TYRE, 4)
    tail = sculptor.box((-0.95, -0.8), (-0.1, 0.1), (0.7, 0.82), frame * 0.7)
    sculptor.decal(
        tail.rear, [(0.1, 0.2), (0.9, 0.2), (0.9, 0.8), (0.1, 0.8)], TAILLIGHT, 0.9 if night else 0.2
    )
    if bag:
        sculptor.box((-1.0, -0.55), (-0.24, 0.24), (0.84, 1.25), box)
