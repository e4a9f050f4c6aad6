import contextlib
import copy
import io
import json
from dataclasses import replace

import numpy as np
import pytest
from goldens import golden_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from samodal import masks
from samodal.errors import InputError
from samodal.score import REFERENCE, video_ap

CASES = golden_cases("08_video_eval", "stats.json")


def load(case):
    return tuple(json.loads((CASES[case] / f"{name}.json").read_text()) for name in ("gt", "dt", "stats"))


def rectangle(x, y, w, h, size=(40, 60)):
    mask = np.zeros(size, bool)
    mask[y : y + h, x : x + w] = True
    return masks.encode(mask) if mask.any() else None


def truth_of(tracks, **more):
    """Tracks as lists of masks, all in video 1 and of category 1."""
    annotations = [
        {"id": n, "video_id": 1, "category_id": 1, "segmentations": track, **more}
        for n, track in enumerate(tracks, 1)
    ]
    return {"videos": [{"id": 1}], "categories": [{"id": 1}], "annotations": annotations}


def result(track, score=1.0, video=1, category=1):
    return {"video_id": video, "category_id": category, "score": score, "segmentations": track}


BOX = rectangle(5, 5, 20, 10)
OTHER = rectangle(30, 20, 20, 10)


@pytest.mark.parametrize("case", CASES)
def test_reference_gives_the_numbers_of_the_original(case):
    truth, predictions, expected = load(case)
    arrays = np.load(CASES[case] / "eval.npz")
    before = copy.deepcopy((truth, predictions))
    scores = video_ap(truth, predictions, protocol="reference")
    assert scores["stats"] == pytest.approx(expected["stats"], abs=1e-9)
    assert scores["precision"] == pytest.approx(arrays["precision"], abs=1e-9)
    assert scores["recall"] == pytest.approx(arrays["recall"], abs=1e-9)
    assert (truth, predictions) == before
    named = [scores["ap"], scores["ap50"], scores["ap75"]]
    assert [-1 if value is None else value for value in named] == scores["stats"][:3]


@pytest.mark.parametrize("case", CASES)
def test_without_the_trap_of_id_zero(case):
    truth, predictions, expected = load(case)
    scores = video_ap(truth, predictions, replace(REFERENCE, zero_id_is_no_match=False))
    assert scores["stats"] == pytest.approx(expected["stats_correct_with_positive_ids"], abs=1e-9)


def test_names_its_protocol_and_whether_categories_count():
    scores = video_ap(truth_of([[BOX]]), [result([BOX])], "strict")
    assert (scores["protocol"], scores["class_agnostic"]) == ("strict", True)
    with pytest.raises(InputError, match="'reference' and 'strict'"):
        video_ap(truth_of([[BOX]]), [], "coco")


def test_by_hand():
    # Two of three frames are right: IoU 2/3, a match at 4 of 10 thresholds, for one of two tracks.
    scores = video_ap(truth_of([[BOX, BOX, BOX], [OTHER] * 3]), [result([BOX, BOX, None])], "strict")
    assert scores["ap50"] == pytest.approx(51 / 101)
    assert scores["ap"] == pytest.approx(0.4 * 51 / 101)
    assert scores["ap75"] == 0
    assert scores["ar100"] == pytest.approx(0.4 * 0.5)


def test_missing_frames_and_frames_too_many_are_empty_under_strict():
    truth = truth_of([[BOX, BOX]], occlude_rate=[0, 0])
    longer, shorter = [result([BOX, BOX, BOX, BOX])], [result([BOX])]
    assert video_ap(truth, longer, "reference")["ap"] == pytest.approx(1)
    assert video_ap(truth, shorter, "reference")["ap"] == pytest.approx(1)
    for predictions in (longer, shorter):  # IoU 1/2: right at the first of ten thresholds
        assert video_ap(truth, predictions, "strict")["ap"] == pytest.approx(0.1)


@pytest.mark.parametrize("protocol", ["strict", "reference"])
def test_no_predictions_score_zero(protocol):
    scores = video_ap(truth_of([[BOX]], occlude_rate=[0.1]), [], protocol)
    assert scores["ap"] == scores["ar100"] == 0


def test_no_truth_scores_nothing():
    scores = video_ap(truth_of([]), [result([BOX])], "strict", class_agnostic=False)
    assert scores["ap"] is None
    assert scores["stats"] == [-1] * 18


def test_truth_without_any_mask():
    truth = truth_of([[BOX], [None]], occlude_rate=[0.1])
    truth["annotations"][1]["occlude_rate"] = [None]
    assert video_ap(truth, [result([BOX])], "strict")["ap"] == pytest.approx(1)
    assert video_ap(truth, [result([BOX])], "reference")["ap"] == pytest.approx(51 / 101)


def test_id_zero_is_an_id_like_any_other():
    truth = truth_of([[BOX]])
    truth["annotations"][0]["id"] = 0
    assert video_ap(truth, [result([BOX])], "strict")["ap"] == pytest.approx(1)
    twice = video_ap(truth_of([[BOX], [OTHER]]), [result([BOX], 0.9), result([BOX], 0.8)], "strict")
    assert twice["ar100"] == 0.5


def test_rates_are_added_in_the_order_of_the_original():
    # The mean of the higher half is 0.75 in one order and a bit more, so in no class, in the other.
    truth = truth_of([[BOX] * 8], occlude_rate=[0.71, 0.32, 0.89, 0.27, 0.01, 0.72, 0.68, 0.66])
    scores = video_ap(truth, [result([BOX] * 8)], "reference")
    assert scores["ap"] is None


def test_areas_of_the_file_count_by_reference_only():
    truth = truth_of([[BOX, None]], areas=[64**2, None], occlude_rate=[0, None])  # BOX itself is small
    for protocol, area in (("reference", "medium"), ("strict", "small")):
        scores = video_ap(truth, [result([BOX, None])], protocol)
        assert scores[f"ap50_{area}_area"] == pytest.approx(1)


def test_crowd_and_ignored_truth_count_neither_for_nor_against():
    crowd = rectangle(30, 0, 30, 40)
    truth = truth_of([[BOX], [crowd]])
    truth["annotations"][1]["iscrowd"] = 1
    inside = [result([rectangle(32, 2, 5, 5)], 0.9), result([rectangle(40, 2, 5, 5)], 0.8)]
    assert video_ap(truth, [*inside, result([BOX], 0.5)], "strict")["ap"] == pytest.approx(1)
    ignored = truth_of([[BOX], [OTHER]])
    ignored["annotations"][1]["ignore"] = 1
    assert video_ap(ignored, [result([OTHER], 0.9), result([BOX], 0.5)], "strict")["ap"] == pytest.approx(1)


def test_categories_that_the_file_does_not_list():
    truth = truth_of([[BOX], [OTHER]], occlude_rate=[0.1])
    truth["annotations"][1]["category_id"] = 7
    assert video_ap(truth, [result([BOX])], "reference")["ap"] == pytest.approx(1)  # lost in silence
    assert video_ap(truth, [result([BOX])], "strict")["ap"] == pytest.approx(51 / 101)
    by_class = video_ap(truth, [result([BOX]), result([OTHER], category=1)], "strict", class_agnostic=False)
    assert by_class["ap"] == pytest.approx(0.5)
    assert by_class["precision"].shape[2] == 2


def test_occlusion_classes_of_strict_do_not_overlap_and_leave_nothing_out():
    rates = [0.0, 0.25, 0.5, 0.75, 0.9, None]
    boxes = [rectangle(8 * n, 3 * n, 7, 7) for n in range(6)]
    truth = truth_of([[box] for box in boxes])
    for annotation, rate in zip(truth["annotations"], rates, strict=True):
        if rate is not None:
            annotation["occlude_rate"] = [rate]
    for n, found in enumerate(["unoccluded", "partial", "medium", "heavy", "extreme"]):
        scores = video_ap(truth, [result([boxes[n]])], "strict")
        classes = ("unoccluded", "partial", "medium", "heavy", "extreme")
        assert {name: round(scores[f"ap50_{name}"]) for name in classes} == {
            name: name == found for name in classes
        }
        assert scores["ar100"] == pytest.approx(1 / 6)
    with pytest.raises(InputError, match="occlude_rate"):
        video_ap(truth, [], "reference")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"score": float("nan")}, "not a number"),
        ({"score": None}, "not a number"),
        ({"video_id": 9}, "video 9"),
        ({"segmentations": [rectangle(0, 0, 2, 2, (10, 10))]}, "video 1: masks of different sizes"),
        (
            {"segmentations": [{"size": [40, 60], "counts": BOX["counts"][:-1] + "o"}]},
            "frame 0: not a COCO RLE",
        ),
        ({"segmentations": [{"size": [40, 60], "counts": [10, 5]}]}, "frame 0: not a COCO RLE"),
        ({"segmentations": ["nonsense"]}, "not a COCO RLE"),
    ],
)
def test_bad_predictions_are_named(damage, message):
    with pytest.raises(InputError, match=message):
        video_ap(truth_of([[BOX]]), [result([BOX]) | damage], "strict")


def test_missing_keys_are_named():
    with pytest.raises(InputError, match="prediction 0: no 'score'"):
        video_ap(truth_of([[BOX]]), [{"video_id": 1, "category_id": 1, "segmentations": [BOX]}], "strict")
    with pytest.raises(InputError, match="truth: no 'annotations'"):
        video_ap({"videos": []}, [], "strict")


@pytest.mark.parametrize(
    ("broken", "message"),
    [
        (BOX | {"size": [40, 59]}, "add up to 2400 pixels instead of 2360"),
        (BOX | {"size": [-40, -60]}, "not a COCO RLE"),
        (BOX | {"size": 40}, "not a COCO RLE"),
        ({"counts": BOX["counts"]}, "not a COCO RLE {'size', 'counts'}"),
        ([[1, 1, 5, 1, 5, 5]], "not a COCO RLE {'size', 'counts'}"),
    ],
)
def test_broken_masks_are_named(broken, message):
    with pytest.raises(InputError, match=f"prediction 0, frame 1: .*{message}"):
        video_ap(truth_of([[BOX, BOX]]), [result([BOX, broken])], "strict")


boxes = st.tuples(st.integers(0, 50), st.integers(0, 35), st.integers(1, 25), st.integers(1, 25))
tracks = st.lists(st.lists(st.one_of(st.none(), boxes), min_size=1, max_size=3), min_size=1, max_size=5)


def as_masks(track):
    return [None if box is None else rectangle(*box) for box in track]


@given(tracks)
@settings(max_examples=30, deadline=None)
def test_perfect_predictions_give_one(drawn):
    truth = truth_of([as_masks(track) for track in drawn])
    seen = [a for a in truth["annotations"] if any(a["segmentations"])]
    scores = video_ap(truth, [result(a["segmentations"], 1 / a["id"]) for a in seen], "strict")
    assert scores["ap"] == (pytest.approx(1) if seen else None)


@given(tracks, tracks, st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_order_and_ids_do_not_matter_where_scores_differ(drawn, guessed, random):
    truth = truth_of([as_masks(track) for track in drawn])
    predictions = [result(as_masks(track), 1 / (n + 1)) for n, track in enumerate(guessed)]
    stats = video_ap(truth, predictions, "strict")["stats"]
    random.shuffle(predictions)
    for annotation in truth["annotations"]:
        annotation["id"] = annotation["id"] * 7 - 7
    assert video_ap(truth, predictions, "strict")["stats"] == stats


def test_videos_of_one_frame_are_coco():
    """An independent implementation: pycocotools' own evaluation, with crowds, categories and ties."""
    rng = np.random.default_rng(3)
    truth = {"videos": [], "images": [], "categories": [{"id": 1}, {"id": 2}], "annotations": []}
    predictions = []
    for image in range(1, 9):
        truth["videos"].append({"id": image})
        truth["images"].append({"id": image, "height": 150, "width": 200})
        for _ in range(rng.integers(0, 7)):
            box = (*rng.integers(0, (100, 70)), *rng.integers(5, 120, 2))
            rle = rectangle(*box, size=(150, 200))
            entry = {"video_id": image, "image_id": image, "category_id": int(rng.integers(1, 3))}
            truth["annotations"].append(
                entry
                | {
                    "id": len(truth["annotations"]) + 1,
                    "iscrowd": int(rng.random() < 0.15),
                    "area": masks.area(rle),
                }
                | {"segmentation": rle, "segmentations": [rle], "bbox": masks.box(rle)}
            )
            for _ in range(rng.integers(0, 3)):
                shaken = np.maximum(np.array(box) + rng.integers(-6, 7, 4), (0, 0, 3, 3))
                rle = rectangle(*shaken, size=(150, 200))
                score = {"score": round(float(rng.random()), 1)}
                predictions.append(entry | score | {"segmentation": rle, "segmentations": [rle]})
    with contextlib.redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = copy.deepcopy({k: v for k, v in truth.items() if k != "videos"})
        coco.createIndex()
        for class_agnostic in (False, True):
            reference = COCOeval(coco, coco.loadRes(copy.deepcopy(predictions)), "segm")
            reference.params.useCats = not class_agnostic
            reference.evaluate()
            reference.accumulate()
            scores = video_ap(truth, predictions, "strict", class_agnostic)
            expected = reference.eval["precision"]
            assert scores["precision"][..., 0, :] == pytest.approx(expected, abs=1e-12)
            assert scores["recall"][..., 0, :] == pytest.approx(reference.eval["recall"], abs=1e-12)


@pytest.mark.parametrize("case", CASES)
def test_how_many_pairs_are_looked_at_together_does_not_matter(case, monkeypatch):
    truth, predictions, _ = load(case)
    whole = video_ap(truth, predictions)
    monkeypatch.setattr("samodal.score.overlap.AT_ONCE", 7)
    parts = video_ap(truth, predictions)
    assert np.array_equal(whole["precision"], parts["precision"])
    assert np.array_equal(whole["recall"], parts["recall"])


@pytest.mark.parametrize("number", [10**400, -(10**400), float("inf"), float("nan")])
def test_numbers_beyond_all_bounds_are_named(number):
    with pytest.raises(InputError, match=r"prediction 0: score .* finite"):
        video_ap(truth_of([[BOX]], occlude_rate=[0.0]), [result([BOX], number)])
    with pytest.raises(InputError, match=r"truth annotation 1: occlude_rate .* finite"):
        video_ap(truth_of([[BOX]], occlude_rate=[number]), [result([BOX])])
