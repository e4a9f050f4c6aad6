import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal import masks
from samodal.data import open_dataset
from samodal.data.bdd100k import _numbers, outline
from samodal.errors import InputError

REAL = Path(__file__).parents[3] / "shared" / "real_data" / "bdd100k" / "seg_track_sample.json"
needs_real = pytest.mark.skipif(not REAL.is_file(), reason="needs the folder ../shared with real labels")
SIZE = (9, 14)


def rectangle(left):
    mask = np.zeros(SIZE, bool)
    mask[2:6, left : left + 4] = True
    return mask


def label(number, left, category="car", **more):
    return {
        "id": str(number),
        "category": category,
        "attributes": {"crowd": False},
        "rle": masks.encode(rectangle(left)),
    } | more


def frame(index, *labels, video="v", **more):
    return {
        "name": f"{video}-{index + 1:07d}.jpg",
        "videoName": video,
        "frameIndex": index,
        "labels": list(labels),
    } | more


FRAMES = [
    frame(1, label(5, 1), label(7, 8, "other vehicle")),
    frame(0, label(5, 0), label(6, 8, "pedestrian"), label(8, 4, attributes={"crowd": True})),
    frame(2, labels=None),
]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


def found(clip):
    return [[(one.track_id, one.category_id) for one in clip.instances(i)] for i in range(len(clip))]


def test_scalabel(tmp_path):
    one_file = write(tmp_path / "v.json", {"frames": FRAMES, "config": {}})
    write(tmp_path / "root" / "labels" / "seg_track_20" / "rles" / "val" / "v.json", FRAMES)
    images = tmp_path / "root" / "images" / "seg_track_20" / "val" / "v"
    images.mkdir(parents=True)
    Image.new("RGB", SIZE[::-1]).save(images / "v-0000003.jpg")
    (clip,) = open_dataset("bdd100k", tmp_path / "root", "val")
    assert found(clip) == found(open_dataset("bdd100k", one_file)[0]) == [[(5, 3), (6, 1)], [(5, 3)], []]
    assert clip.video[2].shape == (*SIZE, 3)
    assert (clip.name, clip.annotated, clip.instances(1)[0].visible) == ("v", (), masks.encode(rectangle(1)))
    crowd = open_dataset("bdd100k", one_file, crowd=True)[0]
    assert found(crowd)[0] == [(5, 3), (6, 1), (8, 3)]


def test_several_videos_in_one_file_and_ids_that_are_words(tmp_path):
    content = [*FRAMES, frame(0, label("b", 0), label("a", 6), video="w")]
    clips = open_dataset("bdd100k", write(tmp_path / "all.json", content))
    assert [clip.name for clip in clips] == ["v", "w"]
    assert found(clips[1]) == [[(1, 3), (2, 3)]]


def test_bitmasks(tmp_path):
    folder = tmp_path / "labels" / "seg_track_20" / "bitmasks" / "val" / "v"
    folder.mkdir(parents=True)
    values = np.zeros((*SIZE, 4), np.uint8)
    values[rectangle(0)] = [3, 4, 1, 44]  # car, occluded, id 300
    values[rectangle(5)] = [1, 2, 0, 7]  # a crowd
    values[rectangle(9)] = [2, 1, 0, 8]  # to be ignored
    Image.fromarray(values).save(folder / "v-0000001.png")
    (clip,) = open_dataset("bdd100k", tmp_path)
    assert found(clip) == [[(300, 3)]]
    assert clip.instances(0)[0].visible == masks.encode(rectangle(0))
    assert found(open_dataset("bdd100k", folder.parent, crowd=True)[0]) == [[(7, 1), (300, 3)]]
    Image.new("RGB", SIZE[::-1]).save(folder / "v-0000001.png")
    with pytest.raises(InputError, match=r"v-0000001\.png: image of kind 'RGB'; RGBA"):
        open_dataset("bdd100k", tmp_path)[0].instances(0)


def test_polygons_with_curves():
    corners = {"vertices": [[0, 0], [4, 0], [4, 4]], "types": "LLL", "closed": True}
    assert outline(corners, "x") == [0, 0, 4, 0, 4, 4]
    # A half circle: its middle is three quarters of the control points' way out.
    curve = np.array(outline({"vertices": [[0, 0], [0, 4], [4, 4], [4, 0]], "types": "LCCL"}, "x")).reshape(
        -1, 2
    )
    assert len(curve) == 11
    assert np.allclose(curve[5], [2, 3])
    closing = outline({"vertices": [[0, 0], [4, 0], [4, 4], [0, 4]], "types": "LLCC"}, "x")
    assert len(closing) == 2 * 11, "the last curve leads back to the first corner"


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ('[{"name": "v', "not valid JSON"),
        ({}, "no list of objects 'frames'"),
        ([frame(0, frameIndex=-1)], "'frameIndex' is -1"),
        ([{"name": "v-1.jpg"}], "'video_name' is None"),
        ([frame(0), frame(0)], "a second frame 0"),
        ([frame(0), frame(10**9)], "frame 1 of 0 to 1000000000 is missing"),
        ([frame(0, label(1, 0), label(1, 4))], "occurs twice in a frame"),
        ([frame(0, label(1, 0, rle={"size": [9, 14], "counts": "oo"}))], "broken RLE"),
        ([frame(0, label(1, 0, rle={"size": [10**7, 10**7], "counts": "oo"}))], "no .height, width."),
        ([frame(0, label(1, 0), label(2, 0, rle=masks.empty((3, 3))))], "mask of size"),
        ([frame(0, label(1, 0, category=None))], "'category' is None"),
        ([frame(0, label(1, 0, rle=None, poly2d=[{"vertices": [[0, 0]], "types": "LL"}]))], "broken polygon"),
        ([frame(0, label(1, 0, rle=None, poly2d=[{"vertices": "abc"}]))], "broken polygon"),
        ([frame(0, label(1, 0), video="../..")], "leads out of"),
        ([frame(0, label(1, 0), labels=[3])], "no list of objects 'labels'"),
    ],
)
def test_damaged_labels(tmp_path, damage, message):
    path = write(tmp_path / "v.json", damage)
    with pytest.raises(InputError, match=message) as error:
        open_dataset("bdd100k", path)[0].instances(0)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


@needs_real
def test_real_labels():
    (clip,) = open_dataset("bdd100k", REAL, crowd=True)
    tracks = clip.truth
    assert (clip.name, len(clip), clip.video.size, len(tracks)) == ("b1c66a42-6f7d68ca", 100, (720, 1280), 90)
    assert sum(rle is not None for track in tracks for rle in track.visible) == 1768
    labels = [label for frame in json.loads(REAL.read_text())[::10] for label in frame["labels"]]
    drawn = [masks.from_annotation([outline(p, "x") for p in one["poly2d"]], (720, 1280)) for one in labels]
    overlap = np.array([masks.iou(rle, one["rle"]) for rle, one in zip(drawn, labels, strict=True)])
    large = np.array([masks.area(one["rle"]) for one in labels]) > 1000
    assert overlap.mean() > 0.9
    assert overlap[large].min() > 0.9


def test_ids_that_are_the_same_number_stay_two():
    assert _numbers(["7", "07"]) == {"7": 1, "07": 2}
    assert _numbers(["7", "12"]) == {"7": 7, "12": 12}
