"""Ego-motion: how the camera turned and drove, from odometry or from corners of the static scene.

A frame is looked at once, when it is pushed; all instances share the result. Nothing is drawn at random, so nothing
depends on other calls.
"""

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from samodal.errors import InputError
from samodal.motion import Motion

WORK_WIDTH = 640  # frames are looked at in at most this width
CORNERS = 300
MARGIN = 9  # instances are masked out with this margin, in pixels of the work image
MIN_INLIERS = 12
FOCAL = 0.7  # assumed focal length / image width; only matters for corners far from the image centre
CORNER_NOISE = 0.3  # standard deviation of a corner's flow, in pixels of the work image
FORGET = 0.7  # what is known of the heading fades by this factor a frame
ROAD = 0.04  # corners lower than this below the horizon, in focal lengths, are taken for the road's
ROAD_CORNERS = 8  # of which so many tell how fast it comes
AGREE = 1.0  # if the middle half of them spread by at most this share of their median,
CREEP = 0.03  # or by this little, in heights of the camera a frame
SPEEDS = 3  # frames over which the median of the speed is taken
STILL = Motion(np.eye(3), 0)


@dataclass(frozen=True)
class Heading:
    """Where in the image the camera drives to (the focus of expansion), how well that is known, and how fast.

    Attributes:
        place: (2,) from the image centre, in focal lengths. On a flat road it lies on the horizon.
        information: (2, 2) inverse covariance.
        speeds: of the last frames that told it, in heights of the camera above the road a frame.
    """

    place: np.ndarray
    information: np.ndarray
    speeds: tuple[float, ...] = ()


FIRST_HEADING = Heading(np.zeros(2), np.eye(2) / 0.1**2)  # straight ahead, give or take six degrees


class FixedEgo:
    """A camera that stands still, or of which nothing is known."""

    def between(self, i: int, j: int) -> Motion:
        """The identity."""
        return STILL


class StepEgo:
    """Ego-motion from the steps between neighbouring frames, given one by one: odometry.

    Args:
        keep: how many frames to look back at most; None keeps all (below 1 kB a frame).
    """

    def __init__(self, keep: int | None = None) -> None:
        self.keep = keep
        self.count = 0  # frames so far
        self._steps: dict[int, Motion] = {}  # frame k -> motion from k - 1 to k
        self._cached = lru_cache(maxsize=8192)(self._chain)

    def add(self, step: Motion | np.ndarray | None = None) -> None:
        """Take the next frame.

        Args:
            step: how the picture moved from the frame before: a `Motion`, or its homography (3, 3) of pixels
                (x, y, 1), of any scale, or that with `Motion.drive` as a fourth column. Of the first frame it is not
                looked at. None: not known, taken for still.

        Raises:
            InputError: not a homography: another shape, not finite, or singular.
        """
        if step is not None and self.count:
            self._steps[self.count] = step if isinstance(step, Motion) else known_step(step)
        self.count += 1
        if self.keep is not None:
            self._steps.pop(self.count - 1 - self.keep, None)

    def between(self, i: int, j: int) -> Motion:
        """The motion from frame i to frame j, chained from neighbours; frames not kept count as still."""
        if i == j:
            return STILL
        return self._cached(i, j)

    def _chain(self, i: int, j: int) -> Motion:
        if i > j:
            return self._cached(j, i).back()
        if j == i + 1:
            return self._steps.get(j, STILL)
        # Cut at the roundest number in between, so that chains of different ends share their parts.
        bit = 1 << ((i ^ j).bit_length() - 1)
        middle = j // bit * bit
        if middle == j:
            middle = j - 1
        return self._cached(i, middle).then(self._cached(middle, j))


def known_step(homography: np.ndarray) -> Motion:
    """The motion of a known homography (3, 3), or (3, 4) with the drive, scaled so that the homography's determinant
    is 1, as that of K R K^-1 is.

    Raises:
        InputError: another shape, not finite, or singular.
    """
    matrix = np.asarray(homography)
    if matrix.shape not in ((3, 3), (3, 4)) or matrix.dtype.kind not in "iuf":
        raise InputError(f"a homography is 3 x 3 numbers, not {matrix.dtype} of shape {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise InputError("a homography must be finite")
    matrix = matrix.astype(np.float64)
    turn = matrix[:, :3]
    if np.linalg.matrix_rank(turn) < 3:
        raise InputError("a homography must not be singular: every place in one frame has one in the other")
    matrix /= np.cbrt(np.linalg.det(turn))
    return Motion(turn, CORNERS, matrix[:, 3] if matrix.shape[1] == 4 else np.zeros(3))


class FrameEgo:
    """Ego-motion from frames that are pushed one by one.

    Args:
        keep: how many frames to look back at most; None keeps all (below 1 kB a frame).
    """

    def __init__(self, keep: int | None = None) -> None:
        self._steps = StepEgo(keep)
        self._previous: tuple[np.ndarray, np.ndarray] | None = None
        self._heading = FIRST_HEADING

    def push(self, frame: np.ndarray, moving: np.ndarray | None = None) -> None:
        """Take the next frame.

        Args:
            frame: uint8 (H, W, 3) RGB.
            moving: bool (H, W), what may move by itself: the visible masks of all instances.
        """
        scale = min(1.0, WORK_WIDTH / frame.shape[1])
        grey, static = _work_image(frame, moving, scale)
        step = None
        if self._previous is not None and self._previous[0].shape == grey.shape:
            starts, ends = _follow_corners(*self._previous, grey, static)
            step, self._heading = fit_turn(
                starts / scale, ends / scale, frame.shape[:2], self._heading, 1.0 / scale
            )
        self._previous = grey, static
        self._steps.add(step)

    def between(self, i: int, j: int) -> Motion:
        """The motion from frame i to frame j, chained from neighbours; frames not kept count as still."""
        return self._steps.between(i, j)


def _work_image(frame: np.ndarray, moving: np.ndarray | None, scale: float) -> tuple[np.ndarray, np.ndarray]:
    """The small grey image, and where it is static (uint8 0/255)."""
    grey = grey_image(frame, scale)
    static = np.full(grey.shape, 255, np.uint8)
    if moving is not None and moving.any():
        small = cv2.resize(moving.astype(np.uint8), grey.shape[::-1], interpolation=cv2.INTER_NEAREST)
        static[cv2.dilate(small, np.ones((2 * MARGIN + 1,) * 2, np.uint8)) > 0] = 0
    return grey, static


def grey_image(frame: np.ndarray, scale: float) -> np.ndarray:
    """uint8 (h, w), a frame (H, W, 3) in grey and smaller."""
    grey = cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY)
    if scale < 1:
        at_least_one = max(scale, 1 / grey.shape[0])  # pixel of height
        grey = cv2.resize(grey, None, fx=scale, fy=at_least_one, interpolation=cv2.INTER_AREA)
    return grey


def flow_of(
    grey: np.ndarray, next_grey: np.ndarray, points: np.ndarray, window: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where points (N, 2) of an image are in the next one, float32 (N, 2); and bool (N,), is that inside, and do they
    flow back to where they were? `window`: side of the square by which a point is known."""
    sides = window, window
    moved, found, _ = cv2.calcOpticalFlowPyrLK(grey, next_grey, points[:, None], None, winSize=sides)
    back, found_back, _ = cv2.calcOpticalFlowPyrLK(next_grey, grey, moved, None, winSize=sides)
    moved, back = moved.reshape(-1, 2), back.reshape(-1, 2)
    good = (found.ravel() == 1) & (found_back.ravel() == 1) & (np.abs(points - back).max(1) < 0.5)
    x, y = np.rint(np.nan_to_num(moved, nan=-1.0)).clip(-1, 1e6).T
    height, width = next_grey.shape
    return moved, good & (x >= 0) & (y >= 0) & (x < width) & (y < height)


def _follow_corners(
    grey: np.ndarray, static: np.ndarray, next_grey: np.ndarray, next_static: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Static corners, (N, 2) float64 in both images, that flow forth and back to where they were."""
    nothing = np.zeros((0, 2))
    corners = cv2.goodFeaturesToTrack(grey, CORNERS, qualityLevel=0.01, minDistance=8, mask=static)
    if corners is None or len(corners) < MIN_INLIERS:
        return nothing, nothing
    corners = corners.reshape(-1, 2)
    moved, good = flow_of(grey, next_grey, corners, 15)
    x, y = np.rint(moved[good]).astype(int).T
    good[good] = next_static[y, x] > 0
    return corners[good].astype(np.float64), moved[good].astype(np.float64)


def fit_turn(
    starts: np.ndarray, ends: np.ndarray, size: tuple[int, int], heading: Heading, pixel: float = 1.0
) -> tuple[Motion, Heading]:
    """How the camera turned and drove, from N static corners (x, y) before and after, (N, 2) each.

    A camera that drives moves a point along the ray from the image of its heading, by an amount that depends on
    the point's depth. *Across* that ray only the turning is left, whatever the depth. So three angles and the
    heading follow from the flow across, by least squares in which stray corners weigh little (Cauchy). The flow along
    the ray then is speed / depth, and the depth of corners on the road follows from how far below the horizon they are.

    Args:
        starts: where they were.
        ends: where they are.
        size: (H, W) of the frame.
        heading: what is known of it from the frames before.
        pixel: size of a pixel of the image in which the corners were found.

    Returns:
        The motion, and what is now known of the heading.
    """
    if len(starts) < MIN_INLIERS:
        return STILL, heading
    height, width = size
    focal = FOCAL * width
    center = np.array([(width - 1) / 2, (height - 1) / 2])
    points, flow = (starts - center) / focal, (ends - starts) / focal
    x, y = points.T
    # The flow (N, 2, 3) of a point for small turns about the camera's x, y and z axes.
    turns = np.stack([[-x * y, 1 + x * x, -y], [-1 - y * y, x * y, x]]).transpose(2, 0, 1)
    noise = CORNER_NOISE * pixel / focal
    known = np.zeros((5, 5))
    known[:3, :3] = np.eye(3) / 10.0**2
    known[3:, 3:] = heading.information
    angles, place, weights = np.zeros(3), heading.place, np.ones(len(x))
    for _ in range(15):
        ray = points - place
        distance = np.maximum(np.hypot(*ray.T), 1e-3)[:, None]
        along = ray / distance
        across = np.stack([-along[:, 1], along[:, 0]], 1)
        nearing = (along * (flow - turns @ angles)).sum(1, keepdims=True) / distance  # speed / depth
        design = np.hstack([np.einsum("nk,nki->ni", across, turns), -nearing * across])
        wanted = (across * flow).sum(1)
        weighted = design * (weights / noise**2)[:, None]
        information = weighted.T @ design + known
        step = np.linalg.solve(information, weighted.T @ wanted + known[:, 3:] @ (heading.place - place))
        angles, place = step[:3], place + step[3:].clip(-0.05, 0.05)
        misfit = np.abs(wanted - design @ step) / noise
        weights = 1 / (1 + (misfit / 1.5) ** 2)
    inliers = int((misfit < 5).sum())
    if inliers < MIN_INLIERS:
        return STILL, heading
    of_place = information[3:, 3:] - information[3:, :3] @ np.linalg.solve(
        information[:3, :3], information[:3, 3:]
    )
    intrinsics = np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1]])
    rotation = intrinsics @ cv2.Rodrigues(angles)[0] @ np.linalg.inv(intrinsics)
    speeds = _speeds(points[:, 1] - place[1], nearing[:, 0], heading.speeds)
    speed = float(np.median(speeds)) if speeds else 0.0
    drive = -speed / focal * np.array([*(center + focal * place), 1.0])
    known_place = FIRST_HEADING.information + FORGET * of_place
    return Motion(rotation, inliers, drive), Heading(place, known_place, speeds)


def _speeds(below: np.ndarray, nearing: np.ndarray, before: tuple[float, ...]) -> tuple[float, ...]:
    """`Heading.speeds` after a frame.

    Args:
        below: (N,) how far corners lie below the horizon, in focal lengths: camera height / depth, if on the road.
        nearing: (N,) speed / depth.
        before: as known so far.
    """
    road = below > ROAD
    if np.count_nonzero(road) < ROAD_CORNERS:
        return before
    low, speed, high = np.percentile(nearing[road] / below[road], (25, 50, 75))
    if high - low > AGREE * abs(speed) + CREEP:
        return before
    return (*before, float(speed))[-SPEEDS:]
