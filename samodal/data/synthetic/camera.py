"""The pinhole camera: world metres to pixels.

World: x and y on the ground, z up, metres. Camera: x right, y down, z forward. Pixels: x right, y down, pixel
centres at integers.
"""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

NEAR = 0.25
"""Metres in front of the camera at which polygons are cut off."""


@dataclass(frozen=True)
class Camera:
    """A camera at one moment.

    Attributes:
        position: (3,) world metres.
        yaw, pitch, roll: radians; yaw 0 looks along world x and grows to the left, positive pitch looks up.
        fov: horizontal field of view in radians, whatever the size of the image.
        size: (H, W) of the image.
    """

    position: np.ndarray
    yaw: float
    pitch: float
    roll: float
    fov: float
    size: tuple[int, int]

    @property
    def focal(self) -> float:
        """Focal length in pixels (the same for x and y)."""
        return self.size[1] / 2 / float(np.tan(self.fov / 2))

    @property
    def centre(self) -> np.ndarray:
        """Principal point (x, y) in pixels: the middle of the image."""
        return np.array([(self.size[1] - 1) / 2, (self.size[0] - 1) / 2])

    @cached_property
    def rotation(self) -> np.ndarray:
        """(3, 3) from world directions to camera directions."""
        sin, cos = np.sin, np.cos
        forward = np.array(
            [cos(self.yaw) * cos(self.pitch), sin(self.yaw) * cos(self.pitch), sin(self.pitch)]
        )
        right = np.array([sin(self.yaw), -cos(self.yaw), 0.0])
        down = np.cross(forward, right)
        rolled = (
            cos(self.roll) * right + sin(self.roll) * down,
            cos(self.roll) * down - sin(self.roll) * right,
        )
        return np.stack([*rolled, forward])

    @cached_property
    def intrinsics(self) -> np.ndarray:
        """(3, 3) camera matrix K."""
        cx, cy = self.centre
        return np.array([[self.focal, 0, cx], [0, self.focal, cy], [0, 0, 1]])

    @cached_property
    def ground(self) -> np.ndarray:
        """(3, 3) homography from ground points (x, y, 1) in metres to pixels."""
        pose = np.column_stack([self.rotation[:, 0], self.rotation[:, 1], -self.rotation @ self.position])
        return self.intrinsics @ pose

    def to_camera(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) in camera coordinates (N, 3); the last column is the depth in metres."""
        return (np.asarray(points, np.float64) - self.position) @ self.rotation.T

    def to_image(self, points: np.ndarray) -> np.ndarray:
        """Camera points (..., 3) in front of the camera as pixels (..., 2)."""
        return points[..., :2] / points[..., 2:] * self.focal + self.centre

    def project(self, points: np.ndarray) -> np.ndarray:
        """World points (N, 3) in front of the camera as pixels (N, 2)."""
        return self.to_image(self.to_camera(points))

    def to_json(self) -> dict[str, Any]:
        """Pose and intrinsics as plain numbers (metres, radians, pixels)."""
        return {
            "position": [float(v) for v in self.position],
            "yaw": float(self.yaw),
            "pitch": float(self.pitch),
            "roll": float(self.roll),
            "rotation": self.rotation.tolist(),
            "intrinsics": self.intrinsics.tolist(),
        }


def cut_near(polygon: np.ndarray) -> np.ndarray:
    """The part of a convex polygon (K, 3), camera coordinates, beyond the near plane; may be empty."""
    depth = polygon[:, 2] - NEAR
    after = np.roll(polygon, -1, axis=0)
    depth_after = np.roll(depth, -1)
    points = []
    for p, q, a, b in zip(polygon, after, depth, depth_after, strict=True):
        if a >= 0:
            points.append(p)
        if (a >= 0) != (b >= 0):
            points.append(p + (q - p) * (a / (a - b)))
    return np.array(points).reshape(-1, 3)
