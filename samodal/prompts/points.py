"""Points: where in the visible mask of an instance SAM is pointed to.

Whatever says "best" below settles ties alike: the topmost of equally good pixels, of these the leftmost.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from samodal.errors import InputError
from samodal.masks import erode
from samodal.prompts.entropy import local_entropy
from samodal.prompts.saliency import DEFAULT, saliency_map
from samodal.prompts.shape import corners


@dataclass(frozen=True)
class Scene:
    """All that a strategy may look at; the fields are the arguments of `pick_points`."""

    visible: np.ndarray
    image: np.ndarray | None = None
    start: np.ndarray | None = None
    saliency: np.ndarray | None = None


Strategy = Callable[[Scene, int, np.random.Generator], np.ndarray]
"""(scene whose mask has at least one pixel, count K, generator) -> int64 (K, 2) points (x, y)."""


def pick_points(
    visible: np.ndarray,
    strategy: str,
    count: int,
    rng: np.random.Generator,
    image: np.ndarray | None = None,
    start: np.ndarray | None = None,
    saliency: np.ndarray | None = None,
) -> np.ndarray:
    """Choose point prompts in a visible mask.

    Args:
        visible: bool (H, W).
        strategy: a name in `STRATEGIES`.
        count: K, the number of points, at least 1.
        rng: where the randomness comes from; max-entropy and saliency use none.
        image: uint8 (H, W, 3) RGB, for max-entropy and saliency.
        start: (2,) point (x, y) in the image. max-distance moves away from it instead of from a point that it draws
            itself; max-entropy takes the pixels that differ most from it instead of the richest ones.
        saliency: (H, W) of the image, where it is at hand; else the built-in model makes it.

    Returns:
        int64 (K, 2) points (x, y) inside the mask, the best first, without repetition as long as the mask has K
        pixels; (0, 2) if the mask is empty: there is nothing to prompt with.

    Raises:
        InputError: unknown strategy, a count below 1, or an image that is missing or does not fit.

    Source: S-AModal section 3.2; of the original, the point selection of its dataset classes. There, an
    instance without a visible pixel takes its point from the true amodal mask; here it takes none. There,
    max-distance and max-entropy confuse rows and columns, and more than one point are always random ones. No switch
    brings that back: what is published uses one eroded-random point, the original's default.
    """
    if count < 1:
        raise InputError(f"prompt count {count}: at least 1 point is needed")
    if strategy not in STRATEGIES:
        raise InputError(f"prompt strategy {strategy!r}: choose from {', '.join(STRATEGIES)}")
    visible = visible.astype(bool, copy=False)
    if not visible.any():
        return np.zeros((0, 2), np.int64)
    if start is not None:
        start = np.rint(start).astype(np.int64)
        if start.shape != (2,) or not (0 <= start[0] < visible.shape[1] and 0 <= start[1] < visible.shape[0]):
            raise InputError(f"start {start.tolist()}: a point (x, y) in the image is expected")
    return STRATEGIES[strategy](Scene(visible, image, start, saliency), count, rng)


def points_of_frame(
    visible: np.ndarray,
    strategy: str,
    count: int,
    rngs: Sequence[np.random.Generator],
    image: np.ndarray | None = None,
    saliency: str = DEFAULT,
) -> np.ndarray:
    """Point prompts of all instances of a frame; what is said of the whole frame is found out once.

    Args:
        visible: bool (N, H, W), every mask with at least one pixel.
        strategy: as of `pick_points`.
        count: K.
        rngs: N generators, one an instance.
        image: as of `pick_points`.
        saliency: name of the saliency model, as `load_saliency` takes it.

    Returns:
        int64 (N, K, 2) points (x, y).

    Raises:
        InputError: as `pick_points` and `saliency_map`.
    """
    if strategy == "saliency" and len(visible):
        salient = saliency_map(_fitting(image, strategy, visible.shape[1:]), saliency)
    else:
        salient = None
    points = [
        pick_points(mask, strategy, count, rng, image, saliency=salient)
        for mask, rng in zip(visible, rngs, strict=True)
    ]
    return np.array(points, np.int64).reshape(-1, count, 2)


def prompt_rng(seed: int, *place: int) -> np.random.Generator:
    """The generator of one place (video id, track id, frame): the draw does not depend on any other draw."""
    return np.random.default_rng([seed, *(number % 2**64 for number in place)])


def random(scene: Scene, count: int, rng: np.random.Generator) -> np.ndarray:
    """Any pixels of the mask, all equally likely."""
    return _draw(_pixels(scene.visible), count, rng)


def eroded_random(scene: Scene, count: int, rng: np.random.Generator) -> np.ndarray:
    """Pixels away from the edge (7x7 erosion); when these run out, any other ones."""
    eroded = erode(scene.visible)
    inner = _pixels(eroded)
    points = _draw(inner, min(count, len(inner)), rng)
    if len(points) < count:
        rest = scene.visible & ~eroded if (scene.visible & ~eroded).any() else scene.visible
        points = np.concatenate([points, _draw(_pixels(rest), count - len(points), rng)])
    return points


def max_distance(scene: Scene, count: int, rng: np.random.Generator) -> np.ndarray:
    """The pixel farthest from the start; each further one is the farthest from all that were chosen.

    Without a start, one is drawn away from the edge, as by eroded-random. It is not shown to SAM, so further points
    need not keep away from it.
    """
    pixels = _pixels(scene.visible)
    start = eroded_random(scene, 1, rng)[0] if scene.start is None else scene.start
    points = [pixels[_squared_distance(pixels, start).argmax()]]
    nearest = _squared_distance(pixels, points[0])
    while len(points) < count:
        points.append(pixels[nearest.argmax()])
        nearest = np.minimum(nearest, _squared_distance(pixels, points[-1]))
    return np.stack(points)


def max_entropy(scene: Scene, count: int, rng: np.random.Generator) -> np.ndarray:
    """Where the 9 x 9 patch of the image has most entropy; with a start, where that differs most from the start's."""
    image = _fitting(scene.image, "max-entropy", scene.visible.shape)
    left, top, right, bottom = corners(scene.visible).astype(int)
    pixels = _pixels(scene.visible)
    entropy = local_entropy(image, (top, bottom + 1), (left, right + 1))
    entropy = entropy[scene.visible[top : bottom + 1, left : right + 1]]
    if scene.start is not None:
        x, y = scene.start
        entropy = np.abs(entropy - local_entropy(image, (y, y + 1), (x, x + 1))[0, 0])
    return _best(pixels, entropy, count)


def salient(scene: Scene, count: int, rng: np.random.Generator) -> np.ndarray:
    """Where the image catches the eye."""
    if scene.saliency is None:
        saliency = saliency_map(_fitting(scene.image, "saliency", scene.visible.shape))
    else:
        saliency = np.asarray(scene.saliency)
    if saliency.shape != scene.visible.shape:
        raise InputError(f"a saliency map of {saliency.shape} for a mask of {scene.visible.shape}")
    pixels = _pixels(scene.visible)
    return _best(pixels, saliency[pixels[:, 1], pixels[:, 0]], count)


STRATEGIES: dict[str, Strategy] = {
    "eroded-random": eroded_random,
    "random": random,
    "max-distance": max_distance,
    "max-entropy": max_entropy,
    "saliency": salient,
}


def _best(pixels: np.ndarray, values: np.ndarray, count: int) -> np.ndarray:
    """The pixels (n, 2) of highest value, one by one, each outside squares around those before it.

    The squares are as large as they can be with `count` of them surely leaving a pixel: together no larger than the
    mask. When there are fewer pixels than `count`, the points repeat.
    """
    left = values.astype(np.float64)
    apart = int((np.sqrt(max(1, len(pixels) / count)) + 1) / 2)  # squares of side 2 apart - 1 around a pixel
    points: list[np.ndarray] = []
    while len(points) < min(count, len(pixels)):
        points.append(pixels[left.argmax()])
        across, down = np.abs(pixels - points[-1]).T
        left[(across < apart) & (down < apart)] = -np.inf
    return np.resize(np.stack(points), (count, 2))


def _draw(pixels: np.ndarray, count: int, rng: np.random.Generator) -> np.ndarray:
    if count == 0:
        return pixels[:0]
    return pixels[rng.choice(len(pixels), size=count, replace=count > len(pixels))]


def _pixels(mask: np.ndarray) -> np.ndarray:
    """The pixels of a bool mask (H, W), from the top down and from left to right: int64 (n, 2) as x, y."""
    if not mask.any():
        return np.zeros((0, 2), np.int64)
    left, top, right, bottom = corners(mask).astype(int)  # most of a frame is not the mask
    rows, columns = np.nonzero(mask[top : bottom + 1, left : right + 1])
    return np.stack([columns + left, rows + top], axis=1)


def _squared_distance(pixels: np.ndarray, point: np.ndarray) -> np.ndarray:
    across, down = (pixels - point).T
    return across * across + down * down


def _fitting(image: np.ndarray | None, strategy: str, size: tuple[int, ...]) -> np.ndarray:
    if image is None:
        raise InputError(f"prompt strategy {strategy} looks at the image; give it the image, too")
    if image.dtype != np.uint8 or image.shape != (*size, 3):
        raise InputError(
            f"prompt strategy {strategy}: an image uint8 {(*size, 3)} is expected, not {image.dtype} {image.shape}"
        )
    return image
