"""The camera's turning where it is known."""

import json
import pickle
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest

from samodal import masks
from samodal.data.synthetic import make_clip
from samodal.errors import InputError
from samodal.motion.ego import FrameEgo, StepEgo
from samodal.motion.odometry import known_ego, read_homographies, turns
from samodal.motion.perspective import PerspectiveMotion
from samodal.recover import recover_track
from samodal.video import Track

SIZE = (180, 320)
FOCAL = 260.0
INTRINSICS = np.array([[FOCAL, 0, 159.5], [0, FOCAL, 89.5], [0, 0, 1]])


def yaw(angle: float) -> np.ndarray:
    """The pose of a camera that was turned to the right."""
    sin, cos = np.sin(angle), np.cos(angle)
    return np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])


ANGLES = np.array([0.012 * max(k - 12, 0) for k in range(30)])
POSES = np.array([yaw(angle) for angle in ANGLES])
GAP = range(13, 25)


@cache
def panning(texture: bool) -> tuple[list[np.ndarray], Track, list[masks.Rle]]:
    """A parked thing, hidden while the camera turns; frames, the track, and where it is."""
    rng = np.random.default_rng(0)
    world = cv2.GaussianBlur(rng.integers(0, 256, (SIZE[0], 700, 3), dtype=np.uint8), (0, 0), 2)
    world = cv2.normalize(world, None, 0, 255, cv2.NORM_MINMAX) if texture else np.full_like(world, 90)
    thing = np.zeros((SIZE[0], 700), np.uint8)
    thing[80:120, 300:360] = 1
    frames, truth = [], []
    for angle in ANGLES:
        # The picture of frame 0 lies at 100 in the world's picture; all is far away, so turning is a homography.
        seen = (
            INTRINSICS
            @ yaw(angle).T
            @ np.linalg.inv(INTRINSICS)
            @ np.array([[1.0, 0, -100], [0, 1, 0], [0, 0, 1]])
        )
        frames.append(cv2.warpPerspective(world, seen, SIZE[::-1]))
        truth.append(masks.encode(cv2.warpPerspective(thing, seen, SIZE[::-1], flags=cv2.INTER_NEAREST)))
    known = [None if k in GAP else mask for k, mask in enumerate(truth)]
    return frames, Track(1, 1, 0.9, list(known), list(known)), truth


@pytest.mark.parametrize("texture", [True, False])
@pytest.mark.parametrize("mode", ["online", "two-sided"])
def test_the_true_turning_is_at_least_as_good_as_the_estimated(texture: bool, mode) -> None:
    frames, track, truth = panning(texture)
    estimated = FrameEgo()
    for frame in frames:
        estimated.push(frame)
    known = known_ego(turns(POSES, INTRINSICS), len(frames))
    ious = []
    for ego in (known, estimated):
        found = recover_track(track, PerspectiveMotion(), mode, ego=ego)
        ious.append(np.mean([masks.iou(found.amodal[k], truth[k]) for k in GAP]))
    assert ious[0] > 0.9
    assert ious[0] >= ious[1] - 0.005
    if not texture and mode == "online":
        assert ious[1] < 0.6


def test_turns_of_the_procedural_world_are_those_of_its_pictures() -> None:
    clip = make_clip(700_001, 3, (45, 80))
    cameras = clip.extra["camera"]
    poses = np.array([np.transpose(camera["rotation"]) for camera in cameras])
    known = turns(poses, np.array(cameras[0]["intrinsics"]))
    first, last = (np.array(cameras[k]["rotation"]) for k in (0, 2))
    matrix = np.array(cameras[0]["intrinsics"])
    ego = known_ego(known, 3)
    direct = matrix @ last @ first.T @ np.linalg.inv(matrix)
    assert np.allclose(ego.between(0, 2).rotation, direct, atol=1e-6)
    assert np.allclose(ego.between(2, 0).rotation, np.linalg.inv(direct), atol=1e-6)
    assert np.allclose(turns(posed(clip)[0], matrix), known)


def posed(clip) -> tuple[np.ndarray, np.ndarray]:
    """Poses (T, 3, 4) and the camera matrix of a clip of the procedural world."""
    cameras = clip.extra["camera"]
    poses = [np.column_stack([np.transpose(c["rotation"]), c["position"]]) for c in cameras]
    return np.array(poses), np.array(cameras[0]["intrinsics"])


def test_drive_takes_points_of_the_world_to_where_they_are_seen() -> None:
    poses, matrix = posed(make_clip(700_001, 6, (45, 80)))
    height = 2.0
    ego = known_ego(turns(poses, matrix, height), 6)
    unit = height * matrix[1, 1]
    world = poses[0, :, 3] + poses[0, :, :3] @ np.array([[3.0, 1.0, 20.0], [-2.0, -1.0, 9.0]]).T[:, 0]
    seen = [matrix @ pose[:, :3].T @ (world - pose[:, 3]) / unit for pose in poses]
    for i, j in ((0, 5), (4, 1), (2, 3)):
        motion = ego.between(i, j)
        assert np.allclose(motion.rotation @ seen[i] + motion.drive, seen[j], atol=1e-9)
    assert np.allclose(
        known_ego(-2.0 * turns(poses, matrix, height), 6).between(0, 5).drive, ego.between(0, 5).drive
    )


def test_drive_is_estimated_from_the_road() -> None:
    clip = make_clip(150_205, 10)
    poses, matrix = posed(clip)
    true = known_ego(turns(poses, matrix, poses[0, 2, 3]), 10).between(0, 9)
    estimated = FrameEgo()
    for k, frame in enumerate(clip.video):
        estimated.push(
            frame, masks.decode(masks.union([t.visible[k] for t in clip.truth if t.visible[k]])) > 0
        )
    found = estimated.between(0, 9).drive
    assert found[2] == pytest.approx(true.drive[2], rel=0.15)
    assert found[2] < -0.005  # a depth of 20 m in 9 frames
    assert found[:2] / found[2] == pytest.approx(true.drive[:2] / true.drive[2], abs=4)


@pytest.mark.parametrize("height", [0.0, -1.0, np.nan])
def test_a_height_that_is_none_is_refused(height: float) -> None:
    with pytest.raises(InputError, match="height"):
        turns(np.repeat(np.eye(4)[None], 3, 0), INTRINSICS, height)
    with pytest.raises(InputError, match="height"):
        turns(POSES, INTRINSICS, 1.65)


def test_the_first_may_be_left_out_and_the_scale_does_not_matter() -> None:
    steps = turns(POSES, INTRINSICS)
    whole = known_ego(steps, 30)
    scaled = [(-3.0 - k) * step for k, step in enumerate(steps[1:])]
    for other in (known_ego(steps[1:], 30), known_ego(scaled, 30), known_ego(steps.tolist(), 30)):
        assert np.allclose(other.between(3, 28).rotation, whole.between(3, 28).rotation)
    steps[0] = np.nan  # without meaning
    assert np.allclose(known_ego(steps, 30).between(0, 29).rotation, whole.between(0, 29).rotation)
    assert known_ego([], 1).between(0, 0).rotation.tolist() == np.eye(3).tolist()


def test_steps_one_by_one() -> None:
    steps = turns(POSES, INTRINSICS)
    whole, short = known_ego(steps, 30), StepEgo(keep=5)
    for step in steps:
        short.add(step)
    assert np.allclose(short.between(26, 29).rotation, whole.between(26, 29).rotation)
    assert short.between(0, 29).inliers == 0


def broken(name: str) -> np.ndarray:
    steps = np.repeat(np.eye(3)[None], 6, 0)
    if name == "nan":
        steps[2, 0, 0] = np.nan
    if name == "singular":
        steps[2, 2] = 0
    return {"length": steps[:4], "shape": steps[:, :2], "flat": steps[0], "text": steps.astype(str)}.get(
        name, steps
    )


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("length", "4 homographies for a video of 6 frames; 6, or 5"),
        ("shape", r"not float64 of shape \(6, 2, 3\)"),
        ("flat", r"\(T, 3, 3\) or \(T, 3, 4\) numbers"),
        ("text", r"\(T, 3, 3\) or \(T, 3, 4\) numbers"),
        ("nan", "homography 2: .*finite"),
        ("singular", "homography 2: .*singular"),
    ],
)
def test_wrong_homographies_are_refused(name: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        known_ego(broken(name), 6)


def test_ragged_homographies_are_refused() -> None:
    with pytest.raises(InputError, match="numbers are expected"):
        known_ego([[[1, 0, 0], [0, 1]]], 2)


@pytest.mark.parametrize(
    "poses", [np.eye(3), np.zeros((4, 3, 3)), np.full((4, 3, 3), np.nan), -POSES, POSES[:, :2]]
)
def test_what_is_no_pose_is_refused(poses: np.ndarray) -> None:
    with pytest.raises(InputError, match="poses"):
        turns(poses, INTRINSICS)
    with pytest.raises(InputError, match="intrinsics"):
        turns(POSES, np.zeros((3, 3)))


def test_files(tmp_path: Path) -> None:
    steps = turns(POSES, INTRINSICS)
    np.save(tmp_path / "ego.npy", steps)
    (tmp_path / "ego.json").write_text(json.dumps(steps.tolist()))
    np.save(tmp_path / "whole.npy", np.repeat(np.eye(3, dtype=int)[None], 2, 0))
    for name in ("ego.npy", "ego.json"):
        assert np.allclose(read_homographies(tmp_path / name), steps)
    assert read_homographies(tmp_path / "whole.npy").shape == (2, 3, 3)
    np.save(tmp_path / "none.npy", np.zeros((0, 3, 3)))
    assert len(read_homographies(tmp_path / "none.npy")) == 0


class Evil:
    def __reduce__(self):
        return (pytest.fail, ("code of a file was run",))


def test_files_that_are_none(tmp_path: Path) -> None:
    good = tmp_path / "good.npy"
    np.save(good, np.repeat(np.eye(3)[None], 4, 0))
    data = good.read_bytes()
    np.savez(tmp_path / "zipped.npz", np.eye(3))
    contents = {
        "cut.npy": data[:-10],
        "head.npy": data[:20],
        "empty.npy": b"",
        "large.npy": data.replace(b"(4, 3, 3)", b"(4000000000, 3, 3)").replace(b" " * 9, b"", 1),
        "zipped.npy": (tmp_path / "zipped.npz").read_bytes(),
        "pickle.npy": pickle.dumps(Evil()),
        "words.json": b'"left"',
        "ragged.json": b"[[[1, 0], [0]]]",
        "object.json": b'{"a": 1}',
        "huge.json": f"[[[1{'0' * 400}, 0, 0], [0, 1, 0], [0, 0, 1]]]".encode(),
        "broken.json": b"[[[",
    }
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InputError, match=name):
            read_homographies(tmp_path / name)
    np.save(tmp_path / "objects.npy", np.array([Evil(), None], object), allow_pickle=True)
    for name in ("objects.npy", "missing.npy", "missing.json"):
        with pytest.raises(InputError, match=name):
            read_homographies(tmp_path / name)
