import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from samodal import masks
from samodal.motion import Prediction
from samodal.motion.ego import FixedEgo
from samodal.motion.measure import measure
from samodal.motion.observation import Observation, observe
from samodal.motion.perspective import PerspectiveMotion
from samodal.motion.rhythm import LONGEST, SHORTEST, find_period, in_step
from samodal.motion.shape import carry
from samodal.recover import recover_track
from samodal.video import Track

H, W = 120, 200


def walker(frame: int, period: float, size: float = 1.0, speed: float = 2.0) -> np.ndarray:
    """A body on two legs that open and close, walking to the right."""
    y, x = np.mgrid[:H, :W] / size
    x = x - 20 / size - speed * frame / size
    swing = 8 * np.sin(2 * np.pi * frame / period) * (y - 35) / 25
    body = (np.abs(x) < 6) & (y >= 5) & (y < 35)
    legs = (np.abs(np.abs(x) - np.abs(swing)) < 3) & (y >= 35) & (y < 60)
    return body | legs


def seen(frames, period: float, **looks: float) -> list[Observation]:
    return [observe(k, masks.encode(walker(k, period, **looks)), 1.0) for k in frames]


@settings(max_examples=25, deadline=None)
@given(st.floats(9, 22), st.floats(0.7, 1.5), st.integers(0, 5))
def test_legs_repeat_twice_a_cycle(period, size, first):
    observations = seen(range(first, first + 26), period, size=size, speed=1.0)
    found = find_period(observations, np.ones(26))
    assert found is not None
    assert found == pytest.approx(period / 2, rel=0.08)


@pytest.mark.parametrize("change", ["nothing", "slow", "noise"])
def test_what_does_not_repeat_has_no_rhythm(change):
    rng = np.random.default_rng(0)
    observations = []
    for k in range(26):
        mask = np.zeros((H, W), bool)
        width = 40 + {"nothing": 0, "slow": k, "noise": rng.integers(-3, 4)}[change]
        mask[30:60, 20 + k : 20 + k + width] = True
        observations.append(observe(k, masks.encode(mask), 1.0))
    assert find_period(observations, np.ones(26)) is None
    assert (in_step(observations, np.ones(26), 40) == 1).all()


def visited(seed: int) -> list[Observation]:
    """A box on which things settle and leave as they like, as birds do at a feeder."""
    rng = np.random.default_rng(seed)
    there, observations = np.zeros((2, 6), bool), []
    for k in range(26):
        there ^= rng.random((2, 6)) < 0.2
        mask = np.zeros((H, W), bool)
        mask[40:90, 60:120] = True
        for side, place in np.argwhere(there):
            top, left = (24, 90)[side], 60 + 10 * place
            mask[top : top + 16, left : left + 8] = True
        observations.append(observe(k, masks.encode(mask), 1.0))
    return observations


def test_coming_and_going_is_hardly_ever_taken_for_a_rhythm():
    found = [find_period(visited(seed), np.ones(26)) for seed in range(40)]
    assert sum(period is not None for period in found) <= 1


def test_too_little_says_nothing():
    observations = seen(range(26), 12)
    assert find_period(observations[:7], np.ones(7)) is None
    assert find_period(observations, np.full(26, 0.4)) is None, "all of them are badly seen"


@settings(max_examples=25, deadline=None)
@given(st.sets(st.integers(0, 40), max_size=30), st.floats(8, 24))
@example(set(range(0, 41, 2)), 8.0)
def test_any_frames_will_do(frames, period):
    observations = seen(sorted(frames), period, speed=1.0)
    found = find_period(observations, np.ones(len(frames)))
    assert found is None or (SHORTEST <= found <= LONGEST and len(frames) >= 6)


def test_a_hidden_walker_goes_on_walking():
    """Behind a bus, the legs are where they would be: nearer to the truth than the mean of all masks."""
    period, hidden = 14.0, range(24, 40)
    observations = seen([*range(24), *range(40, 52)], period)
    assert in_step(observations, np.ones(36), 31) == pytest.approx(
        np.exp(2 * (np.cos(2 * np.pi * (31 - np.array([o.frame for o in observations])) / 7) - 1)), abs=0.3
    )
    scores, blurred = [], []
    for frame in hidden:
        truth = observe(frame, masks.encode(walker(frame, period)), 1.0)
        for known, found in (
            (observations, scores),
            (observations[:7], blurred),
        ):  # 7: too few to tell the rhythm
            there = Prediction(tuple(truth.center.tolist()), float(measure(known).scales[0]), 0.0, 0.0)
            found.append(masks.iou(carry(known, frame, there, FixedEgo()).mask((H, W)), truth.amodal))
    assert np.mean(scores) > 0.85
    assert np.mean(scores) > np.mean(blurred) + 0.05


def test_a_walker_keeps_the_step_above_a_fence():
    """Where only the body is seen, the legs are where they would be, and not the mean of all legs."""
    period, behind = 14.0, range(28, 38)
    fence = np.zeros((H, W), bool)
    fence[35:] = True
    truth = [walker(frame, period) for frame in range(48)]
    shown = [mask & ~fence if frame in behind else mask for frame, mask in enumerate(truth)]
    visible = [masks.encode(mask) for mask in shown]
    scene = [
        masks.Runs(masks.encode(mask | fence if frame in behind else mask))
        for frame, mask in enumerate(shown)
    ]
    track = Track(1, 1, 0.9, visible=visible, amodal=list(visible))
    found = recover_track(track, PerspectiveMotion(), scene=scene)
    legs = [(masks.decode(found.amodal[k])[35:], truth[k][35:]) for k in behind]
    assert np.mean([(a & b).sum() / (a | b).sum() for a, b in legs]) > 0.8
