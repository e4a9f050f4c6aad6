import json

import cv2
import numpy as np
import pytest
import sam_golden
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from samodal.errors import InputError
from samodal.sam import images

SIZES = [(61, 47), (40, 60), (90, 160)]


def golden(size):
    name = f"03_preprocessing/asd_{size[0]}x{size[1]}.npz"
    for folder in (sam_golden.COPIES, sam_golden.SHARED):
        if (folder / name).exists():
            return dict(np.load(folder / name))
    pytest.skip("needs ../shared/golden")


def assert_nearly_equal_images(ours, theirs):
    difference = np.abs(ours.astype(int) - theirs.astype(int))
    assert difference.max() <= 1
    assert (difference > 0).mean() <= 0.001


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_input_of_the_model_is_that_of_the_original(size):
    arrays = golden(size)
    resized = images.resize_frame(arrays["image"], 128)
    assert_nearly_equal_images(resized, arrays["resized"])
    pixels = images.to_pixels(arrays["resized"], 128)
    np.testing.assert_allclose(pixels, arrays["model_input"], atol=1e-5)
    points = images.scale_points(torch.from_numpy(arrays["coords_in"]), size, resized.shape[:2])
    np.testing.assert_allclose(points, arrays["coords_out"], atol=1e-9)


def test_kins_rescaling_is_that_of_the_original():
    file = sam_golden.SHARED / "03_preprocessing/kins_370x1224.npz"
    if not file.exists():
        pytest.skip("needs ../shared/golden")
    arrays = dict(np.load(file))
    scaled = images.rescale_kins_image(arrays["image"])
    crop = arrays["interp_crop_100_140_200_260"].transpose(1, 2, 0)
    assert_nearly_equal_images(scaled[100:140, 200:260], crop)
    resized = images.resize_frame(scaled, 128)
    assert_nearly_equal_images(resized, arrays["resized"])
    pixels = images.to_pixels(arrays["resized"], 128)
    np.testing.assert_allclose(pixels[0], arrays["model_input_crop_c0"], atol=1e-5)
    points = images.scale_points(torch.from_numpy(arrays["coords_in"]), images.KINS_SIZE, resized.shape[:2])
    np.testing.assert_allclose(points, arrays["coords_out"], atol=1e-9)
    np.testing.assert_array_equal(
        images.rescale_kins_mask(arrays["mask_in"]), arrays["mask_nearest_375x1242"]
    )


def test_resized_sizes_are_those_of_the_original_but_never_zero():
    cases = json.loads((sam_golden.COPIES / "03_preprocessing/cases.json").read_text())["preprocess_shape"]
    for case in cases:
        expected = tuple(max(1, side) for side in case["out"])
        assert images.resized_size((case["h"], case["w"]), case["long"]) == expected


@given(st.integers(1, 3000), st.integers(1, 3000), st.sampled_from([128, 512, 1024]))
def test_resized_size_fits_the_input(height, width, side):
    resized = images.resized_size((height, width), side)
    assert max(resized) == side
    assert min(resized) >= 1


@pytest.mark.parametrize(
    "frame",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
    ids=["float", "grey", "four channels", "empty"],
)
def test_what_is_no_frame_is_refused(frame):
    with pytest.raises(InputError, match=r"uint8 \(H, W, 3\)"):
        images.resize_frame(frame, 128)


def test_boxes_are_scaled_like_their_corners():
    boxes = torch.tensor([[0.0, 5.0, 10.0, 20.0]])
    assert images.scale_boxes(boxes, (20, 10), (40, 30)).tolist() == [[0.0, 10.0, 30.0, 40.0]]


@given(st.integers(1, 200), st.integers(1, 200), st.integers(0, 100))
def test_coverage_keeps_the_area(height, width, seed):
    masks = np.random.default_rng(seed).random((2, height, width)) < 0.3
    cells = images.coverage(masks, 64)
    assert cells.shape == (2, 16, 16)
    assert cells.dtype == np.float32
    assert cells.min() >= 0
    assert cells.max() <= 1 + 1e-5
    resized = images.resized_size((height, width), 64)
    share = cells.sum((1, 2)) * 16 / (resized[0] * resized[1])
    np.testing.assert_allclose(share, masks.mean((1, 2)), atol=1e-4)


def test_coverage_lies_where_the_mask_lies():
    mask = np.zeros((1, 32, 64), bool)
    mask[0, 8:16, 16:32] = True
    cells = images.coverage(mask, 128)
    expected = np.zeros((32, 32))
    expected[4:8, 8:16] = 1
    np.testing.assert_allclose(cells[0], expected, atol=1e-6)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 150), st.integers(1, 150), st.integers(0, 2**32 - 1), st.floats(-3, 1), st.integers(1, 9)
)
def test_a_mask_in_its_box_is_the_mask_in_the_frame(height, width, seed, shift, blur):
    rng = np.random.default_rng(seed)
    logits = cv2.blur(rng.normal(shift, 2, (16, 16)), (blur, blur)).astype(np.float32)
    if rng.random() < 0.5:  # somewhere in a small box, or right at zero
        far = np.ones((16, 16), bool)
        y, x = rng.integers(0, 16, 2)
        far[y : y + 4, x : x + 4] = False
        logits[far] = -4
    if rng.random() < 0.2:
        logits = np.round(logits)
    given, resized = torch.from_numpy(logits), images.resized_size((height, width), 64)
    whole = images.logits_to_frame(given[None, None], 64, resized, (height, width))[0, 0] > 0
    assert torch.equal(images.mask_in_frame(given, 64, resized, (height, width)), whole)


@pytest.mark.parametrize("size", [(1080, 1920), (375, 1242), (360, 640), (1024, 1024), (700, 300)])
def test_a_mask_in_its_box_at_full_size(size):
    rng = np.random.default_rng(1)
    resized = images.resized_size(size, 1024)
    for spread in (3, 10, 40):
        noise = cv2.GaussianBlur(rng.standard_normal((256, 256)), (0, 0), spread)
        logits = torch.from_numpy((noise / noise.std() * 5 - 10).astype(np.float32))
        whole = images.logits_to_frame(logits[None, None], 1024, resized, size)[0, 0] > 0
        assert torch.equal(images.mask_in_frame(logits, 1024, resized, size), whole)
