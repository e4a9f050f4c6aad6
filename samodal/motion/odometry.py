"""Odometry: the camera's own motion where it is known, from a file or from poses."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from samodal.errors import InputError
from samodal.files import read_json
from samodal.motion.ego import StepEgo


def read_homographies(path: str | Path) -> np.ndarray:
    """Read the homographies that `known_ego` takes.

    Args:
        path: a .npy file (numbers only, nothing in it is run), or JSON, a list with three rows of three numbers a
            frame (or of four, with the drive).

    Raises:
        InputError: not there, or not such a file.
    """
    path = Path(path)
    if path.suffix == ".npy":
        try:
            # Mapped: what the file says of its size is believed only as far as the file reaches.
            values = np.asarray(np.load(path, mmap_mode="r", allow_pickle=False))
        except FileNotFoundError:
            raise InputError(f"{path}: no such file") from None
        except (OSError, ValueError, EOFError) as error:
            raise InputError(f"{path}: not a .npy file of numbers ({error})") from None
    else:
        listed = read_json(path)
        try:
            values = np.array(listed, np.float64)
        except (TypeError, ValueError, OverflowError):
            raise InputError(
                f"{path}: a list of homographies, three rows of three (or four) numbers, is expected"
            ) from None
    return _check(values, str(path))


def known_ego(homographies: np.ndarray | Sequence, frames: int, name: str = "ego") -> StepEgo:
    """The ego-motion of a whole video from homographies.

    Args:
        homographies: (T, 3, 3), k being the motion from frame k - 1 to frame k in pixels (x, y, 1), at any scale, and
            the first without meaning; or (T - 1, 3, 3), without the first. They should be of the camera's *turning*
            alone, K R K^-1 (see `turns`), which holds for near and far. Where its driving is known, too: (T, 3, 4) or
            (T - 1, 3, 4), each with `Motion.drive` as a fourth column, at the same scale.
        frames: T.
        name: what to call them in messages.

    Raises:
        InputError: another shape or length; or one that is not finite, or singular.
    """
    try:
        values = np.asarray(homographies)
    except ValueError:  # rows of different lengths
        raise InputError(f"{name}: (T, 3, 3) or (T, 3, 4) numbers are expected") from None
    steps = _check(values, name)
    if len(steps) not in (frames, frames - 1):
        raise InputError(
            f"{name}: {len(steps)} homographies for a video of {frames} frames; {frames}, or {frames - 1} "
            "(from each frame to the next), are expected"
        )
    ego = StepEgo()
    if len(steps) == frames - 1:
        ego.add()
    for number, step in enumerate(steps):
        try:
            ego.add(step)
        except InputError as error:
            raise InputError(f"{name}: homography {number}: {error}") from None
    return ego


def turns(poses: np.ndarray, intrinsics: np.ndarray, height: float | None = None) -> np.ndarray:
    """The homographies of a turning camera, for `known_ego`, and how it drives.

    Args:
        poses: (T, 3, 3), (T, 3, 4) or (T, 4, 4), from the camera to the world, as KITTI's odometry has them: the
            columns of the rotation are the camera's axes x right, y down, z forward; the fourth column is its place.
        intrinsics: (3, 3) camera matrix K, in pixels of the video.
        height: of the camera above the road, in the unit of its places (1.65 m for KITTI). None: where it is does not
            matter.

    Returns:
        (T, 3, 3): K R[k]^-1 R[k - 1] K^-1; the first is the identity. With `height`, (T, 3, 4): beside it
        `Motion.drive`, first zero.

    Raises:
        InputError: other shapes, a rotation that is none, K is singular, or a height without places or not positive.
    """
    poses, matrix = np.asarray(poses, np.float64), np.asarray(intrinsics, np.float64)
    if poses.ndim != 3 or poses.shape[1:] not in ((3, 3), (3, 4), (4, 4)):
        raise InputError(f"poses: (T, 3, 3), (T, 3, 4) or (T, 4, 4) is expected, not {poses.shape}")
    if matrix.shape != (3, 3) or not np.isfinite(matrix).all() or np.linalg.matrix_rank(matrix) < 3:
        raise InputError("intrinsics: a camera matrix of 3 x 3 finite numbers, not singular, is expected")
    if not np.isfinite(poses).all():
        raise InputError("poses: must be finite")
    if height is not None and (not height > 0 or poses.shape[2] == 3):
        raise InputError(
            "height: a positive number is expected, and poses (T, 3, 4) or (T, 4, 4) with the places"
        )
    rotations = poses[:, :3, :3]
    back = rotations.transpose(0, 2, 1)
    off = np.abs(rotations @ back - np.eye(3)).max(axis=(1, 2))
    wrong = np.flatnonzero(~(off < 1e-3) | ~(np.linalg.det(rotations) > 0))
    if len(wrong):
        raise InputError(
            f"poses: the rotation of frame {wrong[0]} is none (its columns must be at right angles)"
        )
    earlier = np.concatenate([poses[:1], poses[:-1]])
    turned = matrix @ back @ earlier[:, :3, :3] @ np.linalg.inv(matrix)
    if height is None:
        return turned
    # A point of the road n pixels below the horizon has depth height * focal length / n.
    drive = matrix @ back @ (earlier - poses)[:, :3, 3:] / (height * matrix[1, 1])
    return np.concatenate([turned, drive], 2)


def _check(values: np.ndarray, name: str) -> np.ndarray:
    if values.ndim != 3 or values.shape[1:] not in ((3, 3), (3, 4)) or values.dtype.kind not in "iuf":
        # An empty list of steps is right for a video of one frame.
        if values.size == 0 and values.ndim == 1:
            return np.zeros((0, 3, 3))
        raise InputError(
            f"{name}: (T, 3, 3) or (T, 3, 4) numbers are expected, not {values.dtype} of shape {values.shape}"
        )
    return values
