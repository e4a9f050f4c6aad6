import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pycocotools import mask as coco

from samodal import masks

GOLDEN = Path(__file__).parent / "data" / "golden" / "06_points"

mask_arrays = st.tuples(st.integers(1, 12), st.integers(1, 12)).flatmap(lambda size: arrays(bool, size))


def rectangle(size=(40, 60), top=10, left=15, height=12, width=20):
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = True
    return mask


@given(mask_arrays)
def test_the_box_of_a_mask_is_the_whole_of_it(mask):
    rle = masks.encode(mask)
    part, x, y = masks.decode_box(rle)
    assert (x, y, *part.shape[::-1]) == masks.box(rle)
    assert part.sum() == mask.sum()
    assert masks.encode_box(part, x, y, mask.shape) == rle
    assert masks.encode_box(mask, 0, 0, mask.shape) == rle


@given(mask_arrays, *[st.integers(-5, 40)] * 4)
def test_a_part_of_a_mask_is_that_of_the_whole(mask, left, top, width, height):
    window = (left, top, left + width, top + height)
    runs, part = (
        masks.Runs(masks.encode(mask)),
        (slice(top + 5, top + height + 5), slice(left + 5, left + width + 5)),
    )
    around = [np.pad(whole, ((5, 100), (5, 100))) for whole in (mask, np.ones_like(mask))]
    empty = width <= 0 or height <= 0
    shape = (max(0, height), max(0, width))
    for found, whole in zip((runs.part(window), runs.inside(window)), around, strict=True):
        assert found.shape == shape
        assert empty or np.array_equal(found, whole[part])


def test_the_box_of_a_mask_with_runs_of_no_length():
    written = coco.frPyObjects({"size": [4, 5], "counts": [0, 0, 9, 2, 0, 3, 6]}, 4, 5)
    rle = {"size": [4, 5], "counts": written["counts"].decode()}
    part, x, y = masks.decode_box(rle)
    whole = np.zeros((4, 5), bool)
    whole[y : y + part.shape[0], x : x + part.shape[1]] = part
    assert np.array_equal(whole, masks.decode(rle))


@given(mask_arrays)
def test_encode_decode_round_trip(mask):
    rle = masks.encode(mask)
    assert np.array_equal(masks.decode(rle), mask)
    assert json.loads(json.dumps(rle)) == rle
    assert masks.area(rle) == mask.sum()


@given(mask_arrays)
def test_run_lengths_are_those_of_the_pixels(mask):
    runs = masks.run_lengths(masks.encode(mask)["counts"])
    pixels = np.repeat(np.arange(len(runs)) % 2, runs).astype(bool)
    assert np.array_equal(pixels.reshape(mask.shape, order="F"), mask)


def test_run_lengths_of_a_large_image():
    mask = np.zeros((2160, 3840), bool)
    mask[500:1500, ::700] = True
    runs = masks.run_lengths(masks.encode(mask)["counts"])
    assert runs.sum() == mask.size
    assert runs[1::2].tolist() == [1000] * 6


@given(mask_arrays)
def test_uncompressed_counts_equal_compressed_ones(mask):
    rle = masks.encode(mask)
    spelled_out = {"size": rle["size"], "counts": masks.run_lengths(rle["counts"]).tolist()}
    assert masks.from_annotation(spelled_out, mask.shape) == (rle if mask.any() else None)
    as_bytes = {"size": rle["size"], "counts": rle["counts"].encode()}
    assert masks.from_annotation(as_bytes, mask.shape) == (rle if mask.any() else None)


@pytest.mark.parametrize("nothing", [None, {}, "", [], {"size": [4, 5], "counts": [20]}])
def test_all_spellings_of_nothing(nothing):
    assert masks.from_annotation(nothing, (4, 5)) is None


def test_polygons():
    rle = masks.from_annotation([[1, 1, 4, 1, 4, 3, 1, 3]], (5, 6))
    assert masks.box(rle) == (1, 1, 3, 2)


@pytest.mark.parametrize(
    "broken",
    [
        {"size": [5, 4], "counts": [20]},  # transposed
        {"size": 20, "counts": [20]},
        {"size": [4, 5], "counts": [19]},
        {"size": [4, 5], "counts": [21, -1]},
        {"size": [4, 5], "counts": [1.5, 18.5]},
        {"size": [4, 5], "counts": [2**62] * 4 + [20]},
        {"size": [4, 5], "counts": [1, [2]]},
        {"size": [4, 5], "counts": ["a"]},
        {"size": [4, 5], "counts": ""},
        {"size": [4, 5], "counts": None},
        {"size": [4, 5], "counts": "é0"},
        {"size": [4, 5], "counts": "o"},  # says that more follows
        {"size": [4, 5]},
        "a text",
        7,
        [1, 2, 3],
        [[1, 2, 3, 4]],
        [["a"] * 6],
        [[float("nan")] * 6],
        [[1e30, 0, 0, 1e30, 5, 5]],  # crashes pycocotools
    ],
)
def test_broken_annotations_raise_value_error(broken):
    with pytest.raises(ValueError, match=r"broken|mask of size|neither an RLE"):
        masks.from_annotation(broken, (4, 5))


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=12))
def test_any_text_as_counts_is_a_mask_or_a_value_error(counts):
    try:
        rle = masks.from_annotation({"size": [6, 7], "counts": counts}, (6, 7))
    except ValueError:
        return
    assert rle is None or masks.decode(rle).shape == (6, 7)


def test_set_operations():
    left, right = masks.encode(rectangle(left=10)), masks.encode(rectangle(left=20))
    assert masks.area(masks.union([left, right])) == 12 * 30
    assert masks.area(masks.intersection([left, right])) == 12 * 10
    assert masks.iou(left, right) == pytest.approx(10 / 30)
    assert masks.iou(left, None) == 0
    assert masks.iou(None, masks.empty((40, 60))) == 1
    assert masks.occlusion_rate(left, right) == pytest.approx(0.5)
    assert masks.occlusion_rate(left, None) == 1
    assert masks.occlusion_rate(None, left) is None
    assert masks.box(masks.empty((40, 60))) == (0, 0, 0, 0)


@pytest.mark.parametrize("value", [2, 0.5, 256, True])
def test_what_is_not_zero_is_inside(value):
    for shape in ((8, 8), (40, 40)):
        mask = np.zeros(shape, np.asarray(value).dtype)
        mask[2:8, 3:8] = value
        mask[4, 4] = mask[4, 4] and 1
        assert np.array_equal(masks.decode(masks.encode(mask)), mask != 0)


def test_specks_of_masks_that_are_numbers():
    mask = np.zeros((20, 20), np.uint8)
    mask[2:12, 2:12], mask[18, 18] = 1, 1
    visible = np.zeros_like(mask)
    visible[18, 18] = 1
    assert masks.without_specks(mask, visible)[18, 18]
    assert not masks.without_specks(mask)[18, 18]


def test_erode_counts_pixels_outside_the_image_as_mask():
    golden = np.load(GOLDEN / "points.npz")
    names = [key.removeprefix("mask__") for key in golden if key.startswith("mask__")]
    assert len(names) > 8
    for name in names:
        mask = golden[f"mask__{name}"].astype(bool)
        wanted = np.unpackbits(golden[f"eroded__{name}"])[: mask.size].reshape(mask.shape).astype(bool)
        assert np.array_equal(masks.erode(mask), wanted), name


@pytest.mark.parametrize(
    "affine",
    [
        [[1, 0, 3], [0, 1, -2]],
        [[1, 0, 0.4], [0, 1, 7.3]],
        [[1, 0, 38.5], [0, 1, 0]],  # partly out of the image
        [[1.3, 0, -6], [0, 1.3, -4]],
        [[0.9, 0.2, 3], [-0.2, 0.9, 5]],
        [[1, 0, 100], [0, 1, 0]],  # all of it out of the image
    ],
)
def test_warp_equals_warping_the_whole_frame(affine):
    mask = rectangle()
    mask[12:15, 15:20] = False
    affine = np.array(affine, np.float64)
    moved = masks.decode(masks.warp(masks.encode(mask), affine))
    whole = cv2.warpAffine(mask.astype(np.float32), affine, (60, 40), flags=cv2.INTER_LINEAR) >= 0.5
    # Exact halves may fall either way.
    assert (moved != whole).sum() <= 0.02 * mask.sum()


def test_warp_by_nothing_and_of_nothing():
    rle = masks.encode(rectangle())
    identity = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert masks.warp(rle, identity) == rle
    assert masks.warp(masks.empty((4, 5)), identity) == masks.empty((4, 5))


@given(st.integers(-70, 70), st.integers(-50, 50))
def test_warp_by_whole_pixels_shifts(dx, dy):
    mask = rectangle()
    wanted = np.zeros_like(mask)
    ys, xs = np.nonzero(mask)
    inside = (ys + dy >= 0) & (ys + dy < 40) & (xs + dx >= 0) & (xs + dx < 60)
    wanted[ys[inside] + dy, xs[inside] + dx] = True
    moved = masks.warp(masks.encode(mask), np.array([[1.0, 0, dx], [0, 1, dy]]))
    assert np.array_equal(masks.decode(moved), wanted)


@given(mask_arrays, st.integers(0, 4))
def test_around_is_all_that_is_near(mask, distance):
    near = masks.around(mask, distance)
    ys, xs = np.indices(mask.shape)
    inside = np.argwhere(mask)
    if not len(inside):
        assert not near.any()
        return
    away = np.sqrt(((ys[..., None] - inside[:, 0]) ** 2 + (xs[..., None] - inside[:, 1]) ** 2).min(-1))
    assert np.array_equal(near, away <= distance)


def test_specks_go_and_visible_parts_stay():
    mask, visible = np.zeros((2, 40, 60), bool)
    mask[5:25, 5:25] = True  # 400 pixels
    mask[30, 30] = mask[2, 50] = visible[2, 50] = True
    mask[30:36, 40:46] = True  # 36 pixels, detached by a pole
    expected = mask.copy()
    expected[30, 30] = False
    assert np.array_equal(masks.without_specks(mask, visible), expected)
    expected[2, 50] = False
    assert np.array_equal(masks.without_specks(mask), expected)
    assert not masks.without_specks(np.zeros((4, 5), bool)).any()


def test_negative_runs_are_said():
    with pytest.raises(ValueError, match=r"negative runs \(-5 pixels\)"):
        masks.from_annotation({"size": [4, 5], "counts": [15, -5, 10]}, (4, 5))
