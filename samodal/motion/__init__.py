"""Where did a hidden instance go: the camera's own motion, and models of an instance that is not seen.

The flow of the data: frames -> `EgoMotion` (once per video, shared by all instances); amodal masks of seen frames
-> `Observation`s; both -> `HiddenInstanceModel.predict` -> `Prediction` (where, how large, how sure); `carry`
puts a mask there. `samodal.recover` does all this for a track. Both protocols are where third parties plug in.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from samodal.motion.observation import Observation


@dataclass(frozen=True)
class Motion:
    """How the picture moved between two frames because the camera turned, and drove.

    Turning moves near and far things alike, so one matrix holds for all of them. What driving does to a thing depends
    on its depth: one at rest, seen at (x, y) in depth Z, is afterwards at (x', y') in depth Z', with
    Z' (x', y', 1) = rotation Z (x, y, 1) + drive.

    Attributes:
        rotation: (3, 3) float64 homography of pixels (x, y, 1): K R K^-1 for a camera matrix K and a turn R.
        inliers: number of corners that agree (the least over the frames in between); 0 when it cannot be
            told: frames that gave no answer count as the identity.
        drive: (3,) float64, how the world moved towards the camera, K t for a translation t. The unit of depth is
            that of a flat road: what stands on it n pixels below the horizon has depth 1 / n. Zero: not known.
    """

    rotation: np.ndarray
    inliers: int
    drive: np.ndarray = field(default_factory=lambda: np.zeros(3))

    def then(self, later: "Motion") -> "Motion":
        """This motion and a later one, as one."""
        return Motion(
            later.rotation @ self.rotation,
            min(self.inliers, later.inliers),
            later.rotation @ self.drive + later.drive,
        )

    def back(self) -> "Motion":
        """The way back."""
        inverse = np.linalg.inv(self.rotation)
        return Motion(inverse, self.inliers, -inverse @ self.drive)


class EgoMotion(Protocol):
    """The camera's own motion, measured from frames (`FrameEgo`) or known from odometry."""

    def between(self, i: int, j: int) -> Motion:
        """The motion from frame i to frame j (any order)."""


@dataclass(frozen=True)
class Prediction:
    """Where a hidden instance is believed to be.

    Attributes:
        center: (x, y) of the amodal mask's centroid, in pixels.
        scale: its size in pixels, as `measure` in samodal/motion/measure.py tells it of frames that show it.
        sigma: standard deviation of the centre, in pixels (a mean over x and y).
        size_sigma: standard deviation of log(scale).
    """

    center: tuple[float, float]
    scale: float
    sigma: float
    size_sigma: float


class HiddenInstanceModel(Protocol):
    """Says where an instance is in a frame that does not show it."""

    def predict(
        self, before: Sequence[Observation], frame: int, ego: EgoMotion, after: Sequence[Observation] = ()
    ) -> Prediction:
        """Predict one frame.

        Args:
            before: at least one observation, oldest first, all in frames before `frame`.
            frame: the frame to predict.
            ego: the camera's motion; covers all frames that are named here.
            after: observations from the far side of the gap, oldest first; empty when working causally.
        """
