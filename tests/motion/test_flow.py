import cv2
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from samodal import masks
from samodal.motion.ego import FixedEgo
from samodal.motion.flow import InstanceFlow, fit_step
from samodal.motion.measure import measure
from samodal.motion.observation import Step, observe
from samodal.motion.perspective import PerspectiveMotion

H, W = 180, 320


def texture(seed: int, height: int, width: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    noise = cv2.GaussianBlur(rng.integers(0, 256, (height, width, 3), dtype=np.uint8), (0, 0), 1.5)
    return cv2.normalize(noise, None, 0, 255, cv2.NORM_MINMAX)


def frame(
    x: float, y: float, zoom: float = 1.0, wall: int = W, size: int = 40
) -> tuple[np.ndarray, np.ndarray]:
    """A textured square whose corner is at x, y, before a still wall and behind another from column `wall` on; and
    what is seen of it."""
    picture = texture(0, H, W)
    place = np.array([[zoom, 0, x], [0, zoom, y]])
    thing = cv2.warpAffine(texture(1, size, size), place, (W, H))
    shown = cv2.warpAffine(np.ones((size, size), np.uint8), place, (W, H), flags=cv2.INTER_NEAREST) > 0
    picture[shown] = thing[shown]
    picture[:, wall:] = texture(2, H, W)[:, wall:]
    shown[:, wall:] = False
    return picture, shown


def step_between(first, second) -> Step | None:
    flow = InstanceFlow()
    assert flow.push(first[0], {5: first[1]}) == {}
    return flow.push(second[0], {5: second[1]}).get(5)


@pytest.mark.parametrize("wall", [W, 120])
def test_a_step_is_that_of_the_thing_also_where_most_of_it_is_hidden(wall):
    step = step_between(frame(100, 60, wall=wall), frame(103.4, 61.7, wall=wall))
    corner = step.end + step.zoom * (np.array([100, 60]) - step.start)
    assert corner == pytest.approx([103.4, 61.7], abs=0.4)
    assert step.zoom == pytest.approx(1, abs=0.02)
    assert step.sigma < 1


def test_a_thing_that_comes_near_grows():
    step = step_between(frame(100, 60, size=60), frame(97, 58, 1.06, size=60))
    assert step.zoom == pytest.approx(1.06, abs=0.015)
    assert step.end + step.zoom * (np.array([100, 60]) - step.start) == pytest.approx([97, 58], abs=0.6)


def test_a_wide_frame_gives_steps_in_its_own_pixels():
    def large(x: float, y: float) -> tuple[np.ndarray, np.ndarray]:
        picture, shown = frame(x, y)
        whole = np.repeat(np.repeat(shown, 4, 0), 4, 1)
        return cv2.resize(picture, (4 * W, 4 * H), interpolation=cv2.INTER_CUBIC), whole

    step = step_between(large(100, 60), large(102, 60))
    assert step.end - step.start == pytest.approx([8, 0], abs=1.2)


def test_what_cannot_be_followed_has_no_step():
    flow = InstanceFlow()
    picture, shown = frame(100, 60)
    flow.push(picture, {1: shown, 2: np.zeros((H, W), bool)})
    assert set(flow.push(picture, {1: shown, 2: shown, 3: shown})) == {1}, "only what both frames show"
    plain = np.full_like(picture, 90)
    assert flow.push(plain, {1: shown}) == {}, "nothing of the frame before is found again"
    assert flow.push(plain, {1: shown}) == {}, "no corners"
    assert flow.push(picture[:90, :160], {1: shown[:90, :160]}) == {}, "another size"
    assert flow.push(picture[:90, :160], {}) == {}


@settings(max_examples=40, deadline=None)
@given(
    st.integers(2, 40),
    st.floats(-9, 9),
    st.floats(-9, 9),
    st.floats(0.9, 1.1),
    st.integers(0, 2**32 - 1),
)
@example(5, 0.0, 0.0, 1.0, 211992977)
@example(10, 0.0, 0.0, 1.0, 7414883)
def test_stray_corners_hardly_count(n, dx, dy, zoom, seed):
    rng = np.random.default_rng(seed)
    starts = rng.uniform(0, 60, (n, 2))
    ends = (starts - 30) * zoom + 30 + [dx, dy]
    stray = n // 5
    ends[:stray] += rng.uniform(-20, 20, (stray, 2))
    step = fit_step(starts, ends)
    if step is None:  # one of a few that flew off may leave them in doubt
        assert stray > 0
        assert n < 10
        return
    middle = step.end + step.zoom * (np.array([30, 30]) - step.start)
    if n >= 10:
        assert step.zoom == pytest.approx(zoom, abs=0.02)
        assert middle == pytest.approx([30 + dx, 30 + dy], abs=1)
    assert 0 < step.sigma < 20
    assert 0 < step.zoom_sigma < 2


def test_corners_that_do_not_move_as_one_say_nothing():
    rng = np.random.default_rng(0)
    starts = rng.uniform(0, 60, (12, 2))
    assert fit_step(starts, starts + rng.uniform(-25, 25, (12, 2))) is None
    assert fit_step(starts[:1], starts[:1]) is None


def rectangle(x: float, w: float) -> masks.Rle:
    mask = np.zeros((H, W), bool)
    mask[60:100, int(x) : int(x + w)] = True
    return masks.encode(mask)


def test_steps_keep_the_course_where_the_masks_shrink():
    """A car drives behind a bus, 3 pixels a frame, and the guess of its whole gets smaller and smaller."""
    widths = (40, 40, 40, 40, 34, 27, 20)
    step = Step(np.array([120.0, 80.0]), np.array([123.0, 80.0]), 1.0, 0.2, 0.01)
    seen = [
        observe(k, rectangle(100 + 3 * k, w), min(1.0, w / 40), step=step if k else None)
        for k, w in enumerate(widths)
    ]
    with_steps, without = (
        measure(seen),
        measure([observe(o.frame, o.amodal, o.visible_fraction) for o in seen]),
    )
    wanted = 119.5 + 3 * np.arange(7)
    off, off_without = (np.abs(m.centers[:, 0] - wanted).max() for m in (with_steps, without))
    assert off < 0.6 * off_without
    assert with_steps.scales == pytest.approx(40, rel=0.02)  # it gets narrower, but no farther away
    assert (with_steps.center_sigmas < without.center_sigmas).all()


def test_a_step_that_the_masks_contradict_is_not_believed():
    """All corners stick to the bus that drives past."""
    wrong = Step(np.array([120.0, 80.0]), np.array([98.0, 80.0]), 1.0, 0.2, 0.01)
    seen = [observe(k, rectangle(100 + 3 * k, 40), 1.0, step=wrong if k == 3 else None) for k in range(5)]
    assert measure(seen).centers[:, 0] == pytest.approx(119.5 + 3 * np.arange(5))


def test_a_step_counts_only_between_neighbouring_frames():
    step = Step(np.array([120.0, 80.0]), np.array([150.0, 80.0]), 1.1, 0.2, 0.01)
    seen = [observe(0, rectangle(100, 40), 1.0), observe(3, rectangle(104, 40), 1.0, step=step)]
    first = [observe(0, rectangle(100, 40), 1.0, step=step)]
    assert measure(seen).centers.tolist() == [[119.5, 79.5], [123.5, 79.5]]
    assert measure(first).centers.tolist() == [[119.5, 79.5]]


@settings(max_examples=40, deadline=None)
@given(st.integers(2, 45), st.integers(0, 2**32 - 1))
def test_whatever_is_measured_can_be_followed(n, seed):
    """Masks that the border cuts on any side, jump, and vanish, chained by steps of any kind."""
    rng = np.random.default_rng(seed)
    seen = []
    for k in range(n):
        x, y = rng.integers(-60, W), rng.integers(-60, H)
        mask = np.zeros((H, W), bool)
        mask[max(0, y) : max(1, y + rng.integers(1, 300)), max(0, x) : max(1, x + rng.integers(1, 400))] = (
            True
        )
        zoom, sigma, zoom_sigma = rng.uniform(0.83, 1.2), 10 ** rng.uniform(-1, 1), 10 ** rng.uniform(-2, 0)
        step = Step(rng.uniform(0, W, 2), rng.uniform(0, W, 2), zoom, sigma, zoom_sigma)
        seen.append(observe(k, masks.encode(mask), rng.uniform(), step=step if rng.uniform() < 0.8 else None))
    found = PerspectiveMotion().predict(seen, n + 3, FixedEgo())
    assert np.isfinite([*found.center, found.scale, found.sigma, found.size_sigma]).all()
