import json
import os
import pickle

import numpy as np
import pytest
from PIL import Image

from samodal import masks
from samodal.data import amodal_frames, open_dataset
from samodal.data.pickles import read_pickle
from samodal.errors import InputError

SIZE = (20, 30)
DRIVE = "2011_09_26_drive_0005_sync"


def rectangle(left, width=6):
    mask = np.zeros(SIZE, bool)
    mask[4:10, left : left + width] = True
    return masks.encode(mask)


def stored(rle):
    """As pycocotools gives it: counts as bytes."""
    return {"size": list(SIZE), "counts": rle["counts"].encode()}


def moment(left, width=6):
    return {
        "VM": stored(rectangle(left, width)),
        "VM_bbox": [4, 9, left, left + width - 1],
        "loss_mask": None,
    }


def polygon(left, right):
    return [[left, 4, right, 4, right, 10, left, 10]]


def dump(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(pickle.dumps(value))


@pytest.fixture
def kins_car(tmp_path):
    """A drive of four frames, of which KINS annotated frame 2: one car that PointTrack saw, one that it did not."""
    dump(
        tmp_path / "car_data" / "val_data.pkl",
        {DRIVE: {3: {t: moment(t) for t in (1, 2, 3)}, np.int64(8): {t: moment(15) for t in (0, 1)}}},
    )
    truth = {
        "images": [{"id": 50, "file_name": "000009.png", "height": SIZE[0], "width": SIZE[1]}],
        "annotations": [
            {"id": 1, "image_id": 50, "category_id": 4, "a_segm": polygon(2, 12), "i_segm": polygon(2, 8)},
            {"id": 2, "image_id": 50, "category_id": 4, "a_segm": polygon(20, 28), "i_segm": polygon(20, 28)},
            {"id": 3, "image_id": 50, "category_id": 2, "a_segm": polygon(20, 28), "i_segm": polygon(20, 28)},
        ],
    }
    (tmp_path / "update_train_2020.json").write_text(json.dumps(truth))
    pairs = [[f"raw/{DRIVE}/image_02/data/0000000002.png", "training/image_2/000009.png"]]
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    return tmp_path


def write_frames(root, count=4):
    folder = root / "Kitti" / "raw_video" / "2011_09_26" / DRIVE
    folder.mkdir(parents=True)
    for number in range(count):
        Image.new("RGB", SIZE[::-1], (number, 0, 0)).save(folder / f"{number:010d}.png")


@pytest.mark.parametrize("frames", [True, False])
def test_truth_on_few_frames(kins_car, frames):
    if frames:
        write_frames(kins_car)
    dataset = open_dataset("kins-car", kins_car, "val", pairs=kins_car / "pairs.json")
    (clip,) = dataset
    assert (clip.name, len(clip), clip.video.size, clip.annotated) == (DRIVE, 4, SIZE, [2])
    assert dataset.categories[4] == "car"
    if frames:
        assert clip.video[3][0, 0, 0] == 3
    # Where KINS has truth: both cars, the first under the id of the prediction that it is.
    first, second = clip.instances(2)
    assert first.track_id == 3
    assert second.track_id not in (3, 8)
    assert masks.area(first.amodal) > masks.area(first.visible) > 0
    # Elsewhere: predicted visible masks, the full ones unknown.
    assert [(one.track_id, one.amodal) for one in clip.instances(1)] == [(3, None), (8, None)]
    assert clip.instances(1)[0].visible == rectangle(1)
    assert clip.instances(0)[0].visible == rectangle(15)
    assert amodal_frames(dataset) == [[2]]
    tracks = {track.track_id: track for track in clip.truth}
    assert tracks[3].amodal[1] is None
    assert tracks[3].states == ["absent", "visible", "visible", "visible"]


def test_joined_through_the_devkit(kins_car):
    folder = kins_car / "devkit_object" / "mapping"
    folder.mkdir(parents=True)
    (folder / "train_rand.txt").write_text(",".join(map(str, range(10, 0, -1))))
    lines = [f"2011_09_26 {DRIVE} 0000000002", *["2011_09_26 2011_09_26_drive_0009_sync 0000000001"] * 9]
    (folder / "train_mapping.txt").write_text("\n".join(lines))
    (clip,) = open_dataset("kins-car", kins_car)  # image 9 is line 1
    assert clip.annotated == [2]


def test_a_missing_mapping_is_named(kins_car):
    with pytest.raises(
        InputError, match=r"mapping: no such file or folder; the folder mapping of KITTI's object"
    ):
        open_dataset("kins-car", kins_car)


def test_a_clip_can_be_sent_to_a_loader(kins_car):
    clip = open_dataset("kins-car", kins_car, pairs=kins_car / "pairs.json")[0]
    assert pickle.loads(pickle.dumps(clip)).instances(2) == clip.instances(2)


class Evil:
    def __reduce__(self):
        return os.system, ("touch evil",)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([], "a dict with the objects"),
        ({5: {}}, "a name and a dict"),
        ({DRIVE: 3}, "a name and a dict"),
        ({DRIVE: {"dummy": {}}}, "'dummy' is no whole number"),
        ({DRIVE: {1: 2}}, "dict {time: masks}"),
        ({DRIVE: {1: {-1: moment(0)}}}, "-1 is no whole number"),
        ({DRIVE: {1: {10**12: moment(0)}}}, "speaks of frame 1000000000000"),
        ({DRIVE: {1: {0: {"VM_bbox": [1, 2, 3, 4]}}}}, "'VM' is no RLE"),
        ({DRIVE: {1: {0: {"VM": {"size": [3, 4], "counts": b"1"}}}}}, "broken RLE"),
        ({DRIVE: {1: {0: {"VM": {"size": [10**9, 10**9], "counts": [10**18]}}}}}, "no .height, width."),
        ({"../../x": {1: {0: moment(0)}}}, "leads out of"),
        ({DRIVE: Evil()}, "nothing in it was run"),
    ],
)
def test_damaged_pickles(kins_car, content, message):
    dump(kins_car / "car_data" / "val_data.pkl", content)
    with pytest.raises(InputError, match=message) as error:
        open_dataset("kins-car", kins_car, pairs=kins_car / "pairs.json")[0].instances(0)
    assert "val_data.pkl" in str(error.value)


def fish(left, hidden=0):
    full = rectangle(left)
    seen = rectangle(left, 6 - hidden) if hidden < 6 else masks.empty(SIZE)
    return {
        "FM": [stored(full)],
        "VM": [stored(seen)],
        "FM_bx": [4, 9, left, left + 5],
        "VM_bx": [4, 9, left, left + 5],
    }


def test_fishbowl(tmp_path):
    content = {"10_0": {0: fish(0), 1: fish(1, 3), 2: fish(2, 6)}, "10_1": {1: fish(20)}, "2_0": {0: fish(5)}}
    dump(tmp_path / "test_data" / "test_data.pkl", content)
    for root in (tmp_path, tmp_path / "test_data"):
        dataset = open_dataset("fishbowl", root, "test")
        assert [clip.name for clip in dataset] == ["2", "10"]
        clip = dataset[1]
        assert (len(clip), clip.video.size, clip.annotated) == (3, SIZE, None)
        assert [(one.track_id, one.amodal, one.visible) for one in clip.instances(1)] == [
            (0, rectangle(1), rectangle(1, 3)),
            (1, rectangle(20), rectangle(20)),
        ]
        assert clip.truth.tracks[0].states == ["visible", "visible", "hidden"]
    assert read_pickle(tmp_path / "test_data" / "test_data.pkl") == content
    with pytest.raises(InputError, match=r"val_data\.pkl: no such file"):
        open_dataset("fishbowl", tmp_path)
