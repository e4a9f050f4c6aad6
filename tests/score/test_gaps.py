import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samodal import masks
from samodal.masks import Rle
from samodal.score import score_gaps
from samodal.score.gaps import calibration_error, ended_gaps
from samodal.video import Track, VideoTracks

SIZE = (20, 40)


def square(left: int, top: int = 5) -> Rle:
    mask = np.zeros(SIZE, bool)
    mask[top : top + 10, left : left + 10] = True
    return masks.encode(mask)


def video(*tracks: Track) -> VideoTracks:
    return VideoTracks(SIZE, len(tracks[0]), list(tracks))


def track(visible: list[Rle | None], amodal: list[Rle | None], number: int = 1, **more) -> Track:
    return Track(number, 1, 1.0, visible=visible, amodal=amodal, **more)


def rows(truth: VideoTracks, predicted: VideoTracks) -> dict[str, dict]:
    return {row["subset"]: row for row in score_gaps([(truth, predicted)], "ours")}


A, B = square(5), square(10)
HIDDEN_FOR_SEVEN = track([A] + [None] * 7 + [A], [A] * 9)


def test_gap_frames_by_age() -> None:
    # Right for five frames, then five pixels (half a size) too far right, then nothing.
    answer = track(HIDDEN_FOR_SEVEN.visible, [A] * 6 + [B, None, A], scores=[1.0] * 6 + [0.5, None, 1.0])
    found = rows(video(HIDDEN_FOR_SEVEN), video(answer))
    young, old = found["gap 1-5"], found["gap 6-10"]
    assert (young["n"], young["iou"], young["found"], young["center_error"]) == (5, 1, 1, 0)
    assert (old["n"], old["found"]) == (2, 0.5)
    assert old["iou"] == pytest.approx(1 / 3 / 2)
    assert old["center_error"] == pytest.approx(0.5)
    assert found["gap 11-20"]["iou"] is None
    assert found["gaps"]["n"] == 7
    assert found["gaps"]["ghosts"] == 0


def test_frames_before_the_first_sighting_are_no_gap() -> None:
    truth = video(track([None, A, None], [A, A, A]))
    assert rows(truth, truth)["gaps"]["n"] == 1
    assert rows(truth, truth)["gaps"]["n_ended"] == 0


def test_identity_survives_only_in_one_track() -> None:
    truth = video(HIDDEN_FOR_SEVEN)
    assert rows(truth, truth)["gaps"]["survival"] == 1
    first = track([A] + [None] * 8, [A] + [None] * 8, 1)
    second = track([None] * 8 + [A], [None] * 8 + [A], 2)
    broken = rows(truth, video(first, second))["gaps"]
    assert (broken["n_ended"], broken["survival"]) == (1, 0)


def test_ghosts_are_masks_where_nothing_is() -> None:
    truth = video(track([A, None, None], [A, A, None]))
    answer = video(track([A, None, None], [A, A, A]), track([None] * 3, [None, B, None], 2))
    found = rows(truth, answer)["gaps"]
    assert found["ghosts"] == 2
    assert found["ghost_share"] == pytest.approx(2 / 3)


def test_calibration_compares_scores_with_ious() -> None:
    visible, amodal = [A, None, None, None, None], [A] * 5
    answer = track(visible, [A, A, A, B, B], scores=[1.0, 0.9, 0.95, 0.35, 0.3])
    found = rows(video(track(visible, amodal)), video(answer))
    assert found["score 0.9-1.0"]["iou"] == 1
    assert found["score 0.3-0.4"] == {
        "method": "ours", "subset": "score 0.3-0.4", "n": 2, "score": pytest.approx(0.325), "iou": pytest.approx(1 / 3),
    }  # fmt: skip
    off = [1 - 0.925, 1 / 3 - 0.325]
    assert found["gaps"]["calibration_error"] == pytest.approx(np.mean(off))
    assert found["gaps"]["score_error"] == pytest.approx(np.mean([0.1, 0.05, 0.35 - 1 / 3, 1 / 3 - 0.3]))


@given(st.lists(st.floats(0, 1), min_size=1))
def test_a_score_that_is_the_iou_is_calibrated(values: list[float]) -> None:
    assert calibration_error([(value, value) for value in values]) == pytest.approx(0, abs=1e-9)


def test_without_gaps_there_is_nothing_to_score() -> None:
    truth = video(track([A, A], [A, A]))
    found = rows(truth, truth)["gaps"]
    assert (found["n"], found["iou"], found["survival"], found["ghost_share"]) == (0, None, None, None)
    assert calibration_error([]) is None


def test_a_pause_without_instance_is_no_gap() -> None:
    assert ended_gaps(track([A, None, A, None, A], [A, None, A, A, A])) == [(2, 4)]
