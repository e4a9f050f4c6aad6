import cv2
import numpy as np
import pytest

from samodal import masks
from samodal.motion import Prediction
from samodal.motion.ego import FixedEgo
from samodal.motion.measure import measure
from samodal.motion.observation import observe
from samodal.motion.scenery import Scenery
from samodal.motion.shape import carry

SIZE = (120, 200)


def rectangle(x: float, y: float, w: float, h: float) -> masks.Rle:
    mask = np.zeros(SIZE, bool)
    mask[max(int(y), 0) : max(int(y + h), 0), max(int(x), 0) : max(int(x + w), 0)] = True
    return masks.encode(mask)


def ellipse(x: int, y: int, a: int, b: int) -> masks.Rle:
    return masks.encode(cv2.ellipse(np.zeros(SIZE, np.uint8), (x, y), (a, b), 0, 0, 360, 1, -1))


def carried(observations, frame, target) -> masks.Rle:
    return carry(observations, frame, target, FixedEgo()).mask(SIZE)


def at(x: float, y: float, scale: float) -> Prediction:
    return Prediction((x, y), scale, 1.0, 0.1)


def test_a_mask_is_moved_and_scaled():
    seen = observe(0, ellipse(60, 50, 20, 12), 1.0)
    moved = observe(5, carried([seen], 5, at(120.5, 70, seen.scale * 1.5)), 1.0)
    assert moved.center == pytest.approx([120.5, 70], abs=0.3)
    assert moved.scale == pytest.approx(seen.scale * 1.5, rel=0.02)


def test_in_place_it_is_the_same_mask():
    seen = observe(0, ellipse(60, 50, 20, 12), 1.0)
    assert masks.iou(carried([seen], 1, at(*seen.center, seen.scale)), ellipse(60, 50, 20, 12)) == 1.0


@pytest.mark.parametrize(("x", "y"), [(-300, 50), (500, 50), (60, -200), (60, 400)])
def test_outside_the_image_nothing_is_left(x, y):
    seen = observe(0, ellipse(60, 50, 20, 12), 1.0)
    assert masks.area(carried([seen], 1, at(x, y, seen.scale))) == 0


def test_slivers_and_cut_masks_do_not_take_part():
    whole = observe(0, rectangle(60, 40, 40, 30), 1.0)
    sliver = observe(8, rectangle(60, 40, 4, 30), 0.1)
    cut = observe(9, rectangle(-20, 40, 40, 30), 1.0)
    found = carried([whole, sliver, cut], 10, at(100.5, 60.5, whole.scale))
    assert masks.box(found)[2:] == (40, 30)


def test_masks_that_lack_a_third_take_no_part_whatever_they_claim():
    whole = [observe(k, rectangle(60, 40, 40, 30), 1.0) for k in range(8)]
    lacking = observe(8, rectangle(74, 40, 26, 30), 1.0)
    found = carried([*whole, lacking], 9, at(119.5, 60.5, whole[0].scale))
    assert masks.box(found)[2:] == (40, 30)


def test_where_the_image_ends_a_mask_does_not():
    wall = masks.Runs(rectangle(80, 0, 120, 120))
    half_hidden = observe(
        0, rectangle(60, 40, 40, 30), 0.5, Scenery(wall, masks.Runs(rectangle(60, 40, 20, 30)))
    )
    leaving = rectangle(180, 40, 40, 30)
    half_outside = observe(9, leaving, 1.0, Scenery(masks.Runs(leaving), masks.Runs(leaving)))
    found = carried([half_hidden, half_outside], 10, at(100.5, 60.5, half_hidden.scale))
    assert masks.box(found)[2:] == (40, 30)


def test_one_bad_mask_among_many_is_outvoted():
    good = [observe(k, ellipse(60, 50, 20, 12), 1.0) for k in range(6)]
    bad = observe(6, rectangle(30, 30, 60, 16), 1.0)
    found = carried([*good, bad], 8, at(100, 60, good[0].scale))
    assert masks.iou(found, ellipse(100, 60, 20, 12)) > 0.8


def test_what_gets_wider_goes_on_getting_wider():
    """A car that drives past shows more and more of its side, and before it did, it showed less."""
    seen = [observe(k, ellipse(100, 50, round(30 * 1.02**k), 12), 1.0) for k in range(15)]
    for known, frame in ((seen[:10], 15), (seen[5:], 0)):
        there = at(100, 60, float(measure(known).scales[0]))
        truth = ellipse(100, 60, round(30 * 1.02**frame), 12)
        as_seen = carried([min(known, key=lambda o: abs(o.frame - frame))], frame, there)
        assert masks.iou(carried(known, frame, there), truth) > masks.iou(as_seen, truth) + 0.03


def test_between_two_sightings_one_shape_passes_into_the_other():
    tall, wide = observe(0, ellipse(60, 50, 10, 20), 1.0), observe(10, ellipse(60, 50, 20, 10), 1.0)
    widths = [masks.box(carried([tall, wide], k, at(60, 50, tall.scale)))[2] for k in range(1, 10)]
    assert widths == sorted(widths)
    assert widths[0] < 28 < widths[-1]
