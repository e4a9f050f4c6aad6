import numpy as np
import pytest

from samodal import masks
from samodal.motion.observation import measure, observe, trust

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
    whole = [observe(k, rectangle(60, 40, 40, 30), 1.0) for k in range(3)]
    measured = measure([*whole, observe(3, rectangle(x, 45, 40, 30), 1.0)])
    assert measured.centers[3] == pytest.approx([x + 19.5, 59.5], abs=0.5)
    assert measured.scales[3] == pytest.approx(1200**0.5, rel=0.02)
    assert measured.center_sigmas[3].max() < 5


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
