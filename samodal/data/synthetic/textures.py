"""Pictures made from numbers: noise, walls with windows, liveries, foliage, sky. All uint8 RGB."""

import cv2
import numpy as np

Rng = np.random.Generator


def noise(rng: Rng, size: tuple[int, int], cell: float, octaves: int = 3) -> np.ndarray:
    """Smooth noise (H, W) float32, about -1 to 1; `cell` is the size of the largest blobs in pixels."""
    total = np.zeros(size, np.float32)
    for octave in range(octaves):
        step = max(cell / 2**octave, 1.0)
        shape = (int(size[0] / step) + 3, int(size[1] / step) + 3)
        grid = rng.uniform(-1, 1, shape).astype(np.float32)
        fine = cv2.resize(
            grid, (int(shape[1] * step) + 1, int(shape[0] * step) + 1), interpolation=cv2.INTER_LINEAR
        )
        total += fine[: size[0], : size[1]] / 1.6**octave
    return total


def tinted(colour: np.ndarray, amount: np.ndarray) -> np.ndarray:
    """A colour made lighter and darker by `amount` (H, W), in 0 to 255 steps."""
    return np.clip(np.asarray(colour, np.float32) + amount[..., None], 0, 255).astype(np.uint8)


def facade(rng: Rng, wall: np.ndarray, kind: str, night: bool, scale: int = 10) -> np.ndarray:
    """A house front 30 m wide and 24 m high at `scale` pixels a metre, ground floor at the bottom."""
    height, width = 24 * scale, 30 * scale
    image = tinted(wall, 8 * noise(rng, (height, width), 40, 4) + rng.normal(0, 3, (height, width)))
    if kind == "brick":
        for row, y in enumerate(range(0, height, 4)):
            cv2.line(image, (0, y), (width, y), (wall * 0.8).tolist(), 1)
            for x in range((row % 2) * 5, width, 10):
                cv2.line(image, (x, y), (x, y + 3), (wall * 0.85).tolist(), 1)
    elif kind == "panels":
        for x in range(0, width, int(scale * rng.uniform(1.5, 4))):
            cv2.line(image, (x, 0), (x, height), (wall * 0.7).tolist(), 1)
    elif kind == "stripes":
        other = np.clip(wall + rng.uniform(-70, 70, 3), 20, 240)
        step = int(scale * rng.uniform(0.6, 2))
        for y in range(0, height, 2 * step):
            image[y : y + step] = tinted(other, 6 * noise(rng, (min(step, height - y), width), 30, 2))
    elif kind == "checks":
        step = int(scale * rng.uniform(1.0, 2.5))
        other = np.clip(wall + rng.uniform(-60, 60, 3), 20, 240)
        odd = (np.arange(height)[:, None] // step + np.arange(width) // step) % 2 == 1
        image[odd] = tinted(other, 6 * noise(rng, (height, width), 30, 2))[odd]
    storey = scale * rng.uniform(2.8, 3.6)
    bay = scale * rng.uniform(1.8, 4.2)
    opening = np.array([rng.uniform(0.35, 0.9) * bay, rng.uniform(0.4, 0.75) * storey])
    glass = pane_colour(rng)
    frame = np.clip(wall * rng.uniform(0.5, 1.5), 0, 255)
    for floor in range(1, int(height / storey) + 1):
        y1 = int(height - floor * storey - (storey - opening[1]) / 2)
        for column in range(int(width / bay) + 1):
            x0 = int(column * bay + (bay - opening[0]) / 2)
            x1, y0 = x0 + int(opening[0]), y1 - int(opening[1])
            lit = night and rng.random() < 0.4
            pane = rng.uniform([200, 160, 80], [255, 230, 160]) if lit else glass * rng.uniform(0.6, 1.5)
            cv2.rectangle(image, (x0 - 1, y0 - 1), (x1 + 1, y1 + 1), frame.tolist(), -1)
            cv2.rectangle(image, (x0, y0), (x1, y1), pane.tolist(), -1)
            if not lit and rng.random() < 0.6:
                cv2.line(image, (x0, y1), (x1, y0), (pane * 1.3).tolist(), max(1, scale // 5))
            if rng.random() < 0.5:
                cv2.line(image, ((x0 + x1) // 2, y0), ((x0 + x1) // 2, y1), frame.tolist(), 1)
    _ground_floor(image, rng, night, scale)
    return cv2.GaussianBlur(image, (3, 3), 0)


def pane_colour(rng: Rng) -> np.ndarray:
    """Glass by day: dark, greyish blue or green."""
    return rng.uniform(35, 105) * rng.uniform([0.75, 0.95, 0.95], [0.95, 1.1, 1.25])


def _ground_floor(image: np.ndarray, rng: Rng, night: bool, scale: int) -> None:
    """Doors, shop windows and awnings along the bottom."""
    height, width = image.shape[:2]
    x = 0.0
    while x < width:
        span = scale * rng.uniform(2, 6)
        x0, x1 = int(x + 0.1 * span), int(x + 0.9 * span)
        kind = rng.choice(["shop", "door", "window", "wall"], p=[0.4, 0.2, 0.25, 0.15])
        dark = rng.uniform(20, 110, 3) if not night else rng.uniform([60, 50, 40], [230, 200, 150])
        if kind == "shop":
            cv2.rectangle(image, (x0, height - int(2.4 * scale)), (x1, height - 4), dark.tolist(), -1)
            awning = rng.uniform(30, 230, 3)
            cv2.rectangle(
                image,
                (x0 - 3, height - int(3 * scale)),
                (x1 + 3, height - int(2.4 * scale)),
                awning.tolist(),
                -1,
            )
            for _ in range(4):
                at = int(rng.uniform(x0, x1))
                ware = rng.uniform(40, 240, 3).tolist()
                cv2.rectangle(
                    image, (at, height - int(rng.uniform(0.8, 1.6) * scale)), (at + 5, height - 6), ware, -1
                )
        elif kind == "door":
            middle = (x0 + x1) // 2
            corners = (middle - scale // 2, height - int(2.2 * scale)), (middle + scale // 2, height - 1)
            cv2.rectangle(image, *corners, rng.uniform(30, 160, 3).tolist(), -1)
        elif kind == "window":
            cv2.rectangle(image, (x0, height - int(2.3 * scale)), (x1, height - scale), dark.tolist(), -1)
        x += span


def livery(rng: Rng, base: np.ndarray, size: tuple[int, int], wild: bool = False) -> np.ndarray:
    """The painted side of a van, lorry or bus, (H, W) pixels: stripes, blocks, discs, letters."""
    height, width = size
    image = tinted(base, 5 * noise(rng, size, 60, 2))
    for _ in range(rng.integers(0, 4) + 2 * wild):
        colour = rng.uniform(10, 250, 3).tolist()
        kind = rng.integers(0, 5)
        y, x = rng.uniform(0, height), rng.uniform(0, width)
        if kind == 0:
            cv2.rectangle(image, (0, int(y)), (width, int(y + rng.uniform(0.05, 0.3) * height)), colour, -1)
        elif kind == 1:
            lean = rng.uniform(-0.5, 0.5) * height
            band = rng.uniform(0.05, 0.3) * width
            corners = [[x, 0], [x + band, 0], [x + band + lean, height], [x + lean, height]]
            cv2.fillConvexPoly(image, np.array(corners, np.int32), colour)
        elif kind == 2:
            cv2.circle(image, (int(x), int(y)), int(rng.uniform(0.1, 0.4) * height), colour, -1)
        elif kind == 3:
            letters = "".join(rng.choice(list("ABEFKLMNORSTUVXZ"), rng.integers(2, 8)))
            place = (int(x * 0.6), int(0.3 * height + 0.5 * y))
            cv2.putText(
                image, letters, place, cv2.FONT_HERSHEY_DUPLEX, height / rng.uniform(50, 110), colour, 2
            )
        else:
            for k in range(0, width, max(6, int(rng.uniform(0.05, 0.2) * width))):
                cv2.line(image, (k, 0), (k, height), colour, 1)
    dirt = np.linspace(0, 30, height)[:, None] * (0.6 + 0.4 * noise(rng, size, 30, 2))
    return np.clip(image.astype(np.float32) - np.maximum(dirt, 0)[..., None], 0, 255).astype(np.uint8)


def bus_side(rng: Rng, base: np.ndarray, size: tuple[int, int], wild: bool = False) -> np.ndarray:
    """Side of a bus: a livery, a band of windows, doors."""
    height, width = size
    image = livery(rng, base, size, wild)
    top, bottom = int(0.16 * height), int(rng.uniform(0.48, 0.6) * height)
    glass = pane_colour(rng) * 0.75
    cv2.rectangle(image, (int(0.02 * width), top), (int(0.98 * width), bottom), glass.tolist(), -1)
    step = width / rng.integers(6, 10)
    for k in range(1, int(width / step) + 1):
        cv2.line(image, (int(k * step), top), (int(k * step), bottom), (glass * 0.5).tolist(), 2)
        shine = [
            [k * step - 0.6 * step, bottom],
            [k * step - 0.4 * step, bottom],
            [k * step - 0.2 * step, top],
            [k * step - 0.4 * step, top],
        ]
        cv2.fillConvexPoly(image, np.array(shine, np.int32), np.clip(glass * 1.5 + 15, 0, 255).tolist())
    for at in rng.uniform(0.1, 0.85, rng.integers(0, 3)):
        cv2.rectangle(
            image, (int(at * width), top), (int((at + 0.1) * width), height - 2), (glass * 0.8).tolist(), -1
        )
    return image


def car_side(paint: np.ndarray, seams: list[float], size: tuple[int, int] = (40, 160)) -> np.ndarray:
    """Side of a car's body, shaded from top to bottom, with door seams at fractions of its length."""
    height, width = size
    shade = np.interp(np.linspace(0, 1, height), [0, 0.25, 0.4, 0.8, 1], [1.12, 1.05, 0.95, 0.8, 0.55])
    image = np.clip(shade[:, None, None] * np.asarray(paint), 0, 255).repeat(width, 1).astype(np.uint8)
    dark = (np.asarray(paint) * 0.45).tolist()
    for k, at in enumerate(seams):
        cv2.line(image, (int(at * width), 1), (int(at * width), int(0.8 * height)), dark, 1)
        if k:
            cv2.rectangle(
                image,
                (int(at * width) - 9, int(0.25 * height)),
                (int(at * width) - 3, int(0.3 * height)),
                dark,
                -1,
            )
    return image


def foliage(
    rng: Rng, colour: np.ndarray, size: int = 192, dense: float = 0.35
) -> tuple[np.ndarray, np.ndarray]:
    """A tree's crown: RGB image and 0/255 outline, irregular, with a few small holes."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / (size / 2) - 1
    lumps = noise(rng, (size, size), size / 3, 4)
    body = 1 - (x**2 + y**2) + 0.35 * lumps
    leaves = noise(rng, (size, size), size / 16, 2)
    inside = (body > dense + 0.12 * leaves) & (lumps + 0.35 * leaves > -1.25)
    light = 38 * (0.3 - y) * 0.6 + 22 * leaves + 18 * lumps
    image = tinted(colour, light)
    outline = np.where(inside, 255, 0).astype(np.uint8)
    outline[[0, -1]] = 0
    outline[:, [0, -1]] = 0
    return image, outline


def leaves(rng: Rng, colour: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A trimmed hedge, (H, W) pixels."""
    return tinted(colour, 22 * noise(rng, size, 6, 2) + np.linspace(15, -25, size[0])[:, None])


def sky(
    rng: Rng, top: np.ndarray, low: np.ndarray, clouds: float, skyline: np.ndarray, per_degree: int = 4
) -> np.ndarray:
    """All round, -6 to 50 degrees of elevation (bottom to top), with clouds and a far skyline."""
    height, width = 56 * per_degree, 360 * per_degree
    up = np.linspace(1, -6 / 50, height)[:, None]
    image = low + (top - low) * np.clip(up, 0, 1)[..., None] ** 0.7
    puffs = noise(rng, (height, width), 160, 5)
    puffs[:, -160:] += (puffs[:, :1] - puffs[:, -1:]) * np.linspace(0, 1, 160)  # no seam behind the camera
    cover = np.clip((puffs - 1.0 + 1.3 * clouds) * 1.4, 0, 1) * np.clip(up * 6, 0, 1)
    image = image + (np.clip(low * 1.1 + 15, 0, 255) - image) * (0.75 * cover)[..., None]
    ground = height - 6 * per_degree
    x = 0
    while x < width:
        step = int(rng.uniform(1.5, 9) * per_degree)
        rise = int(rng.gamma(2.0, 0.9) * per_degree)
        image[ground - rise :, x : x + step] = skyline * rng.uniform(0.85, 1.1)
        x += step
    return np.clip(image, 0, 255).astype(np.uint8)
