"""Hide and check: what is withheld of real tracks is found again, better than by standing still."""

from pathlib import Path

import numpy as np
import pytest
from benchmark_modules import load_benchmark

from samodal import masks
from samodal.data.labelled_files import read_labelled
from samodal.video import Track, VideoTracks

REAL = Path(__file__).parents[2] / "shared" / "real_data"
bench = load_benchmark("bench_recovery")


def walking(length: int = 40) -> VideoTracks:
    seen = []
    for frame in range(length):
        whole = np.zeros((100, 240), bool)
        whole[40:60, 20 + 4 * frame : 40 + 4 * frame] = True
        seen.append(masks.encode(whole))
    return VideoTracks((100, 240), length, [Track(1, 2, 1.0, seen)])


def test_only_withheld_frames_are_judged_and_never_shown() -> None:
    tracks = walking()
    cases = list(bench.withheld_cases(None, tracks, 5))
    assert cases
    for case in cases:
        judged = [frame for frame, rle in enumerate(case.truth[0]) if rle is not None]
        assert len(judged) == 5
        assert all(case.known.tracks[0].visible[frame] is None for frame in judged)
        assert not any(
            masks.area(tracks.tracks[0].visible[frame]) == 0 for frame in range(len(tracks.tracks[0]))
        )


def mean_iou(judged: list, rule: str) -> float:
    return float(np.mean([one.iou for one in judged if one.rule == rule]))


def test_steady_motion_is_followed_through_a_gap() -> None:
    judged = [
        one for case in bench.withheld_cases(None, walking(), 10) for one in bench.judge(case, "toy", False)
    ]
    assert mean_iou(judged, "two-sided") > 0.9
    assert mean_iou(judged, "online") > mean_iou(judged, "hold-last") + 0.3


@pytest.mark.skipif(
    not REAL.exists(), reason="the real tracks are not here: their licences forbid to copy them"
)
@pytest.mark.parametrize("length", [5, 10])
def test_real_tracks_are_found_again(length: int) -> None:
    path = REAL / "kitti_mots" / "instances_txt" / "0012.txt"
    judged = [
        one
        for labelled in read_labelled(path, "mots").videos
        for case in bench.withheld_cases(None, labelled.tracks, length, most=3)
        for one in bench.judge(case, "mots", False)
    ]
    assert len(judged) >= 4 * 2 * length  # four rules, at least two gaps
    assert mean_iou(judged, "two-sided") > 0.6
    assert mean_iou(judged, "two-sided") > max(mean_iou(judged, "hold-last"), mean_iou(judged, "online"))
