import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from samodal import masks
from samodal.data import amodal_frames, open_dataset
from samodal.data.asd import GENVIS_CATEGORIES
from samodal.errors import InputError

GOLDEN = Path(__file__).parents[1] / "data" / "golden"
SIZE = (10, 12)


def rle(left, width=4):
    mask = np.zeros(SIZE, bool)
    mask[2:7, left : left + width] = True
    return masks.encode(mask)


def track(number, video, found, **more):
    return {"id": number, "video_id": video, "category_id": 3, "segmentations": found} | more


def truth(*annotations, **video):
    """Two videos of 3 and 2 frames, whose ids are not their places."""
    videos = [
        {"id": 40, "file_names": [f"a/{i:05d}.jpg" for i in range(3)], "height": 10, "width": 12, "length": 3}
        | video,
        {"id": 7, "file_names": ["b/00000.jpg", "b/00005.jpg"], "height": 10, "width": 12},
    ]
    return {"videos": videos, "annotations": list(annotations), "categories": [{"id": 3, "name": "car"}]}


GOOD = [track(1, 40, [rle(0), None, rle(2)]), track(2, 7, [None, rle(5)]), track(3, 40, [None, rle(6), None])]


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    return path


@pytest.mark.parametrize(
    "file", ["valid.json", "val/instances.json", "annotations/instances_val.json", "annotations_valid.json"]
)
def test_truth(tmp_path, file):
    write(tmp_path / file, truth(*GOOD))
    image = tmp_path / "valid" / "JPEGImages" / "b" / "00005.jpg"
    image.parent.mkdir(parents=True)
    Image.new("RGB", SIZE[::-1], (200, 200, 200)).save(image)
    dataset = open_dataset("youtube-vis", tmp_path, "val")
    assert [(clip.name, clip.video_id, len(clip)) for clip in dataset] == [("a", 40, 3), ("b", 7, 2)]
    assert dataset.categories == {3: "car"}
    assert [(one.track_id, one.amodal, one.visible) for one in dataset[0].instances(1)] == [(3, None, rle(6))]
    assert dataset[1].truth.tracks[0].visible == [None, rle(5)]
    assert dataset[1].video[1].mean() > 190
    with pytest.raises(InputError, match="no amodal masks, only visible ones"):
        amodal_frames(dataset)


def test_full_masks_beside_visible_ones(tmp_path):
    entries = [
        track(1, 40, [rle(0), rle(1), None], visible_segmentations=[rle(0, 2), None, None]),
        track(2, 7, [rle(3), rle(5)], visible_segmentations=[rle(3), rle(5)]),
    ]
    clips = open_dataset("ovis", write(tmp_path / "truth.json", truth(*entries)))
    (one,) = clips[0].instances(0)
    assert (one.amodal, one.visible) == (rle(0), rle(0, 2))
    assert clips[0].truth.tracks[0].states == ["visible", "hidden", "absent"]
    assert amodal_frames(clips) == [range(3), range(2)]
    some = truth(
        *entries, track(3, 7, [None, rle(0)])
    )  # one track without: nothing can be said of the others' frames
    assert open_dataset("ovis", write(tmp_path / "some.json", some))[0].annotated == ()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ('{"videos": [', "not valid JSON"),
        ({"videos": []}, "no list of objects 'annotations'"),
        ({"videos": [], "annotations": None}, "no list of objects 'annotations'"),
        (truth(track(1, 41, [None])), "of video 41, which is not in the list"),
        (truth(track(1, 40, [None])), "has 1 masks .or nulls., but its video has 3"),
        (truth(track(1, 40, "abc")), "must be a list"),
        (truth(*GOOD, GOOD[0]), "track id 1 occurs twice"),
        (truth(track(-1, 40, [None] * 3)), "'id' is -1"),
        (truth(track(1, 40, [masks.empty((3, 3)), None, None])), "mask of size"),
        (truth(track(1, 40, [{"size": [10, 12], "counts": [10**15, 3]}, None, None])), "broken RLE"),
        (
            truth(track(1, 40, [rle(0), None, None]) | {"occlude_rate": [0.5, None, None]}),
            "has full masks .*but no 'visible_segmentations'",
        ),
        (truth(length=4), "'length' is 4, but 'file_names' has 3"),
        (truth(file_names=["../a.jpg"], length=1), "leads out of"),
        (truth(file_names=["C:\\a.jpg"], length=1), "leads out of"),
        (truth(file_names=[]), "must be a list with the name of every frame"),
        (truth(height=0), "'height' is 0"),
        (truth(id=7), "two entries for video 7"),
    ],
)
def test_damaged_truth(tmp_path, damage, message):
    path = write(tmp_path / "truth.json", damage)
    with pytest.raises(InputError, match=message) as error:
        open_dataset("youtube-vis", path)[0].instances(0)
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_missing_truth_names_the_first_path(tmp_path):
    with pytest.raises(InputError, match=r"train\.json: no such file"):
        open_dataset("youtube-vis", tmp_path, "train")


# ---- results ---------------------------------------------------------------------------------------------


def test_golden_genvis_results_on_the_videos_of_a_data_set():
    """The same masks as the original's list, at the same frames, of the same tracks, without 100 * video + frame."""
    videos = open_dataset("asd", GOLDEN / "10_datasets" / "asd_sample", "val")
    path = GOLDEN / "11_genvis_inference" / "genvis_results.json"
    dataset = open_dataset("genvis", path, videos=videos, categories=GENVIS_CATEGORIES)
    found = [
        (place, frame, one.track_id - 1)
        for place, clip in enumerate(dataset)
        for frame in range(len(clip))
        for one in clip.instances(frame)
    ]
    expected = json.loads((GOLDEN / "11_genvis_inference" / "expected_places.json").read_text())
    assert sorted(found) == sorted((*divmod(entry["image_id"], 100), entry["track_id"]) for entry in expected)
    categories = {track.track_id: track.category_id for clip in dataset for track in clip.truth}
    assert categories == {1: 27, 2: 24, 3: 32, 4: 26, 5: 25, 6: 26}
    assert dataset[0].extra["scores"][1] == 0.1538
    assert [clip.name for clip in dataset] == [clip.name for clip in videos]
    assert dataset[1].video[2].shape == (90, 160, 3)


def result(video, found, **more):
    return {"video_id": video, "category_id": 1, "score": 0.5, "segmentations": found} | more


def test_results_with_a_truth_file_or_nothing(tmp_path):
    path = write(tmp_path / "results.json", [result(7, [None, rle(1)]), result(7, [{}, ""])])
    videos = write(tmp_path / "truth.json", truth())
    for options, names in (({"videos": videos}, ["a", "b"]), ({}, ["video_7"])):
        dataset = open_dataset("genvis", tmp_path, **options)
        assert [clip.name for clip in dataset] == names
        (one,) = dataset[-1].instances(1)
        assert (one.track_id, one.visible, dataset[-1].video_id) == (1, rle(1), 7)
    assert open_dataset("genvis", path)[0].truth.num_frames == 2
    write(path, [result(7, [rle(1)], visible_segmentations=[None])])
    assert open_dataset("genvis", path)[0].truth.tracks[0].amodal == [rle(1)]
    write(path, [result(7, [None])])
    with pytest.raises(InputError, match=r"no mask tells the size of video 7; pass `videos`"):
        open_dataset("genvis", path)
    write(path, [result(7, [None, rle(1)])])
    with pytest.raises(InputError, match="no such image"):
        open_dataset("genvis", path)[0].video[0]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ([result(9, [None, rle(0)])], r"of video 9, but there are only \[7, 40\]"),
        ([result(7, [rle(0)])], "has 1 masks"),
        ([result(7, [None] * 2, score=float("nan"))], "'score' is nan"),
        ([result(7, [None] * 2, score="high")], "'score' is 'high'"),
        ([result("x", [None] * 2)], "'video_id' is 'x'"),
        ([{"video_id": 7}], "must be a list"),
        ({"a": 1}, "no list of objects"),
    ],
)
def test_damaged_results(tmp_path, damage, message):
    path = write(tmp_path / "results.json", damage)
    with pytest.raises(InputError, match=message) as error:
        open_dataset("genvis", path, videos=write(tmp_path / "truth.json", truth()))[1].instances(0)
    assert str(path) in str(error.value)
