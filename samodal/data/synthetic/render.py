"""One frame of a world: painted from far to near, with the masks of every instance on the way."""

from dataclasses import dataclass

import numpy as np
from pycocotools import mask as coco

from samodal.data.clip import Instance
from samodal.data.synthetic.backdrop import finish_frame, paint_backdrop
from samodal.data.synthetic.camera import NEAR, Camera
from samodal.data.synthetic.order import rectangles, sort_footprints
from samodal.data.synthetic.paint import Canvas, Window, paint_crown, paint_solid
from samodal.data.synthetic.scenery import Tree
from samodal.data.synthetic.traffic import Solid
from samodal.data.synthetic.world import World
from samodal.masks import Rle

VIEW = 140.0
"""Metres beyond which nothing is drawn."""
SPECK = 45.0
"""Times its height: the distance beyond which a thing is not drawn."""


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
class _Drawn:
    track_id: int
    distance: float
    window: Window


def render_frame(world: World, frame: int, size: tuple[int, int]) -> tuple[np.ndarray, list[Seen]]:
    """Draw frame number `frame` at size (H, W): uint8 (H, W, 3) RGB and the instances in it, near to far."""
    camera = world.camera(frame, size)
    placed = _in_view(world, camera, frame)
    canvas = Canvas(
        paint_backdrop(world, camera, [(s.model, pose) for s, pose in placed]), np.zeros(size[::-1], np.uint8)
    )
    order = _far_to_near(camera, placed)
    drawn: list[_Drawn] = []
    for index in order:
        solid, pose = placed[index]
        shape = solid.model.shapes[solid.phases[min(frame, len(solid.phases) - 1)]]
        distance = float(np.hypot(*(pose[:2] - camera.position[:2])))
        windows = paint_solid(
            canvas, camera, world.weather, shape, pose, len(solid.track_ids), len(drawn) + 1
        )
        drawn += [_Drawn(i, distance, window) for i, window in zip(solid.track_ids, windows, strict=True)]
        if isinstance(solid.model, Tree) and solid.model.crown is not None:
            paint_crown(canvas, camera, world.weather, solid.model.crown, pose)
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


def _truth(world: World, ids: np.ndarray, drawn: list[_Drawn], number: int) -> Seen | None:
    """Masks and occluder of the instance drawn as `number`; None when it is out of the image or too far."""
    one = drawn[number - 1]
    amodal, (x, y) = one.window.mask, one.window.corner
    if one.distance > world.limits[one.track_id] or not amodal.any():
        return None
    there = ids[x : x + amodal.shape[0], y : y + amodal.shape[1]]
    visible = (there == number).view(np.uint8)
    behind = np.bincount(there[(amodal > 0) & (visible == 0)], minlength=1)
    occluder: int | str | None = None
    if behind.any():
        most = int(np.argmax(behind))
        occluder = drawn[most - 1].track_id if most else "scene"
    full = encode_window(one.window, ids.shape)
    seen = encode_window(Window(visible, (x, y)), ids.shape) if visible.any() else None
    return Seen(Instance(one.track_id, world.categories[one.track_id], full, seen), one.distance, occluder)


def encode_window(window: Window, shape: tuple[int, int]) -> Rle:
    """COCO RLE of a mask in an image of `shape` (W, H); the same as encoding the whole mask, but faster."""
    width, height = shape
    x, y = window.corner
    columns = np.zeros((window.mask.shape[0], height), np.uint8)
    columns[:, y : y + window.mask.shape[1]] = window.mask
    flat = np.concatenate([[0], columns.ravel(), [0]])
    changes = np.flatnonzero(flat[1:] != flat[:-1]) + x * height
    edges = np.concatenate([[0], changes, [width * height]])
    if len(changes) and changes[-1] == width * height:
        edges = edges[:-1]
    rle = coco.frPyObjects({"size": [height, width], "counts": np.diff(edges).tolist()}, height, width)
    return {"size": [height, width], "counts": rle["counts"].decode("ascii")}
