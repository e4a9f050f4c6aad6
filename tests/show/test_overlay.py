import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from samodal import masks
from samodal.errors import InputError
from samodal.show.colours import PALETTE, colour_of, css
from samodal.show.overlay import draw_frame, label_of, overlay_frames, write_overlay
from samodal.show.text import own_reason
from samodal.video import Track, Video, VideoTracks

H, W = 180, 320


def grey(size: tuple[int, int] = (H, W)) -> np.ndarray:
    return np.full((*size, 3), 120, np.uint8)


def square(top: int, left: int, bottom: int, right: int, size: tuple[int, int] = (H, W)) -> np.ndarray:
    mask = np.zeros(size, bool)
    mask[top:bottom, left:right] = True
    return mask


def track_of(
    visible: np.ndarray | None, amodal: np.ndarray | None, track_id: int = 3, frames: int = 1, **more
) -> Track:
    coded = [None if mask is None else masks.encode(mask) for mask in (visible, amodal)]
    return Track(track_id, 1, 0.9, visible=[coded[0]] * frames, amodal=[coded[1]] * frames, **more)


def tracks_of(*tracks: Track, size: tuple[int, int] = (H, W)) -> VideoTracks:
    return VideoTracks(size, len(tracks[0]) if tracks else 1, list(tracks))


def test_a_colour_belongs_to_an_id():
    assert colour_of(3) == colour_of(3) == colour_of(3 + len(PALETTE))
    assert len({colour_of(i) for i in range(len(PALETTE))}) == len(PALETTE)
    assert css((230, 159, 0)) == "#e69f00"


def test_pixels_change_only_where_something_is_drawn():
    full = square(80, 100, 140, 200)
    drawn = draw_frame(grey(), tracks_of(track_of(square(80, 100, 140, 150), full)), 0)
    changed = (drawn[:H] != grey()).any(2)
    near = cv2.dilate(full.astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
    near[50:80, 90:140] = True  # the label stands above the box
    assert not changed[~near].any()
    assert changed[81:139, 101:149].all(), "all of the visible part is filled"


def test_the_frame_that_is_given_stays_as_it_is():
    frame = grey()
    draw_frame(frame, tracks_of(track_of(square(80, 100, 140, 150), None)), 0)
    assert (frame == 120).all()


def test_the_hidden_part_is_striped_and_the_visible_part_is_plain():
    drawn = draw_frame(grey(), tracks_of(track_of(square(80, 100, 140, 150), square(80, 100, 140, 200))), 0)
    visible, hidden = drawn[90:130, 110:140].reshape(-1, 3), drawn[90:130, 160:190].reshape(-1, 3)
    assert len(np.unique(visible, axis=0)) == 1
    colours, counts = np.unique(hidden, axis=0, return_counts=True)
    assert len(colours) == 2
    assert [120, 120, 120] in colours.tolist(), "what hides it can be seen between the stripes"
    assert counts.min() > 0.2 * counts.sum()


def test_a_hidden_frame_is_told_from_a_partly_hidden_one():
    full = square(80, 100, 140, 200)
    states = ["visible", "hidden", "hidden"]
    track = track_of(None, full, frames=3, states=states, scores=[0.9, 0.8, 0.7])
    second, third = (draw_frame(grey(), tracks_of(track), i) for i in (1, 2))
    other = draw_frame(grey(), tracks_of(track_of(None, full, states=["visible"])), 0)
    assert (second[:80] != other[:80]).any(), "the label says that it is hidden"
    assert (second[:80] != third[:80]).any(), "and for how long"


def test_hidden_parts_lie_on_top_of_what_hides_them_in_any_order():
    hider = track_of(square(60, 100, 160, 180), square(60, 100, 160, 180), 1)
    behind = track_of(None, square(90, 120, 130, 160), 2, states=["hidden"])
    one, two = (draw_frame(grey(), tracks_of(*order), 0) for order in ((hider, behind), (behind, hider)))
    assert np.array_equal(one[95:125, 125:155], two[95:125, 125:155])
    assert len(np.unique(one[95:125, 125:155].reshape(-1, 3), axis=0)) == 2


def test_points_are_dots():
    with_points = track_of(square(80, 100, 140, 150), None, points=[np.array([[120, 100], [140, 130]])])
    without = track_of(square(80, 100, 140, 150), None)
    first, second = (draw_frame(grey(), tracks_of(track), 0) for track in (with_points, without))
    different = np.argwhere((first != second).any(2))
    assert first[100, 120].min() > 200
    assert np.abs(different[:, None] - [[100, 120], [130, 140]]).max(2).min(1).max() <= 4


def test_tracked_points_are_crosses():
    full = square(60, 100, 160, 260)
    places = np.array([[150.4, 100.6], [np.nan, 3.0]])
    with_points, without = (
        draw_frame(grey(), tracks_of(track_of(None, full, states=["hidden"], points=[xy])), 0)
        for xy in (places, None)
    )
    different = np.argwhere((with_points != without).any(2))
    assert with_points[101, 150].min() > 200
    assert 4 < np.abs(different - [101, 150]).max() <= 8
    assert np.abs(different - [101, 150]).min(1).max() < 8


def test_a_hidden_one_says_how_long_behind_whom_or_why_and_how_sure():
    states = ["visible", "hidden", "gone", "hidden", "hidden"]
    track = track_of(None, square(1, 1, 9, 9), frames=5, states=states, scores=[0.9, 0.8, None, 0.7, None])
    track.occluders[1] = 12
    track.reasons[1:] = ["not seen for 1 frames", "outside the frame", "between two sightings", None]
    assert [label_of(track, index) for index in (0, 1, 3, 4)] == [
        "3",
        "3  hidden 1  behind 12  0.80",
        "3  hidden 3  between two sightings  0.70",
        "3  hidden 4",
    ]


def test_the_time_is_cut_off_from_a_reason():
    assert own_reason("not seen for 12 frames") is own_reason(None) is None
    assert own_reason("moved with a point, not seen for 1 frames") == "moved with a point"
    assert own_reason("left the frame") == "left the frame"


def test_labels_of_neighbours_do_not_cover_each_other():
    def plate_area(*tracks: Track) -> int:
        drawn = draw_frame(grey((360, 640)), tracks_of(*tracks, size=(360, 640)), 0)
        return int((drawn[:360].max(2) < 60).sum())

    at_one_place = [track_of(square(200, 300, 240, 340, (360, 640)), None, i) for i in (1, 2, 3)]
    assert plate_area(*at_one_place) == sum(plate_area(track) for track in at_one_place) > 0


def test_no_tracks_leave_the_frame_alone_above_the_legend():
    drawn = draw_frame(grey(), tracks_of(), 0)
    assert np.array_equal(drawn[:H], grey())
    assert drawn.shape[0] > H
    assert drawn.dtype == np.uint8


def test_absent_gone_and_empty_masks_draw_nothing():
    empty = np.zeros((H, W), bool)
    tracks = tracks_of(track_of(None, None), track_of(None, None, states=["gone"]), track_of(empty, empty))
    assert np.array_equal(draw_frame(grey(), tracks, 0)[:H], grey())


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 90), st.integers(1, 90), st.integers(0, 10**6), st.integers(0, 10**6), st.booleans())
def test_any_size_and_masks_of_one_pixel(height, width, x, y, seen):
    mask = np.zeros((height, width), bool)
    mask[y % height, x % width] = True
    frame = grey((height, width))
    track = track_of(mask if seen else None, mask, states=["visible" if seen else "hidden"], scores=[0.5])
    drawn = draw_frame(frame, tracks_of(track, size=(height, width)), 0)
    assert drawn.shape[1] == width
    assert drawn.shape == draw_frame(frame, tracks_of(), 0).shape, "the strip has one height in a video"
    assert np.array_equal(drawn, draw_frame(frame, tracks_of(track, size=(height, width)), 0))


def test_overlay_frames_have_one_size_and_show_the_time():
    video = Video.from_frames([grey()] * 3, fps=10)
    drawn = list(overlay_frames(video, VideoTracks((H, W), 3)))
    assert len({frame.shape for frame in drawn}) == 1
    assert (drawn[0][H:] != drawn[1][H:]).any()


def test_tracks_of_another_video_are_refused():
    video = Video.from_frames([grey()] * 3)
    with pytest.raises(InputError, match="another video"):
        list(overlay_frames(video, tracks_of(track_of(square(0, 0, 5, 5), None, frames=2))))


def test_the_overlay_can_be_opened_as_a_video(tmp_path):
    size = (61, 93)
    video = Video.from_frames([grey(size)] * 4)
    track = track_of(square(10, 10, 30, 40, size), square(10, 10, 30, 60, size), frames=4)
    write_overlay(tmp_path / "overlay.mp4", video, tracks_of(track, size=size))
    again = Video.open(tmp_path / "overlay.mp4")
    assert len(again) == 4
    assert [path.name for path in tmp_path.iterdir()] == ["overlay.mp4"]


def test_ten_instances_keep_up_with_a_video():
    size = (360, 640)
    tracks = [
        track_of(square(60, x, 200, x + 60, size), square(60, x, 200, x + 90, size), x)
        for x in range(0, 500, 50)
    ]
    together = tracks_of(*tracks, size=size)
    draw_frame(grey(size), together, 0)
    spent = min(_seconds(grey(size), together) for _ in range(5))
    assert spent < 1 / 25


def _seconds(frame: np.ndarray, tracks: VideoTracks) -> float:
    start = time.perf_counter()
    draw_frame(frame, tracks, 0)
    return time.perf_counter() - start
