import numpy as np
import pytest

from samodal import masks
from samodal.motion.measure import measure, trust, widening
from samodal.motion.observation import observe

SIZE = (120, 200)


def rectangle(x: float, y: float, w: float, h: float) -> masks.Rle:
    mask = np.zeros(SIZE, bool)
    mask[max(int(y), 0) : max(int(y + h), 0), max(int(x), 0) : max(int(x + w), 0)] = True
    return masks.encode(mask)


def test_observe_measures_centroid_and_size():
    seen = observe(3, rectangle(10, 20, 40, 30), 0.5)
    assert seen.center == pytest.approx([29.5, 34.5])
    assert seen.scale == pytest.approx(1200**0.5)
    assert seen.edges == pytest.approx([9.5, 19.5, 49.5, 49.5])
    assert not seen.is_cut


@pytest.mark.parametrize("x", [-25, 175])
def test_a_mask_cut_at_the_side_is_measured_by_its_free_edges(x):
    """Of those seen on the way there, none was wider than the first."""
    whole = [observe(k, rectangle(80 + k * (x - 80) / 6, 40, 40, 30), 1.0) for k in range(5)]
    measured = measure([*whole, observe(6, rectangle(x, 45, 40, 30), 1.0)])
    assert measured.centers[5] == pytest.approx([x + 19.5, 59.5], abs=0.5)
    assert measured.scales[5] == pytest.approx(1200**0.5, rel=0.02)
    assert measured.center_sigmas[5].max() < 5


def test_a_mask_cut_on_all_sides_says_nothing():
    whole = observe(0, rectangle(60, 40, 40, 30), 1.0)
    measured = measure([whole, observe(1, rectangle(0, 0, 200, 120), 1.0)])
    assert measured.center_sigmas[1].min() > 200
    assert measured.size_sigmas[1] > 1


def test_the_less_was_visible_the_less_it_counts():
    measured = measure([observe(k, rectangle(60, 40, 40, 30), f) for k, f in enumerate((1.0, 0.5, 0.05))])
    assert (np.diff(measured.center_sigmas[:, 0]) > 0).all()
    assert (np.diff(measured.size_sigmas) > 0).all()


def test_a_mask_that_shrinks_too_fast_is_not_trusted():
    """A network that answers a sliver with the sliver says that all of it is visible."""
    seen = [observe(k, rectangle(60, 40, 40, 30), 1.0) for k in range(5)]
    seen += [observe(5, rectangle(60, 40, 10, 30), 1.0)]
    assert trust(seen)[:5] == pytest.approx(1.0)
    assert trust(seen)[5] < 0.5
    receding = [observe(k, rectangle(20, 20, 40 - k, 30 - 0.75 * k), 1.0) for k in range(6)]
    assert trust(receding).min() > 0.9


def test_a_thing_that_comes_near_is_trusted_while_it_is_small():
    seen = [observe(k, rectangle(20, 20, 20 * 1.06**k, 15 * 1.06**k), 1.0) for k in range(15)]
    assert trust(seen).min() > 0.9


def test_a_few_stray_pixels_make_nothing_higher():
    mask = masks.decode(rectangle(60, 40, 40, 30))
    mask[20, 70:80] = True
    assert observe(0, masks.encode(mask), 1.0).height == pytest.approx(
        observe(0, rectangle(60, 40, 40, 30), 1.0).height, rel=0.05
    )


def test_what_is_hidden_from_one_side_is_no_farther_away():
    seen = [observe(k, rectangle(60, 40, w, 30), w / 40) for k, w in enumerate((40, 40, 24, 12, 6))]
    assert measure(seen).scales == pytest.approx(1200**0.5, rel=0.02)


def test_what_is_seen_from_its_side_is_no_nearer_but_wider():
    seen = [observe(k, rectangle(20, 40, 80 * 1.015**k, 30), 1.0) for k in range(10)]
    measured = measure(seen)
    assert np.ptp(measured.scales) < 0.5
    assert widening(seen, 13, np.full(11, 99.5)) == pytest.approx(1.015 ** (13 - np.arange(10)), rel=0.06)
    assert widening(seen, 5, np.full(11, 99.5))[5] == pytest.approx(1)


@pytest.mark.parametrize("side", [0.0, 2.0])
def test_the_place_in_the_image_tells_how_much_of_the_side_is_seen(side):
    """From where it was seen, a box that keeps its heading is foretold to be wider farther out; what is flat is not."""
    near = np.array([100.0, 85.0, 70.0, 55.0])
    widths = 40 * (1 + side * np.abs(near - 99.5) / 200)
    seen = [
        observe(k, rectangle(x - w / 2, 40, w, 30), 1.0)
        for k, (x, w) in enumerate(zip(near, widths, strict=True))
    ]
    truth = 40 * (1 + side * 120 / 200)
    assert widening(seen, 9, np.append(near, 99.5 - 120))[-1] == pytest.approx(truth / widths[-1], rel=0.1)


def test_steps_of_who_walks_and_slivers_are_no_widening():
    walker = [observe(k, rectangle(60, 40, 14 + 5 * (k % 2), 40), 1.0) for k in range(12)]
    assert widening(walker, 16, np.full(13, 66.5)) == pytest.approx(1, abs=0.1)
    sliver = observe(12, rectangle(60, 40, 3, 40), 0.2)
    assert widening([*walker, sliver], 16, np.full(14, 66.5))[:12] == pytest.approx(
        widening(walker, 16, np.full(13, 66.5)), abs=0.02
    )
    assert widening(walker[:1], 16, np.full(2, 66.5)) == pytest.approx(1)


def test_a_mask_that_is_cut_is_as_wide_as_the_others_let_expect():
    """Leaving on the left, ever wider, at one height: its right end is at its place, its middle further left."""
    middles = [100 - 10 * k for k in range(10)]
    widths = [40 * (1 + 2 * abs(x - 99.5) / 200) for x in middles]
    seen = [
        observe(k, rectangle(x - w / 2, 40, w, 30), 1.0)
        for k, (x, w) in enumerate(zip(middles, widths, strict=True))
    ]
    measured = measure(seen)
    assert seen[-1].is_cut
    as_wide_as_at_first = seen[-1].edges[2] - widths[0] / 2
    truth = middles[-1] - 0.5
    assert abs(measured.centers[-1][0] - truth) < 0.5 * abs(as_wide_as_at_first - truth)
    assert measured.scales == pytest.approx(measured.scales[0], rel=0.02)
