"""The weight-free model of a hidden instance: constant velocity in perspective, seen from a moving camera.

A thing of fixed size at depth Z has an image scale s ~ 1 / Z and a centre c + X / Z (c: the image centre). So 1 / s
and (x - c) / s are its depth and its lateral position, in units of its own size, and for a constant velocity
relative to the camera *these* are straight lines in time. Neither focal length nor depth has to be known, and
parallax is part of the model. Only the camera's turning must be taken out first.

Most things stand in the world, or move slowly in it: so the velocity that is expected before anything is known is that
of a thing at rest, which follows from the camera's drive and from how far below the horizon it stands.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samodal.motion import EgoMotion, Prediction
from samodal.motion.camera import motions, turn
from samodal.motion.measure import Measurements, measure
from samodal.motion.observation import Observation
from samodal.motion.smoothing import smooth

NEAREST = 0.2  # no nearer than this share of the depth at the last sighting
WELL_KNOWN = 1.0  # standard deviation of log(scale) below which a size counts as measured


@dataclass(frozen=True)
class Wander:
    """How a quantity moves: standard deviations of its first velocity and of the velocity's change per frame."""

    velocity: float
    change: float


@dataclass(frozen=True)
class PerspectiveMotion:
    """Follows an instance along a straight line in space; a smoother when the far side of a gap is known.

    Attributes:
        across: lateral motion, in sizes of the instance (square root of its area) a frame.
        upright: vertical motion, in the same unit; things on the road hardly have any.
        depth: motion in depth, as a share of the depth at the last sighting a frame.
    """

    across: Wander = Wander(0.2, 0.015)
    upright: Wander = Wander(0.05, 0.003)
    depth: Wander = Wander(0.03, 0.001)

    def predict(
        self, before: Sequence[Observation], frame: int, ego: EgoMotion, after: Sequence[Observation] = ()
    ) -> Prediction:
        """See `HiddenInstanceModel.predict`. With one observation: as a thing at rest, most likely."""
        measured = measure([*before, *after])
        height, width = before[-1].size
        middle = np.array([(width - 1) / 2, (height - 1) / 2])
        rotations, drives = motions(measured.frames, before[-1].frame, frame, ego)
        turned, in_front = turn(measured.centers, rotations)
        turned = turned - middle
        center_noise = measured.center_noise * np.outer(in_front, in_front)
        center_noise = center_noise + np.diag(np.where(in_front, 0.0, (10.0 * width) ** 2))

        known = np.flatnonzero(measured.size_sigmas[: len(before)] < WELL_KNOWN)
        size = float(measured.scales[known[-1] if len(known) else len(before) - 1])
        depths = size / measured.scales
        now = np.array([frame])
        frames = np.concatenate([measured.frames, now])
        still = size * _still(measured, rotations, drives, middle)
        smoothed, depth_sigmas = smooth(
            measured.frames,
            depths,
            measured.size_noise * np.outer(depths, depths),
            frames,
            **vars(self.depth),
            still=(still[:-1, 2], still[:, 2]),
        )
        smoothed = np.maximum(smoothed, NEAREST)
        depth = smoothed[-1]

        closeness = np.outer(smoothed[:-1], smoothed[:-1])
        center, variance = middle.copy(), 0.0
        for axis, wander in enumerate((self.across, self.upright)):
            place, sigma = smooth(
                measured.frames,
                turned[:, axis] * smoothed[:-1],
                center_noise[axis] * closeness,
                now,
                velocity=wander.velocity * size,
                change=wander.change * size,
                still=(still[:-1, axis], still[-1:, axis]),
            )
            center[axis] += place[0] / depth
            variance += (sigma[0] / depth) ** 2 / 2
        return Prediction(
            (float(center[0]), float(center[1])),
            float(size / depth),
            float(variance**0.5),
            float(depth_sigmas[-1] / depth),
        )


def _still(
    measured: Measurements, rotations: np.ndarray, drives: np.ndarray, middle: np.ndarray
) -> np.ndarray:
    """The course of a thing that stands on the road, (n + 1, 3): of (x - c) / s, (y - c) / s and 1 / s of a thing of
    size 1, in the observations, as the camera of the last frame would see them, and then in that frame, where it is 0.

    Its depth is told by how far below the horizon it stands, and the horizon by where the camera drives to.
    """
    drives = drives - np.column_stack([middle * drives[:, 2:], np.zeros(len(drives))])
    longest = drives[np.abs(drives[:, 2]).argmax()]
    if longest[2] == 0:
        return np.zeros((len(drives) + 1, 3))
    # Within the image: forth and back may add up to next to nothing, which points anywhere.
    horizon = np.clip(longest[1] / longest[2], -middle[1], middle[1])
    feet = measured.centers + np.column_stack([np.zeros(len(drives)), measured.feet * measured.scales])
    below = (turn(feet, rotations)[0][:, 1] - middle[1] - horizon) / measured.scales
    weights = (measured.scales / measured.center_sigmas[:, 1]) ** 2
    return -max(0.0, float(np.average(below, weights=weights))) * np.vstack([drives, np.zeros(3)])
