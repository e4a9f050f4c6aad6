import json
import logging
from pathlib import Path

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from samodal import masks
from samodal.data.asd import GENVIS_CATEGORIES
from samodal.data.visible import read_visible
from samodal.errors import InputError
from samodal.frames import open_video
from samodal.video import Track, Video, VideoTracks

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SHARED = Path(__file__).parents[3] / "shared" / "real_data"
needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="needs the folder ../shared with real clips")

SIZE = (12, 16)


def rectangle(left, top=3, size=SIZE):
    mask = np.zeros(size, bool)
    mask[top : top + 5, left : left + 4] = True
    return mask


def rle(left, size=SIZE):
    return masks.encode(rectangle(left, size=size))


@pytest.fixture
def video():
    """A video file of three frames."""
    return Video.from_frames([np.zeros((*SIZE, 3), np.uint8)] * 3, name="clip")


@pytest.fixture
def numbered():
    """A folder of frames with the numbers 4 to 6."""
    frames = Video.from_frames([np.zeros((*SIZE, 3), np.uint8)] * 3, name="folder")
    frames.frame_names = ["000004", "000005", "000006"]
    return frames


def results(**changes):
    entry = {"video_id": 1, "category_id": 3, "score": 0.5, "segmentations": [rle(0), None, rle(2)]}
    return entry | changes


def write(tmp_path, content, name="visible.json"):
    path = tmp_path / name
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def refuse(path, video, message, **options):
    """The error names the file and is one line."""
    with pytest.raises(InputError, match=message) as error:
        read_visible(path, video, **options)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


# ---- YouTube-VIS -----------------------------------------------------------------------------------------


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


# ---- KITTI MOTS ------------------------------------------------------------------------------------------


def mots(*lines):
    return "\n".join(
        f"{frame} {key} {category} 12 16 {rle(left)['counts']}" for frame, key, category, left in lines
    )


def test_mots_by_order(tmp_path, video):
    text = mots((0, 1000, 1, 0), (0, 2001, 2, 8), (2, 1000, 1, 1), (2, 10000, 10, 9)) + "\n\n"
    tracks = read_visible(write(tmp_path, text, "0001.txt"), video)
    assert [(t.track_id, t.category_id) for t in tracks] == [(1000, 1), (2001, 2)]
    assert tracks.tracks[0].visible == [rle(0), None, rle(1)]
    assert tracks.tracks[0].states == ["visible", "absent", "visible"]


def test_mots_by_number(tmp_path, numbered, caplog):
    text = mots((3, 1000, 1, 0), (4, 1000, 1, 1), ("6.0", 1000, 1, 3), (90, 1000, 1, 3))
    (track,) = read_visible(write(tmp_path, text, "0001.txt"), numbered)
    assert track.visible == [rle(1), None, rle(3)]
    assert "2 frames that are not in folder are left out" in caplog.text


def test_mots_with_given_numbers(tmp_path, video):
    path = write(tmp_path, mots((7, 1000, 1, 0), (9, 1000, 1, 2)), "a.txt")
    (track,) = read_visible(path, video, frames=[7, 8, 9])
    assert track.visible == [rle(0), None, rle(2)]
    with pytest.raises(InputError, match="2 frame numbers for a video of 3"):
        read_visible(path, video, frames=[7, 8])


def test_overlaps_between_ids_are_noted(tmp_path, video, caplog):
    read_visible(write(tmp_path, mots((1, 1000, 1, 0), (1, 1001, 1, 2)), "a.txt"), video)
    assert "overlap in 1 of 3 frames, first in frame 1" in caplog.text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (mots((3, 1000, 1, 0)), r"frames 3 to 3, but clip has frames 0 to 2"),
        (mots((0, 1000, 1, 0), (0, 1000, 1, 8)), r"line 2: id 1000 occurs twice in frame 0"),
        (mots((0, 10.5, 1, 0)), r"line 1: '10.5' is no whole number"),
        (mots((0, 1000, 1, 0)) + "\n1 1000 1 12 16", r"line 2: 5 fields; 'frame id class"),
        ("0 1000 1 16 12 " + rle(0)["counts"], r"line 1: mask of size \[16, 12\]"),
        ("0 1000 1 12 16 " + rle(0)["counts"][:-1], r"line 1: broken RLE"),
        (mots((0, 10000, 10, 0)), "no visible mask"),
    ],
)
def test_bad_mots_files_are_refused(tmp_path, video, text, message):
    refuse(write(tmp_path, text, "0001.txt"), video, message)


def test_mots_of_another_video_are_refused(tmp_path, numbered):
    refuse(
        write(tmp_path, mots((7, 1000, 1, 0)), "a.txt"), numbered, "frames 7 to 7.*folder holds frames 4 to 6"
    )


# ---- PNG masks -------------------------------------------------------------------------------------------


def write_maps(folder, maps, names=("000", "001", "002")):
    folder.mkdir(exist_ok=True)
    for name, ids in zip(names, maps, strict=True):
        image = ids if isinstance(ids, Image.Image) else Image.fromarray(ids)
        image.save(folder / f"{name}.png")
    return folder


def id_map(dtype=np.uint8, **lefts):
    """A map with a rectangle for every id: `_7=3` puts id 7 at column 3."""
    ids = np.zeros(SIZE, dtype)
    for name, left in lefts.items():
        ids[rectangle(left)] = int(name[1:])
    return ids


@pytest.mark.parametrize("kind", ["grey", "palette", "16 bit"])
def test_id_maps(tmp_path, video, kind):
    maps = [id_map(_1=0, _7=8), id_map(_7=9), id_map()]
    if kind == "palette":
        maps = [Image.fromarray(ids) for ids in maps]
        for image in maps:
            image.putpalette([value for color in range(256) for value in (color, 255 - color, 0)])
    elif kind == "16 bit":
        maps = [ids.astype(np.uint16) for ids in maps]
    tracks = read_visible(write_maps(tmp_path / "masks", maps), video)
    assert [(t.track_id, t.category_id) for t in tracks] == [(1, 1), (7, 1)]
    assert tracks.tracks[0].visible == [rle(0), None, None]
    assert tracks.tracks[1].visible == [rle(8), rle(9), None]


def test_white_masks_are_one_instance(tmp_path, video):
    for name, maps in (
        ("grey", [id_map(_255=left) for left in (0, 1, 2)]),
        ("rgb", [np.repeat(id_map(_255=left)[..., None], 3, 2) for left in (0, 1, 2)]),
        ("bits", [Image.fromarray(id_map(_255=left)).convert("1") for left in (0, 1, 2)]),
    ):
        (track,) = read_visible(write_maps(tmp_path / name, maps), video)
        assert track.track_id == 1
        assert track.visible == [rle(0), rle(1), rle(2)]


def test_rgb_maps(tmp_path, video):
    colors = np.zeros((*SIZE, 3), np.uint8)
    colors[rectangle(0)] = (5, 0, 0)
    colors[rectangle(8)] = (0, 2, 0)
    opaque = np.dstack([colors, np.full(SIZE, 255, np.uint8)])
    tracks = read_visible(write_maps(tmp_path / "masks", [colors, opaque, colors]), video)
    assert [(t.track_id, t.category_id) for t in tracks] == [(5, 1), (512, 1)]


def test_mots_png_and_void(tmp_path, video, caplog):
    keys = id_map(np.uint16, _1003=0, _10000=6, _23=12)
    (track,) = read_visible(write_maps(tmp_path / "mots", [keys] * 3), video)
    assert (track.track_id, track.category_id) == (1003, 1)
    (track,) = read_visible(write_maps(tmp_path / "void", [id_map(_2=0, _255=9)] * 3), video)
    assert track.track_id == 2
    assert "[23, 10000] stand for no instance" in caplog.text
    assert "[255] stand for no instance" in caplog.text


def test_maps_of_a_folder_match_by_name_or_number(tmp_path, numbered, caplog):
    caplog.set_level(logging.WARNING)
    maps = [id_map(_1=left) for left in range(5)]
    for name, pattern in (("same", "00000{}"), ("other", "front_full_{}_aminseg")):
        names = [pattern.format(number) for number in range(3, 8)]
        (track,) = read_visible(write_maps(tmp_path / name, maps, names), numbered)
        assert track.visible == [rle(1), rle(2), rle(3)]
    assert "2 masks of other frames are left out" in caplog.text


def test_bad_folders_are_refused(tmp_path, video, numbered):
    one = id_map(_1=0)
    (tmp_path / "empty").mkdir()
    refuse(tmp_path / "empty", video, "no PNG masks")
    refuse(write_maps(tmp_path / "few", [one] * 2, ["0", "1"]), video, "2 masks for the 3 frames of clip")
    refuse(write_maps(tmp_path / "hole", [one] * 3, ["0", "1", "3"]), video, "frame 2 is missing")
    refuse(
        write_maps(tmp_path / "gap", [one] * 2, ["4", "6"]),
        numbered,
        "no mask for frame 5 of folder.*1 of its 3",
    )
    refuse(write_maps(tmp_path / "blank", [id_map()] * 3), video, "no visible mask")
    folder = write_maps(tmp_path / "size", [one, one, one.T])
    with pytest.raises(InputError, match=r"002\.png: mask of size \[16, 12\].*\[12, 16\]"):
        read_visible(folder, video)
    folder = write_maps(tmp_path / "broken", [one] * 3)
    (folder / "001.png").write_bytes((folder / "001.png").read_bytes()[:30])
    with pytest.raises(InputError, match=r"001\.png: broken image"):
        read_visible(folder, video)
    clear = np.dstack([one, one, one, one])
    with pytest.raises(InputError, match="kind 'RGBA'"):
        read_visible(write_maps(tmp_path / "alpha", [clear] * 3), video)


def test_a_folder_of_masks_for_each_instance(tmp_path, numbered, caplog):
    """Ids in the order of the names, natural order; frames as in one folder of maps."""
    names = ["4", "5", "6"]
    for folder, value, lefts in (("car 2", 255, (0, 1, None)), ("car 10", 1, (None, 8, 9))):
        maps = [id_map() if left is None else id_map(**{f"_{value}": left}) for left in lefts]
        write_maps(tmp_path / folder, maps, names)
    tracks = read_visible(tmp_path, numbered)
    assert [(t.track_id, t.category_id) for t in tracks] == [(1, 1), (2, 1)]
    assert [t.visible for t in tracks] == [[rle(0), rle(1), None], [None, rle(8), rle(9)]]
    (tmp_path / "car 10" / "5.png").unlink()
    with pytest.raises(InputError, match=r"car 10: no mask for frame 5.*all black where nothing is seen"):
        read_visible(tmp_path, numbered)


def test_the_mask_of_one_image_may_be_a_file(tmp_path, video):
    folder = write_maps(tmp_path / "masks", [id_map(_255=2)] * 3)
    image = Video.from_frames([np.zeros((*SIZE, 3), np.uint8)])
    (track,) = read_visible(folder / "001.png", image)
    assert track.visible == [rle(2)]
    refuse(folder / "001.png", video, "1 masks for the 3 frames of clip; one a frame")


def test_what_is_transparent_is_background(tmp_path, video):
    red = np.full((*SIZE, 4), (255, 0, 0, 0), np.uint8)
    red[rectangle(3), 3] = 255
    (track,) = read_visible(write_maps(tmp_path / "masks", [red] * 3), video)
    assert track.visible == [rle(3)] * 3


def test_grey_edges_are_no_instances(tmp_path):
    """As masks come out of drawing programs, resizing and JPEG; ids beside unlabelled pixels are no grey edges."""
    size = (60, 80)
    video = Video.from_frames([np.zeros((*size, 3), np.uint8)] * 2, name="clip")
    disc = cv2.circle(np.zeros(size, np.uint8), (40, 30), 20, 255, -1)
    smooth = cv2.GaussianBlur(disc, (5, 5), 0)
    jpeg = cv2.imdecode(cv2.imencode(".jpg", smooth)[1], cv2.IMREAD_GRAYSCALE)
    for name, mask in (("smooth", smooth), ("colour", np.dstack([smooth] * 3)), ("jpeg", jpeg)):
        folder = write_maps(tmp_path / name, [mask] * 2, ["0", "1"])
        refuse(folder, video, "grey edges.*nearest neighbour")
        (tmp_path / "each" / name).mkdir(parents=True)
        write_maps(tmp_path / "each" / name, [mask] * 2, ["0", "1"])
    with pytest.raises(InputError, match="grey edges"):
        read_visible(tmp_path / "each", video)
    ids = np.full(size, 255, np.uint8)
    ids[:10, 10:70] = 1 + np.arange(60) // 2  # 30 instances, most of the rest unlabelled
    assert len(read_visible(write_maps(tmp_path / "ids", [ids] * 2, ["0", "1"]), video)) == 30


def test_what_would_be_right_is_said(tmp_path, video, numbered):
    one = id_map(_1=0)
    refuse(write_maps(tmp_path / "few", [one] * 2, ["0", "1"]), video, "all black where nothing is seen")
    refuse(
        write_maps(tmp_path / "hole", [one] * 3, ["0", "1", "3"]), video, "all black where nothing is seen"
    )
    refuse(
        write_maps(tmp_path / "shifted", [one] * 3, ["5", "6", "7"]), numbered, "the numbers of the frames"
    )
    pairs = [f"{frame}_{instance}" for frame in range(3) for instance in range(2)]
    refuse(write_maps(tmp_path / "flat", [one] * 6, pairs), video, "a folder of masks for each")
    with pytest.raises(InputError, match="turn the masks"):
        read_visible(write_maps(tmp_path / "turned", [one.T] * 3), video)
    (tmp_path / "jpeg").mkdir()
    Image.fromarray(one).save(tmp_path / "jpeg" / "0.jpg")
    refuse(tmp_path / "jpeg", video, r"no PNG masks in it, but \.jpg; one PNG a frame")
    refuse(tmp_path / "few" / "*.png", video, "the folder of the masks")


def test_a_text_file_that_counts_from_1_is_suspected(tmp_path, numbered, caplog):
    numbered.frame_names = ["0", "1", "2"]
    lines = [f"{number} 1001 1 {SIZE[0]} {SIZE[1]} {rle(2)['counts']}" for number in (1, 2, 3)]
    read_visible(write(tmp_path, "\n".join(lines), "visible.txt"), numbered)
    assert (
        "masks of frames 1 to 3, but folder has frames 0 to 2: is one of them counted from 1?" in caplog.text
    )
    caplog.clear()
    read_visible(write(tmp_path, "\n".join(lines[:2]), "visible.txt"), numbered)
    assert "counted from 1" not in caplog.text


def test_pictures_are_no_maps(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)
    video = Video.from_frames([noise] * 3)
    with pytest.raises(InputError, match="is this a picture instead of an id map"):
        read_visible(write_maps(tmp_path / "frames", [noise] * 3), video)


# ---- real masks ------------------------------------------------------------------------------------------


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
