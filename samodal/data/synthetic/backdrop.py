"""What lies behind all solids (sky, ground, shadows), and what lies before them (lens, rain, sensor)."""

import cv2
import numpy as np

from samodal.data.synthetic.camera import NEAR, Camera, cut_near
from samodal.data.synthetic.order import rectangles
from samodal.data.synthetic.vehicles import Model
from samodal.data.synthetic.world import World

SHADOWS = 60.0
"""Metres up to which things throw a shadow."""


def paint_backdrop(world: World, camera: Camera, placed: list[tuple[Model, np.ndarray]]) -> np.ndarray:
    """Sky and ground (H, W, 3) uint8, with the shadows of the models at poses (x, y, heading)."""
    height, width = camera.size
    # The horizon: where the ground homography sends points at infinity, a line a x + b y + c = 0.
    a, b, c = np.linalg.inv(camera.ground)[2]
    edge = [-(a * x + c) / b for x in (0, width - 1)]
    top = int(np.clip(np.floor(min(edge)), 0, height))
    frame = _sky(world, camera, int(np.clip(np.ceil(max(edge)) + 2, 0, height)))
    if top == height:
        return frame
    ground = _ground(world, camera, top)
    _shade(world, camera, placed, ground, top)
    _haze(world, camera, ground, top)
    below = np.array([[-1, edge[0]], [width, edge[1]], [width, height + 4], [-1, height + 4]]) - [
        0,
        top - 0.5,
    ]
    mask = np.zeros(ground.shape[:2], np.uint8)
    cv2.fillConvexPoly(mask, np.round(below * 16).astype(np.int32), 255, cv2.LINE_8, 4)
    cv2.copyTo(ground, mask, frame[top:])
    return frame


def _sky(world: World, camera: Camera, end: int) -> np.ndarray:
    """A frame with the sky in its rows down to `end`."""
    height, width = camera.size
    frame = np.empty((height, width, 3), np.uint8)
    if end == 0:
        return frame
    per_degree = world.sky.shape[1] / 360
    x = (np.arange(width) - camera.centre[0]) / camera.focal
    y = (np.arange(end) - camera.centre[1]) / camera.focal
    turn = (np.degrees(np.arctan(x) - camera.yaw) * per_degree) % world.sky.shape[1]
    rise = y[:, None] - np.tan(camera.pitch) - np.sin(camera.roll) * x
    down = world.sky.shape[0] - (6 - np.degrees(rise)) * per_degree
    rows = np.clip(down, 0, world.sky.shape[0] - 1).astype(np.float32)
    columns = np.broadcast_to(turn.astype(np.float32), rows.shape)
    cv2.remap(world.sky, columns, rows, cv2.INTER_LINEAR, dst=frame[:end], borderMode=cv2.BORDER_WRAP)
    return frame


def _ground(world: World, camera: Camera, top: int) -> np.ndarray:
    """Rows from `top` down; far rows come from coarser pictures, so that marks do not flicker."""
    height, width = camera.size
    result = np.empty((height - top, width, 3), np.uint8)
    to_image = camera.ground @ world.ground.to_world
    metre = 1 / world.ground.to_world[0, 0]
    level, begin = len(world.ground.levels) - 1, top
    while begin < height:
        # Picture pixels in one image pixel: across, depth / focal; along, more by depth / camera height.
        end = begin + 1
        while end < height and (level == 0 or _level(world, camera, end, top, metre) >= level):
            end += 1
        shift = np.array([[1.0, 0, 0], [0, 1, -begin], [0, 0, 1]])
        factor = 2.0**level
        matrix = shift @ to_image @ np.diag([factor, factor, 1])
        cv2.warpPerspective(
            world.ground.levels[level], matrix, (width, end - begin), dst=result[begin - top : end - top],
            flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT, borderValue=world.ground.colour.tolist(),
        )  # fmt: skip
        begin, level = end, max(level - 1, 0)
    return result


def _level(world: World, camera: Camera, row: int, top: int, metre: float) -> float:
    depth = camera.position[2] * camera.focal / max(row - top, 0.5)
    along = depth / camera.focal * np.sqrt(max(depth / camera.position[2], 1.0)) * metre
    return float(np.log2(max(along, 1e-6)))


def _shade(
    world: World, camera: Camera, placed: list[tuple[Model, np.ndarray]], ground: np.ndarray, top: int
) -> None:
    """Soft dark patches under everything, and shadows thrown away from the sun."""
    height, width = ground.shape[:2]
    half = np.zeros((height // 2 + 1, width // 2 + 1), np.uint8)
    near = [
        (m, pose) for m, pose in placed if np.hypot(*(pose[:2] - camera.position[:2])) < SHADOWS + m.length
    ]
    if not near:
        return
    cast = world.weather.shadow * 255
    reach = -world.weather.sun[:2] / max(world.weather.sun[2], 0.2)
    sizes = np.array([(m.length, m.width, m.height) for m, _ in near])
    feet = rectangles(np.array([pose for _, pose in near]), sizes[:, 0], sizes[:, 1])
    if cast:
        for corners, size in zip(feet, sizes, strict=True):
            thrown = cv2.convexHull(
                np.concatenate([corners, corners + reach * min(size[2], 9.0)]).astype(np.float32)
            )
            _fill(half, camera, thrown[:, 0], top, cast)
    for corners in feet[sizes[:, 2] < 5]:
        _fill(half, camera, corners, top, max(cast, 110))
    kernel = max(int(width / 640 * 4), 1) * 2 + 1
    light = (
        255 - cv2.resize(cv2.blur(half, (kernel, kernel // 2 + 1)), (width, height + (height % 2)))[:height]
    )
    cv2.multiply(ground, cv2.merge([light] * 3), dst=ground, scale=1 / 255)


def _fill(half: np.ndarray, camera: Camera, points: np.ndarray, top: int, darkness: float) -> None:
    corners = camera.to_camera(np.column_stack([points, np.zeros(len(points))]))
    if corners[:, 2].min() < NEAR:
        corners = cut_near(corners)
    if len(corners) >= 3:
        pixels = (camera.to_image(corners) - [0, top]) / 2
        polygon = np.round(np.clip(pixels, -2e4, 2e4) * 16).astype(np.int32)
        cv2.fillConvexPoly(half, polygon, darkness, cv2.LINE_8, 4)


def _haze(world: World, camera: Camera, ground: np.ndarray, top: int) -> None:
    """Light the ground and fade it into the horizon, row by row."""
    weather = world.weather
    depth = camera.position[2] * camera.focal / (np.arange(len(ground)) + 0.5)
    clear = np.exp(-(weather.density + 0.002) * depth) * np.clip((170 - depth) / 60, 0, 1)
    gain = weather.ambient + weather.direct * weather.sun[2]
    if weather.lamps:
        pool = np.exp(-((depth - 6) ** 2) / 160)[:, None]
        gain = gain + 0.55 * pool
    factor = (np.broadcast_to(gain, (len(ground), 3)) * clear[:, None]).astype(np.float32)
    veil = (weather.haze * (1 - clear[:, None])).astype(np.float32)
    # Whole rows of factors keep this in OpenCV's own loops.
    width = ground.shape[1]
    wide = cv2.multiply(
        ground, np.ascontiguousarray(np.broadcast_to(factor[:, None], ground.shape)), dtype=cv2.CV_32F
    )
    cv2.add(
        wide,
        np.ascontiguousarray(np.broadcast_to(veil[:, None], (len(ground), width, 3))),
        dst=ground,
        dtype=cv2.CV_8U,
    )


def finish_frame(world: World, camera: Camera, frame: np.ndarray, number: int) -> np.ndarray:
    """Motion blur, rain, lens and sensor: what a camera adds."""
    rng = np.random.default_rng([world.seed, number, 7])
    height, width = frame.shape[:2]
    scale = width / 640
    frame = _motion(world, camera, frame, number)
    if world.weather.rain:
        _rain(rng, frame, world.weather.rain, scale)
    sigma = world.weather.blur * scale
    if sigma > 0.25:
        frame = cv2.GaussianBlur(frame, (3, 3) if sigma < 0.8 else (0, 0), sigma)
    y, x = rng.integers(0, 256, 2)
    tall, wide = -(-height // 256), -(-width // 256)
    plate = np.tile(world.plate[y : y + 256, x : x + 256], (tall, wide, 1))[:height, :width]
    return cv2.add(frame, plate, dtype=cv2.CV_8U)


def _motion(world: World, camera: Camera, frame: np.ndarray, number: int) -> np.ndarray:
    """Blur along the turn of the camera and outwards from where it drives, for a fast one."""
    before, after = world.cameras[max(number - 1, 0)], world.cameras[min(number + 1, len(world.cameras) - 1)]
    frames = max(min(number + 1, len(world.cameras) - 1) - max(number - 1, 0), 1)
    turn = (after[3] - before[3]) / frames * camera.focal * 0.15
    if abs(turn) > 1.5:
        length = int(abs(turn)) + 1
        frame = cv2.blur(frame, (length, 1))
    speed = float(np.linalg.norm(after[:2] - before[:2])) / frames
    zoom = 1 + 0.008 * speed
    if zoom > 1.006:
        cx, cy = camera.centre
        matrix = np.array([[zoom, 0, cx * (1 - zoom)], [0, zoom, cy * (1 - zoom)]])
        nearer = cv2.warpAffine(
            frame, matrix, frame.shape[1::-1], flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
        )
        frame = cv2.addWeighted(frame, 0.6, nearer, 0.4, 0)
    return frame


def _rain(rng: np.random.Generator, frame: np.ndarray, streaks: int, scale: float) -> None:
    height, width = frame.shape[:2]
    layer = frame.copy()
    count = int(streaks * height * width / (640 * 360))
    starts = rng.uniform([0, -20], [width, height], (count, 2))
    lengths = rng.uniform(6, 26, count) * scale
    lean = rng.normal(0, 0.1)
    for (x, y), length in zip(starts, lengths, strict=True):
        cv2.line(
            layer,
            (int(x), int(y)),
            (int(x + lean * length), int(y + length)),
            (205, 208, 215),
            1,
            cv2.LINE_AA,
        )
    cv2.addWeighted(layer, 0.35, frame, 0.65, 0, dst=frame)
