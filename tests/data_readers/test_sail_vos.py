import json

import numpy as np
import pytest
from PIL import Image

from samodal import masks
from samodal.data import amodal_frames, open_dataset
from samodal.errors import InputError

SIZE = (10, 12)


def rle(left, width=6):
    mask = np.zeros(SIZE, bool)
    mask[2:7, left : left + width] = True
    return masks.encode(mask)


FULL, SEEN = rle(2), rle(2, 3)
KINDS = {  # the same truth in the three spellings of VATrack
    "amodal": {"segmentation": FULL, "visible_mask": SEEN},
    "visible": {"segmentation": SEEN, "amodal_mask": FULL, "visible_mask": SEEN},
    "joint": {"segmentation": [FULL, SEEN], "amodal_mask": FULL, "visible_mask": SEEN},
}


def content(kind="joint", **changes):
    """Image ids start at 0, the frame with id 0 is the second one."""
    images = [
        {
            "id": n,
            "video_id": 1,
            "file_name": f"clip__2/images/{n:06d}.png",
            "frame_id": 1 - n,
            "width": 12,
            "height": 10,
        }
        for n in range(2)
    ]
    annotation = {
        "id": 0,
        "video_id": 1,
        "image_id": 0,
        "category_id": 1,
        "instance_id": 4,
        "obj_id": 3,
    } | KINDS[kind]
    return {
        "categories": [{"id": 1, "name": "person"}],
        "videos": [{"id": 1, "name": "clip__2", "width": 12, "height": 10, "num_frames": 2}],
        "images": images,
        "annotations": [annotation | changes],
    }


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(value if isinstance(value, str) else json.dumps(value))
    return path


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("folder", ["clip__2/images", "clip__2"])
def test_full_and_visible_masks(tmp_path, kind, folder):
    write(tmp_path / "sailvos_cut_json" / kind / "valid.json", content(kind))
    image = tmp_path / "sailvos_cut_png" / folder / "000000.png"
    image.parent.mkdir(parents=True)
    Image.new("RGB", SIZE[::-1]).save(image)
    dataset = open_dataset("sail-vos", tmp_path, "val")
    (clip,) = dataset
    assert (clip.name, len(clip), dataset.categories) == ("clip__2", 2, {1: "person"})
    assert clip.instances(0) == []
    (one,) = clip.instances(1)
    assert (one.track_id, one.category_id, one.amodal, one.visible) == (4, 1, FULL, SEEN)
    assert clip.extra["image_ids"] == [1, 0]
    assert clip.video[1].shape == (*SIZE, 3)
    assert amodal_frames(dataset) == [range(2)]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ('{"videos"', "not valid JSON"),
        ({"videos": []}, "no list of objects 'images'"),
        (content(image_id=9), "image 9, which is not in the list"),
        (content(instance_id=-4), "'instance_id' is -4"),
        (content(amodal_mask=masks.empty((3, 3))), "mask of size"),
        (content(amodal_mask={"size": list(SIZE), "counts": "1"}), "broken RLE"),
        (
            content() | {"annotations": [{"id": 0, "image_id": 0, "segmentation": FULL}]},
            "'visible_mask', and",
        ),
        (content() | {"annotations": 2 * content()["annotations"]}, "instance 4 occurs twice"),
        (content() | {"videos": [{"id": 2}]}, "of video 1, which is not in the list"),
        (content() | {"images": [content()["images"][0] | {"file_name": "../../x.png"}]}, "leads out of"),
        (content() | {"images": [content()["images"][0] | {"width": 10**12}]}, "no .height, width."),
    ],
)
def test_damaged_files(tmp_path, damage, message):
    path = write(tmp_path / "valid.json", damage)
    with pytest.raises(InputError, match=message) as error:
        open_dataset("sail-vos", path)[0].instances(
            len(damage["images"]) - 1 if isinstance(damage, dict) else 0
        )
    assert str(path) in str(error.value)
    assert "\n" not in str(error.value)


def test_a_missing_layout_names_the_first_path(tmp_path):
    with pytest.raises(InputError, match=r"sailvos_cut_json/joint/train\.json: no such file"):
        open_dataset("sail-vos", tmp_path, "train")
