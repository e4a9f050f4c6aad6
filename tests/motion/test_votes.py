"""Points vote for the place of a hidden instance, and are doubted."""

import numpy as np
import pytest

from samodal.motion import Prediction
from samodal.motion.votes import fuse, vote

CENTER, SCALE = np.array([50.0, 40.0]), 20.0
STARTS = np.random.default_rng(0).uniform(-9, 9, (12, 2)) + CENTER
HIDDEN = np.zeros(12)


def moved(zoom: float, way: tuple[float, float]) -> np.ndarray:
    return CENTER + way + zoom * (STARTS - CENTER)


@pytest.mark.parametrize(
    ("zoom", "way"), [(1.0, (0.0, 0.0)), (1.0, (13.5, -4.0)), (1.25, (-30.0, 2.0)), (0.8, (5.0, 9.0))]
)
def test_points_that_move_together_say_where_and_how_large(zoom, way):
    said = vote(STARTS, moved(zoom, way), HIDDEN, CENTER, SCALE, age=4)
    assert said is not None
    np.testing.assert_allclose(said.center, CENTER + way, atol=1e-6)
    assert said.scale == pytest.approx(zoom * SCALE)


def test_strays_do_not_outvote_the_others():
    ends = moved(1.1, (6.0, 3.0))
    ends[:4] += [40.0, -25.0]
    said = vote(STARTS, ends, HIDDEN, CENTER, SCALE, age=4)
    assert said is not None
    assert np.hypot(*(np.array(said.center) - CENTER - (6, 3))) < 2
    shaken = vote(STARTS, ends + np.random.default_rng(1).normal(0, 3, (12, 2)), HIDDEN, CENTER, SCALE, age=4)
    assert shaken is not None
    assert shaken.sigma > said.sigma


def test_a_point_that_is_seen_is_on_the_occluder():
    ends, prob = moved(1.0, (4.0, 0.0)), HIDDEN.copy()
    ends[:8], prob[:8] = moved(1.0, (-60.0, 0.0))[:8], 0.9
    said = vote(STARTS, ends, prob, CENTER, SCALE, age=4)
    assert said is not None
    np.testing.assert_allclose(said.center, CENTER + np.array([4, 0]), atol=1e-6)
    assert vote(STARTS, ends, np.ones(12), CENTER, SCALE, age=4) is None


def test_too_few_points_have_no_vote():
    ends = np.full((12, 2), np.nan)
    ends[:2] = STARTS[:2]
    assert vote(STARTS, ends, HIDDEN, CENTER, SCALE, age=1) is None
    assert vote(STARTS[:0], ends[:0], HIDDEN[:0], CENTER, SCALE, age=1) is None


def test_votes_count_by_how_sure_they_are():
    motion = Prediction((100.0, 50.0), 20.0, sigma=6.0, size_sigma=0.3)
    sure = fuse(motion, Prediction((106.0, 50.0), 24.0, sigma=1.0, size_sigma=0.05))
    unsure = fuse(motion, Prediction((106.0, 50.0), 24.0, sigma=12.0, size_sigma=0.6))
    assert 105.5 < sure.center[0] < 106
    assert 100 < unsure.center[0] < 102
    assert sure.sigma < 1.0
    assert 23 < sure.scale < 24
    assert fuse(motion, None) == motion


def test_what_the_motion_finds_impossible_is_not_believed():
    motion = Prediction((100.0, 50.0), 20.0, sigma=2.0, size_sigma=0.1)
    assert fuse(motion, Prediction((160.0, 50.0), 20.0, sigma=1.0, size_sigma=0.05)) == motion
