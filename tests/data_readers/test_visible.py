from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from visible_files import SIZE, refuse, rle, write

from samodal import masks
from samodal.data.asd import GENVIS_CATEGORIES
from samodal.data.visible import read_visible
from samodal.frames import open_video
from samodal.video import Track, Video, VideoTracks

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SHARED = Path(__file__).parents[3] / "shared" / "real_data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder ../shared with real clips")


def results(**changes):
    entry = {"video_id": 1, "category_id": 3, "score": 0.5, "segmentations": [rle(0), None, rle(2)]}
    return entry | changes


def test_results(tmp_path, video):
    runs = masks.run_lengths(rle(5)["counts"]).tolist()
    entries = [
        results(),
        results(segmentations=[None, {}, masks.empty(SIZE)]),  # nothing, spelled three ways
        results(category_id=9.0, segmentations=[{"size": [12, 16], "counts": runs}, "", None]),
    ]
    tracks = read_visible(write(tmp_path, entries), video, categories={3: 26})
    assert (tracks.size, tracks.num_frames, tracks.video_id) == (SIZE, 3, 1)
    assert [(t.track_id, t.category_id, t.score) for t in tracks] == [(1, 26, 0.5), (3, 9, 0.5)]
    assert tracks.tracks[0].visible == [rle(0), None, rle(2)]
    assert tracks.tracks[0].amodal == [None, None, None]
    assert tracks.tracks[1].visible == [rle(5), None, None]


def test_one_video_of_several(tmp_path, video):
    path = write(tmp_path, [results(video_id=4), results(video_id=7, score=0.25)])
    tracks = read_visible(path, video, video_id=7)
    assert (tracks.video_id, [t.score for t in tracks]) == (7, [0.25])
    refuse(path, video, r"several videos.*--video-id.*4, 7")
    refuse(path, video, r"no video 5 in it.*4, 7", video_id=5)


def test_truth_file_chooses_by_name(tmp_path, video):
    truth = {
        "videos": [
            {"id": 1, "file_names": ["other/0.jpg"]},
            {"id": 2, "file_names": ["clip/0.jpg", "clip/1.jpg"]},
        ],
        "annotations": [results(id=11, video_id=1), results(id=12, video_id=2), results(id=13, video_id=2)],
    }
    tracks = read_visible(write(tmp_path, truth), video)
    assert [t.track_id for t in tracks] == [12, 13]
    assert tracks.video_id == 2


def test_our_own_file(tmp_path, video):
    track = Track(5, 26, 0.75, [rle(0), None, None], amodal=[rle(0), rle(1), rle(2)])
    VideoTracks(SIZE, 3, [track], video_id=3).write(tmp_path / "amodal.json")
    (back,) = read_visible(tmp_path / "amodal.json", video)
    assert (back.track_id, back.category_id, back.score) == (5, 26, 0.75)
    assert back.visible == track.visible
    assert back.amodal == [None] * 3


@given(
    tracks=st.lists(
        st.lists(st.sampled_from([None, 0, 3, 11]), min_size=3, max_size=3), min_size=1, max_size=5
    )
)
def test_any_results_round_trip(tmp_path_factory, tracks):
    video = Video.from_frames([np.zeros((*SIZE, 3), np.uint8)] * 3)
    wanted = [[None if left is None else rle(left) for left in track] for track in tracks]
    path = write(tmp_path_factory.getbasetemp(), [results(segmentations=track) for track in wanted])
    if any(map(any, wanted)):
        assert [t.visible for t in read_visible(path, video)] == [track for track in wanted if any(track)]
    else:
        refuse(path, video, "no visible mask")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([results(segmentations=[None] * 4)], r"track 1 has 4 masks.*3 frames"),
        (
            [results(segmentations=[rle(0, (16, 12)), None, None])],
            r"track 1, frame 0: mask of size \[16, 12\]",
        ),
        ([results(segmentations=[None, {"size": [12, 16], "counts": "0o"}, None])], r"frame 1: broken RLE"),
        ([results(segmentations=[None, {"size": [12, 16], "counts": [5]}, None])], r"add up to 5 pixels"),
        ([results(segmentations=[None, 5, None])], r"frame 1: neither an RLE"),
        ([results(segmentations={})], "must be a list"),
        ([results(segmentations=[None] * 3)], "no visible mask"),
        ([results(track_id=2), results(track_id=2)], "track id 2 occurs twice"),
        ([results(track_id=1.5)], "'track_id' is 1.5; a whole number"),
        ([results(video_id="one")], "'video_id' is 'one'"),
        ([results(category_id=None)], "'category_id' is None"),
        ([results(score="high")], "'score' is 'high'; a number"),
        ([{"image_id": 1, "segmentation": rle(0)}], "no 'segmentations'.*expected"),
        ([], "holds no tracks at all"),
        ({"videos": [], "annotations": []}, "holds no tracks at all"),
        ({"images": []}, "unknown format"),
        ([1, 2], "unknown format"),
        ("[{", "not valid JSON"),
        ("", "empty file"),
        (" \n", "empty file"),
        ("these are no masks", "unknown format"),
    ],
)
def test_bad_files_are_refused(tmp_path, video, content, message):
    refuse(write(tmp_path, content), video, message)


def test_files_of_other_kinds_are_refused(tmp_path, video):
    path = tmp_path / "clip.mp4"
    path.write_bytes(bytes(range(256)))
    refuse(path, video, "unknown format")
    refuse(tmp_path / "missing.json", video, "no such file")


def test_golden_genvis_results():
    folder = GOLDEN / "10_datasets" / "asd_sample" / "val" / "images" / "front"
    videos = [open_video(path) for path in sorted(folder.iterdir())]
    read = [
        read_visible(
            GOLDEN / "11_genvis_inference" / "genvis_results.json", video, place, None, GENVIS_CATEGORIES
        )
        for place, video in enumerate(videos, 1)
    ]
    areas = [[[masks.area(m) for m in track.visible] for track in tracks] for tracks in read]
    assert areas[0] == [[437, 437, 0], [373, 0, 373], [750, 750, 750]]
    assert [t.category_id for t in read[0]] == [27, 24, 32]
    assert [t.track_id for t in read[1]] == [4, 5, 6]


@needs_shared
@pytest.mark.parametrize(
    ("clip", "visible", "tracks"),
    [
        ("kitti_mots/image_02/0001", "kitti_mots/instances_txt/0001.txt", 7),
        ("davis/JPEGImages/480p/car-shadow", "davis/Annotations/480p/car-shadow", 1),
        ("birdcage/rgb.mp4", "birdcage/masks", 1),
    ],
)
def test_real_masks(clip, visible, tracks):
    read = read_visible(SHARED / visible, open_video(SHARED / clip))
    assert len(read) == tracks
    assert all(all(track.visible) for track in read)


@needs_shared
def test_a_whole_mots_sequence():
    frames = [np.zeros((375, 1242, 3), np.uint8)] * 233
    tracks = read_visible(SHARED / "kitti_mots/instances_txt/0002.txt", Video.from_frames(frames))
    gaps = sum(
        b is None and a is not None for t in tracks for a, b in zip(t.visible, t.visible[1:], strict=False)
    )
    assert len(tracks) == 16
    assert gaps > 20
