"""What a camera in motion would have seen from its place and direction in another frame."""

import numpy as np

from samodal.motion import EgoMotion


def motions(frames: np.ndarray, anchor: int, frame: int, ego: EgoMotion) -> tuple[np.ndarray, np.ndarray]:
    """Rotations (n, 3, 3) and drives (n, 3) of `Motion`, from n frames to `frame`.

    By way of one anchor, so that a whole gap needs each motion from an observation only once.
    """
    known = [ego.between(int(k), anchor) for k in frames]
    onward = ego.between(anchor, frame)
    rotations = onward.rotation @ np.array([motion.rotation for motion in known])
    drives = np.array([motion.drive for motion in known]) @ onward.rotation.T + onward.drive
    return rotations, drives


def turn(points: np.ndarray, rotations: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Points (n, 2), each as a camera turned by its rotation (n, 3, 3) would see it; (n,) bool, is it in front."""
    rays = (rotations[:, :, :2] @ points[:, :, None])[:, :, 0] + rotations[:, :, 2]
    in_front = rays[:, 2] > 0.2
    return rays[:, :2] / np.where(in_front, rays[:, 2], 0.2)[:, None], in_front
