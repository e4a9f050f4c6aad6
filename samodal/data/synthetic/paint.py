"""Paint one solid: flat or pictured faces, lit and hazed, and the masks of its instances.

Masks are kept transposed, (W, H), because COCO counts runs down the columns.
"""

from dataclasses import dataclass

import cv2
import numpy as np

from samodal.data.synthetic.camera import NEAR, Camera, cut_near
from samodal.data.synthetic.scenery import Crown
from samodal.data.synthetic.solids import Shape, Texture
from samodal.data.synthetic.weather import Weather

SHIFT = 4
"""Bits behind the point in polygon corners."""
FAR_OUT = 30000.0
"""Pixels beyond which corners of cut polygons are pulled in."""
PLAIN, BARE = 900, 150
"""Pixels of a solid's box below which its faces lose their pictures, and then what is painted on them."""


@dataclass
class Canvas:
    """A picture in the making.

    Attributes:
        frame: (H, W, 3) uint8.
        ids: (W, H) uint8, number of the instance that is seen there, 0 = scene.
    """

    frame: np.ndarray
    ids: np.ndarray


@dataclass
class Window:
    """A mask that is zero outside a window: (w, h) of 0 and 1, transposed, and its corner (x, y) in the image."""

    mask: np.ndarray
    corner: tuple[int, int]


def paint_solid(
    canvas: Canvas, camera: Camera, weather: Weather, shape: Shape, pose: np.ndarray, slots: int, first: int
) -> list[Window]:
    """Paint a solid at a pose (x, y, heading); gives the full mask of each of its instances.

    Args:
        slots: how many instances it is, 0 for scenery.
        first: number in `canvas.ids` of the first of them.
    """
    turn = _rotation(pose[2])
    offset = np.array([pose[0], pose[1], 0.0]) - camera.position
    eye = -offset @ turn
    faces = shape.order(eye)
    faces = faces[(shape.normals @ eye > shape.offsets)[faces]]
    points = shape.vertices @ (camera.rotation @ turn).T + camera.rotation @ offset
    faces, polygons = _polygons(camera, shape, points, faces)
    nothing = [Window(np.zeros((0, 0), np.uint8), (0, 0))] * slots
    if len(faces) == 0:
        return nothing
    every = np.concatenate(polygons)
    height, width = canvas.frame.shape[:2]
    x0, y0 = np.maximum((every.min(0) >> SHIFT) - 1, 0).tolist()
    x1, y1 = np.minimum((every.max(0) >> SHIFT) + 3, (width, height)).tolist()
    if x0 >= x1 or y0 >= y1:
        return nothing
    frame, ids = canvas.frame[y0:y1, x0:x1], canvas.ids[x0:x1, y0:y1]
    masks = [np.zeros(ids.shape, np.uint8) for _ in range(slots)]
    corner = np.array([x0, y0], np.int32) << SHIFT
    polygons = [polygon - corner for polygon in polygons]
    flipped = [np.ascontiguousarray(polygon[:, ::-1]) for polygon in polygons]
    gain, clear = _light(shape.normals[faces] @ turn.T, weather, points)
    colours = _colours(shape, faces, weather, gain, clear)
    room = (x1 - x0) * (y1 - y0)
    rows = zip(faces.tolist(), shape.decal[faces].tolist(), shape.slot[faces].tolist(), strict=True)
    for k, (face, decal, slot) in enumerate(rows):
        if decal and room < BARE:
            continue
        texture = shape.textures.get(face) if room > PLAIN else None
        if texture is None:
            cv2.fillConvexPoly(frame, polygons[k], colours[k], cv2.LINE_8, SHIFT)
        else:
            veil = np.column_stack([np.diag(gain[k] * clear), weather.haze * (1 - clear)])
            _paint_texture(frame, polygons[k], texture, camera, turn, offset, (x0, y0), veil)
        if decal:
            continue
        if slots:
            cv2.fillConvexPoly(masks[slot], flipped[k], 1, cv2.LINE_8, SHIFT)
        if slots != 1:
            cv2.fillConvexPoly(ids, flipped[k], first + slot if slots else 0, cv2.LINE_8, SHIFT)
    if slots == 1:
        ids[masks[0] > 0] = first
    return [Window(mask, (x0, y0)) for mask in masks]


def _polygons(
    camera: Camera, shape: Shape, points: np.ndarray, faces: np.ndarray
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Corners in pixels of those faces that have a part in front of the camera (points: (N, 3), its coordinates)."""
    if points[:, 2].min() > NEAR:
        return faces, list(_fixed(camera.to_image(points))[shape.faces[faces]])
    kept, polygons = [], []
    for face in faces.tolist():
        ring = points[shape.faces[face]]
        corners = cut_near(ring[np.any(ring != np.roll(ring, 1, axis=0), axis=1)])
        if len(corners) >= 3:
            kept.append(face)
            polygons.append(_fixed(camera.to_image(corners)))
    return np.array(kept, int), polygons


def _rotation(yaw: float) -> np.ndarray:
    sin, cos = np.sin(yaw), np.cos(yaw)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _fixed(pixels: np.ndarray) -> np.ndarray:
    """Pixels as the fixed-point numbers that OpenCV draws with."""
    return np.round(np.clip(pixels, -FAR_OUT, FAR_OUT) * (1 << SHIFT)).astype(np.int32)


def _light(normals: np.ndarray, weather: Weather, points: np.ndarray) -> tuple[np.ndarray, float]:
    """Factor (F, 3) on the colours of faces with these world normals, and the share that haze leaves."""
    towards = np.maximum(normals @ weather.sun, 0)[:, None]
    side = 1.0 - 0.12 * np.abs(normals[:, :1]) - 0.25 * np.maximum(-normals[:, 2:], 0)
    gain = weather.ambient * side + weather.direct * towards
    x, _, z = points.mean(0)
    depth = max(float(z), 0.5)
    if weather.lamps:
        gain = gain + 0.5 * max(0.0, 1 - abs(x) / (0.5 * depth + 3)) * np.exp(-depth / 16)
    return gain, float(np.exp(-weather.density * depth))


def _colours(
    shape: Shape, faces: np.ndarray, weather: Weather, gain: np.ndarray, clear: float
) -> list[list[float]]:
    """Colours of faces under light and haze; what glows keeps its own."""
    glow = shape.glow[faces][:, None]
    share = np.maximum(clear, 0.75 * glow)
    lit = shape.colours[faces] * (gain + (1 - gain) * glow)
    return (lit * share + weather.haze * (1 - share)).clip(0, 255).tolist()


def _paint_texture(
    frame: np.ndarray, polygon: np.ndarray, texture: Texture, camera: Camera, turn: np.ndarray,
    offset: np.ndarray, corner: tuple[int, int], veil: np.ndarray,
) -> None:  # fmt: skip
    """Draw the picture of a face into its polygon (`corner`: where this piece of the frame lies in it).

    `veil` (3, 4) lights and hazes its colours.
    """
    low = np.maximum((polygon.min(0) >> SHIFT) - 1, 0)
    high = np.minimum((polygon.max(0) >> SHIFT) + 3, frame.shape[1::-1])
    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    if x0 >= x1 or y0 >= y1:
        return
    to_camera = camera.rotation @ (turn @ texture.frame)
    to_camera[:, 2] += camera.rotation @ offset
    across = np.ptp(polygon, axis=0) / (1 << SHIFT)
    shrink = max(
        texture.levels[0].shape[1] / max(across[0], 1), texture.levels[0].shape[0] / max(across[1], 1)
    )
    level = int(np.clip(np.log2(max(shrink, 1)) + 0.3, 0, len(texture.levels) - 1))
    shift = np.array([[1.0, 0, -corner[0] - x0], [0, 1, -corner[1] - y0], [0, 0, 1]])
    matrix = shift @ camera.intrinsics @ to_camera @ np.diag([2.0**level, 2.0**level, 1])
    if abs(np.linalg.det(matrix)) < 1e-9:
        return
    picture = cv2.warpPerspective(
        texture.levels[level],
        matrix,
        (x1 - x0, y1 - y0),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_REPLICATE,
    )
    picture = cv2.transform(picture, veil)
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, polygon - (low.astype(np.int32) << SHIFT), 255, cv2.LINE_8, SHIFT)
    cv2.copyTo(picture, mask, frame[y0:y1, x0:x1])


def paint_crown(canvas: Canvas, camera: Camera, weather: Weather, crown: Crown, pose: np.ndarray) -> None:
    """Draw foliage; it hides what is behind it."""
    point = camera.to_camera(np.array([[pose[0], pose[1], crown.middle]]))
    depth = float(point[0, 2])
    if depth < 1.5:
        return
    x, y = camera.to_image(point)[0]
    w, h = crown.width * camera.focal / depth, crown.height * camera.focal / depth
    height, width = canvas.frame.shape[:2]
    x0, y0 = max(int(x - w / 2), 0), max(int(y - h / 2), 0)
    x1, y1 = min(int(x + w / 2) + 1, width), min(int(y + h / 2) + 1, height)
    if x0 >= x1 or y0 >= y1 or w < 2:
        return
    level = int(np.clip(np.log2(max(crown.levels[0][0].shape[1] / w, 1)), 0, len(crown.levels) - 1))
    image, outline = crown.levels[level]
    matrix = np.array([[w / image.shape[1], 0, x - w / 2 - x0], [0, h / image.shape[0], y - h / 2 - y0]])
    matrix[:, 2] += 0.5 * np.array([matrix[0, 0], matrix[1, 1]]) - 0.5
    room = (x1 - x0, y1 - y0)
    picture = cv2.warpAffine(image, matrix, room, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    mask = cv2.warpAffine(outline, matrix, room, flags=cv2.INTER_LINEAR)
    mask = cv2.compare(mask, 127, cv2.CMP_GT)
    clear = float(np.exp(-weather.density * depth))
    gain = (weather.ambient + 0.45 * weather.direct) * clear
    picture = cv2.transform(picture, np.column_stack([np.diag(gain), weather.haze * (1 - clear)]))
    cv2.copyTo(picture, mask, canvas.frame[y0:y1, x0:x1])
    canvas.ids[x0:x1, y0:y1][mask.T > 0] = 0
