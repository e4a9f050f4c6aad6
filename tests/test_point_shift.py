"""The original's rule for hidden frames, against what the original gives (golden 09 and 06)."""

import json
from pathlib import Path

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from samodal import masks
from samodal.point_shift import shift, shift_by_point, sightings
from samodal.video import Track, VideoTracks

GOLDEN = Path(__file__).parent / "data" / "golden"
SIZE = (60, 120)


def golden(name):
    return json.loads((GOLDEN / "09_video_recovery" / name).read_text())


def as_track(entry):
    amodal = [rle if masks.area(rle) else None for rle in entry["segmentations"]]
    points = [None if point is None else np.array([point]) for point in entry["points"]]
    return Track(entry["track_id"], entry["category_id"], 1.0, amodal, list(amodal), points=points)


def square(x, y, side=12):
    mask = np.zeros(SIZE, bool)
    mask[y : y + side, x : x + side] = True
    return masks.encode(mask)


def track_with(amodal, points):
    points = [None if point is None else np.array([point]) for point in points]
    return Track(
        1, 26, 0.9, list(amodal), list(amodal), scores=[0.8 if m else None for m in amodal], points=points
    )


def test_recovery_of_the_original():
    offsets = golden("recovery_case.json")["tracker_offsets_by_converted_track_id"]
    calls = golden("recovery_tracker_calls.json")
    compared = 0
    for before, after in zip(golden("recovery_converted.json"), golden("recovery_output.json"), strict=True):
        way, asked = np.array(offsets[str(before["track_id"])]), set()

        def follow(start, point, frames, asked=asked, way=way):
            asked.add(start)
            return point + way[1 : 1 + len(frames)]

        found = shift_by_point(as_track(before), follow)
        assert asked == {call["frames"][0] for call in calls if call["track_id"] == before["track_id"]}
        for frame, (ours, theirs) in enumerate(zip(found.amodal, after["segmentations"], strict=True)):
            place = (before["track_id"], frame)
            assert masks.area(ours) == masks.area(theirs), place
            if masks.area(theirs):
                assert np.array_equal(masks.decode(ours), masks.decode(theirs)), place
                compared += 1
        for ours, theirs in zip(found.points, after["points"], strict=True):
            if theirs is not None:
                np.testing.assert_allclose(ours[0], theirs, atol=1e-4)
    assert compared > 50


def test_recorded_shifts_of_a_mask():
    cases = json.loads((GOLDEN / "06_points" / "points.json").read_text())
    with np.load(GOLDEN / "06_points" / "points.npz") as arrays:
        mask = arrays[f"mask__{cases['mask_shift_of']}"].astype(bool)
        for case in cases["mask_shift"]:
            wanted = np.unpackbits(arrays[case["key"]])[: mask.size].reshape(mask.shape).astype(bool)
            ours = masks.decode(shift(masks.encode(mask), np.array([case["dx"], case["dy"]])))
            assert np.array_equal(ours, wanted), case


@given(st.integers(-130, 130), st.integers(-70, 70))
def test_a_shift_by_whole_pixels_moves_every_pixel(dx, dy):
    mask = masks.decode(square(50, 20)) | masks.decode(square(58, 35, 5))
    rows, columns = np.nonzero(mask)
    wanted = np.zeros(SIZE, bool)
    inside = np.isin(rows + dy, range(SIZE[0])) & np.isin(columns + dx, range(SIZE[1]))
    wanted[(rows + dy)[inside], (columns + dx)[inside]] = True
    assert np.array_equal(masks.decode(shift(masks.encode(mask), np.array([dx, dy]))), wanted)


def test_after_one_sighting_nothing_limits_the_way():
    track = track_with([None, square(40, 20), None, None], [None, (45, 25), None, None])
    found = shift_by_point(track, lambda start, point, frames: np.add(point, [[9.0, 2.0], [18.0, 4.0]]))
    assert found.states == ["absent", "visible", "hidden", "hidden"]
    assert found.amodal[2:] == [square(49, 22), square(58, 24)]
    assert found.scores == [None, 0.8, 0.8, 0.8]
    assert track.amodal[2] is None  # what was handed in is not changed


def test_the_way_is_limited_to_the_mean_step():
    amodal = [square(40, 20), square(42, 20), square(44, 20), None, None]
    track = track_with(amodal, [(45, 25), (47, 26), (49, 25), None, None])
    found = shift_by_point(track, lambda start, point, frames: np.add(point, [[50.0, 0.75], [-50.0, 3.0]]))
    assert [masks.box(rle)[:2] for rle in found.amodal[3:]] == [(46, 21), (40, 22)]
    np.testing.assert_allclose(found.points[3], [[99, 25.75]])  # the tracked point itself is not limited


def test_what_reaches_the_border_has_left_until_it_is_seen_again():
    def never(start, point, frames):
        raise AssertionError("nothing to follow")

    track = track_with([square(90, 20), None, square(60, 20), None], [(95, 25), None, (65, 25), None])
    found = shift_by_point(track, lambda start, point, frames: np.add(point, [[0.0, 0.0]]))
    assert found.states == ["visible", "gone", "visible", "hidden"]
    assert found.reasons[1] == "left the frame"
    assert shift_by_point(track_with([square(90, 20), None], [(95, 25), None]), never).amodal[1] is None


def test_hidden_frames_come_after_a_sighting():
    track = track_with(
        [None, square(40, 20), None, None, square(40, 20), None], [None, (1, 1), None, None, (3, 2), None]
    )
    assert [(one.frame, list(one.hidden)) for one in sightings(track)] == [(1, [2, 3]), (4, [5])]
    assert sightings(track_with([None], [None])) == []


def test_a_point_that_is_lost_ends_the_mask_until_it_is_found_again(tmp_path):
    hidden = [None] * 3
    track = track_with([square(50, 20), *hidden, square(56, 20)], [(55, 25), *hidden, (61, 25)])
    way = np.array([[56.0, 25.0], [np.nan, np.nan], [58.0, 25.0]])
    found = shift_by_point(track, lambda last, point, frames: way)
    assert found.states == ["visible", "hidden", "gone", "hidden", "visible"]
    assert found.reasons[2] == "its point is lost"
    assert found.points[2] is None
    VideoTracks(SIZE, 5, [found]).write(tmp_path / "amodal.json")
    assert VideoTracks.read(tmp_path / "amodal.json").tracks[0].states == found.states
