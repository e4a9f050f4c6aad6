"""What an instance looks like where it is hidden: its well-seen masks, brought to one place and averaged."""

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from samodal import masks
from samodal.masks import Rle, Window
from samodal.motion import EgoMotion, Prediction
from samodal.motion.camera import motions, turn
from samodal.motion.measure import fullness, measure, trust, widening
from samodal.motion.observation import Observation
from samodal.motion.rhythm import in_step

SOURCES = 8  # at most so many masks are averaged
CUT = 0.25  # worth of a mask that the image border cuts, beside a whole one


@dataclass(frozen=True)
class Patch:
    """A mask in the making.

    Attributes:
        corner: (x, y) of its first pixel, which may lie outside the image.
        distance: float32 (h, w), signed distance to the mask's edge in pixels, positive inside.
    """

    corner: tuple[int, int]
    distance: np.ndarray

    @property
    def window(self) -> Window:
        """Where it lies."""
        (x, y), (h, w) = self.corner, self.distance.shape
        return x, y, x + w, y + h

    def part(self, window: Window) -> np.ndarray:
        """The mask within a window, bool (h, w)."""
        part = np.zeros((window[3] - window[1], window[2] - window[0]), bool)
        (x, y), (h, w) = self.corner, self.distance.shape
        left, right = np.clip((x, x + w), window[0], window[2])
        top, bottom = np.clip((y, y + h), window[1], window[3])
        inside = self.distance[top - y : bottom - y, left - x : right - x] > 0
        part[top - window[1] : bottom - window[1], left - window[0] : right - window[0]] = inside
        return part

    def mask(self, size: tuple[int, int]) -> Rle:
        """The mask, cut off at the borders of an image of that size (H, W)."""
        window = masks.clipped(self.window, size)
        return masks.encode_box(self.part(window), *window[:2], size)


def carry(
    observations: Sequence[Observation], frame: int, target: Prediction, ego: EgoMotion, reach: int = 0
) -> Patch:
    """The amodal mask of a hidden instance.

    Masks near in time and well seen count more, so between two sightings one shape passes into the other, and what
    differs from frame to frame (a network's noise) is evened out. Of who walks, masks of the same phase count most.

    Args:
        observations: at least one, from before the gap and, where known, from behind it.
        frame: the hidden frame.
        target: where the instance is believed to be in it.
        ego: the camera's motion.
        reach: how far beyond the image the patch may extend, in pixels.
    """
    worth = (
        trust(observations) * fullness(observations) ** 2 * [CUT if o.is_cut else 1.0 for o in observations]
    )
    weights = np.where(worth < worth.max() / 2, 0.0, worth**2)
    weights = weights * in_step(observations, worth, frame) / [abs(frame - o.frame) for o in observations]
    return blend(observations, weights, frame, target, ego, reach)


def blend(
    observations: Sequence[Observation],
    weights: np.ndarray,
    frame: int,
    target: Prediction,
    ego: EgoMotion,
    reach: int = 0,
) -> Patch:
    """Move and scale the masks of largest weight to where the instance is, and average their signed distances.

    Args:
        observations: n of them.
        weights: (n,), not negative, some positive.
        frame: the one in which the mask is wanted.
        target: where the instance is believed to be.
        ego: the camera's motion.
        reach: how far beyond the image the patch may extend, in pixels.
    """
    chosen = [int(k) for k in np.argsort(-weights, kind="stable")[:SOURCES] if weights[k] > 0]
    measured = measure(observations)
    rotations, _ = motions(measured.frames, observations[0].frame, frame, ego)
    columns = np.append(turn(measured.centers, rotations)[0][:, 0], target.center[0])
    upright = target.scale / measured.scales[chosen]
    zooms = np.column_stack([upright * widening(observations, frame, columns)[chosen], upright])
    shifts = np.asarray(target.center) - zooms * measured.centers[chosen]
    boxes = np.array(
        [
            np.tile(z, 2) * observations[k].edges + np.tile(s, 2)
            for k, z, s in zip(chosen, zooms, shifts, strict=True)
        ]
    )
    first = np.maximum(np.floor(boxes[:, :2].min(0)).astype(int), -reach)
    last = np.minimum(np.ceil(boxes[:, 2:].max(0)).astype(int) + 1, np.add(observations[0].size[::-1], reach))
    width, height = np.maximum(last - first, 0).tolist()
    total = np.zeros((height, width), np.float32)
    weight = np.zeros((height, width), np.float32)
    if total.size:
        for k, zoom, shift in zip(chosen, zooms, shifts, strict=True):
            distance, corner = observations[k].signed_distance
            offset = zoom * corner + shift - first
            affine = np.array([[zoom[0], 0, offset[0]], [0, zoom[1], offset[1]]])
            moved, sure = (
                cv2.warpAffine(
                    part, affine, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
                )
                for part in (distance, observations[k].sure)
            )
            sure *= np.float32(weights[k])
            total += np.float32(zoom.prod() ** 0.5) * sure * moved
            weight += sure
        total /= weight
    return Patch((int(first[0]), int(first[1])), total)
