import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from samodal import masks
from samodal.score import measure as module
from samodal.score.measure import measure


def check(drawn):
    measured = measure([None if mask is None else masks.encode(mask) for mask in drawn])
    for n, mask in enumerate(drawn):
        inside = np.flatnonzero(mask.T) if mask is not None else np.zeros(0)
        expected = (len(inside), inside[0], inside[-1] + 1) if len(inside) else (0, 0, 0)
        assert (measured.area[n], measured.first[n], measured.last[n]) == expected


any_size = st.tuples(st.integers(1, 6), st.integers(1, 70)).flatmap(lambda size: arrays(bool, size))


@given(st.lists(st.one_of(st.none(), any_size), max_size=6))
def test_are_those_of_the_pixels(drawn):
    check(drawn)


def test_long_runs_take_several_characters():
    rng = np.random.default_rng(0)
    drawn = []
    for density in (0, 1e-6, 1e-4, 0.01, 0.5, 0.9999, 1):
        drawn.append(rng.random((1080, 300)) < density)
    check(drawn)


def test_batches_do_not_show(monkeypatch):
    rng = np.random.default_rng(1)
    drawn = [rng.random((20, 30)) < rng.random() for _ in range(40)]
    for size in (1, 50, 700):
        monkeypatch.setattr(module, "_BATCH", size)
        check(drawn)


sound = masks.encode(np.eye(30, dtype=bool))
long = masks.encode(np.arange(10000).reshape(100, 100) > 9000)


@pytest.mark.parametrize(
    "broken",
    [
        sound | {"size": [30, 31]},
        sound | {"size": [30]},
        sound | {"size": [0, 900]},
        sound | {"size": [-30, -30]},
        sound | {"size": [30.0, 30.0]},
        sound | {"size": [2**20, 2**20]},
        sound | {"counts": ""},
        sound | {"counts": sound["counts"] + "o"},
        sound | {"counts": sound["counts"] + "!"},
        sound | {"counts": sound["counts"] + "é"},
        sound | {"counts": sound["counts"][:-1]},
        sound | {"counts": "oooooooooo0"},
    ],
)
def test_broken_masks_are_noticed_among_sound_ones(broken):
    with pytest.raises(ValueError, match=r"RLE|ascii|shape"):
        measure([sound, long, broken, sound])
    measure([sound, long, sound])


@given(st.text(st.characters(min_codepoint=48, max_codepoint=111), min_size=1, max_size=12))
def test_agrees_with_the_careful_reader(counts):
    rle = {"size": [6, 7], "counts": counts}
    try:
        careful = masks.area(masks.from_annotation(rle, (6, 7)))
    except ValueError:
        with pytest.raises(ValueError, match="RLE"):
            measure([sound, rle, sound])
    else:
        assert measure([sound, rle, sound]).area[1] == careful


@given(st.lists(st.integers(-40, 60), min_size=1, max_size=7))
def test_agrees_with_the_careful_reader_on_runs_that_nearly_fit(runs):
    runs = [*runs, 42 - sum(runs)]
    counts = "".join(code(n - (runs[at - 2] if at > 2 else 0)) for at, n in enumerate(runs))
    rle = {"size": [6, 7], "counts": counts}
    if min(runs) < 0:
        with pytest.raises(ValueError, match="RLE"):
            measure([sound, rle, sound])
    else:
        assert measure([sound, rle, sound]).area[1] == sum(runs[1::2])


def code(number):
    """One number as COCO writes it: five bits a character, low bits first, bit 5 = more follow."""
    text = ""
    while True:
        low, number = number & 31, number >> 5
        done = number == (-1 if low & 16 else 0)
        text += chr(48 + low + (0 if done else 32))
        if done:
            return text
