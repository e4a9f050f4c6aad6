from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samodal import masks
from samodal.errors import InputError
from samodal.score import BASELINES, match_tracks, score_video, score_videos, visible_as_answer
from samodal.video import Track, VideoTracks

SIZE = (20, 40)


def bar(start, stop, top=0, bottom=20):
    mask = np.zeros(SIZE, bool)
    mask[top:bottom, start:stop] = True
    return masks.encode(mask)


def video(*tracks):
    return VideoTracks(SIZE, len(tracks[0].visible), list(tracks))


def row(rows, subset):
    return next(row for row in rows if row["subset"] == subset)


FULL = bar(10, 20)  # 200 pixels
TRUTH = video(
    Track(
        1,
        24,
        1.0,
        visible=[None, FULL, bar(10, 19), bar(10, 16), bar(10, 14), bar(10, 12), None, None],
        amodal=[FULL] * 7 + [None],
    )
)


def test_every_instance_frame_has_its_subset():
    rows = score_video(TRUTH, visible_as_answer(TRUTH), "visible")
    counts = {row["subset"]: row["n"] for row in rows}
    # Not the first frame (not seen before), not the last (nothing there).
    assert counts == {
        "all": 6, "unoccluded": 1, "partial": 1, "medium": 1, "heavy": 1, "extreme": 1, "hidden": 1,
    }  # fmt: skip
    assert [row["method"] for row in rows] == ["visible"] * 7


def test_visible_as_answer_by_hand():
    rows = score_video(TRUTH, visible_as_answer(TRUTH), "visible")
    everything = row(rows, "all")
    assert everything["iou_full"] == pytest.approx((1 + 0.9 + 0.6 + 0.4 + 0.2 + 0) / 6)
    assert everything["iou_hidden"] == 0
    assert everything["n_hidden_part"] == 5
    assert (everything["n_gap"], everything["gap_iou"], everything["ghosts"]) == (1, 0, 0)
    assert row(rows, "unoccluded")["iou_hidden"] is None
    assert row(rows, "heavy")["iou_full"] == pytest.approx(0.4)
    # The track: 3.1 of 6 frames' pixels, more than 0.5, less than 0.55.
    assert everything["video_ap50"] == pytest.approx(1)
    assert everything["video_ap"] == pytest.approx(0.1)


def test_holding_the_last_mask_fills_the_gap_and_leaves_a_ghost():
    everything = row(score_video(TRUTH, BASELINES["hold-last"](TRUTH), "hold-last"), "all")
    assert everything["gap_iou"] == pytest.approx(0.2)
    assert everything["ghosts"] == 1
    assert everything["video_ap50_before"] == pytest.approx(1)


def test_before_is_without_the_masks_in_gaps():
    gap = video(Track(1, 1, 1.0, visible=[FULL, None], amodal=[FULL, FULL]))
    everything = row(score_video(gap, gap, "perfect"), "all")
    assert (everything["video_ap"], everything["gap_iou"]) == (pytest.approx(1), 1)
    assert everything["video_ap_before"] == pytest.approx(0.1)  # half of it: right at the first threshold


def test_a_gap_is_between_two_sightings_or_has_no_end():
    both = video(Track(1, 1, 1.0, visible=[FULL, None, None, FULL, None], amodal=[FULL] * 5))
    guess = video(Track(1, 1, 1.0, visible=both.tracks[0].visible, amodal=[FULL, FULL, None, FULL, None]))
    everything = row(score_video(both, guess, "half"), "all")
    assert (everything["n_gap"], everything["gap_iou"]) == (3, pytest.approx(1 / 3))
    assert (everything["n_between"], everything["between_iou"]) == (2, pytest.approx(1 / 2))
    assert row(score_video(TRUTH, TRUTH, "perfect"), "all")["between_iou"] is None


def test_missing_tracks_score_zero_and_invented_ones_are_ghosts():
    truth = video(Track(1, 1, 1.0, [FULL], [FULL]), Track(2, 1, 1.0, [bar(30, 35)], [bar(30, 35)]))
    predicted = video(Track(1, 1, 1.0, [FULL], [FULL]), Track(9, 1, 1.0, [bar(0, 5)], [bar(0, 5)]))
    everything = row(score_video(truth, predicted, "x"), "all")
    assert (everything["n"], everything["iou_full"], everything["ghosts"]) == (2, 0.5, 1)


def test_masks_before_the_first_sight_count_neither_for_nor_against():
    everything = row(score_video(TRUTH, TRUTH, "perfect"), "all")
    assert (everything["n"], everything["iou_full"], everything["ghosts"]) == (6, 1, 0)
    assert everything["video_ap"] == pytest.approx(1)


def test_instances_never_seen_do_not_count():
    truth = video(Track(1, 1, 1.0, [FULL], [FULL]), Track(2, 1, 1.0, [None], [bar(30, 35)]))
    everything = row(score_video(truth, video(truth.tracks[0]), "x"), "all")
    assert (everything["n"], everything["iou_full"]) == (1, 1)
    assert everything["video_ap"] == pytest.approx(1)


def test_tracks_are_matched_by_what_is_seen_not_by_chance_ids():
    one, two = Track(1, 1, 1.0, [FULL], [FULL]), Track(2, 1, 1.0, [bar(30, 35)], [bar(30, 35)])
    truth = video(one, two)
    swapped = video(replace(two, track_id=1), replace(one, track_id=2))
    assert row(score_video(truth, swapped, "x"), "all")["iou_full"] == 1
    assert row(score_video(truth, swapped, "x", match="id"), "all")["iou_full"] == 0
    assert {key: track.track_id for key, track in match_tracks(truth, swapped).items()} == {1: 2, 2: 1}


def test_what_cannot_be_matched_or_compared_is_an_error():
    blind = video(Track(1, 1, 1.0, [None] * 8, [FULL] * 8))
    with pytest.raises(InputError, match="match by 'id'"):
        score_video(TRUTH, blind, "x")
    assert row(score_video(TRUTH, blind, "x", match="id"), "all")["iou_full"] == 1
    with pytest.raises(InputError, match="1 frames"):
        score_video(TRUTH, video(Track(1, 1, 1.0, [FULL])), "x")
    with pytest.raises(InputError, match="'overlap' and 'id'"):
        score_video(TRUTH, TRUTH, "x", match="luck")


def test_no_predicted_tracks_score_zero():
    everything = row(score_video(TRUTH, VideoTracks(SIZE, 8, []), "nothing"), "all")
    assert (everything["iou_full"], everything["iou_hidden"], everything["video_ap"]) == (0, 0, 0)


def test_several_videos_are_scored_together():
    short = video(Track(1, 1, 1.0, [FULL], [FULL]))
    pairs = [(TRUTH, visible_as_answer(TRUTH)), (short, visible_as_answer(short))]
    everything = row(score_videos(iter(pairs), "visible"), "all")
    assert everything["n"] == 7
    assert everything["iou_full"] == pytest.approx((3.1 + 1) / 7)
    assert everything["video_ap50"] == pytest.approx(1)


spans = st.tuples(st.integers(0, 30), st.integers(1, 10), st.integers(0, 10))


@st.composite
def worlds(draw):
    """Tracks whose rows of the image do not overlap; frames hide columns, or all, but not every one."""
    num_frames = draw(st.integers(1, 4))
    tracks = []
    for number in range(draw(st.integers(1, 3))):
        rows = (number * 6, number * 6 + 5)
        frames = draw(st.lists(spans, min_size=num_frames, max_size=num_frames))
        amodal = [bar(x, x + width, *rows) for x, width, _ in frames]
        visible = [bar(x, x + width - cut, *rows) if cut < width else None for x, width, cut in frames]
        seen = draw(st.integers(0, num_frames - 1))
        visible[seen] = amodal[seen]
        tracks.append(Track(number + 1, 1, 1.0, visible, amodal))
    return video(*tracks)


@given(worlds())
@settings(max_examples=30, deadline=None)
def test_perfect_is_one_everywhere_and_visible_has_nothing_hidden(truth):
    for scores in score_video(truth, truth, "perfect"):
        for name in ("iou_full", "iou_hidden", "gap_iou", "video_ap", "video_ap50", "video_ap75"):
            assert scores.get(name) in (None, pytest.approx(1))
        assert scores.get("ghosts", 0) == 0
    for scores in score_video(truth, visible_as_answer(truth), "visible"):
        assert scores["iou_hidden"] in (None, 0)
