import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samodal.motion.smoothing import constant_velocity, smooth


def kalman_rts(times, values, sigmas, velocity, change):
    """The same estimate in its usual form: forward filter and backward smoother, from a vague start."""
    transition = np.array([[1.0, 1.0], [0.0, 1.0]])
    noise = change**2 * np.array([[1 / 3, 1 / 2], [1 / 2, 1.0]])
    mean, cov = np.array([values[0], 0.0]), np.diag([1e8, velocity**2])
    measured = dict(zip(times, zip(values, sigmas, strict=True), strict=True))
    filtered, predicted = [], []
    for t in range(times[0], times[-1] + 1):
        if t > times[0]:
            mean, cov = transition @ mean, transition @ cov @ transition.T + noise
        predicted.append((mean, cov))
        if t in measured:
            value, sigma = measured[t]
            gain = cov[:, 0] / (cov[0, 0] + sigma**2)
            mean, cov = mean + gain * (value - mean[0]), cov - np.outer(gain, cov[0])
        filtered.append((mean, cov))
    smoothed = [filtered[-1]]
    for (m, c), (mp, cp) in zip(filtered[-2::-1], predicted[:0:-1], strict=True):
        gain = c @ transition.T @ np.linalg.inv(cp)
        ms, cs = smoothed[-1]
        smoothed.append((m + gain @ (ms - mp), c + gain @ (cs - cp) @ gain.T))
    return np.array([(m[0], c[0, 0] ** 0.5) for m, c in smoothed[::-1]])


def test_equals_kalman_filter_and_rts_smoother():
    rng = np.random.default_rng(0)
    times = np.array([0, 1, 2, 3, 5, 6, 15, 16, 17])
    values = 3.0 + 0.7 * times + rng.normal(0, 0.5, len(times))
    sigmas = rng.uniform(0.3, 1.0, len(times))
    of_one = np.array([2.0]), np.array([0.1])
    (mean,), (variance,), _ = constant_velocity(
        times, values[None], np.diag(sigmas**2), np.arange(18), *of_one
    )
    expected = kalman_rts(times, values, sigmas, 2.0, 0.1)
    assert np.allclose(mean, expected[:, 0], atol=1e-2)
    scale = variance**0.5 / expected[:, 1]  # one factor for all, from the misfit of the values
    assert np.allclose(scale, scale[0], rtol=0.01)


def test_a_wild_thing_is_predicted_with_less_confidence():
    times, at = np.arange(20), np.array([30])
    options = {"velocity": 1.0, "change": 0.01}
    _, calm = smooth(times, times * 0.5, np.eye(20), at, **options)
    _, wild = smooth(times, times * 0.5 + 4.0 * (-1.0) ** times, np.eye(20), at, **options)
    assert wild[0] > 2 * calm[0]


@given(st.floats(0.05, 5), st.floats(-100, 100), st.integers(8, 30))
def test_a_straight_line_goes_on(slope, start, count):
    times = np.arange(count)
    mean, _ = smooth(
        times, start + slope * times, 1e-4 * np.eye(count), np.array([count + 9]), velocity=50.0, change=1e-3
    )
    assert abs(mean[0] - (start + slope * (count + 9))) < 0.02 * abs(slope) + 0.05


def test_uncertainty_grows_into_the_gap_and_shrinks_with_a_far_side():
    times, values, at = np.arange(10), np.zeros(10), np.arange(10, 30)
    _, ahead = smooth(times, values, np.eye(10), at, velocity=1.0, change=0.05)
    assert (np.diff(ahead) > 0).all()
    both = np.concatenate([times, np.arange(30, 35)])
    _, between = smooth(both, np.zeros(15), np.eye(15), at, velocity=1.0, change=0.05)
    assert (between < ahead).all()


def test_what_errs_together_is_well_known_in_its_velocity():
    """Steps that follow one another give differences; where all of them are is another matter."""
    times, at = np.arange(10), np.array([14])
    noise = 0.01 * np.eye(10) + 4.0
    mean, sigma = smooth(times, 3.0 + 2.0 * times, noise, at, velocity=5.0, change=0.01)
    assert mean[0] == pytest.approx(31.0, abs=0.1)
    _, apart = smooth(times, 3.0 + 2.0 * times, 4.01 * np.eye(10), at, velocity=5.0, change=0.01)
    _, sure = smooth(times, 3.0 + 2.0 * times, 0.01 * np.eye(10), at, velocity=5.0, change=0.01)
    assert sure[0] < 0.2 * sigma[0]
    assert 1 < sigma[0] < apart[0]


def test_one_value_holds():
    mean, sigma = smooth(
        np.array([4]), np.array([7.0]), np.array([[0.25]]), np.array([4, 9]), velocity=1.0, change=0.1
    )
    assert np.allclose(mean, 7.0, atol=1e-3)
    assert sigma[1] > 2


def test_a_parked_thing_does_not_drift():
    """Half of all noisy still series seem to move; twenty frames on they must still be there."""
    rng = np.random.default_rng(0)
    drift, moved = [], []
    for _ in range(50):
        values = rng.normal(0, 0.5, 20)
        times, noise, at = np.arange(20), 0.25 * np.eye(20), np.array([39])
        drift.append(smooth(times, values, noise, at, velocity=5.0, change=0.3)[0][0])
        moving = constant_velocity(times, values[None], noise, at, np.array([5.0]), np.array([0.3]))
        moved.append(moving[0][0, 0])
    assert np.std(drift) < 0.5 * np.std(moved)
    slow = 0.2 * np.arange(20) + rng.normal(0, 0.1, 20)
    mean, _ = smooth(np.arange(20), slow, 0.01 * np.eye(20), np.array([39]), velocity=5.0, change=0.01)
    assert abs(mean[0] - 0.2 * 39) < 0.5


STILL = (-0.5 * np.arange(1), -0.5 * np.arange(1, 12))  # the camera passes


def test_what_was_seen_once_stands_in_the_world():
    mean, sigma = smooth(
        np.arange(1),
        np.array([7.0]),
        np.array([[0.01]]),
        np.arange(1, 12),
        velocity=0.2,
        change=0.01,
        still=STILL,
    )
    assert abs(mean[-1] - (7.0 - 0.5 * 11)) < 0.5
    assert sigma[-1] > 1.0  # it may move, or keep its place before the camera


@pytest.mark.parametrize("speed", [0.0, 0.3])
def test_what_was_seen_moving_moves_on(speed):
    """Before the camera, whatever the camera does."""
    times, at = np.arange(12), np.array([20])
    mean, _ = smooth(
        times,
        7.0 + speed * times,
        0.05**2 * np.eye(12),
        at,
        velocity=0.5,
        change=0.01,
        still=(-0.5 * times, -0.5 * at),
    )
    assert mean[0] == pytest.approx(7.0 + speed * 20, abs=0.3)
