import sys

import numpy as np
import pytest

from samodal import masks
from samodal.errors import InputError
from samodal.score import score_identity
from samodal.score.identity import sequence_of
from samodal.video import Track, VideoTracks

SIZE = (20, 40)


def square(left):
    mask = np.zeros(SIZE, bool)
    mask[5:15, left : left + 10] = True
    return masks.encode(mask)


def video(*amodal):
    tracks = [Track(number, 1, 1.0, visible=list(m), amodal=list(m)) for number, m in enumerate(amodal, 1)]
    return VideoTracks(SIZE, len(amodal[0]), tracks)


A, B = square(5), square(25)
TRUTH = video([A] * 9, [B] * 9)


def test_the_truth_scores_one():
    row = score_identity([(TRUTH, TRUTH), (TRUTH, TRUTH)], "truth")
    assert row.pop("method") == "truth"
    assert row.pop("subset") == "identity"
    assert set(row.values()) == {1.0}
    assert {"hota", "deta", "assa", "idf1", "idp", "idr"} == set(row)


def test_a_broken_identity_costs_association_not_detection():
    broken = video([A] * 4 + [None] * 5, [None] * 4 + [A] * 5, [B] * 9)
    row = score_identity([(TRUTH, broken)], "broken")
    assert row["deta"] == 1
    # A: 4 frames in one track with 4 of 9, 5 frames in one with 5 of 9. B: 9 frames of 1.
    assert row["assa"] == pytest.approx((4 * 4 / 9 + 5 * 5 / 9 + 9) / 18)
    assert row["hota"] == pytest.approx(row["assa"] ** 0.5)
    assert row["idf1"] == pytest.approx(2 * 14 / (18 + 18))


def test_sequences_name_tracks_from_zero_and_frames_without_masks():
    data = sequence_of(video([None, A, A]), video([None, None, B], [None, A, A]))
    assert [ids.tolist() for ids in data["tracker_ids"]] == [[], [1], [0, 1]]
    assert [matrix.shape for matrix in data["similarity_scores"]] == [(0, 0), (1, 1), (1, 2)]
    assert data["similarity_scores"][2].tolist() == [[0, 1]]
    assert (data["num_gt_dets"], data["num_tracker_dets"]) == (2, 3)


def test_without_trackeval_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "trackeval", None)
    monkeypatch.setitem(sys.modules, "trackeval.metrics", None)
    with pytest.raises(InputError, match=r"pip install 'samodal\[identity\]'"):
        score_identity([(TRUTH, TRUTH)], "truth")
