import json
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samodal import masks
from samodal.errors import InputError
from samodal.masks import erode
from samodal.prompts import STRATEGIES, pick_points, points_of_frame, prompt_rng
from samodal.prompts.entropy import local_entropy

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "06_points"
SHARED = Path(__file__).parents[2] / ".." / "shared" / "golden" / "10_datasets"
ARRAYS, RECORDED = np.load(GOLDEN / "points.npz"), json.loads((GOLDEN / "points.json").read_text())
CASES = {case["name"]: case for case in RECORDED["masks"]}

DETERMINISTIC = ["max-entropy", "saliency"]


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def noise(size: tuple[int, int], seed: int = 0, levels: int = 256) -> np.ndarray:
    return rng(seed).integers(0, levels, (*size, 3), dtype=np.uint8)


# ---- what the original recorded ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", CASES)
def test_golden_candidates(name: str) -> None:
    case, mask = CASES[name], ARRAYS[f"mask__{name}"].astype(bool)
    eroded = np.unpackbits(ARRAYS[f"eroded__{name}"])[: mask.size].reshape(mask.shape).astype(bool)
    assert (erode(mask) == eroded).all()
    candidates = eroded if eroded.any() else mask
    drawn = pick_points(mask, "eroded-random", min(50, int(candidates.sum())), rng())
    for x, y in [*case["three_candidates_drawn_xy"], *drawn.tolist()]:
        assert candidates[y, x]


@pytest.mark.parametrize(
    ("name", "strategy"),
    [
        (name, strategy)
        for name, case in CASES.items()
        for strategy in ("max-distance", "max-entropy")  # max-entropy of the full mask was not recorded
        if "correct_" + strategy.replace("-", "_") in case
    ],
)
def test_golden_points(name: str, strategy: str) -> None:
    """Of all recorded ties ours is the topmost, then leftmost."""
    case = CASES[name]
    correct = case["correct_" + strategy.replace("-", "_")]
    start = np.array(case["start_point_xy"])
    point = pick_points(ARRAYS[f"mask__{name}"].astype(bool), strategy, 1, rng(), ARRAYS["image"], start)
    assert point.tolist() == [min(correct["argmax_points_xy"], key=lambda xy: xy[::-1])]


@pytest.mark.parametrize("name", [name for name in CASES if "correct_max_entropy" in CASES[name]])
def test_golden_entropy_differences(name: str) -> None:
    height, width = ARRAYS["image"].shape[:2]
    entropy = local_entropy(ARRAYS["image"], (0, height), (0, width))
    x, y = CASES[name]["start_point_xy"]
    found = np.abs(entropy - entropy[y, x])[ARRAYS[f"mask__{name}"].astype(bool)].max()
    assert found == pytest.approx(CASES[name]["correct_max_entropy"]["max_entropy_difference"], abs=1e-6)


def test_golden_patch_entropy() -> None:
    for patch in RECORDED["image_entropy"]:
        (top, _), (left, _) = patch["rows"], patch["cols"]
        found = local_entropy(ARRAYS["image"], (top + 4, top + 5), (left + 4, left + 5))
        assert found.item() == pytest.approx(patch["correct_entropy_rgb_weights"], abs=1e-6)


@pytest.mark.skipif(not SHARED.exists(), reason="needs the recorded numbers of the original in ../shared")
def test_golden_points_of_a_data_set_lie_in_our_masks() -> None:
    """Random points of the original, one or four; those of its other options are mixed up (B21, B22)."""
    items = {item["index"]: item for item in json.loads((SHARED / "asd_expected_items.json").read_text())}
    recorded = json.loads((SHARED / "asd_expected_point_options.json").read_text())["results"]
    compared = 0
    for entry in [*recorded["random"], *recorded["num_points_4"]]:
        if items[entry["index"]].get("visible") is None:
            continue
        mask = masks.decode(items[entry["index"]]["visible"])
        if "error" in entry:  # nothing is seen: the original crashes
            assert pick_points(mask, "random", 4, rng()).shape == (0, 2)
            continue
        points = np.array(entry.get("points_xy", entry.get("point_xy")))
        assert mask[points[:, 1], points[:, 0]].all()
        compared += 1
    assert compared > 30


# ---- what holds for every strategy --------------------------------------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 12), st.sampled_from(sorted(STRATEGIES)), st.booleans())
def test_points_lie_in_the_mask_and_do_not_repeat(
    seed: int, count: int, strategy: str, with_start: bool
) -> None:
    random = rng(seed)
    size = int(random.integers(1, 15)), int(random.integers(1, 20))
    mask = random.random(size) < random.random()
    start = random.integers((0, 0), size[::-1]) if with_start else None
    points = pick_points(mask, strategy, count, random, noise(size, seed), start)
    if not mask.any():
        assert points.shape == (0, 2)
        return
    assert points.shape == (count, 2)
    assert points.dtype == np.int64
    assert mask[points[:, 1], points[:, 0]].all()
    if count <= mask.sum():
        assert len(np.unique(points, axis=0)) == count


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_draw_depends_on_its_place_alone(strategy: str) -> None:
    mask, image, place = np.ones((50, 50), bool), noise((50, 50)), (7, 1, 12, 33)
    once = pick_points(mask, strategy, 3, prompt_rng(*place), image)
    prompt_rng(7, 1, 12, 32).random(100)
    assert (pick_points(mask, strategy, 3, prompt_rng(*place), image) == once).all()
    other = pick_points(mask, strategy, 3, prompt_rng(7, 1, 12, 34), image)
    if strategy in DETERMINISTIC:
        assert (other == once).all()
    elif strategy != "max-distance":  # whose starts may agree on what is far away
        assert (other != once).any()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_a_point_does_not_depend_on_the_company(strategy: str) -> None:
    visible = np.zeros((3, 40, 60), bool)
    visible[0, 5:20, 3:30], visible[1, 15:35, 33:58], visible[2, 30, 5] = True, True, True
    image = noise((40, 60))
    together = points_of_frame(visible, strategy, 4, [prompt_rng(0, i) for i in range(3)], image)
    assert together.shape == (3, 4, 2)
    for i in range(3):
        alone = points_of_frame(visible[i : i + 1], strategy, 4, [prompt_rng(0, i)], image)
        assert (alone[0] == together[i]).all()
        assert (pick_points(visible[i], strategy, 4, prompt_rng(0, i), image) == together[i]).all()
    assert points_of_frame(visible[:0], strategy, 4, [], image).shape == (0, 4, 2)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 2**32), st.sampled_from(["max-distance", "max-entropy", "saliency"]), st.booleans())
def test_a_mirrored_image_gives_the_mirrored_point(seed: int, strategy: str, upside_down: bool) -> None:
    """Where one pixel is the best; entropy away from the borders, where its patches are cut on one side only."""
    random = rng(seed)
    size = 34, 46
    mask = np.zeros(size, bool)
    mask[4:-4, 4:-4] = random.random((26, 38)) < 0.3
    image, salient, start = noise(size, seed), random.random(size), random.integers((4, 4), (42, 30))
    flip = (slice(None, None, -1),) if upside_down else (slice(None), slice(None, None, -1))
    mirrored = start.copy()
    mirrored[int(upside_down)] = size[1 - int(upside_down)] - 1 - start[int(upside_down)]
    (x, y), (u, v) = (
        pick_points(mask, strategy, 1, rng(), image, start, salient)[0],
        pick_points(mask[flip], strategy, 1, rng(), image[flip], mirrored, salient[flip])[0],
    )
    back = np.array([u, size[0] - 1 - v] if upside_down else [size[1] - 1 - u, v])
    if strategy == "max-distance":
        assert ((back - start) ** 2).sum() == ((np.array([x, y]) - start) ** 2).sum()
    elif strategy == "max-entropy":
        entropy = np.abs(
            local_entropy(image, (0, 34), (0, 46))
            - local_entropy(image, (start[1], start[1] + 1), (start[0], start[0] + 1))
        )
        assert entropy[back[1], back[0]] == entropy[y, x]
    else:
        assert back.tolist() == [x, y]


# ---- each by itself -----------------------------------------------------------------------------------------


def test_eroded_points_keep_away_from_the_edge() -> None:
    mask = np.zeros((40, 60), bool)
    mask[10:30, 20:50] = True
    points = pick_points(mask, "eroded-random", 200, rng())
    assert points.min(axis=0).tolist() >= [23, 13]
    assert points[:, 0].max() <= 46
    assert points[:, 1].max() <= 26


def test_a_mask_too_thin_for_erosion_is_used_whole() -> None:
    mask = np.zeros((20, 20), bool)
    mask[10, 3:17] = True
    assert (pick_points(mask, "eroded-random", 5, rng())[:, 1] == 10).all()


def test_inner_pixels_come_first() -> None:
    mask = np.zeros((20, 20), bool)
    mask[5:13, 5:13] = True
    points = pick_points(mask, "eroded-random", 64, rng())
    assert set(map(tuple, points[:4].tolist())) == {(8, 8), (8, 9), (9, 8), (9, 9)}
    assert len(np.unique(points, axis=0)) == 64


def test_max_distance_spreads_its_points() -> None:
    mask = rng().random((25, 31)) < 0.4
    start = np.array([3, 20])
    points = pick_points(mask, "max-distance", 6, rng(), start=start)
    pixels = np.argwhere(mask)[:, ::-1]
    for i, point in enumerate(points):
        before = points[:i] if i else start[None]
        nearest = ((pixels[:, None] - before[None]) ** 2).sum(axis=2).min(axis=1)
        assert (pixels[nearest.argmax()] == point).all()


def test_max_distance_draws_its_start_away_from_the_edge() -> None:
    mask = np.zeros((30, 30), bool)
    mask[4:11, 4:11] = True  # erosion leaves (7, 7): all corners are equally far
    mask[20, 29] = True
    assert all(pick_points(mask, "max-distance", 1, rng(s)).tolist() == [[29, 20]] for s in range(5))


@pytest.mark.parametrize("levels", [2, 256])
def test_local_entropy_is_that_of_the_patch(levels: int) -> None:
    image = np.repeat(noise((14, 23), levels=levels)[..., :1], 3, axis=2)  # its grey is itself
    found = local_entropy(image, (0, 14), (0, 23))
    for y in range(14):
        for x in range(23):
            top, left = max(0, y - 4), max(0, x - 4)
            counts = np.unique(image[top : top + 9, left : left + 9, 0], return_counts=True)[1]
            share = counts / counts.sum()
            assert found[y, x] == pytest.approx(-(share * np.log2(share)).sum(), abs=1e-6)
    assert (local_entropy(image, (5, 8), (11, 20)) == found[5:8, 11:20]).all()
    assert (local_entropy(image[:3, :4], (0, 3), (0, 4)) >= 0).all()


def test_max_entropy_finds_the_rich_place_and_from_there_the_poor_one() -> None:
    image = np.full((40, 60, 3), 90, np.uint8)
    image[20:29, 40:49] = noise((9, 9))
    mask = np.ones((40, 60), bool)
    rich = pick_points(mask, "max-entropy", 1, rng(), image)
    assert rich.tolist() == [[44, 24]]
    (poor,) = pick_points(mask, "max-entropy", 1, rng(), image, start=rich[0])
    assert poor.tolist() == [0, 0], "of all places without any structure the topmost, then leftmost"


@pytest.mark.parametrize("strategy", DETERMINISTIC)
def test_several_best_points_do_not_cluster(strategy: str) -> None:
    mask = np.zeros((60, 80), bool)
    mask[10:50, 10:70] = True
    peak = np.exp(-((np.arange(60)[:, None] - 30) ** 2 + (np.arange(80) - 40) ** 2) / 200)
    points = pick_points(mask, strategy, 6, rng(), noise((60, 80)), saliency=peak)
    apart = np.abs(points[:, None] - points[None]).max(axis=2)
    assert apart[~np.eye(6, dtype=bool)].min() >= 10  # six squares of side 19 fill the 40 x 60 pixels
    fewer = pick_points(mask, strategy, 1, rng(), noise((60, 80)), saliency=peak)
    assert (points[0] == fewer[0]).all()


def test_saliency_is_computed_once_a_frame(monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def left_is_salient(image: np.ndarray) -> np.ndarray:
        calls.append(image.shape)
        return -np.tile(np.arange(image.shape[1]), (image.shape[0], 1))

    monkeypatch.setattr("samodal.prompts.saliency.MODELS", {"left": left_is_salient})
    visible = np.zeros((5, 30, 40), bool)
    for i in range(5):
        visible[i, 8:20, 3 + 7 * i : 10 + 7 * i] = True
    points = points_of_frame(visible, "saliency", 1, [rng()] * 5, noise((30, 40)), "left")
    assert points.tolist() == [[[3 + 7 * i, 8]] for i in range(5)]
    assert calls == [(30, 40, 3)]


@pytest.mark.parametrize("strategy", ["max-distance", "max-entropy"])
def test_a_full_frame_takes_milliseconds(strategy: str) -> None:
    """About 4 and 13 ms of one core; a loop over pixels would take a second."""
    mask, image = np.zeros((1080, 1920), bool), noise((1080, 1920))
    mask[400:600, 800:1100] = True
    seconds = []
    for _ in range(5):
        begin = time.process_time()
        pick_points(mask, strategy, 1, rng(), image)
        seconds.append(time.process_time() - begin)
    assert min(seconds) < 0.1


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_masks_may_be_of_numbers(strategy: str) -> None:
    mask, image = np.zeros((30, 40), bool), noise((30, 40))
    mask[8:20, 10:30] = True
    for kind in (np.uint8, np.int64, np.float32):
        same = [pick_points(m, strategy, 3, rng(), image) for m in (mask, mask.astype(kind))]
        assert np.array_equal(*same)


def test_bad_options() -> None:
    mask, image = np.ones((4, 5), bool), noise((4, 5))
    for strategy, count, options, message in (
        ("nearest", 1, {}, "choose from eroded-random, random"),
        ("random", 0, {}, "at least 1"),
        ("max-entropy", 1, {}, "looks at the image"),
        ("saliency", 1, {}, "looks at the image"),
        ("max-entropy", 1, {"image": image[:3]}, r"\(4, 5, 3\) is expected"),
        ("saliency", 1, {"image": image / 255}, "uint8"),
        ("saliency", 1, {"saliency": np.zeros((5, 4))}, "saliency map"),
        ("max-distance", 1, {"start": np.array([5, 0])}, "start"),
        ("max-entropy", 1, {"image": image, "start": np.array([1, 2, 3])}, "start"),
    ):
        with pytest.raises(InputError, match=message):
            pick_points(mask, strategy, count, rng(), **options)
    with pytest.raises(InputError, match="looks at the image"):
        points_of_frame(mask[None], "saliency", 1, [rng()])
