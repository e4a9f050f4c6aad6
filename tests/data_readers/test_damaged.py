"""Whatever a part of a file is replaced by: a reader either copes or gives one clear line."""

import copy
import json
import pickle

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from samodal import masks
from samodal.data import open_dataset
from samodal.errors import InputError

SIZE = (9, 14)
MASK = np.zeros(SIZE, bool)
MASK[2:6, 3:8] = True
RLE = masks.encode(MASK)
POLYGON = [[1, 1, 8, 1, 8, 6, 1, 6]]
SAME_SIZE = {"height": 9, "width": 14}
DRIVE = "2011_09_26_drive_0005_sync"

KINS = {
    "images": [{"id": 3, "file_name": "000003.png"} | SAME_SIZE],
    "annotations": [{"id": 7, "image_id": 3, "category_id": 4, "a_segm": POLYGON, "i_segm": RLE}],
    "categories": [{"id": 4, "name": "car"}],
}
FILES = {
    "kins": KINS,
    "youtube-vis": {
        "videos": [{"id": 40, "name": "a", "file_names": ["a/0.jpg", "a/1.jpg"], "length": 2} | SAME_SIZE],
        "annotations": [
            {
                "id": 1,
                "video_id": 40,
                "category_id": 3,
                "segmentations": [RLE, None],
                "visible_segmentations": [RLE, None],
            }
        ],
        "categories": [{"id": 3, "name": "car"}],
    },
    "genvis": [{"video_id": 7, "category_id": 1, "score": 0.5, "segmentations": [None, RLE]}],
    "sail-vos": {
        "videos": [{"id": 1, "name": "a"}],
        "images": [{"id": 0, "video_id": 1, "file_name": "a/0.png", "frame_id": 0} | SAME_SIZE],
        "annotations": [
            {
                "id": 0,
                "image_id": 0,
                "category_id": 1,
                "instance_id": 4,
                "segmentation": RLE,
                "visible_mask": RLE,
            }
        ],
    },
    "bdd100k": [
        {
            "name": "v-1.jpg",
            "videoName": "v",
            "frameIndex": 0,
            "labels": [
                {"id": "5", "category": "car", "attributes": {"crowd": False}, "rle": RLE},
                {
                    "id": "6",
                    "category": "car",
                    "poly2d": [{"vertices": [[0, 0], [4, 0], [4, 4]], "types": "LLL"}],
                },
            ],
        }
    ],
    "kins-car": {DRIVE: {3: {0: {"VM": RLE, "VM_bbox": [2, 5, 3, 7]}, 1: {"VM": RLE}}}},
    "fishbowl": {"10_0": {0: {"FM": [RLE], "VM": [RLE]}}},
}

junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([10**9, 10**18, 10**40, -(10**18), 1e300, float("nan"), float("inf")]),
    st.sampled_from(["", "x", "../../x", "/x", "a\0b", "7", "-1", "oooo", "\ud800"]),
    st.sampled_from(
        [[], {}, [[]], [None], [{}], [1, 2], [[1, 2, 3, 4, 5, 6]], {"size": [3, 3], "counts": "9"}]
    ),
    st.just({"size": [9, 14], "counts": "\u00ff"}),
)


def places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, part in items:
        yield from places(part, (*path, key))


@st.composite
def damaged(draw, content):
    content = copy.deepcopy(content)
    path = draw(st.sampled_from([place for place in places(content) if place]))
    parent = content
    for key in path[:-1]:
        parent = parent[key]
    action = draw(st.sampled_from(["replace", "replace", "remove", "double"]))
    if action == "replace":
        parent[path[-1]] = draw(junk)
    elif action == "double" and isinstance(parent, list):
        parent.append(parent[path[-1]])
    else:
        del parent[path[-1]]
    return content


@pytest.mark.parametrize("name", FILES)
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_any_damage_gives_one_clear_line(tmp_path_factory, name, data):
    root = tmp_path_factory.mktemp("damaged")
    content = data.draw(damaged(FILES[name]))
    options = {}
    if name in ("kins-car", "fishbowl"):
        (root / ("val_data.pkl" if name == "kins-car" else "test_data.pkl")).write_bytes(
            pickle.dumps(content)
        )
        (root / "update_train_2020.json").write_text(json.dumps(KINS))
        (root / "pairs.json").write_text(json.dumps([[f"{DRIVE}/0000000001.png", "000003.png"]]))
        options = {"pairs": root / "pairs.json"} if name == "kins-car" else {}
        opened = root
    else:
        opened = root / "file.json"
        opened.write_text(json.dumps(content))
    message = str(root)
    try:
        for clip in open_dataset(name, opened, "test" if name == "fishbowl" else "val", **options):
            if len(clip) < 100:
                assert all(len(track) == len(clip) for track in clip.truth)
    except InputError as error:
        message = str(error)
    assert "\n" not in message
    assert str(root) in message


@pytest.mark.parametrize("name", sorted(FILES.keys() - {"kins-car", "fishbowl"}))
def test_what_is_whole_is_read(tmp_path, name):
    path = tmp_path / "file.json"
    path.write_text(json.dumps(FILES[name]))
    assert any(one for clip in open_dataset(name, path) for one in clip.truth)
