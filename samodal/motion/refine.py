"""A partly hidden instance, completed from the frames that show more of it.

In one frame, what a truck hides can only be guessed. In a video, the instance was or will be seen: its better-seen
masks are brought to this frame, as in a gap, and here even fitted, because a part of the instance is seen.
"""

from collections.abc import Sequence
from functools import reduce

import cv2
import numpy as np

from samodal import masks
from samodal.masks import Rle, Runs, Window
from samodal.motion import EgoMotion, HiddenInstanceModel, Prediction
from samodal.motion.measure import fullness, trust
from samodal.motion.observation import Observation
from samodal.motion.rhythm import in_step
from samodal.motion.scenery import Scenery
from samodal.motion.shape import Patch, blend, carry

LEAST_TRUST = 0.3  # of a mask that may complete another one
WHOLE = 0.95  # trust in a mask that lacks nothing, unless something stands beside it
ENOUGH = 0.6  # trust above which a mask that the image border cuts is better than what others make of it
NEARBY = 10  # frames: nearer ones count hardly more
ZOOMS = (0.95, 1.0, 1.05)  # sizes that are tried
COARSE = 32  # a mask is first shifted on a grid on which its size is so many pixels
ROOM = 0.15  # how far a mask is shifted at most, in sizes, beyond what the prediction is unsure of
MOSTLY = 0.5  # share of a hidden mask that other instances cover, where it is they who hide it
RIM = (
    0.15  # bare pixels this near to the visible part (in sizes) are bare, and not hidden by something unknown
)


def refine(
    own: Observation,
    before: Sequence[Observation],
    after: Sequence[Observation],
    motion: HiddenInstanceModel,
    ego: EgoMotion,
    scenery: Scenery,
) -> Rle | None:
    """The amodal mask of an instance in a frame that shows a part of it.

    Args:
        own: what was seen in this frame.
        before: earlier observations, oldest first.
        after: later ones, oldest first; empty when working causally.
        motion: says where the instance is, from all three.
        ego: the camera's motion.
        scenery: what this frame shows, of the instance at least one pixel.

    Returns:
        None where nothing seems to hide it, where no other frame shows the instance better, or where the image border
        cuts it: then place and size are not known well enough to bring other masks here, unless much of it is hidden.
    """
    assert scenery.visible is not None
    sources = [*before, *after]
    trusted = trust([*sources, own]) * fullness([*sources, own])  # a mask too small seems to show its whole
    if own.is_cut and trusted[-1] > ENOUGH:
        return None
    near = max(3.0, RIM * own.scale)
    window = _reaching(scenery.visible.rle, near)
    rim, others = masks.around(scenery.seen(window), near), scenery.others(window)
    if trusted[-1] > WHOLE and not (rim & others).any():
        return None
    usable = (trusted[:-1] >= max(LEAST_TRUST, trusted[-1])) & ~np.array([o.is_cut for o in sources], bool)
    if not usable.any():
        return None
    weights = np.where(usable, trusted[:-1] ** 2, 0.0) / [abs(o.frame - own.frame) + NEARBY for o in sources]
    weights = weights * in_step(sources, trusted[:-1], own.frame)
    target = motion.predict([*before, own], own.frame, ego, after)
    room = _room(target)
    shape = fit(blend(sources, weights, own.frame, target, ego, room), scenery, target.scale, room)

    whole = masks.clipped(_around(window, shape.window), scenery.size)
    seen, believed = scenery.seen(whole), shape.part(whole)
    x, y = window[0] - whole[0], window[1] - whole[1]
    beside = believed[y : y + rim.shape[0], x : x + rim.shape[1]]
    beside &= ~(rim & ~others)
    amodal = masks.without_specks(seen | believed, seen)
    return masks.encode_box(amodal, *whole[:2], scenery.size)


def _reaching(mask: Rle, distance: float) -> Window:
    """The box of a mask and what is so near to it, within the image."""
    x, y, width, height = masks.box(mask)
    reach = int(np.ceil(distance))
    size = (mask["size"][0], mask["size"][1])
    return masks.clipped((x - reach, y - reach, x + width + reach, y + height + reach), size)


def _around(one: Window, other: Window) -> Window:
    """The smallest window with both in it."""
    first, last = np.minimum(one[:2], other[:2]).tolist(), np.maximum(one[2:], other[2:]).tolist()
    return first[0], first[1], last[0], last[1]


def hide(
    before: Sequence[Observation],
    after: Sequence[Observation],
    frame: int,
    target: Prediction,
    ego: EgoMotion,
    scene: Runs | None = None,
) -> Rle:
    """The amodal mask of an instance in a frame that shows nothing of it.

    Args:
        before: earlier observations, oldest first, at least one.
        after: later ones, oldest first; empty when working causally.
        frame: the hidden frame.
        target: where the instance is believed to be.
        ego: the camera's motion.
        scene: all that other instances show of themselves; None: not known. What is hidden is hidden
            behind something. If that is mostly other instances, the mask is moved behind them, and what
            would still be bare is cut off. Else something hides it that is nobody's mask.
    """
    size = before[-1].size
    if scene is None:
        return carry([*before, *after], frame, target, ego).mask(size)
    room = _room(target)
    shape = carry([*before, *after], frame, target, ego, room)
    fitted = fit(shape, Scenery(scene), target.scale, room)
    window = masks.clipped(fitted.window, size)
    moved = fitted.part(window)
    behind = masks.without_specks(moved & scene.part(window))
    if np.count_nonzero(behind) > MOSTLY * np.count_nonzero(moved):
        return masks.encode_box(behind, *window[:2], size)
    return shape.mask(size)


def _room(target: Prediction) -> int:
    return int(np.clip(ROOM * target.scale + 2 * target.sigma, 2, max(2.0, target.scale / 2)))


def fit(shape: Patch, scenery: Scenery, scale: float, room: int) -> Patch:
    """Shift and scale a mask so that it covers what is seen, and nothing that is seen to be something else.

    A visible pixel that is covered counts for, a bare one against; one that another instance shows says nothing. A
    shift by d pixels and a zoom z cost (d^2 + (scale log z)^2) / 2.

    Args:
        shape: the mask, near its place.
        scenery: what the frame shows.
        scale: square root of its area, in pixels.
        room: the farthest shift that is tried, in pixels.
    """
    if shape.distance.size == 0:
        return shape
    # First in coarse pixels, all sizes and shifts; then the best of them by single pixels.
    coarse = max(1, round(scale / COARSE))
    steps = -(-room // coarse)
    tried = [(_zoomed(shape, zoom), 0.5 * (scale * np.log(zoom)) ** 2) for zoom in ZOOMS]
    window = reduce(_around, (patch.window for patch, _ in tried))
    margin = (steps + 2) * coarse  # for the shifts, for parts of a step, and for the single pixels
    window = window[0] - margin, window[1] - margin, window[2] + margin, window[3] + margin
    evidence = scenery.evidence(window)
    moved = [_shift(patch, evidence, window[:2], steps, coarse) for patch, _ in tried]
    gains = [gain - cost for (_, gain), (_, cost) in zip(moved, tried, strict=True)]
    best, _ = moved[int(np.argmax(gains))]
    if coarse == 1:
        return best
    # The cost of the shift so far is left out: from here on it hardly changes.
    return _shift(best, evidence, window[:2], coarse, 1)[0]


def _shift(
    shape: Patch, evidence: np.ndarray, corner: tuple[int, int], room: int, step: int
) -> tuple[Patch, float]:
    """The best shift by up to `room` steps of `step` pixels each way, and what is gained by it."""
    (x, y), (h, w) = shape.corner, shape.distance.shape
    h, w = -(-h // step), -(-w // step)  # steps, rounded up
    inside = np.zeros((h * step, w * step), np.float32)
    inside[: shape.distance.shape[0], : shape.distance.shape[1]] = shape.distance > 0
    margin = room * step
    left, top = x - margin - corner[0], y - margin - corner[1]
    evidence = evidence[top : top + h * step + 2 * margin, left : left + w * step + 2 * margin]
    if step > 1:
        inside = cv2.resize(inside, (w, h), interpolation=cv2.INTER_AREA)
        evidence = cv2.resize(evidence, (w + 2 * room, h + 2 * room), interpolation=cv2.INTER_AREA)
    shifts = step * np.arange(-room, room + 1)
    gain = cv2.matchTemplate(evidence, inside, cv2.TM_CCORR) * step**2
    gain = gain - 0.5 * np.add.outer(shifts**2, shifts**2)
    row, column = np.unravel_index(int(gain.argmax()), gain.shape)
    corner = (x + int(shifts[column]), y + int(shifts[row]))
    return Patch(corner, shape.distance), float(gain[row, column])


def _zoomed(shape: Patch, zoom: float) -> Patch:
    """A patch scaled about its middle."""
    if zoom == 1:
        return shape
    h, w = shape.distance.shape
    width, height = max(1, round(w * zoom)), max(1, round(h * zoom))
    corner = (shape.corner[0] + (w - width) // 2, shape.corner[1] + (h - height) // 2)
    return Patch(corner, cv2.resize(shape.distance, (width, height)) * np.float32(zoom))
