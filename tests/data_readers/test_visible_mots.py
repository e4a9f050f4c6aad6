import pytest
from visible_files import refuse, rle, write

from samodal.data.visible import read_visible
from samodal.errors import InputError


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
        write(tmp_path, mots((7, 1000, 1, 0)), "a.txt"), numbered, "frames 7 to 7.*folder has frames 4 to 6"
    )


def counted(*numbers):
    return mots(*((number, 1001, 1, 2) for number in numbers))


@pytest.mark.parametrize(
    ("numbers", "names", "message"),
    [
        ((1, 2, 3), "012", r"frames 1 to 3, but folder has frames 0 to 2; .*take 1 from .*those of frame 3"),
        ((2, 3), "012", r"frames 2 to 3, but folder has frames 0 to 2; .*take 1 from"),
        ((0, 1, 2), "123", r"frames 0 to 2, but folder has frames 1 to 3; .*add 1 to .*those of frame 0"),
    ],
)
def test_a_text_file_that_counts_from_another_number_is_refused(tmp_path, numbered, numbers, names, message):
    numbered.frame_names = list(names)
    refuse(write(tmp_path, counted(*numbers), "visible.txt"), numbered, message)


def test_a_text_file_that_counts_from_1_is_refused_for_a_video_file(tmp_path, video):
    path = write(tmp_path, counted(1, 2, 3), "visible.txt")
    refuse(path, video, "frames 1 to 3, but clip has frames 0 to 2; .*take 1 from")


@pytest.mark.parametrize("numbers", [(1, 2), (0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 7)])
def test_a_text_file_may_go_on_after_the_frames_of_a_folder(tmp_path, numbered, numbers):
    numbered.frame_names = ["0", "1", "2"]
    (track,) = read_visible(write(tmp_path, counted(*numbers), "visible.txt"), numbered)
    assert [rle is not None for rle in track.visible] == [index in numbers for index in range(3)]
