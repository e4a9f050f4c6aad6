"""What does not move: houses, trees, poles, kiosks."""

from dataclasses import dataclass

import cv2
import numpy as np

from samodal.data.synthetic import textures
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
