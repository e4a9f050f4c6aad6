import logging

import cv2
import numpy as np
import pytest
from PIL import Image
from visible_files import SIZE, id_map, rectangle, refuse, rle, write_maps

from samodal.data.visible import read_visible
from samodal.errors import InputError
from samodal.video import Video


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


def test_pictures_are_no_maps(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (60, 60, 3)).astype(np.uint8)
    video = Video.from_frames([noise] * 3)
    with pytest.raises(InputError, match="is this a picture instead of an id map"):
        read_visible(write_maps(tmp_path / "frames", [noise] * 3), video)
