"""Protocol `reference` beside an independent judge, on scenes with all that makes scores differ.

The original is pycocotools' COCOeval, with occlusion classes and, for videos, with IoU over frames (golden/README.md,
07 and 08). The judge is COCOeval itself, run once for each occlusion class, and masks that are decoded.
"""

import contextlib
import io
from typing import Any

import numpy as np
import pytest
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from samodal import masks
from samodal.score import REFERENCE, image_ap, video_ap

SIZE = (110, 120)
RATES = [0, 0.0, 0.1, 0.25, 0.4, 0.5, 0.6, 0.75, 0.8, 1.0]
LENGTHS = [1, 2, 3, 3, 3, 5]


class Judge(COCOeval):
    """COCOeval of entries whose IoU is that of their lists of masks."""

    def __init__(self, truth: dict, truths: list[dict], guesses: list[dict], videos: bool, use_cats: bool):
        super().__init__(iouType="bbox")  # so that COCOeval does not touch the masks itself
        self.videos = videos
        place = "videos" if videos else "images"
        parts = []
        for entries in (truths, guesses):
            part = COCO()
            part.dataset = {
                "images": truth[place],
                "categories": truth["categories"],
                "annotations": entries,
            }
            with contextlib.redirect_stdout(io.StringIO()):
                part.createIndex()
            parts.append(part)
        self.cocoGt, self.cocoDt = parts
        self.params.imgIds = sorted(entry["id"] for entry in truth[place])
        self.listed = sorted(entry["id"] for entry in truth["categories"])
        self.params.useCats = int(use_cats)

    def computeIoU(self, place: int, category: int) -> Any:  # noqa: N802 (name of COCOeval)
        cats = [category] if self.params.useCats else self.listed
        truths = [entry for cat in cats for entry in self._gts[place, cat]]
        guesses = [entry for cat in cats for entry in self._dts[place, cat]]
        if not truths and not guesses:
            return []
        order = np.argsort([-guess["score"] for guess in guesses], kind="mergesort")
        guesses = [guesses[n] for n in order][: self.params.maxDets[-1]]
        return np.array([[self.iou(guess, true) for true in truths] for guess in guesses])

    def iou(self, guess: dict, true: dict) -> float:
        pairs = list(zip(guess["masks"], true["masks"], strict=False))  # up to the shorter one
        shared = sum(int((a & b).sum()) for a, b in pairs)
        union = sum(int((a | b).sum()) for a, b in pairs)
        if true["iscrowd"] and not self.videos:
            union = sum(int(a.sum()) for a, _ in pairs)
        return shared / union if union else 0.0

    def evaluateImg(self, place: int, category: int, area: list, limit: int) -> Any:  # noqa: N802
        low, high = self.rates
        cats = [category] if self.params.useCats else self.listed
        for true in (entry for cat in cats for entry in self._gts[place, cat]):
            true["ignore"] = true["iscrowd"] or not low <= true["rate"] <= high
        return super().evaluateImg(place, category, area, limit)

    def curves(self) -> tuple[np.ndarray, np.ndarray]:
        """precision (10, 101, K, A, O, 3), recall (10, K, A, O, 3)."""
        parts = []
        with contextlib.redirect_stdout(io.StringIO()):
            for self.rates in REFERENCE.occlusions.values():
                self.params.catIds = list(self.listed)  # `accumulate` changes them
                self.evaluate()
                self.accumulate()
                parts.append(self.eval)
        return tuple(np.stack([part[name] for part in parts], axis=-2) for name in ("precision", "recall"))


def decoded(rle: Any) -> np.ndarray:
    return masks.decode(rle) if rle else np.zeros(SIZE, bool)


def drawn(rng: np.random.Generator, box: np.ndarray) -> Any:
    """A mask, or in any spelling none."""
    if rng.random() < 0.12:
        return [None, masks.empty(SIZE)][rng.integers(2)]
    mask = np.zeros(SIZE, bool)
    x, y, w, h = np.maximum(box + rng.integers(-2, 3, 4), (0, 0, 1, 1))
    mask[y : y + h, x : x + w] = True
    return masks.encode(mask)


def scene(seed: int, videos: bool) -> tuple[dict, list[dict], list[dict], list[dict]]:
    """A truth file, results, and both as the judge wants them."""
    rng = np.random.default_rng(seed)
    place, key = ("videos", "video_id") if videos else ("images", "image_id")
    places = [int(n) for n in rng.permutation(7)[: rng.integers(1, 6)]]
    truth: dict[str, Any] = {
        place: [{"id": n} for n in places],
        "categories": [{"id": n} for n in (27, 24)][: rng.integers(1, 3)],
        "annotations": [],
    }
    results, truths, guesses = [], [], []
    boxes = [
        np.append(rng.integers(0, 10, 2), side) for side in ([9, 9], [31, 33], [32, 32], [96, 96], [99, 98])
    ]
    ids = rng.permutation(60)
    for number in places:
        for _ in range(rng.integers(0, 6)):
            category = int(rng.choice([24, 27, 33]))
            box = boxes[rng.integers(len(boxes))] + np.append(rng.integers(0, 12, 2), [0, 0])
            length = int(rng.choice(LENGTHS)) if videos else 1
            found = [drawn(rng, box) for _ in range(length)]
            rates = [
                None if videos and rng.random() < 0.3 else RATES[rng.integers(len(RATES))] for _ in found
            ]
            entry = {"id": int(ids[len(truths)]), key: number, "category_id": category}
            entry |= {"iscrowd": int(rng.random() < 0.15), "ignore": int(rng.random() < 0.2)}
            add(truth["annotations"], truths, entry, found, videos, rates)
        for _ in range(rng.integers(0, 9)):
            box = boxes[rng.integers(len(boxes))] + np.append(rng.integers(0, 12, 2), [0, 0])
            found = [drawn(rng, box) for _ in range(int(rng.choice(LENGTHS)) if videos else 1)]
            entry = {key: number, "category_id": int(rng.choice([24, 24, 27, 33]))}
            add(results, guesses, entry | {"score": float(rng.choice([0.2, 0.5, 0.5, 0.9]))}, found, videos)
    for number, guess in enumerate(guesses, int(not videos)):
        guess["id"] = number
    return truth, results, truths, guesses


def add(
    entries: list[dict],
    plain: list[dict],
    entry: dict,
    found: list,
    videos: bool,
    rates: list | None = None,
) -> None:
    """To the entries of a file, and to those of the judge."""
    own = {"segmentations": found} if videos else {"segmentation": found[0]}
    areas = [int(decoded(rle).sum()) for rle in found]
    judged = {
        **entry,
        "image_id": entry["video_id"] if videos else entry["image_id"],
        "masks": [decoded(rle) for rle in found],
        "area": sum(areas) / max(sum(area > 0 for area in areas), 1),
    }
    if rates is not None:
        own |= {"occlude_rate": rates} if videos else {"occlude_rate": rates[0], "area": areas[0]}
        known = sorted((rate for rate in rates if rate is not None), reverse=True)
        higher = known[: -(-len(known) // 2)]
        judged["rate"] = sum(higher) / len(higher) if higher else 0.0
    entries.append({**entry, **own})
    plain.append(judged)


@pytest.mark.parametrize("use_cats", [False, True], ids=["agnostic", "by class"])
@pytest.mark.parametrize("videos", [False, True], ids=["images", "videos"])
@pytest.mark.parametrize("seed", range(12))
def test_any_scene(seed: int, videos: bool, use_cats: bool) -> None:
    """Ties, borders of classes, crowds, ids 0, categories that are not listed, no masks, lengths that differ."""
    truth, results, truths, guesses = scene(seed, videos)
    precision, recall = Judge(truth, truths, guesses, videos, use_cats).curves()
    scores = (video_ap if videos else image_ap)(truth, results, "reference", class_agnostic=not use_cats)
    if not use_cats:
        precision, recall = precision[:, :, :1], recall[:, :1]
    assert scores["precision"] == pytest.approx(precision, abs=1e-9)
    assert scores["recall"] == pytest.approx(recall, abs=1e-9)
