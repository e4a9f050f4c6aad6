"""Solids made of convex parts, built from two-ring prisms: boxes, wheels, limbs, extruded profiles.

A solid's own coordinates: x to its front, y to its left, z up, origin on the ground under its middle, metres.
"""

from dataclasses import dataclass, field
from typing import NamedTuple

import cv2
import numpy as np

Colour = np.ndarray
"""(3,) float RGB, 0 to 255."""


@dataclass
class Texture:
    """An image on a flat face.

    Attributes:
        levels: the image and its halvings, uint8 (h, w, 3).
        frame: (3, 3) columns: step of one texel to the right, of one texel down, corner (top left), in the
            solid's coordinates.
        mean: (3,) mean colour, drawn instead of the image where the face is small.
    """

    levels: list[np.ndarray]
    frame: np.ndarray
    mean: Colour


class BoxFaces(NamedTuple):
    """Face numbers of a box."""

    top: int
    right: int
    front: int
    left: int
    rear: int


@dataclass
class Shape:
    """A solid ready for drawing. F faces, P parts; parts are convex, faces are convex and flat.

    Attributes:
        vertices: (N, 3).
        faces: (F, K) vertex numbers, short ones filled up with their last vertex.
        normals, offsets: (F, 3), (F,): a face is seen from an eye with normal . eye > offset.
        colours: (F, 3).
        glow: (F,) 0 = lit by the world, 1 = shines by itself.
        decal: (F,) painted on another face; does not take part in masks.
        slot: (F,) which instance of the solid the face belongs to (a rider and the bicycle are one solid).
        parts: P arrays of face numbers, decals after the face they are on.
        textures: face number -> texture.
        separators: (S, 4) rows (i, j, axis, value): part i is below `value` on that axis, part j above it.
        radius, height: metres.
    """

    vertices: np.ndarray
    faces: np.ndarray
    normals: np.ndarray
    offsets: np.ndarray
    colours: np.ndarray
    glow: np.ndarray
    decal: np.ndarray
    slot: np.ndarray
    parts: list[np.ndarray]
    textures: dict[int, Texture]
    separators: np.ndarray
    radius: float
    height: float
    orders: dict[bytes, np.ndarray] = field(default_factory=dict)

    def order(self, eye: np.ndarray) -> np.ndarray:
        """Face numbers (F,) in the order of drawing for an eye (3,) in the solid's coordinates."""
        above = eye[self.separators[:, 2].astype(int)] > self.separators[:, 3]
        key = above.tobytes()
        if key not in self.orders:
            nearer = np.zeros((len(self.parts), len(self.parts)), bool)
            low, high = self.separators[:, 0].astype(int), self.separators[:, 1].astype(int)
            nearer[np.where(above, high, low), np.where(above, low, high)] = True
            nearer &= ~nearer.T
            centres = np.array([self.vertices[self.faces[part]].mean((0, 1)) for part in self.parts])
            order = far_to_near(nearer, np.linalg.norm(centres - eye, axis=1))
            self.orders[key] = np.concatenate([self.parts[part] for part in order])
        return self.orders[key]


def far_to_near(nearer: np.ndarray, distance: np.ndarray) -> list[int]:
    """Sort so that what must be drawn first comes first.

    Args:
        nearer: (N, N) bool, [i, j] = i can hide j.
        distance: (N,), the farthest of several choices goes first.
    """
    left = nearer.sum(1)
    open_ = np.ones(len(distance), bool)
    order = []
    for _ in range(len(distance)):
        free = open_ & (left == 0)
        candidates = free if free.any() else open_  # a ring, possible only where footprints touch
        pick = int(np.argmax(np.where(candidates, distance, -np.inf)))
        order.append(pick)
        open_[pick] = False
        left = left - nearer[:, pick]
    return order


class Sculptor:
    """Puts parts together; `finish` gives the `Shape`. Every adding method returns face numbers."""

    def __init__(self) -> None:
        self._vertices: list[np.ndarray] = []
        self._faces: list[list[int]] = []
        self._colours: list[Colour] = []
        self._glow: list[float] = []
        self._decal: list[bool] = []
        self._slot: list[int] = []
        self._parts: list[list[int]] = []
        self._bounds: list[np.ndarray] = []
        self._textures: dict[int, Texture] = {}
        self._count = 0
        self.slot = 0

    def prism(
        self, a: np.ndarray, b: np.ndarray, colour: Colour, bounds: np.ndarray | None = None
    ) -> tuple[int, int, list[int]]:
        """Convex part between two rings (n, 3) of corners: (cap a, cap b, sides from corner i to i + 1).

        `bounds` (2, 3) is the box used for sorting the parts, where the true one would overlap another part.
        """
        n = len(a)
        points = np.concatenate([a, b]).astype(np.float64)
        start = self._count
        rings = [list(range(n)), list(range(n, 2 * n))]
        sides = [[i, (i + 1) % n, n + (i + 1) % n, n + i] for i in range(n)]
        self._vertices.append(points)
        self._count += 2 * n
        self._parts.append([])
        self._bounds.append(np.stack([points.min(0), points.max(0)]) if bounds is None else bounds)
        numbers = [self._add([start + c for c in corners], colour) for corners in [*rings, *sides]]
        return numbers[0], numbers[1], numbers[2:]

    def _add(self, corners: list[int], colour: Colour, glow: float = 0.0, decal: bool = False) -> int:
        number = len(self._faces)
        self._faces.append(corners)
        self._colours.append(np.asarray(colour, np.float64))
        self._glow.append(glow)
        self._decal.append(decal)
        self._slot.append(self.slot)
        self._parts[-1].append(number)
        return number

    def frustum(
        self,
        bottom: tuple[float, float, float, float],
        top: tuple[float, float, float, float],
        heights: tuple[float, float],
        colour: Colour,
        bounds: np.ndarray | None = None,
    ) -> BoxFaces:
        """Part with a rectangle (x0, x1, y0, y1) at each of two heights."""
        rings = [
            np.array([[x0, y0, z], [x1, y0, z], [x1, y1, z], [x0, y1, z]])
            for (x0, x1, y0, y1), z in zip((bottom, top), heights, strict=True)
        ]
        _, roof, (right, front, left, rear) = self.prism(rings[0], rings[1], colour, bounds)
        return BoxFaces(roof, right, front, left, rear)

    def box(
        self, x: tuple[float, float], y: tuple[float, float], z: tuple[float, float], colour: Colour
    ) -> BoxFaces:
        """Axis-parallel box."""
        return self.frustum((*x, *y), (*x, *y), z, colour)

    def extrude(
        self, profile: np.ndarray, y: tuple[float, float], colour: Colour, bounds: np.ndarray | None = None
    ) -> tuple[int, int, list[int]]:
        """Convex side view (n, 2) of (x, z), drawn out from y[0] (right) to y[1] (left)."""
        rings = [np.column_stack([profile[:, 0], np.full(len(profile), at), profile[:, 1]]) for at in y]
        return self.prism(rings[0], rings[1], colour, bounds)

    def limb(
        self,
        start: np.ndarray,
        end: np.ndarray,
        radii: tuple[float, float],
        colour: Colour,
        sides: int = 6,
        bounds: np.ndarray | None = None,
    ) -> None:
        """Round part from point to point."""
        x, y, z = np.asarray(end, np.float64) - start
        axis = np.array([x, y, z]) / np.sqrt(x * x + y * y + z * z)
        x, y, z = axis.tolist()
        # Two directions across the axis: its products with y, or with x where it runs along y.
        u = np.array([-z, 0.0, x]) if abs(y) < 0.9 else np.array([0.0, z, -y])
        u /= np.sqrt((u * u).sum())
        a, b, c = u.tolist()
        v = np.array([y * c - z * b, z * a - x * c, x * b - y * a])
        angle = np.arange(sides) * (2 * np.pi / sides)
        ring = np.cos(angle)[:, None] * u + np.sin(angle)[:, None] * v
        self.prism(start + radii[0] * ring, end + radii[1] * ring, colour, bounds)

    def decal(self, face: int, corners: list[tuple[float, float]], colour: Colour, glow: float = 0.0) -> None:
        """Paint a convex polygon on a quad of the part added last; corners (u, v) in [0, 1], v up."""
        vertices = self._vertices[-1]
        first = self._count - len(vertices)
        a0, a1, b1, b0 = (vertices[c - first] for c in self._faces[face])
        points = [(1 - v) * ((1 - u) * a0 + u * a1) + v * ((1 - u) * b0 + u * b1) for u, v in corners]
        self._paint(np.array(points), colour, glow)

    def inset(self, face: int, scale: float, colour: Colour) -> None:
        """Paint a smaller copy of a face of the part added last around its middle (a rim on a wheel)."""
        vertices = self._vertices[-1]
        first = self._count - len(vertices)
        ring = vertices[[c - first for c in self._faces[face]]]
        self._paint(ring.mean(0) + scale * (ring - ring.mean(0)), colour, 0.0)

    def _paint(self, points: np.ndarray, colour: Colour, glow: float) -> None:
        start = self._count
        # The vertices of a decal join those of its part, so that the part stays the last one.
        self._vertices[-1] = np.concatenate([self._vertices[-1], points])
        self._count += len(points)
        self._add(list(range(start, start + len(points))), colour, glow, decal=True)

    def texture(self, face: int, image: np.ndarray) -> None:
        """Put an image on a quad, or on the box in x and z of another face, of the part added last."""
        vertices = self._vertices[-1]
        first = self._count - len(vertices)
        ring = vertices[[c - first for c in self._faces[face]]]
        height, width = image.shape[:2]
        if len(ring) == 4:
            low, low_right, _, corner = ring
            across, down = low_right - low, low - corner
        else:
            x0, y, z0 = ring.min(0)
            x1, _, z1 = ring.max(0)
            corner, across, down = np.array([x0, y, z1]), np.array([x1 - x0, 0, 0]), np.array([0, 0, z0 - z1])
        frame = np.column_stack([across / width, down / height, corner])
        levels = [np.ascontiguousarray(image)]
        while min(levels[-1].shape[:2]) >= 8 and len(levels) < 5:
            levels.append(cv2.pyrDown(levels[-1]))
        self._textures[face] = Texture(levels, frame, image.reshape(-1, 3).mean(0))

    def finish(self) -> Shape:
        """Everything that was added, as one solid."""
        vertices = np.concatenate(self._vertices)
        longest = max(len(face) for face in self._faces)
        faces = np.array([face + face[-1:] * (longest - len(face)) for face in self._faces])
        normals = _outwards(vertices, faces, self._parts)
        return Shape(
            vertices=vertices,
            faces=faces,
            normals=normals,
            offsets=np.einsum("fk,fk->f", normals, vertices[faces[:, 0]]),
            colours=np.array(self._colours),
            glow=np.array(self._glow),
            decal=np.array(self._decal),
            slot=np.array(self._slot),
            parts=[np.array(part) for part in self._parts],
            textures=self._textures,
            separators=_separators(np.array(self._bounds)),
            radius=float(np.linalg.norm(vertices[:, :2], axis=1).max()),
            height=float(vertices[:, 2].max()),
        )


def _outwards(vertices: np.ndarray, faces: np.ndarray, parts: list[list[int]]) -> np.ndarray:
    """Unit normals (F, 3) that point away from the middle of each face's part."""
    rings = vertices[faces]
    u, v = rings, rings[:, [*range(1, rings.shape[1]), 0]]
    normals = np.stack(
        [(u[..., i] * v[..., j] - u[..., j] * v[..., i]).sum(1) for i, j in ((1, 2), (2, 0), (0, 1))], 1
    )
    normals /= np.maximum(np.sqrt((normals**2).sum(1, keepdims=True)), 1e-12)
    middles = np.empty((len(faces), 3))
    for part in parts:
        middles[part] = rings[part[:2]].mean((0, 1))  # both caps: the middle of the prism
    inwards = (normals * (rings.mean(1) - middles)).sum(1) < 0
    normals[inwards] *= -1
    return normals


def _separators(bounds: np.ndarray) -> np.ndarray:
    """Axis-parallel planes between parts (P, 2, 3): rows (i, j, axis, value), i below and j above."""
    gaps = bounds[None, :, 0] - bounds[:, None, 1]
    axis = gaps.argmax(2)
    i, j = np.nonzero((gaps.max(2) > -1e-6) & ~np.eye(len(bounds), dtype=bool))
    axis = axis[i, j]
    return np.column_stack([i, j, axis, (bounds[j, 0, axis] + bounds[i, 1, axis]) / 2]).astype(np.float64)
