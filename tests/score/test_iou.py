import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from samodal import masks
from samodal.errors import InputError
from samodal.score import mask_iou, mean_iou, pooled_iou
from samodal.score.iou import shared_pixels, track_areas, track_intersections

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "07_image_eval" / "mean_iou"
mask_arrays = arrays(bool, (5, 6))


def plain_iou(a, b):
    return (a & b).sum() / (a | b).sum() if (a | b).any() else 1.0


def test_by_hand():
    truth = np.zeros((4, 10), bool)
    truth[:, 2:8] = True  # 24 pixels
    visible = truth.copy()
    visible[:, 5:] = False  # 12 of them are seen
    pred = np.zeros((4, 10), bool)
    pred[:, 2:7] = True  # all of the visible part, 8 of 12 hidden pixels
    assert mask_iou(pred, truth, visible) == (20 / 24, 8 / 12)
    assert mask_iou(pred, truth, None) == (20 / 24, 20 / 24)
    assert mask_iou(visible, truth, visible) == (0.5, 0.0)
    assert mask_iou(None, truth, visible) == (0.0, 0.0)


def test_nothing_hidden_is_left_out_and_nothing_at_all_is_right():
    full, nothing = np.ones((3, 3), bool), np.zeros((3, 3), bool)
    assert mask_iou(full, full, full) == (1.0, None)
    assert mask_iou(nothing, nothing, nothing) == (1.0, None)
    assert mask_iou(None, None, None) == (1.0, None)
    assert mask_iou(full, nothing, nothing) == (0.0, None)


@given(mask_arrays, mask_arrays, mask_arrays)
def test_is_the_same_as_counting_pixels(pred, truth, visible):
    full, hidden = mask_iou(masks.encode(pred), masks.encode(truth), visible)
    assert full == plain_iou(pred, truth)
    expected = plain_iou(pred & ~visible, truth & ~visible) if (truth & ~visible).any() else None
    assert hidden == expected
    assert mask_iou(truth, pred, visible)[0] == full


def test_different_sizes_are_an_error():
    with pytest.raises(InputError, match="different sizes"):
        mask_iou(np.ones((3, 3), bool), np.ones((3, 4), bool), None)
    with pytest.raises(InputError, match="different sizes"):
        track_intersections([[masks.encode(np.ones((3, 3)))]], [[masks.encode(np.ones((3, 4)))]])


@given(st.lists(mask_arrays, min_size=2, max_size=6), st.integers(1, 3))
def test_track_sums_are_exact(frames, split):
    tracks = [[masks.encode(frame) if frame.any() else None, masks.encode(frames[0])] for frame in frames]
    first, second = tracks[:split], [track[:1] for track in tracks[split:]]
    expected = [[(a & b).sum() for b in frames[split:]] for a in frames[:split]]
    shared = track_intersections(first, second)
    assert shared.shape == (len(first), len(second))
    assert np.array_equal(shared, np.reshape(expected, shared.shape))
    assert np.array_equal(track_areas(second, 2), [[b.sum(), 0] for b in frames[split:]] or np.zeros((0, 2)))


def test_whole_number_is_recovered_for_large_masks():
    rng = np.random.default_rng(0)
    noise = [rng.random((1080, 1920)) < p for p in (0.2, 0.9)]
    (shared,) = track_intersections([[masks.encode(noise[0])]], [[masks.encode(noise[1])]])[0]
    assert shared == (noise[0] & noise[1]).sum()


def test_more_masks_than_pycocotools_measures_at_once():
    tracks = [[masks.encode(np.arange(400).reshape(20, 20) <= n)] for n in range(300)]
    assert np.array_equal(track_areas(tracks, 1)[:, 0], np.arange(1, 301))
    assert np.array_equal(track_intersections(tracks, tracks[4:5])[:, 0], np.minimum(np.arange(1, 301), 5))
    assert np.array_equal(track_intersections(tracks[4:5], tracks)[0], np.minimum(np.arange(1, 301), 5))


def test_single_samples_of_the_original():
    arrays, expected = np.load(GOLDEN / "masks.npz"), json.loads((GOLDEN / "expected.json").read_text())
    for sample in expected["samples"][:4]:  # the last is empty against empty, where the original says 0
        i = sample["i"]
        full, _ = mask_iou(arrays[f"binary_{i}"], arrays[f"gt_{i}"], arrays[f"visible_{i}"])
        assert full == pytest.approx(sample["iou_without_union"], abs=1e-9)


def original_samples():
    arrays, expected = np.load(GOLDEN / "masks.npz"), json.loads((GOLDEN / "expected.json").read_text())
    names = ("binary", "gt", "visible")
    return [[arrays[f"{name}_{s['i']}"] for s in expected["samples"]] for name in names], expected


def test_pooled_iou_of_the_original():
    (pred, truth, visible), expected = original_samples()
    assert pooled_iou(pred, truth, visible) == pytest.approx(expected["final_iou"], abs=1e-9)
    for n, sample in enumerate(expected["samples"], 1):
        pixels = sample["cum_tp"] + sample["cum_fp"] + sample["cum_fn"]
        assert pooled_iou(pred[:n], truth[:n], visible[:n]) == pytest.approx(
            sample["cum_tp"] / pixels, abs=1e-9
        )


def test_mean_iou_is_the_original_one_but_for_empty_against_empty():
    (pred, truth, visible), expected = original_samples()
    full, _ = mean_iou(pred[:4], truth[:4], visible[:4])
    assert full == pytest.approx(expected["mean_of_per_sample_iou"] * 5 / 4, abs=1e-9)
    assert mean_iou(pred[4:], truth[4:], visible[4:])[0] == 1  # 0 in the original


@given(st.lists(st.tuples(mask_arrays, mask_arrays, mask_arrays), min_size=1, max_size=4))
def test_pooled_and_mean_are_the_same_as_counting_pixels(samples):
    pred, truth, visible = zip(*samples, strict=True)
    shared = sum(int((p & t).sum()) for p, t in zip(pred, truth, strict=True))
    union = sum(int((p | t).sum()) for p, t in zip(pred, truth, strict=True))
    assert pooled_iou(pred, truth) == (shared / union if union else None)
    joined = [p | v for p, v in zip(pred, visible, strict=True)]
    assert pooled_iou(pred, truth, visible) == pooled_iou(joined, truth)
    scores = [mask_iou(*sample) for sample in samples]
    full, hidden = mean_iou(pred, truth, visible)
    assert full == pytest.approx(np.mean([score for score, _ in scores]))
    known = [score for _, score in scores if score is not None]
    assert hidden == (pytest.approx(np.mean(known)) if known else None)


def test_nothing_to_average():
    assert mean_iou([], [], []) == (None, None)
    assert pooled_iou([], []) is None
    with pytest.raises(InputError, match="lists of 1, 2 masks"):
        pooled_iou([None], [None, None])


@given(st.lists(st.tuples(mask_arrays, mask_arrays), max_size=7))
def test_shared_pixels_of_pairs(drawn):
    first, second = ([masks.encode(pair[n]) for pair in drawn] for n in (0, 1))
    assert shared_pixels(first, second).tolist() == [(a & b).sum() for a, b in drawn]


def test_shared_pixels_of_many_pairs():
    squares = [np.pad(np.ones((side, side), bool), (0, 20 - side)) for side in range(1, 20)] * 30
    encoded = [masks.encode(square) for square in squares]
    assert shared_pixels(encoded, encoded).tolist() == [square.sum() for square in squares]
