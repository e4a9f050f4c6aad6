"""One frame of a world: painted from far to near, with the masks of every instance on the way.

Masks are kept transposed, (W, H), because COCO counts runs down the columns.
"""

from dataclasses import dataclass

import cv2
import numpy as np
from pycocotools import mask as coco

from samodal.data.clip import Instance
from samodal.data.synthetic.backdrop import finish_frame, paint_backdrop
from samodal.data.synthetic.camera import NEAR, Camera, cut_near
from samodal.data.synthetic.order import rectangles, sort_footprints
from samodal.data.synthetic.scenery import Crown, Tree
from samodal.data.synthetic.solids import Shape, Texture
from samodal.data.synthetic.traffic import Solid
from samodal.data.synthetic.weather import Weather
from samodal.data.synthetic.world import World
from samodal.masks import Rle

VIEW = 140.0
"""Metres beyond which nothing is drawn."""
SPECK = 45.0
"""Times its height: the distance beyond which a thing is not drawn."""
SHIFT = 4
"""Bits behind the point in polygon corners."""
FAR_OUT = 30000.0
"""Pixels beyond which corners of cut polygons are pulled in."""


@dataclass
class Seen:
    """One instance in one frame: what the truth needs, near to far in the list that holds it.

    Attributes:
        instance: ids and masks.
        distance: from the camera, metres.
        occluder: track id of what hides most of it, "scene", or None when nothing does.
    """

    instance: Instance
    distance: float
    occluder: int | str | None


@dataclass
class _Canvas:
    frame: np.ndarray  # (H, W, 3)
    ids: np.ndarray  # (W, H) uint8: number of the instance in this frame, 0 = scene


def render_frame(world: World, frame: int, size: tuple[int, int]) -> tuple[np.ndarray, list[Seen]]:
    """Draw frame number `frame` at size (H, W): uint8 (H, W, 3) RGB and the instances in it, near to far."""
    camera = world.camera(frame, size)
    placed = _in_view(world, camera, frame)
    canvas = _Canvas(
        paint_backdrop(world, camera, [(s.model, pose) for s, pose in placed]), np.zeros(size[::-1], np.uint8)
    )
    order = _far_to_near(camera, placed)
    drawn: list[tuple[int, float, np.ndarray, tuple[int, int]]] = []
    for index in order:
        solid, pose = placed[index]
        shape = solid.model.shapes[solid.phases[min(frame, len(solid.phases) - 1)]]
        distance = float(np.linalg.norm(pose[:2] - camera.position[:2]))
        masks = _paint_solid(canvas, camera, world.weather, shape, pose, len(solid.track_ids), len(drawn) + 1)
        for track_id, (mask, corner) in zip(solid.track_ids, masks, strict=True):
            drawn.append((track_id, distance, mask, corner))
        if isinstance(solid.model, Tree) and solid.model.crown is not None:
            _paint_crown(canvas, camera, world.weather, solid.model.crown, pose)
    seen = [_truth(world, canvas.ids, drawn, number) for number in range(len(drawn), 0, -1)]
    image = finish_frame(world, camera, canvas.frame, frame)
    return image, [one for one in seen if one is not None]


def _in_view(world: World, camera: Camera, frame: int) -> list[tuple[Solid, np.ndarray]]:
    """Solids that may show, with their poses in this frame."""
    poses = np.array([solid.pose(frame) for solid in world.solids]).reshape(-1, 3)
    radius = np.array([_reach(solid) for solid in world.solids])
    offset = poses[:, :2] - camera.position[:2]
    depth = offset @ [np.cos(camera.yaw), np.sin(camera.yaw)]
    side = offset @ [-np.sin(camera.yaw), np.cos(camera.yaw)]
    half = camera.fov / 2 + 0.03
    inside = np.abs(side) * np.cos(half) - depth * np.sin(half) < radius
    far = np.minimum(VIEW, SPECK * np.array([solid.model.height for solid in world.solids]))
    chosen = np.flatnonzero((depth > -radius) & (depth - radius < far) & inside)
    return [(world.solids[i], poses[i]) for i in chosen]


def _reach(solid: Solid) -> float:
    crown = solid.model.crown if isinstance(solid.model, Tree) else None
    return max(
        float(np.hypot(solid.model.length, solid.model.width)) / 2 + 0.3, crown.width / 2 if crown else 0.0
    )


def _far_to_near(camera: Camera, placed: list[tuple[Solid, np.ndarray]]) -> list[int]:
    """Numbers of solids in the order of painting."""
    if not placed:
        return []
    poses = np.array([pose for _, pose in placed])
    sizes = np.array([(solid.model.length, solid.model.width) for solid, _ in placed])
    # Image columns that each can touch, with some room (half a metre for what sticks out of the footprint).
    crowns = np.array([2 * _reach(solid) if isinstance(solid.model, Tree) else 0.0 for solid, _ in placed])
    wide = rectangles(poses, np.maximum(sizes[:, 0], crowns) + 1, np.maximum(sizes[:, 1], crowns) + 1)
    level = np.full((wide.shape[0] * 4, 1), camera.position[2])
    points = camera.to_camera(np.column_stack([wide.reshape(-1, 2), level])).reshape(-1, 4, 3)
    ahead = points[..., 2].min(1) > NEAR
    points[~ahead] = [0, 0, 1]
    columns = camera.to_image(points)[..., 0]
    first, last = np.where(ahead, columns.min(1), -np.inf), np.where(ahead, columns.max(1), np.inf)
    corners = rectangles(poses, sizes[:, 0], sizes[:, 1])
    return sort_footprints(corners, camera.position[:2], np.column_stack([first, last]))


def _paint_solid(
    canvas: _Canvas, camera: Camera, weather: Weather, shape: Shape, pose: np.ndarray, slots: int, first: int
) -> list[tuple[np.ndarray, tuple[int, int]]]:
    """Paint a solid; gives one mask (w, h) a slot and the image position (x, y) of its corner."""
    turn = _rotation(pose[2])
    offset = np.array([pose[0], pose[1], 0.0]) - camera.position
    eye = -offset @ turn
    facing = shape.normals @ eye > shape.offsets
    points = shape.vertices @ (camera.rotation @ turn).T + camera.rotation @ offset
    height, width = canvas.frame.shape[:2]
    whole = points[:, 2].min() > NEAR
    polygons: np.ndarray | dict[int, np.ndarray] = (
        _fixed(camera.to_image(points)[shape.faces]) if whole else {}
    )
    if isinstance(polygons, dict):
        for face in np.flatnonzero(facing).tolist():
            corners = cut_near(_without_repeats(points[shape.faces[face]]))
            if len(corners) >= 3:
                polygons[face] = _fixed(camera.to_image(corners))
        facing = np.isin(np.arange(len(facing)), list(polygons))
    if not facing.any():
        return [(np.zeros((0, 0), np.uint8), (0, 0))] * slots
    every = (
        np.concatenate(list(polygons.values()))
        if isinstance(polygons, dict)
        else polygons[facing].reshape(-1, 2)
    )
    x0, y0 = np.maximum((every.min(0) >> SHIFT) - 1, 0)
    x1, y1 = np.minimum((every.max(0) >> SHIFT) + 3, (width, height))
    if x0 >= x1 or y0 >= y1:
        return [(np.zeros((0, 0), np.uint8), (0, 0))] * slots
    frame, ids = canvas.frame[y0:y1, x0:x1], canvas.ids[x0:x1, y0:y1]
    masks = [np.zeros(ids.shape, np.uint8) for _ in range(slots)]
    corner = np.array([x0, y0], np.int32) << SHIFT
    colours = _lit(shape, turn, weather, points)
    room = (x1 - x0) * (y1 - y0)
    for face in shape.order(eye):
        decal = shape.decal[face]
        if not facing[face] or (decal and room < 150):
            continue
        polygon = polygons[face] - corner
        texture = shape.textures.get(face) if room > 900 else None
        if texture is None:
            cv2.fillConvexPoly(frame, polygon, colours[face], cv2.LINE_8, SHIFT)
        else:
            gain, veil = _light_of_face(shape, turn, weather, points, face)
            _paint_texture(frame, polygon, texture, camera, turn, offset, (int(x0), int(y0)), gain, veil)
        if decal:
            continue
        flipped = np.ascontiguousarray(polygon[:, ::-1])
        slot = int(shape.slot[face])
        if slots:
            cv2.fillConvexPoly(masks[slot], flipped, 1, cv2.LINE_8, SHIFT)
        if slots != 1:
            cv2.fillConvexPoly(ids, flipped, first + slot if slots else 0, cv2.LINE_8, SHIFT)
    if slots == 1:
        ids[masks[0] > 0] = first
    return [(mask, (int(x0), int(y0))) for mask in masks]


def _rotation(yaw: float) -> np.ndarray:
    sin, cos = np.sin(yaw), np.cos(yaw)
    return np.array([[cos, -sin, 0], [sin, cos, 0], [0, 0, 1]])


def _fixed(pixels: np.ndarray) -> np.ndarray:
    """Pixels as the fixed-point numbers that OpenCV draws with."""
    return np.round(np.clip(pixels, -FAR_OUT, FAR_OUT) * (1 << SHIFT)).astype(np.int32)


def _without_repeats(polygon: np.ndarray) -> np.ndarray:
    keep = np.any(polygon != np.roll(polygon, 1, axis=0), axis=1)
    return polygon[keep]


def _lit(shape: Shape, turn: np.ndarray, weather: Weather, points: np.ndarray) -> list[list[float]]:
    """Colour of every face under sun, shade, lamps and haze."""
    gain, clear = _light(shape.normals @ turn.T, weather, points)
    lit = shape.colours * (gain + (1 - gain) * shape.glow[:, None])
    share = np.maximum(clear, 0.75 * shape.glow)[:, None]
    return (lit * share + weather.haze * (1 - share)).clip(0, 255).tolist()


def _light(normals: np.ndarray, weather: Weather, points: np.ndarray) -> tuple[np.ndarray, float]:
    """Factor (F, 3) on the colours of faces with these world normals, and the share that haze leaves."""
    towards = np.maximum(normals @ weather.sun, 0)[:, None]
    side = 1.0 - 0.12 * np.abs(normals[:, :1]) - 0.25 * np.maximum(-normals[:, 2:], 0)
    gain = weather.ambient * side + weather.direct * towards
    depth = max(float(points[:, 2].mean()), 0.5)
    if weather.lamps:
        beam = max(0.0, 1 - abs(float(points[:, 0].mean())) / (0.5 * depth + 3)) * np.exp(-depth / 16)
        gain = gain + 0.5 * beam
    return gain, float(np.exp(-weather.density * depth))


def _light_of_face(
    shape: Shape, turn: np.ndarray, weather: Weather, points: np.ndarray, face: int
) -> tuple[np.ndarray, np.ndarray]:
    """Factor (3,) and sum (3,) that light and haze the picture on a face."""
    gain, clear = _light(shape.normals[face : face + 1] @ turn.T, weather, points)
    return gain[0] * clear, weather.haze * (1 - clear)


def _paint_texture(
    frame: np.ndarray, polygon: np.ndarray, texture: Texture, camera: Camera, turn: np.ndarray,
    offset: np.ndarray, corner: tuple[int, int], gain: np.ndarray, veil: np.ndarray,
) -> None:  # fmt: skip
    """Draw the picture of a face into its polygon (`corner`: where this piece of the frame lies in it)."""
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
    picture = cv2.transform(picture, np.column_stack([np.diag(gain), veil]))
    mask = np.zeros(picture.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, polygon - (low.astype(np.int32) << SHIFT), 255, cv2.LINE_8, SHIFT)
    cv2.copyTo(picture, mask, frame[y0:y1, x0:x1])


def _paint_crown(canvas: _Canvas, camera: Camera, weather: Weather, crown: Crown, pose: np.ndarray) -> None:
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


def _truth(
    world: World, ids: np.ndarray, drawn: list[tuple[int, float, np.ndarray, tuple[int, int]]], number: int
) -> Seen | None:
    """Masks and occluder of the instance drawn as `number`; None when no pixel of it is in the image."""
    track_id, distance, amodal, (x, y) = drawn[number - 1]
    if not amodal.any():
        return None
    window = ids[x : x + amodal.shape[0], y : y + amodal.shape[1]]
    visible = (window == number).view(np.uint8)
    behind = np.bincount(window[(amodal > 0) & (visible == 0)], minlength=1)
    occluder: int | str | None = None
    if behind.any():
        most = int(np.argmax(behind))
        occluder = drawn[most - 1][0] if most else "scene"
    full = encode_window(amodal, (x, y), ids.shape)
    seen = encode_window(visible, (x, y), ids.shape) if visible.any() else None
    return Seen(Instance(track_id, world.categories[track_id], full, seen), distance, occluder)


def encode_window(window: np.ndarray, corner: tuple[int, int], shape: tuple[int, int]) -> Rle:
    """COCO RLE of a mask that is zero outside a window.

    Args:
        window: (w, h) of 0 and 1, transposed.
        corner: (x, y) of the window in the image.
        shape: (W, H) of the image.
    """
    width, height = shape
    columns = np.zeros((window.shape[0], height), np.uint8)
    columns[:, corner[1] : corner[1] + window.shape[1]] = window
    flat = np.concatenate([[0], columns.ravel(), [0]])
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + corner[0] * height
    edges = np.concatenate([[0], changes, [width * height]])
    if len(changes) and changes[-1] == width * height:
        edges = edges[:-1]
    rle = coco.frPyObjects({"size": [height, width], "counts": np.diff(edges).tolist()}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}
