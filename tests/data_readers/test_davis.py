from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal import masks
from samodal.data import open_dataset
from samodal.data.visible import read_visible
from samodal.errors import InputError

REAL = Path(__file__).parents[3] / "shared" / "real_data"
needs_real = pytest.mark.skipif(not REAL.is_dir(), reason="needs the folder ../shared with real clips")
SIZE = (9, 14)


def write_map(folder, frame, values, mode="L"):
    ids = np.zeros(SIZE, np.uint8)
    for value, left in values.items():
        ids[2:6, left : left + 4] = value
    folder.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(ids)
    if mode == "P":
        image = image.convert("P")
        image.putdata(ids.reshape(-1).tolist())
    image.save(folder / f"{frame:05d}.png")


@pytest.fixture
def davis(tmp_path):
    maps = tmp_path / "Annotations" / "480p"
    for frame, values in enumerate([{}, {255: 0}, {255: 3}]):
        write_map(maps / "white", frame, values)
    for frame, values in enumerate([{1: 0, 2: 6}, {2: 7, 255: 0}, {255: 0}]):
        write_map(maps / "ids", frame, values, "P")
    images = tmp_path / "JPEGImages" / "480p" / "white"
    images.mkdir(parents=True)
    Image.new("RGB", SIZE[::-1]).save(images / "00002.jpg")
    return tmp_path


def ids(clip):
    return [[one.track_id for one in clip.instances(frame)] for frame in range(len(clip))]


def test_white_masks_and_id_maps(davis):
    clips = {clip.name: clip for clip in open_dataset("davis", davis, "all")}
    assert ids(clips["white"]) == [[], [1], [1]]
    assert ids(clips["ids"]) == [[1, 2], [2], []], "255 beside ids is what nobody labelled"
    assert masks.area(clips["ids"].instances(0)[0].visible) == 16
    assert (clips["ids"].instances(0)[0].amodal, clips["ids"].annotated) == (None, ())
    assert clips["white"].video[2].shape == (*SIZE, 3)


def test_lists_of_splits(davis):
    with pytest.raises(InputError, match=r"2017/val\.txt: no such file .*'all'"):
        open_dataset("davis", davis)
    lists = davis / "ImageSets"
    for year, text in (
        ("480p", "/JPEGImages/480p/white/00000.jpg /Annotations/480p/white/00000.png\n"),
        ("2017", "ids\n"),
    ):
        (lists / year).mkdir(parents=True)
        (lists / year / "val.txt").write_text(text)
        assert open_dataset("davis", davis).names == [text.split("/")[3] if "/" in text else "ids"]
    (lists / "2017" / "val.txt").write_text("../../other\n")
    with pytest.raises(InputError, match=r"no sequence \.\."):
        open_dataset("davis", davis)


def test_a_missing_or_broken_map(davis):
    folder = davis / "Annotations" / "480p" / "ids"
    write_map(folder, 4, {1: 0})
    with pytest.raises(InputError, match="frame 00003 is missing"):
        open_dataset("davis", davis, "all")[0]
    (folder / "00004.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"missing|00004\.png: broken image"):
        open_dataset("davis", davis, "all")[0]


def test_plain_folders(davis, tmp_path_factory):
    root = tmp_path_factory.mktemp("own")
    for name in ("a", "b"):
        for frame in range(2):
            write_map(root / name / "masks", frame, {3: frame, 9: 8})
            (root / name / "frames").mkdir(exist_ok=True)
            Image.new("RGB", SIZE[::-1]).save(root / name / "frames" / f"{frame:05d}.jpg")
    for opened in (open_dataset("folder", root)[1], open_dataset("folder", root / "b")[0]):
        assert (opened.name, len(opened), ids(opened), opened.annotated) == ("b", 2, [[3, 9]] * 2, ())
    with pytest.raises(InputError, match=r"masks: no such folder"):
        open_dataset("folder", davis)
    for path in (root / "a" / "frames").iterdir():
        path.unlink()
    (root / "a" / "frames").rmdir()
    with pytest.raises(InputError, match=r"frames: no such folder, and 0 video files"):
        open_dataset("folder", root)[0]


@needs_real
def test_real_davis():
    (clip,) = open_dataset("davis", REAL / "davis", "all")
    folder = REAL / "davis" / "Annotations" / "480p" / "car-shadow"
    assert (clip.name, len(clip), clip.video.size) == ("car-shadow", 40, (480, 854))
    assert clip.truth.tracks[0].visible == read_visible(folder, clip.video).tracks[0].visible


@needs_real
def test_real_folder_with_a_video_file():
    (clip,) = open_dataset("folder", REAL / "birdcage")
    assert (clip.name, len(clip), len(clip.truth)) == ("birdcage", 25, 1)
    assert clip.video[24].shape[:2] == clip.video.size
