import cv2
import numpy as np
import pytest

from samodal.motion.ego import FixedEgo, FrameEgo

H, W = 180, 320


def texture(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (500, 800, 3), dtype=np.uint8), (0, 0), 2)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)


def pan(k: int, dx: float = -3.0, dy: float = 1.0) -> np.ndarray:
    return cv2.warpAffine(texture(), np.array([[1.0, 0, -200 + dx * k], [0, 1, -150 + dy * k]]), (W, H))


def pushed(frames, moving=None, **options) -> FrameEgo:
    ego = FrameEgo(**options)
    for k, frame in enumerate(frames):
        ego.push(frame, None if moving is None else moving[k])
    return ego


def test_a_pan_is_a_shift():
    ego = pushed([pan(k) for k in range(6)])
    motion = ego.between(1, 5)
    assert motion.inliers > 50
    middle = np.array([W / 2, H / 2, 1])
    assert (motion.rotation @ middle)[:2] / (motion.rotation @ middle)[2] == pytest.approx(
        middle[:2] + np.array([-12, 4]), abs=0.5
    )


def test_there_and_back_is_the_identity_and_chains_add_up():
    ego = pushed([pan(k) for k in range(8)])
    there, back = ego.between(2, 7), ego.between(7, 2)
    assert np.allclose(there.rotation @ back.rotation, np.eye(3), atol=1e-6)
    parts = ego.between(4, 7).rotation @ ego.between(2, 4).rotation
    assert np.allclose(parts, there.rotation, atol=1e-6)
    assert ego.between(3, 3).rotation.tolist() == np.eye(3).tolist()


def test_moving_things_are_not_looked_at():
    frames, moving = [], []
    for k in range(5):
        frame = pan(k, 0, 0)
        frame[:, 40 : W - 40] = texture(1)[:H, 6 * k : 6 * k + W - 80]
        mask = np.zeros((H, W), bool)
        mask[:, 40 : W - 40] = True
        frames.append(frame)
        moving.append(mask)
    assert np.allclose(pushed(frames, moving).between(0, 4).rotation, np.eye(3), atol=0.2)


def test_driving_forward_is_no_turning():
    """Points fly outwards, near ones faster: the depth-free part must stay put."""
    rng = np.random.default_rng(0)
    points = np.column_stack([rng.uniform(-12, 12, 500), rng.uniform(-7, 7, 500), rng.uniform(8, 60, 500)])
    frames = []
    for k in range(6):
        frame = np.full((H, W, 3), 90, np.uint8)
        seen = points - [0, 0, 0.4 * k]
        for x, y, z in seen[np.argsort(-seen[:, 2])]:
            place = round(250 * x / z + W / 2), round(250 * y / z + H / 2)
            tone = int(97 * abs(x) + 31 * abs(y)) % 200
            cv2.circle(frame, place, max(int(60 / z), 1), (tone, 255 - tone, tone // 2), -1)
        frames.append(frame)
    motion = pushed(frames).between(0, 5)
    corners = np.array([[0, 0, 1], [W, 0, 1], [0, H, 1], [W, H, 1]], np.float64).T
    moved = motion.rotation @ corners
    assert np.abs(moved[:2] / moved[2] - corners[:2]).max() < 3


@pytest.mark.parametrize("value", [0, 128])
def test_no_texture_is_the_identity_without_inliers(value):
    ego = pushed([np.full((H, W, 3), value, np.uint8)] * 3)
    assert ego.between(0, 2).inliers == 0
    assert ego.between(0, 2).rotation.tolist() == np.eye(3).tolist()


def test_everything_moving_a_cut_and_another_size_do_not_crash():
    frames = [pan(0), pan(1), cv2.resize(pan(2), (W // 2, H // 2)), texture(3)[:H, :W], pan(3)[:1, :1]]
    ego = pushed(frames, [np.ones(f.shape[:2], bool) for f in frames])
    assert ego.between(0, 4).inliers == 0


def test_the_result_does_not_depend_on_other_random_calls():
    cv2.setRNGSeed(1)
    first = pushed([pan(k) for k in range(4)]).between(0, 3)
    cv2.setRNGSeed(77)
    cv2.randu(np.zeros((3, 3), np.uint8), 0, 255)
    second = pushed([pan(k) for k in range(4)]).between(0, 3)
    assert np.array_equal(first.rotation, second.rotation)


def test_memory_is_bounded_and_what_is_kept_is_the_same():
    frames = [pan(k) for k in range(12)]
    long, short = pushed(frames), pushed(frames, keep=4)
    assert len(short._steps._steps) == 4
    assert np.allclose(long.between(8, 11).rotation, short.between(8, 11).rotation)
    assert short.between(0, 11).inliers == 0


def test_fixed_ego():
    assert FixedEgo().between(3, 9).rotation.tolist() == np.eye(3).tolist()


@pytest.mark.parametrize("size", [(1, 2000), (2000, 1)])
def test_a_line_is_an_image_too(size):
    rng = np.random.default_rng(0)
    frames = rng.integers(0, 256, (3, *size, 3), dtype=np.uint8)
    assert np.isfinite(pushed(frames, np.zeros((3, *size), bool)).between(0, 2).rotation).all()
