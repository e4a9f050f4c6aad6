import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samodal import masks
from samodal.errors import InputError
from samodal.video import Track, Video, VideoTracks

SIZE = (8, 10)


def mask(left, width=3):
    array = np.zeros(SIZE, bool)
    array[2:5, left : left + width] = True
    return masks.encode(array)


def three_frames():
    """Seen, half hidden, in a gap."""
    return Track(
        track_id=7,
        category_id=26,
        score=0.5,
        visible=[mask(1, 4), mask(1, 2), None],
        amodal=[mask(1, 4), mask(1, 4), mask(2, 4)],
        states=["visible", "visible", "hidden"],
        scores=[0.9, 0.8, 0.4],
        points=[np.array([[2, 3], [4, 4]]), None, None],
        reasons=[None, None, "behind track 3"],
    )


def test_a_track_of_visible_masks_fills_the_rest():
    track = Track(1, 1, 1.0, [None, mask(1)])
    assert track.states == ["absent", "visible"]
    assert track.amodal == track.scores == track.points == track.reasons == [None, None]


def test_occlusion_rates():
    assert three_frames().occlusion_rates == [0.0, 0.5, 1.0]


def test_ages_count_from_the_last_sighting():
    states = ["absent", "visible", "hidden", "gone", "hidden", "visible", "visible", "gone"]
    track = Track(1, 1, 1.0, [mask(1) if state == "visible" else None for state in states], states=states)
    assert track.ages == [None, 0, 1, 2, 3, 0, 0, 1]
    assert Track(1, 1, 1.0, [None, None]).ages == [None, None]


def test_tracked_points_keep_their_places(tmp_path):
    track = three_frames()
    track.points[2] = np.array([[1.254, 2.0], [3.5, 4.25]])
    VideoTracks(SIZE, 3, [track]).write(tmp_path / "amodal.json")
    (back,) = VideoTracks.read(tmp_path / "amodal.json")
    assert (back.points[0].dtype, back.points[2].dtype) == (np.int64, np.float64)
    np.testing.assert_array_equal(back.points[2], [[1.25, 2.0], [3.5, 4.25]])


def test_files_of_older_versions_can_be_read(tmp_path):
    VideoTracks(SIZE, 3, [three_frames()]).write(tmp_path / "amodal.json")
    (entry,) = json.loads((tmp_path / "amodal.json").read_text())
    for key in ("ages", "reasons", "occluders", "depths"):
        del entry[key]
    (tmp_path / "old.json").write_text(json.dumps([entry]))
    (track,) = VideoTracks.read(tmp_path / "old.json")
    assert track.ages == [0, 0, 1]
    assert track.reasons == track.occluders == track.depths == [None] * 3


def test_tracks_round_trip(tmp_path):
    tracks = VideoTracks(SIZE, 3, [three_frames(), Track(9, 24, 1.0, [None, mask(4), None])], video_id=5)
    tracks.write(tmp_path / "amodal.json")
    back = VideoTracks.read(tmp_path / "amodal.json")
    assert (back.size, back.num_frames, back.video_id) == (SIZE, 3, 5)
    for one, other in zip(tracks, back, strict=True):
        assert np.array_equal(one.points[0], other.points[0])
        one.points = other.points = [None] * 3
        assert one == other


def test_ids_may_be_numbers_of_numpy(tmp_path):
    track = Track(np.int64(3), np.int32(26), np.float32(0.5), [mask(4)])
    VideoTracks(SIZE, 1, [track], video_id=np.int64(2)).write(tmp_path / "amodal.json")
    back = VideoTracks.read(tmp_path / "amodal.json")
    assert (back.video_id, back.tracks[0].track_id, back.tracks[0].category_id) == (2, 3, 26)


def test_the_file_has_the_public_keys(tmp_path):
    VideoTracks(SIZE, 3, [three_frames()]).write(tmp_path / "amodal.json")
    (entry,) = json.loads((tmp_path / "amodal.json").read_text())
    assert {
        "video_id",
        "track_id",
        "category_id",
        "score",
        "segmentations",
        "states",
        "scores",
    } <= entry.keys()
    assert entry["occlusion_rates"] == [0.0, 0.5, 1.0]
    assert entry["points"] == [[[2, 3], [4, 4]], None, None]
    assert entry["segmentations"][2] == mask(2, 4)


@given(
    st.lists(
        st.lists(st.sampled_from([None, mask(0), mask(5)]), min_size=4, max_size=4), min_size=1, max_size=4
    )
)
def test_any_visible_masks_round_trip(tmp_path_factory, visible):
    path = tmp_path_factory.getbasetemp() / "amodal.json"
    VideoTracks(SIZE, 4, [Track(i, 1, 1.0, list(track)) for i, track in enumerate(visible)]).write(path)
    assert [track.visible for track in VideoTracks.read(path)] == visible


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"a": 1}, "a list with one object"),
        ([{"track_id": 1}], "not an amodal.json"),
        ([1, 2], "a list with one object"),
    ],
)
def test_other_files_are_refused(tmp_path, content, message):
    path = tmp_path / "amodal.json"
    path.write_text(json.dumps(content))
    with pytest.raises(InputError, match=message):
        VideoTracks.read(path)


def test_lists_of_different_lengths_are_refused(tmp_path):
    path = tmp_path / "amodal.json"
    VideoTracks(SIZE, 3, [three_frames()]).write(path)
    entries = json.loads(path.read_text())
    entries[0]["scores"].pop()
    path.write_text(json.dumps(entries))
    with pytest.raises(InputError, match=r"track 7.*scores"):
        VideoTracks.read(path)


def test_video_of_frames_in_memory():
    frames = [np.full((3, 5, 3), value, np.uint8) for value in (1, 2, 3)]
    video = Video.from_frames(frames, fps=4.0)
    assert (len(video), video.size) == (3, (3, 5))
    assert video.times.tolist() == [0, 0.25, 0.5]
    assert [int(frame[0, 0, 0]) for frame in video] == [1, 2, 3]
    assert Video.open(video) is video
    with pytest.raises(InputError):
        Video.from_frames([])
