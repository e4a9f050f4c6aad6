import copy
import json
from dataclasses import replace

import numpy as np
import pytest
from goldens import golden_cases
from hypothesis import given, settings
from hypothesis import strategies as st

from samodal import masks
from samodal.errors import InputError
from samodal.score import REFERENCE, image_ap, video_ap

CASES = golden_cases("07_image_eval", "stats.json")


def load(case):
    return tuple(json.loads((CASES[case] / f"{name}.json").read_text()) for name in ("gt", "dt", "stats"))


def rectangle(x, y, w, h, size=(40, 60)):
    mask = np.zeros(size, bool)
    mask[y : y + h, x : x + w] = True
    return masks.encode(mask)


def truth_of(segmentations, **more):
    """Everything in image 1 and of category 1."""
    annotations = [
        {"id": n, "image_id": 1, "category_id": 1, "segmentation": rle, **more}
        for n, rle in enumerate(segmentations, 1)
    ]
    return {
        "images": [{"id": 1, "height": 40, "width": 60}],
        "categories": [{"id": 1}],
        "annotations": annotations,
    }


def result(segmentation, score=1.0, image=1, category=1):
    return {"image_id": image, "category_id": category, "score": score, "segmentation": segmentation}


BOX = rectangle(5, 5, 20, 10)
OTHER = rectangle(30, 20, 20, 10)


@pytest.mark.parametrize("case", CASES)
def test_reference_gives_the_numbers_of_the_original(case):
    truth, predictions, expected = load(case)
    arrays = np.load(CASES[case] / "eval.npz")
    before = copy.deepcopy((truth, predictions))
    scores = image_ap(truth, predictions, class_agnostic=not expected["useCats"])
    assert scores["stats"] == pytest.approx(expected["stats"], abs=1e-9)
    assert scores["precision"] == pytest.approx(arrays["precision"], abs=1e-9)
    assert scores["recall"] == pytest.approx(arrays["recall"], abs=1e-9)
    assert (scores["protocol"], scores["class_agnostic"]) == ("reference", not expected["useCats"])
    assert (truth, predictions) == before


@pytest.mark.parametrize("case", CASES)
def test_without_the_trap_of_id_zero(case):
    truth, predictions, expected = load(case)
    rules = replace(REFERENCE, zero_id_is_no_match=False)
    scores = image_ap(truth, predictions, rules, class_agnostic=not expected["useCats"])
    assert scores["stats"] == pytest.approx(expected["stats_with_gt_ids_plus_1"], abs=1e-9)
    for annotation in truth["annotations"]:
        annotation["id"] += 1
    scores = image_ap(truth, predictions, class_agnostic=not expected["useCats"])
    assert scores["stats"] == pytest.approx(expected["stats_with_gt_ids_plus_1"], abs=1e-9)


def test_truth_of_a_category_that_is_not_listed_is_not_lost():
    truth, predictions, expected = load("unknown_category_gt")
    scores = image_ap(truth, predictions, replace(REFERENCE, listed_categories_only=False))
    assert scores["stats"] == pytest.approx(expected["stats_if_unknown_category_listed"], abs=1e-9)


def test_the_switches_together_make_strict_and_nothing_else_differs():
    """On a case without occlusion over 0.75, `ignore`, or values on a border, strict is the corrected reference."""
    truth, predictions, _ = load("gt_id_starts_at_zero")
    annotations = [a for a in truth["annotations"] if a["occlude_rate"] <= 0.75 and not a["ignore"]]
    truth = truth | {"annotations": annotations}
    corrected = replace(REFERENCE, zero_id_is_no_match=False)
    strict, reference = (image_ap(truth, predictions, rules) for rules in ("strict", corrected))
    assert strict["stats"][:6] == reference["stats"][:6]
    assert strict["stats"][9:15] == reference["stats"][9:15]


def test_by_hand():
    scores = image_ap(truth_of([BOX, OTHER]), [result(rectangle(5, 5, 15, 10), 0.9)], "strict")  # IoU 0.75
    assert scores["ap50"] == scores["ap75"] == pytest.approx(51 / 101)
    assert scores["ap"] == pytest.approx(0.6 * 51 / 101)
    assert scores["ar100"] == pytest.approx(0.6 * 0.5)


@pytest.mark.parametrize(
    "spelled",
    [
        {"size": [40, 60], "counts": BOX["counts"].encode()},
        {"size": [40, 60], "counts": masks.run_lengths(BOX["counts"]).tolist()},
        {"size": (40, 60), "counts": BOX["counts"]},
        [[5, 5, 25, 5, 25, 15, 5, 15]],
    ],
    ids=["bytes", "uncompressed", "size as tuple", "polygon"],
)
def test_masks_in_every_spelling(spelled):
    assert image_ap(truth_of([spelled]), [result(BOX)], "strict")["ap"] == pytest.approx(1)
    assert image_ap(truth_of([BOX]), [result(spelled)], "strict")["ap"] == pytest.approx(1)


def test_strict_counts_what_the_reference_loses():
    heavy = truth_of([BOX, OTHER], occlude_rate=0.9)
    assert image_ap(heavy, [result(BOX), result(OTHER)], "reference")["ap"] is None
    scores = image_ap(heavy, [result(BOX), result(OTHER)], "strict")
    assert scores["ap"] == scores["ap_extreme"] == pytest.approx(1)
    heavy["annotations"][0]["occlude_rate"] = 1.2  # an occluder larger than the object
    assert image_ap(heavy, [result(BOX), result(OTHER)], "strict")["ap50_extreme"] == pytest.approx(1)
    nothing = truth_of([BOX, None], occlude_rate=0.1)
    assert image_ap(nothing, [result(BOX)], "strict")["ap"] == pytest.approx(1)
    assert image_ap(nothing, [result(BOX)], "reference")["ap"] == pytest.approx(51 / 101)
    ignored = truth_of([BOX, OTHER], occlude_rate=0.1)
    ignored["annotations"][1]["ignore"] = 1
    assert image_ap(ignored, [result(BOX)], "strict")["ap"] == pytest.approx(1)
    assert image_ap(ignored, [result(BOX)], "reference")["ap"] == pytest.approx(51 / 101)


def test_nothing_to_find_and_nothing_found():
    assert image_ap(truth_of([]), [result(BOX)], "strict", class_agnostic=False)["stats"] == [-1] * 18
    assert image_ap(truth_of([BOX], occlude_rate=0), [])["ap"] == 0
    assert image_ap({"images": [], "annotations": []}, [], "strict")["ap"] is None


def test_only_the_best_hundred_predictions_of_an_image_count():
    truth = truth_of([BOX])
    predictions = [result(OTHER, 1 - n / 1000) for n in range(100)]
    assert image_ap(truth, [*predictions, result(BOX, 0.5)], "strict")["ap"] == 0
    assert image_ap(truth, [*predictions[1:], result(BOX, 0.5)], "strict")["ar100"] == 1


def test_empty_masks_may_have_any_size():
    """AmodalSynthDrive has full-HD empty masks whatever the size of the images."""
    truth = truth_of([BOX, masks.empty((1080, 1920))], occlude_rate=0)
    assert image_ap(truth, [result(BOX), result(masks.empty((10, 10)), 0.1)])["ar100"] == 0.5


# ---- Properties -----------------------------------------------------------------------------------------------------

boxes = st.tuples(st.integers(0, 50), st.integers(0, 35), st.integers(1, 25), st.integers(1, 25))
scenes = st.lists(st.tuples(st.integers(1, 3), st.integers(1, 2), boxes), min_size=1, max_size=8)


def truth_from(scene):
    annotations = [
        {
            "id": n,
            "image_id": image,
            "category_id": category,
            "segmentation": rectangle(*box),
            "occlude_rate": n / 10,
        }
        for n, (image, category, box) in enumerate(scene)
    ]
    return {
        "images": [{"id": n} for n in (1, 2, 3)],
        "categories": [{"id": 1}, {"id": 2}],
        "annotations": annotations,
    }


def results_from(scene, scores=None):
    return [
        result(rectangle(*box), 1 / (n + 1) if scores is None else scores[n], image, category)
        for n, (image, category, box) in enumerate(scene)
    ]


@given(scenes, st.booleans())
@settings(max_examples=30, deadline=None)
def test_perfect_predictions_give_one_and_duplicates_no_more(scene, class_agnostic):
    truth, predictions = truth_from(scene), results_from(scene)
    assert image_ap(truth, predictions, "strict", class_agnostic)["ap"] == pytest.approx(1)
    twice = image_ap(truth, predictions + predictions, "strict", class_agnostic)
    assert max(twice["precision"].max(), twice["recall"].max()) <= 1
    behind = [entry | {"score": -entry["score"]} for entry in predictions]
    assert image_ap(truth, predictions + behind, "strict", class_agnostic)["ap"] == pytest.approx(1)


@given(scenes, scenes, st.booleans(), st.randoms(use_true_random=False))
@settings(max_examples=30, deadline=None)
def test_order_and_labels_do_not_matter_where_scores_differ(scene, guesses, class_agnostic, random):
    truth, predictions = truth_from(scene), results_from(guesses)
    stats = image_ap(truth, predictions, "strict", class_agnostic)["stats"]
    random.shuffle(predictions)
    shift = random.randrange(100)
    for entry in (*truth["annotations"], *predictions):
        entry["image_id"] = 3 * entry["image_id"] + shift
        entry["category_id"] += shift
    truth["images"] = [{"id": 3 * n + shift} for n in (1, 2, 3)]
    truth["categories"] = [{"id": 1 + shift}, {"id": 2 + shift}]
    labels = random.sample(range(1000), len(scene))
    for entry, label in zip(truth["annotations"], labels, strict=True):
        entry["id"] = label
    assert image_ap(truth, predictions, "strict", class_agnostic)["stats"] == stats


@given(scenes, scenes, st.lists(st.sampled_from([0.2, 0.5, 0.9]), min_size=8, max_size=8))
@settings(max_examples=30, deadline=None)
def test_an_image_is_a_video_of_one_frame(scene, guesses, scores):
    truth, predictions = truth_from(scene), results_from(guesses, scores)
    videos = {
        "videos": truth["images"],
        "categories": truth["categories"],
        "annotations": [
            entry
            | {
                "video_id": entry["image_id"],
                "segmentations": [entry["segmentation"]],
                "occlude_rate": [entry["occlude_rate"]],
            }
            for entry in truth["annotations"]
        ],
    }
    tracks = [
        entry | {"video_id": entry["image_id"], "segmentations": [entry["segmentation"]]}
        for entry in predictions
    ]
    of_images, of_videos = image_ap(truth, predictions, "strict"), video_ap(videos, tracks, "strict")
    assert np.array_equal(of_images["precision"], of_videos["precision"])
    assert np.array_equal(of_images["recall"], of_videos["recall"])


# ---- Damaged input --------------------------------------------------------------------------------------------------

NUMBERS = masks.run_lengths(BOX["counts"]).tolist()


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"score": float("nan")}, "prediction 1: score nan is not a number"),
        ({"score": float("inf")}, "prediction 1: score inf is not a number"),
        ({"score": "0.5"}, "prediction 1: score '0.5' is not a number"),
        ({"score": None}, "prediction 1: score None is not a number"),
        ({"image_id": -1}, "prediction 1: image_id -1 is not between"),
        ({"image_id": 10**30}, "prediction 1: image_id 10+ is not between"),
        ({"image_id": 1.0}, "prediction 1: image_id 1.0 is not a whole number"),
        ({"image_id": "1"}, "prediction 1: image_id '1' is not a whole number"),
        ({"image_id": 9}, "prediction 1: in image 9, but the truth lists only 1"),
        ({"category_id": "car"}, "prediction 1: category_id 'car' is not a whole number"),
        ({"category_id": True}, "prediction 1: category_id True is not a whole number"),
        (
            {"segmentation": rectangle(0, 0, 5, 5, (10, 10))},
            "prediction 1 has .10, 10., truth annotation 1 has .40, 60.",
        ),
        ({"segmentation": {"size": [40, 61], "counts": BOX["counts"]}}, "prediction 1: .* instead of 2440"),
        ({"segmentation": {"size": [40, 60], "counts": [10**30]}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": {"size": [40, 60], "counts": [2400, -5, 5]}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": {"size": [40, 60], "counts": ["1", "2"]}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": {"size": [40, 60], "counts": "o" * 5000}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": {"size": [40, 60], "counts": "\x00é"}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": {"size": [40, 60], "counts": ""}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": {"size": ["40", "60"], "counts": BOX["counts"]}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": {"size": [0, 60], "counts": "0"}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": {"size": [10**9, 10**9], "counts": NUMBERS}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": {"counts": BOX["counts"]}}, "prediction 1: not a COCO RLE"),
        ({"segmentation": [[1, 2, 3]]}, "prediction 1: not a COCO RLE .* nor polygons"),
        ({"segmentation": [[1, 2, 3, "a", 5, 6]]}, "prediction 1: not a COCO RLE .* nor polygons"),
        ({"segmentation": [[1, 2, 1e9, 2, 5, 6]]}, "prediction 1: not a COCO RLE .* nor polygons"),
        ({"segmentation": 7}, "prediction 1: not a COCO RLE"),
    ],
)
def test_damaged_predictions_are_named(damage, message):
    with pytest.raises(InputError, match=message) as caught:
        image_ap(truth_of([BOX]), [result(BOX), result(BOX) | damage], "strict")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        ({"id": -3}, "truth annotation -3: id -3"),
        ({"id": 1}, "truth annotations: id 1 occurs 2 times"),
        ({"area": float("nan")}, "truth annotation 2: area nan is not a number"),
        ({"area": -1}, "truth annotation 2: area -1 is not a number that is finite and at least 0"),
        ({"area": "9"}, "truth annotation 2: area '9' is not a number"),
        ({"occlude_rate": "half"}, "truth annotation 2: occlude_rate 'half' is not a number"),
        ({"occlude_rate": -0.5}, "truth annotation 2: occlude_rate -0.5"),
        ({"iscrowd": 5}, "truth annotation 2: iscrowd 5 is neither 0 nor 1"),
        ({"ignore": "no"}, "truth annotation 2: ignore 'no' is neither 0 nor 1"),
        ({"image_id": 4}, "truth annotation 2: in image 4"),
    ],
)
def test_damaged_truth_is_named(damage, message):
    truth = truth_of([BOX, OTHER], occlude_rate=0.2)
    truth["annotations"][1] |= damage
    with pytest.raises(InputError, match=message):
        image_ap(truth, [], "strict")


@pytest.mark.parametrize("key", ["image_id", "category_id", "segmentation", "score"])
def test_missing_keys_of_predictions_are_named(key):
    damaged = {name: value for name, value in result(BOX).items() if name != key}
    with pytest.raises(InputError, match=f"prediction 1: no '{key}'"):
        image_ap(truth_of([BOX]), [result(BOX), damaged], "strict")


@pytest.mark.parametrize(
    ("truth", "predictions", "message"),
    [
        ({"annotations": []}, [], "truth: no 'images'"),
        ({"images": []}, [], "truth: no 'annotations'"),
        ([], [], "truth: a dict"),
        ({"images": [{}], "annotations": []}, [], "image 0: no 'id'"),
        ({"images": [{"id": 1}, {"id": 1}], "annotations": []}, [], "images: id 1 occurs 2 times"),
        ({"images": [], "annotations": "x"}, [], "truth annotations: a list is expected"),
        ({"images": [], "annotations": [], "categories": 5}, [], "categories: a list is expected"),
        ({"images": [], "annotations": []}, {"results": []}, "predictions: a list is expected"),
        ({"images": [], "annotations": []}, [3], "prediction 0: a dict is expected"),
        ({"images": [], "annotations": [], "categories": [{"name": "car"}]}, [], "category 0: no 'id'"),
    ],
)
def test_damaged_files_are_named(truth, predictions, message):
    with pytest.raises(InputError, match=message):
        image_ap(truth, predictions, "strict")


def test_reference_needs_occlusion_rates():
    with pytest.raises(InputError, match=r"truth annotation 1: no 'occlude_rate'.*'strict' does not"):
        image_ap(truth_of([BOX]), [])
