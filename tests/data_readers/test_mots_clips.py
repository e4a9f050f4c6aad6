from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal import masks
from samodal.data import amodal_frames, open_dataset
from samodal.errors import InputError

REAL = Path(__file__).parents[3] / "shared" / "real_data" / "kitti_mots"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="needs the folder ../shared with real clips")
SIZE = (9, 14)


def rectangle(left):
    mask = np.zeros(SIZE, bool)
    mask[2:6, left : left + 4] = True
    return mask


def line(frame, track, left, category=1, size=SIZE, counts=None):
    counts = masks.encode(rectangle(left))["counts"] if counts is None else counts
    return f"{frame} {track} {category} {size[0]} {size[1]} {counts}\n"


TEXT = line(0, 1001, 0) + line(0, 2000, 6, 2) + line(2, 1001, 1) + line(3, 10000, 9, 10)


def write_text(root, name="0002", text=TEXT):
    path = root / "instances_txt" / f"{name}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def write_maps(root, name="0002"):
    folder = root / "instances" / name
    folder.mkdir(parents=True)
    for frame, tracks in enumerate([{1001: 0, 2000: 6}, {}, {1001: 1}, {10000: 9}]):
        ids = np.zeros(SIZE, np.uint16)
        for value, left in tracks.items():
            ids[rectangle(left)] = value
        Image.fromarray(ids).save(folder / f"{frame:06d}.png")


def write_images(folder, first, count):
    folder.mkdir(parents=True)
    for number in range(first, first + count):
        Image.new("RGB", SIZE[::-1], (number, 0, 0)).save(folder / f"{number:06d}.png")


@pytest.mark.parametrize("write", [write_text, write_maps])
def test_text_and_maps_read_alike(tmp_path, write):
    write(tmp_path)
    write_images(tmp_path / "training" / "image_02" / "0002", 0, 5)
    (clip,) = open_dataset("kitti-mots", tmp_path, "val")
    assert (clip.name, len(clip), clip.video.size, clip.annotated) == ("0002", 5, SIZE, ())
    assert clip.video[4][0, 0, 0] == 4
    found = [[(one.track_id, one.category_id) for one in clip.instances(frame)] for frame in range(5)]
    assert found == [[(1001, 1), (2000, 2)], [], [(1001, 1)], [], []], "the region to ignore is no instance"
    (one,) = clip.instances(2)
    assert (one.amodal, one.visible) == (None, masks.encode(rectangle(1)))
    with pytest.raises(InputError, match="no amodal masks"):
        amodal_frames([clip])


def test_splits(tmp_path):
    for name in ("0000", "0002", "0003"):
        write_text(tmp_path, name)
    names = {split: open_dataset("mots", tmp_path, split).names for split in ("train", "val", "all")}
    assert names == {"train": ["0000", "0003"], "val": ["0002"], "all": ["0000", "0002", "0003"]}
    assert open_dataset("mots", tmp_path, sequences=["0003"]).names == ["0003"]
    (tmp_path / "mine.txt").write_text("0003\n0000\n")
    assert open_dataset("mots", tmp_path, sequences=tmp_path / "mine.txt").names == ["0000", "0003"]
    with pytest.raises(InputError, match="split 'test'"):
        open_dataset("mots", tmp_path, "test")
    with pytest.raises(InputError, match=r"no sequence \.\./0003"):
        open_dataset("mots", tmp_path, sequences=["../0003"])
    with pytest.raises(InputError, match=r"instances_txt: no such file or folder"):
        open_dataset("mots", tmp_path / "instances_txt")


def test_motschallenge_counts_from_one(tmp_path):
    folder = tmp_path / "train" / "MOTS20-02"
    write_images(folder / "img1", 1, 3)
    (folder / "gt").mkdir()
    (folder / "gt" / "gt.txt").write_text(line(1, 2005, 0, 2) + line(3, 2005, 1, 2))
    for root in (tmp_path, folder / "gt" / "gt.txt"):
        (clip,) = open_dataset("motschallenge", root, "train")
        assert (clip.name, len(clip)) == ("MOTS20-02", 3)
        assert [bool(clip.instances(frame)) for frame in range(3)] == [True, False, True]
    with pytest.raises(InputError, match="MOTSChallenge has train"):
        open_dataset("motschallenge", tmp_path)
    (folder / "gt" / "gt.txt").write_text(line(0, 2005, 0, 2))
    with pytest.raises(InputError, match=r"gt\.txt, line 1: frames are counted from 1"):
        open_dataset("motschallenge", tmp_path, "train")[0]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no masks in it"),
        ("0 1001 1 9\n", "line 1: 4 fields"),
        (line(-1, 1001, 0), "line 1: frames are counted from 0, ids are not negative"),
        (line(0, -5, 0), "line 1: .*ids are not negative"),
        (line(10**9, 1001, 0), "speaks of frame 1000000000"),
        (line(0, 1001, 0, size=(10**6, 10**6)), "no .height, width."),
        (line(0, 1001, 0, size=(0, 5)), "no .height, width."),
        (line(0, 1001, 0) + line(0, 1001, 1), "line 2: id 1001 occurs twice"),
        (line(0, 1001, 0) + line(0, 1002, 0, size=(3, 3)), "line 2: mask of size"),
        (line(0, 1001, 0, counts="oooooo"), "line 1: broken RLE"),
        (TEXT[: TEXT.index("\n") - 3], "line 1: broken RLE"),
    ],
)
def test_damaged_text(tmp_path, text, message):
    path = write_text(tmp_path, text=text)
    with pytest.raises(InputError, match=message) as error:
        open_dataset("mots", path)[0].instances(0)
    assert str(path) in str(error.value)


def test_damaged_maps(tmp_path):
    write_maps(tmp_path)
    clip = open_dataset("mots", tmp_path)[0]
    path = tmp_path / "instances" / "0002" / "000001.png"
    Image.new("L", (3, 3)).save(path)
    with pytest.raises(InputError, match=r"000001\.png: mask of size \[3, 3\]"):
        clip.instances(1)
    path.write_bytes(b"\x89PNG")
    with pytest.raises(InputError, match=r"000001\.png: broken image"):
        clip.instances(1)


@needs_real
def test_real_sequences():
    counts = {"0001": (447, 95), "0002": (233, 16), "0003": (144, 8), "0012": (78, 3)}
    dataset = open_dataset("kitti-mots", REAL, "all")
    assert dataset.names == list(counts)
    for clip in dataset:
        if clip.name == "0001":
            assert clip.video[1].shape == (375, 1242, 3)
            assert len(clip) == 447
        else:
            assert (len(clip), len(clip.truth)) == counts[clip.name]
