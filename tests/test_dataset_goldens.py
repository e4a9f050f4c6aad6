"""All that was recorded of the original's loaders and inference (shared/golden, 10 and 11), through the public door."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from goldens import SHARED

from samodal import masks
from samodal.convert import convert
from samodal.data import open_dataset
from samodal.data.asd import WRONG_CATEGORIES
from samodal.score import REFERENCE, image_ap, pooled_iou

DATASETS, GENVIS = SHARED / "10_datasets", SHARED / "11_genvis_inference"
pytestmark = pytest.mark.skipif(not DATASETS.is_dir(), reason="needs the recorded numbers in ../shared")


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def by_place(truth: dict) -> dict[tuple, dict]:
    """(sequence, image file, track) -> annotation."""
    files = {image["id"]: tuple(image["file_name"].split("/")[-2:]) for image in truth["images"]}
    return {(*files[entry["image_id"]], entry["track_id"]): entry for entry in truth["annotations"]}


def test_truth_of_amodalsynthdrive(tmp_path: Path) -> None:
    convert(DATASETS / "asd_sample", tmp_path / "coco.json", "asd", "coco")
    ours = by_place(read(tmp_path / "coco.json"))
    recorded = by_place(read(DATASETS / "asd_expected_coco_gt.json"))
    with_pixels = {place: entry for place, entry in recorded.items() if entry["area"]}
    assert ours.keys() == with_pixels.keys(), "the original keeps instances without any pixel"
    for place, entry in with_pixels.items():
        assert ours[place]["segmentation"] == entry["segmentation"]
        assert ours[place]["area"] == entry["area"]
        category = entry["category_id"]  # the original mends those of occluded instances only
        assert ours[place]["category_id"] == WRONG_CATEGORIES.get(category, category)
        if entry["occlude_rate"] <= 1:  # above: an occluder that is larger than the object (B20)
            assert ours[place]["occlude_rate"] == pytest.approx(entry["occlude_rate"], abs=1e-12)


def test_items_of_amodalsynthdrive() -> None:
    clips = open_dataset("asd", DATASETS / "asd_sample")
    places = [(clip, frame) for clip in clips for frame in range(len(clip))]
    for item in read(DATASETS / "asd_expected_items.json"):
        if "error" in item:  # an instance without any pixel
            continue
        clip, frame = places[item["image_id"]]
        found = {one.track_id: one for one in clip.instances(frame)}[item["track_id"]]
        known = [entry for entry in read_frame(clip.name, frame) if entry["track_id"] == item["track_id"]]
        occluder = known[0]["occlusion_mask"]
        if occluder and masks.area(occluder) > masks.area(found.amodal):
            continue  # what is outside the object wraps round there, and becomes visible (B20)
        assert found.amodal == item["amodal"]
        assert masks.area(found.visible) == item["visible_area"]


def read_frame(sequence: str, frame: int) -> list[dict]:
    folder = DATASETS / "asd_sample" / "val" / "amodal_instance_seg" / "front" / sequence
    return list(read(sorted(folder.glob("*.json"))[frame]).values())


def test_truth_of_kins() -> None:
    recorded = read(DATASETS / "kins_expected_coco_gt.json")
    clips = {
        clip.video_id: clip
        for clip in open_dataset("kins", DATASETS / "kins_sample", "train", categories=[4])
    }
    assert {image["id"] for image in recorded["images"]} == clips.keys()
    for entry in recorded["annotations"]:
        one = {one.track_id: one for one in clips[entry["image_id"]].instances(0)}[entry["id"]]
        assert one.amodal == entry["segmentation"]
    for item in read(DATASETS / "kins_expected_items.json")["items"]:
        clip, entry = clips[item["image_id"]], recorded["annotations"][item["index"]]
        if clip.video.size == tuple(item["amodal"]["size"]):  # the original scales all to 375 x 1242
            one = {one.track_id: one for one in clip.instances(0)}[entry["id"]]
            assert (one.amodal, one.visible) == (item["amodal"], item["visible"])


def test_scores_of_the_inference() -> None:
    truth, recorded = (read(DATASETS / f"asd_expected_{name}.json") for name in ("coco_gt", "sam_inference"))
    assert image_ap(truth, recorded["predictions"])["stats"] == pytest.approx(
        recorded["stats_reference_gt_plus_iscrowd0"], abs=1e-9
    )
    mended = truth | {
        "annotations": [
            entry | {"category_id": WRONG_CATEGORIES.get(entry["category_id"], entry["category_id"])}
            for entry in truth["annotations"]
            if entry["area"]
        ]
    }
    scores = image_ap(mended, recorded["predictions"], replace(REFERENCE, zero_id_is_no_match=False))
    assert scores["stats"] == pytest.approx(recorded["stats_corrected_gt"], abs=1e-9)
    items = [item for item in read(DATASETS / "asd_expected_items.json") if "error" not in item]
    found = pooled_iou(
        [entry["segmentation"] for entry in recorded["predictions"]], [i["amodal"] for i in items]
    )
    assert found == pytest.approx(recorded["mean_iou"], abs=1e-9)


def test_scores_of_the_inference_on_genvis() -> None:
    predictions = read(GENVIS / "expected_predictions.json")
    scores = image_ap(read(GENVIS / "gt_on_100_grid.json"), predictions)
    assert scores["stats"] == pytest.approx(read(GENVIS / "case.json")["stats"], abs=1e-9)


def test_frames_of_genvis() -> None:
    clips = open_dataset("asd", DATASETS / "asd_sample")
    results = open_dataset("genvis", GENVIS / "genvis_results.json", videos=clips)
    found = sorted(
        (100 * place + frame, one.track_id - 1)
        for place, clip in enumerate(results)
        for frame in range(len(clip))
        for one in clip.instances(frame)
    )
    predictions = read(GENVIS / "expected_predictions.json")
    assert found == sorted((entry["image_id"], entry["track_id"]) for entry in predictions)
