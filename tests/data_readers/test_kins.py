import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal import masks
from samodal.data import amodal_frames, open_dataset
from samodal.data.kins import read_kins
from samodal.data.kitti_devkit import Pair, devkit_pairs, listed_pairs
from samodal.data.pickles import read_pickle
from samodal.data.savos import truth_frames
from samodal.errors import InputError

GOLDEN = Path(__file__).parents[1] / "data" / "golden" / "10_datasets"
SAMPLE = GOLDEN / "kins_sample"
SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]
LEFT = [[0, 2, 5, 2, 5, 8, 0, 8]]
SIZE = (10, 12)


def area(polygons):
    return masks.area(masks.from_annotation(polygons, SIZE))


# ---- golden ----------------------------------------------------------------------------------------------


def test_golden_full_masks_at_the_true_size():
    clips = {clip.video_id: clip for clip in open_dataset("kins", SAMPLE, "train", categories={4})}
    assert list(clips) == [100, 101, 102, 103]
    truth = json.loads((GOLDEN / "kins_expected_coco_gt.json").read_text())
    for number in (100, 101, 102):
        found = {one.track_id: one for one in clips[number].instances(0)}
        expected = [entry for entry in truth["annotations"] if entry["image_id"] == number]
        assert list(found) == [entry["id"] for entry in expected]
        for entry in expected:
            one = found[entry["id"]]
            assert one.amodal == entry["segmentation"]
            assert clips[number].video[0].shape[:2] == tuple(one.amodal["size"])


def test_golden_visible_masks():
    expected = json.loads((GOLDEN / "kins_expected_items.json").read_text())["items"]
    found = open_dataset("kins", SAMPLE, "train", categories=[4])[0].instances(0)
    for one, item in zip(found, expected, strict=True):
        assert (one.amodal, one.visible) == (item["amodal"], item["visible"])


def test_golden_selection_of_kins_car_with_the_drive_matched_exactly():
    """The original also takes drive 00011 for drive 0001."""
    images, _ = read_kins(SAMPLE / "update_train_2020.json")
    drives = read_pickle(SAMPLE / "test_data.pkl")
    found = truth_frames(drives, listed_pairs(SAMPLE / "common_images.json"), images)
    chosen = {
        (drive, frame): image.image_id for drive, frames in found.items() for frame, image in frames.items()
    }
    assert chosen == {("2011_09_26_drive_0001", "a"): 100, ("2011_09_26_drive_0002_sync", "c"): 102}


# ---- field names, layouts --------------------------------------------------------------------------------


def content(full="a_segm", seen="i_segm", **changes):
    annotation = {"id": 7, "image_id": 3, "category_id": 4, full: SQUARE, seen: LEFT} | changes
    image = {"id": 3, "file_name": "000003.png", "height": SIZE[0], "width": SIZE[1]}
    return {"images": [image], "annotations": [annotation]}


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.mark.parametrize(
    ("file", "full", "seen"),
    [
        ("update_test_2020.json", "a_segm", "i_segm"),
        ("annotations/instances_val.json", "segmentation", "inmodal_seg"),
        ("instances_val.json", "amodal_segm", "visible_segm"),
    ],
)
def test_field_names(tmp_path, file, full, seen):
    write(tmp_path / file, content(full, seen))
    image = tmp_path / "testing" / "image_2" / "000003.png"
    image.parent.mkdir(parents=True)
    Image.new("RGB", SIZE[::-1]).save(image)
    (clip,) = open_dataset("kins", tmp_path, "val")
    (one,) = clip.instances(0)
    assert (one.track_id, one.category_id) == (7, 4)
    assert masks.area(one.amodal) == area(SQUARE)
    assert 0 < masks.area(one.visible) < area(LEFT), "what is visible outside of the full mask is not of it"
    assert clip.extra == {"image_id": 3, "file_name": "000003.png"}
    assert clip.video[0].shape == (*SIZE, 3)
    assert [list(frames) for frames in amodal_frames([clip])] == [[0]]
    assert clip.truth.tracks[0].amodal == [one.amodal]


def test_images_need_not_be_there(tmp_path):
    (clip,) = open_dataset("kins", write(tmp_path / "truth.json", content()))
    assert len(clip.instances(0)) == 1
    with pytest.raises(InputError, match=r"000003\.png: no such image"):
        clip.video[0]


def test_an_image_of_another_size_is_noticed(tmp_path):
    path = write(tmp_path / "truth.json", content())
    Image.new("RGB", (5, 5)).save(tmp_path / "000003.png")
    with pytest.raises(InputError, match=r"000003\.png: image of size \[5, 5\]"):
        open_dataset("kins", path, images=tmp_path)[0].video[0]


def test_a_missing_layout_names_the_first_path(tmp_path):
    with pytest.raises(InputError, match=r"update_train_2020\.json: no such file.*instances_train\.json"):
        open_dataset("kins", tmp_path, "train")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ('{"images": [{"id": 1', "not valid JSON"),
        ([], "no list of objects 'images'"),
        ({"images": []}, "no list of objects 'annotations'"),
        (content(image_id=99), "image 99, which is not in the list"),
        (content(id=-7), "'id' is -7"),
        (content(category_id="car"), "'category_id' is 'car'"),
        (content(full="b_segm"), "has neither a_segm and i_segm"),
        (content(a_segm=[[1, 2, 3]]), "broken polygon"),
        (content(a_segm={"size": [3, 4], "counts": [12]}), "mask of size"),
        (content(a_segm={"size": list(SIZE), "counts": [10**30]}), "broken RLE"),
        (
            content() | {"images": [{"id": 3, "file_name": "a", "height": 10**9, "width": 10**9}]},
            "no .height, width.",
        ),
        (
            content() | {"images": [{"id": 3, "file_name": "../../a.png", "height": 9, "width": 9}]},
            "leads out of",
        ),
        (
            content() | {"images": [{"id": 3, "file_name": "/etc/a.png", "height": 9, "width": 9}]},
            "leads out of",
        ),
        (content() | {"images": 2 * content()["images"]}, "two entries for image 3"),
        (content() | {"images": [{"id": 3, "file_name": "a.png"}]}, "'height' is None"),
        (content() | {"images": [{"id": 3, "height": 9, "width": 9}]}, "'file_name' is None"),
    ],
)
def test_damaged_files(tmp_path, damage, message):
    path = write(tmp_path / "truth.json", damage)
    with pytest.raises(InputError, match=message) as error:
        open_dataset("kins", path)[0].instances(0)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


# ---- KITTI devkit ----------------------------------------------------------------------------------------


def devkit(
    folder,
    rand="3, 1,2",
    lines=("d1 d1_drive_0001_sync 5", "d2 d2_drive_0002_sync 6", "d3 d3_drive_0003_sync 7"),
):
    write(folder / "train_rand.txt", rand)
    write(folder / "train_mapping.txt", "\n".join(lines) + "\n")
    return folder


def test_images_are_looked_up_through_the_permutation(tmp_path):
    assert devkit_pairs(devkit(tmp_path)) == [
        Pair("d3_drive_0003_sync", "7", "000000"),
        Pair("d1_drive_0001_sync", "5", "000001"),
        Pair("d2_drive_0002_sync", "6", "000002"),
    ]


def test_the_published_pair(tmp_path):
    """Image 000000 is line 7282, counted from 1: drive 2011_09_28_drive_0106, frame 48."""
    lines = [f"2011_09_26 2011_09_26_drive_{n:04d}_sync {n:010d}" for n in range(1, 7482)]
    lines[7281] = "2011_09_28 2011_09_28_drive_0106_sync 0000000048"
    rand = [7282, *np.setdiff1d(np.arange(1, 7482), [7282])]
    pairs = devkit_pairs(devkit(tmp_path, ",".join(map(str, rand)), lines))
    assert len(pairs) == 7481
    assert pairs[0] == Pair("2011_09_28_drive_0106_sync", "0000000048", "000000")


@pytest.mark.parametrize("rand", ["0, 1", "4", "1, x", "", "-1", "9" * 30])
def test_damaged_mapping(tmp_path, rand):
    with pytest.raises(InputError, match=r"train_rand\.txt: number .* 1 to 3"):
        devkit_pairs(devkit(tmp_path, rand))


def test_missing_mapping(tmp_path):
    with pytest.raises(InputError, match=r"train_rand\.txt: no such file; it is in KITTI's object devkit"):
        devkit_pairs(tmp_path)


@pytest.mark.parametrize("pairs", [{}, [["a"]], [["a_drive_1/b.png", 3]], [["no/b.png", "c.png"]]])
def test_damaged_pairs(tmp_path, pairs):
    with pytest.raises(InputError, match=r"is expected|names no drive"):
        listed_pairs(write(tmp_path / "pairs.json", pairs))
