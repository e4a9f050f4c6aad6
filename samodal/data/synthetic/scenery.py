"""What does not move: houses, trees, poles, kiosks, and the picture of the ground."""

from dataclasses import dataclass

import cv2
import numpy as np

from samodal.data.synthetic import textures
from samodal.data.synthetic.roads import Road
from samodal.data.synthetic.solids import Sculptor
from samodal.data.synthetic.style import Style
from samodal.data.synthetic.textures import Rng
from samodal.data.synthetic.vehicles import Model

GREY = np.array([92.0, 94, 98])


@dataclass
class Crown:
    """Foliage, drawn upright and facing the camera: pictures of falling size with their 0/255 outlines."""

    levels: list[tuple[np.ndarray, np.ndarray]]
    middle: float
    width: float
    height: float


@dataclass
class Tree(Model):
    """A trunk with a crown (or a bush: hardly any trunk)."""

    crown: Crown | None = None


def house(rng: Rng, walls: list[np.ndarray], width: float, depth: float, height: float) -> Model:
    """A block (depth along x, width along y) with the same wall picture (30 x 24 m) on all sides."""
    wall = walls[rng.integers(len(walls))]
    scale = wall.shape[1] / 30
    sculptor = Sculptor()
    size = (-depth / 2, depth / 2, -width / 2, width / 2)
    faces = sculptor.frustum(size, size, (0, height), wall.reshape(-1, 3).mean(0))
    shift = int(rng.integers(0, wall.shape[1] - int(26 * scale)))
    for face, span in zip(faces[1:], (depth, width, depth, width), strict=True):
        sculptor.texture(face, wall[-int(height * scale) :, shift : shift + int(span * scale)])
    if rng.random() < 0.45:
        roof = rng.uniform([90, 50, 40], [160, 90, 80]) if rng.random() < 0.6 else rng.uniform(50, 100, 3)
        ridge = (-0.06, 0.06, -width / 2, width / 2)
        sculptor.frustum(size, ridge, (height, height + depth * rng.uniform(0.25, 0.4)), roof)
    return Model([sculptor.finish()], (), depth, width, height)


def crowns(rng: Rng, style: Style, count: int = 3) -> list[list[tuple[np.ndarray, np.ndarray]]]:
    """Pictures of foliage to choose from, each with its halvings."""
    result = []
    for _ in range(count):
        image, outline = textures.foliage(rng, style.leaf(rng))
        levels = [(image, outline)]
        while levels[-1][0].shape[0] > 24:
            image, outline = (cv2.pyrDown(picture) for picture in levels[-1])
            levels.append((image, outline))
        result.append(levels)
    return result


def tree(rng: Rng, pictures: list[list[tuple[np.ndarray, np.ndarray]]]) -> Tree:
    """A street tree."""
    width, height, base = rng.uniform(2.6, 5.5), rng.uniform(3.2, 6.5), rng.uniform(1.9, 2.8)
    radius = rng.uniform(0.12, 0.24)
    sculptor = Sculptor()
    bark = rng.uniform([60, 45, 35], [110, 90, 75])
    sculptor.limb(np.zeros(3), np.array([0, 0, base + 0.4 * height]), (radius, 0.6 * radius), bark, 7)
    crown = Crown(pictures[rng.integers(len(pictures))], base + 0.45 * height, width, height)
    return Tree([sculptor.finish()], (), 2 * radius, 2 * radius, float(base + height), crown=crown)


def bush(rng: Rng, pictures: list[list[tuple[np.ndarray, np.ndarray]]]) -> Tree:
    """Something green about as high as a person."""
    size = rng.uniform(0.9, 2.0)
    sculptor = Sculptor()
    sculptor.limb(np.zeros(3), np.array([0, 0, 0.5 * size]), (0.08, 0.05), np.array([70.0, 55, 40]), 5)
    crown = Crown(pictures[rng.integers(len(pictures))], 0.42 * size, size * 1.15, size)
    return Tree([sculptor.finish()], (), 0.5, 0.5, float(size), crown=crown)


def hedge(rng: Rng, style: Style, length: float) -> Model:
    """A trimmed hedge."""
    height, width = rng.uniform(0.7, 1.5), 0.6
    sculptor = Sculptor()
    colour = style.leaf(rng)
    size = (-length / 2, length / 2, -width / 2, width / 2)
    faces = sculptor.frustum(size, size, (0, height), colour * 1.15)
    picture = textures.leaves(rng, colour, (int(16 * height), int(16 * length)))
    sculptor.texture(faces.right, picture)
    sculptor.texture(faces.left, picture)
    return Model([sculptor.finish()], (), length, width, float(height))


def pole(rng: Rng, night: bool) -> Model:
    """A lamp, a road sign, a traffic light or a bollard, for the right side of a road."""
    kind = str(rng.choice(["lamp", "sign", "light", "bollard"], p=[0.3, 0.4, 0.18, 0.12]))
    sculptor = Sculptor()
    metal = GREY * rng.uniform(0.5, 1.3)
    height = {"lamp": rng.uniform(5, 8), "sign": rng.uniform(2.4, 3.2), "light": 3.4, "bollard": 1.0}[kind]
    thick = {"lamp": 0.09, "sign": 0.04, "light": 0.07, "bollard": 0.09}[kind]
    sculptor.limb(np.zeros(3), np.array([0, 0, height]), (thick, thick * 0.8), metal, 6)
    if kind == "lamp":
        sculptor.limb(np.array([0, 0, height]), np.array([0, 1.8, height + 0.25]), (0.05, 0.04), metal, 5)
        head = sculptor.box((-0.15, 0.15), (1.5, 2.2), (height + 0.15, height + 0.3), metal)
        sculptor.decal(
            head.rear, [(0, 0), (1, 0), (1, 0.8), (0, 0.8)], np.array([255.0, 225, 160]), float(night)
        )
    elif kind == "sign":
        angle = (
            (np.arange(10) + 0.5) * (2 * np.pi / 10)
            if rng.random() < 0.6
            else np.pi / 4 + np.arange(4) * (np.pi / 2)
        )
        ring = np.column_stack([0.36 * np.cos(angle), height - 0.3 + 0.36 * np.sin(angle)])
        ends = [np.column_stack([np.full(len(angle), x), ring]) for x in (-0.06, -0.04)]
        colours = [[200, 30, 30], [30, 70, 170], [235, 200, 40], [230, 230, 230]]
        face, _, _ = sculptor.prism(ends[0], ends[1], GREY)
        sculptor.inset(face, 1.0, np.array(colours[rng.integers(4)], float))
        sculptor.inset(face, rng.uniform(0.4, 0.75), np.array(colours[rng.integers(4)], float))
    elif kind == "light":
        box = sculptor.box(
            (-0.32, -0.08), (-0.16, 0.16), (height - 0.9, height + 0.05), np.array([28.0, 28, 30])
        )
        on = rng.integers(2)
        for k, colour in enumerate(([60, 220, 110], [250, 40, 30])):
            v = 0.06 + 0.6 * k
            lamp = [(0.2, v), (0.8, v), (0.8, v + 0.26), (0.2, v + 0.26)]
            shine = float(k == on)
            sculptor.decal(box.rear, lamp, np.array(colour, float) * (0.25 + 0.75 * shine), shine)
    return Model([sculptor.finish()], (), 2 * thick, 2 * thick, float(height))


def kiosk(rng: Rng, style: Style) -> Model:
    """A kiosk, a billboard, an advertising pillar or a container: hides people who walk behind it."""
    kind = str(rng.choice(["kiosk", "billboard", "pillar", "container"], p=[0.3, 0.35, 0.2, 0.15]))
    length, width, height = {
        "kiosk": (rng.uniform(1.8, 3.5), 1.5, 2.6),
        "billboard": (rng.uniform(2.0, 3.8), 0.2, rng.uniform(2.3, 3.2)),
        "pillar": (1.2, 1.2, 3.0),
        "container": (rng.uniform(1.5, 2.5), 1.2, 1.5),
    }[kind]
    colour = style.body(rng) * 0.8
    sculptor = Sculptor()
    if kind == "pillar":
        sculptor.limb(np.zeros(3), np.array([0, 0, height]), (0.6, 0.6), colour, 10)
        sculptor.limb(np.array([0, 0, height]), np.array([0, 0, height + 0.3]), (0.7, 0.1), colour * 0.5, 10)
    else:
        size = (-length / 2, length / 2, -width / 2, width / 2)
        faces = sculptor.frustum(size, size, (0, height), colour)
        picture = textures.livery(rng, colour, (int(30 * height), int(30 * length)), style.hard)
        sculptor.texture(faces.left, picture)
        sculptor.texture(faces.right, picture)
    return Model([sculptor.finish()], (), float(length), float(width), float(height))


@dataclass
class Ground:
    """The picture of the ground.

    Attributes:
        levels: the picture and its halvings, uint8 (h, w, 3).
        to_world: (3, 3) from its pixels (x, y, 1) to metres.
        colour: (3,) of the land beyond it.
    """

    levels: list[np.ndarray]
    to_world: np.ndarray
    colour: np.ndarray


def draw_ground(
    rng: Rng, style: Style, roads: list[Road], low: np.ndarray, high: np.ndarray, wet: bool
) -> Ground:
    """Land, pavements, asphalt, kerbs and lane marks of crossing roads between two corners (2,) in metres."""
    extent = high - low
    scale = float(min(12.0, np.sqrt(5.5e6 / (extent[0] * extent[1]))))
    width, height = (int(v * scale) for v in extent)
    land = style.leaf(rng) * 1.1 if rng.random() < 0.4 else rng.uniform([105, 100, 90], [150, 145, 135])
    paving = rng.uniform(120, 165) * rng.uniform(0.94, 1.04, 3)
    asphalt = (rng.uniform(62, 105) * (0.72 if wet else 1.0)) * rng.uniform(0.97, 1.03, 3)
    if style.hard:
        paving, asphalt = rng.uniform([120, 80, 70], [180, 130, 120]), asphalt * rng.uniform(0.85, 1.2, 3)
    image = np.empty((height, width, 3), np.uint8)
    image[:] = land

    def strip(road: Road, d0: float, d1: float, s: np.ndarray, colour: np.ndarray) -> None:
        edge = np.concatenate([road.path.at(s, d0)[:, :2], road.path.at(s[::-1], d1)[:, :2]])
        points = np.round((edge - low) * scale * 16).astype(np.int32)
        cv2.fillPoly(image, [points], np.asarray(colour).tolist(), cv2.LINE_AA, 4)

    for road in roads:
        strip(road, -road.front, road.front, road.path.s, paving)
    for road in roads:
        strip(road, -road.kerb - 0.18, road.kerb + 0.18, road.path.s, paving * 1.2)
    for road in roads:
        strip(road, -road.kerb, road.kerb, road.path.s, asphalt)
    for road in roads:
        _marks(rng, road, strip, asphalt)
    coarse = textures.noise(rng, (height // 2 + 1, width // 2 + 1), 12 * scale, 5) * 9
    fine = np.tile(rng.normal(0, 7, (512, 512)).astype(np.float32), (-(-height // 512), -(-width // 512)))
    grain = cv2.resize(coarse, (width, height)) + fine[:height, :width]
    cv2.add(image, cv2.merge([grain] * 3), dst=image, dtype=cv2.CV_8U)
    levels = [image]
    while len(levels) < 5:
        levels.append(cv2.pyrDown(levels[-1]))
    to_world = np.array(
        [[1 / scale, 0, low[0] + 0.5 / scale], [0, 1 / scale, low[1] + 0.5 / scale], [0, 0, 1]]
    )
    return Ground(levels, to_world, image[::8, ::8].reshape(-1, 3).mean(0))


def _marks(rng: Rng, road: Road, strip, asphalt: np.ndarray) -> None:  # type: ignore[no-untyped-def]
    """Repairs, lane marks, stop lines and crossings of one road."""
    white = np.array([214.0, 214, 208])
    s0, s1 = float(road.path.s[0]), float(road.path.s[-1])
    for _ in range(int((s1 - s0) / 9)):
        at, d = rng.uniform(s0, s1), rng.uniform(-road.kerb, road.kerb - 1)
        length, across = rng.uniform(0.6, 8), rng.uniform(0.5, 2.5)
        strip(
            road,
            d,
            min(d + across, road.kerb),
            np.array([at, at + length]),
            asphalt * rng.uniform(0.78, 1.15),
        )
    dash, pause = rng.uniform(2, 4), rng.uniform(3, 6)
    for s in np.arange(s0, s1, dash + pause):
        if road.free(s, 2) and road.free(s + dash, 2):
            for lane in range(-road.lanes + 1, road.lanes):
                strip(road, lane * road.lane - 0.07, lane * road.lane + 0.07, np.array([s, s + dash]), white)
    spans = [(s0, s1)] if road.gap is None else [(s0, road.gap[0]), (road.gap[1], s1)]
    for begin, end in spans:
        along = np.arange(begin, end, 2.0)
        for side in (-1, 1):
            for d in [road.lanes * road.lane] + ([road.lanes * road.lane + road.bike] if road.bike else []):
                if len(along) > 1:
                    strip(road, side * d - 0.06, side * d + 0.06, along, white * 0.95)
    if road.gap is not None:
        for at, back in ((road.gap[0], -1), (road.gap[1], 1)):
            stop = at + 5.2 * back
            side = back * road.lanes * road.lane
            strip(road, min(0, side), max(0, side), np.array([stop - 0.2, stop + 0.2]), white)
            for d in np.arange(-road.kerb + 0.3, road.kerb - 0.4, 1.0):
                strip(road, d, d + 0.5, np.sort(np.array([at + 1.0 * back, at + 4.0 * back])), white)
