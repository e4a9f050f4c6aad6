import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samodal.errors import InputError
from samodal.masks import erode
from samodal.prompts import STRATEGIES, corners, mask_prompts, pick_points, prompt_rng

GOLDEN = Path(__file__).parents[1] / ".." / "shared" / "golden" / "06_points"


@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from(sorted(STRATEGIES)))
def test_points_lie_in_the_mask_and_do_not_repeat(seed: int, count: int, strategy: str) -> None:
    rng = np.random.default_rng(seed)
    mask = rng.random((9, 14)) < rng.random()
    points = pick_points(mask, strategy, count, rng)
    if not mask.any():
        assert points.shape == (0, 2)
        return
    assert points.shape == (count, 2)
    assert points.dtype == np.int64
    assert mask[points[:, 1], points[:, 0]].all()
    if count <= mask.sum() and not erode(mask).any():
        assert len(np.unique(points, axis=0)) == count


def test_eroded_points_keep_away_from_the_edge() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    points = pick_points(mask, "eroded-random", 200, np.random.default_rng(0))
    assert points[:, 0].min() >= 23
    assert points[:, 0].max() <= 46
    assert points[:, 1].min() >= 13
    assert points[:, 1].max() <= 26


def test_a_mask_too_thin_for_erosion_is_used_whole() -> None:
    mask = np.zeros((20, 20), bool)
    mask[10, 3:17] = True
    assert (pick_points(mask, "eroded-random", 5, np.random.default_rng(0))[:, 1] == 10).all()


def test_a_draw_depends_on_its_place_alone() -> None:
    mask = np.ones((50, 50), bool)
    place = (7, 1, 12, 33)
    once = pick_points(mask, "random", 3, prompt_rng(*place))
    prompt_rng(7, 1, 12, 32).random(100)
    assert (pick_points(mask, "random", 3, prompt_rng(*place)) == once).all()
    assert (pick_points(mask, "random", 3, prompt_rng(7, 1, 12, 34)) != once).any()


@pytest.mark.parametrize(("strategy", "count"), [("nearest", 1), ("random", 0)])
def test_bad_options(strategy: str, count: int) -> None:
    with pytest.raises(InputError):
        pick_points(np.ones((4, 4), bool), strategy, count, np.random.default_rng(0))


@pytest.mark.skipif(not GOLDEN.exists(), reason="needs the recorded numbers of the original in ../shared")
def test_candidates_of_the_original() -> None:
    """The original draws from the same pixels: its recorded point is one of ours for every mask."""
    arrays = np.load(GOLDEN / "points.npz")
    recorded = json.loads((GOLDEN / "points.json").read_text())
    height, width = recorded["image_hw"]

    def unpack(name: str) -> np.ndarray:
        return np.unpackbits(arrays[name])[: height * width].reshape(height, width).astype(bool)

    for case in recorded["masks"]:
        mask, eroded = arrays[f"mask__{case['name']}"].astype(bool), unpack(f"eroded__{case['name']}")
        assert (erode(mask) == eroded).all(), case["name"]
        candidates = eroded if eroded.any() else mask
        drawn = pick_points(mask, "eroded-random", 50, np.random.default_rng(0))
        for x, y in [*case["three_candidates_drawn_xy"], *drawn.tolist()]:
            assert candidates[y, x], case["name"]


def test_mask_prompts_say_what_is_known() -> None:
    cells = np.zeros((3, 12, 12))
    cells[0, 4:8, 2:4] = 1  # the instance
    cells[1, 4:10, 4:7] = 1  # reaches further down: stands before it
    cells[2, 1:4, 2:4] = 1  # ends above it: stands behind it
    first, second, third = mask_prompts(cells)
    assert (first[4:8, 2:4] == 6).all()
    assert (np.diff(first[5, 3:7]) < 0).all(), "the further away the less likely"
    assert first[5, 6] > first[5, 1], (
        "what another may hide is more likely inside than what lies bare beside it"
    )
    assert -1.5 <= first[5, 6] <= 3
    assert -6 <= first[3, 3] <= -3, "what stands behind hides nothing"
    assert (second[4:8, 2:4] <= -3).all()
    assert -1.5 <= third[5, 2] <= 3


def test_mask_prompts_of_nothing() -> None:
    assert mask_prompts(np.zeros((0, 5, 7))).shape == (0, 5, 7)
    assert (mask_prompts(np.zeros((1, 5, 7))) == -6).all()


def test_corners() -> None:
    mask = np.zeros((10, 12), bool)
    mask[3:5, 7:12] = True
    assert corners(mask).tolist() == [7, 3, 11, 4]
