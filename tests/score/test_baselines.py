import copy

import numpy as np

from samodal import masks
from samodal.score import BASELINES, constant_velocity, convex_hull, hold_last, visible_as_answer
from samodal.video import Track, VideoTracks


def square(x, size=(30, 60), side=8):
    mask = np.zeros(size, bool)
    mask[10 : 10 + side, max(x, 0) : max(x + side, 0)] = True
    return masks.encode(mask) if mask.any() else None


def seen(*visible):
    return VideoTracks((30, 60), len(visible), [Track(4, 2, 0.7, list(visible))])


def test_visible_leaves_gaps_empty_and_the_input_alone():
    tracks = seen(None, square(3), None, square(9))
    before = copy.deepcopy(tracks)
    (answer,) = visible_as_answer(tracks)
    assert answer.amodal == tracks.tracks[0].visible
    assert answer.states == ["absent", "visible", "gone", "visible"]
    assert (answer.track_id, answer.category_id, answer.score) == (4, 2, 0.7)
    for baseline in BASELINES.values():
        baseline(tracks)
    assert tracks == before


def test_hull_closes_what_an_occluder_cut_out():
    whole = np.zeros((30, 60), bool)
    whole[5:25, 10:40] = True
    cut = whole.copy()
    cut[:, 20:25] = False  # two parts left
    (answer,) = convex_hull(seen(masks.encode(cut), None))
    assert answer.amodal == [masks.encode(whole), None]
    dot = np.zeros((30, 60), bool)
    dot[3, 7] = True
    (answer,) = convex_hull(seen(masks.encode(dot)))
    assert answer.amodal == [masks.encode(dot)]


def test_hold_last_fills_gaps_up_to_the_end():
    (answer,) = hold_last(visible_as_answer(seen(None, square(3), None, None, square(9), None)))
    assert answer.amodal == [None, square(3), square(3), square(3), square(9), square(9)]
    assert answer.states == ["absent", "visible", "hidden", "hidden", "visible", "hidden"]


def test_constant_velocity_moves_on_and_leaves_the_image():
    steps = [square(x) for x in (20, 25, 30)]
    (answer,) = constant_velocity(visible_as_answer(seen(*steps, *[None] * 7)))
    assert answer.amodal[3:6] == [square(35), square(40), square(45)]
    assert masks.area(answer.amodal[7]) == 5 * 8  # half out on the right
    assert answer.amodal[8:] == [None, None]
    assert answer.states[3:] == ["hidden"] * 5 + ["gone"] * 2
    assert answer.reasons[8] == "left the image"


def test_constant_velocity_counts_frames_not_masks():
    (answer,) = constant_velocity(visible_as_answer(seen(square(0), None, square(10), None)))
    assert answer.amodal[3] == square(15)
    (answer,) = constant_velocity(visible_as_answer(seen(square(0), None)))  # one mask has no speed
    assert answer.amodal[1] == square(0)
