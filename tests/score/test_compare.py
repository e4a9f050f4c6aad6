import pickle

import numpy as np
import pytest

from samodal import masks
from samodal.score import REFERENCE, STRICT, compare, workers
from samodal.video import Track, VideoTracks

SIZE = (20, 40)


def box(left, width=10):
    mask = np.zeros(SIZE, bool)
    mask[5:15, left : left + width] = True
    return masks.encode(mask)


def video(*tracks):
    return VideoTracks(SIZE, len(tracks[0]), list(tracks))


SEEN, WHOLE = box(5, 6), box(5)
# Hidden before it is first seen, where protocol strict does not ask for it, and in a gap.
LATE = video(Track(1, 1, 1.0, [None, SEEN, None, SEEN], [WHOLE] * 4))
GUESS = video(
    Track(1, 1, 0.7, [None, SEEN, None, SEEN], [None, WHOLE, box(7), WHOLE], scores=[None, 1, 0.5, 1])
)
OTHER = video(Track(7, 2, 0.9, [SEEN] * 3, [WHOLE] * 3, scores=[1.0] * 3))
TRUTH, METHODS = [LATE, OTHER], {"ours": [GUESS, OTHER]}


def of_processes(function, *columns):
    """As `map`, but all is pickled on its way, as for a pool of processes."""
    for call in zip(*columns, strict=True):
        function_there, call_there = pickle.loads(pickle.dumps((function, call)))
        yield pickle.loads(pickle.dumps(function_there(*call_there)))


def test_a_method_stands_beside_the_trivial_answers():
    rows = compare(TRUTH, METHODS)
    overall = {row["method"]: row for row in rows if row["subset"] == "all"}
    assert list(overall) == ["ours", "visible", "convex-hull", "hold-last", "constant-velocity"]
    assert overall["ours"]["gap_iou"] == pytest.approx(80 / 120)
    assert overall["visible"]["gap_iou"] == 0
    assert overall["hold-last"]["gap_iou"] == 1


@pytest.mark.parametrize("protocol", [STRICT, REFERENCE])
def test_what_goes_through_pickles_scores_the_same(protocol):
    assert compare(TRUTH, METHODS, protocol=protocol, each=of_processes) == compare(
        TRUTH, METHODS, protocol=protocol
    )


def test_a_pool_of_processes_scores_the_same(monkeypatch):
    monkeypatch.setattr(workers, "_processors", lambda: 2)
    with workers.mapping(workers.ENOUGH, num_videos=2) as each:
        assert each is not map
        assert compare(TRUTH, METHODS, each=each) == compare(TRUTH, METHODS)


@pytest.mark.parametrize(("num_masks", "videos", "processors"), [(100, 2, 8), (10**6, 1, 8), (10**6, 9, 1)])
def test_no_pool_where_it_does_not_pay(monkeypatch, num_masks, videos, processors):
    monkeypatch.setattr(workers, "_processors", lambda: processors)
    with workers.mapping(num_masks, videos) as each:
        assert each is map


def test_nothing_to_compare():
    rows = compare([], {"ours": []})
    assert {row["method"] for row in rows} >= {"ours", "visible"}
    assert all(row.get("n", 0) == 0 for row in rows)
