"""How fast are the scores: samodal against the plain way, on drawn masks, with equal results or an error.

The plain way is what the definition says, one thing after the other: merge the run lengths of every prediction and
every truth in every frame, match in Python loops, once for each class of area and occlusion. Both get the same dicts.

    python benchmarks/bench_scores.py                                   # 20 videos x 100 frames x 15 instances, minutes
    python benchmarks/bench_scores.py --videos 2 --frames 10 --size 270x480 --rounds 3
"""

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from pycocotools import mask as coco

from samodal import masks
from samodal.score import image_ap, video_ap
from samodal.score.average_precision import IOU_THRESHOLDS, MAX_PREDICTIONS, RECALL_POINTS
from samodal.score.protocols import REFERENCE

Scores = tuple[np.ndarray, np.ndarray]
"""Precision (10, 101, 1, A, O, 3) and recall (10, 1, A, O, 3)."""


# ---- The data: instances that move, scale and hide one another; predictions are their true masks, shaken -----------


def draw(num_videos: int, num_frames: int, num_instances: int, size: tuple[int, int], seed: int = 0) -> tuple:
    """Truth and predictions of all videos, once as YouTube-VIS and once as COCO dicts."""
    rng = np.random.default_rng(seed)
    videos = {"videos": [], "categories": [{"id": 1}], "annotations": []}
    images: dict[str, list] = {"images": [], "categories": [{"id": 1}], "annotations": []}
    tracks, detections = [], []
    for video in range(1, num_videos + 1):
        videos["videos"].append({"id": video})
        first_image = len(images["images"]) + 1
        images["images"] += [{"id": first_image + frame} for frame in range(num_frames)]
        things = [_Thing(rng, size) for _ in range(num_instances)]
        for n, thing in enumerate(things):  # the nearest first
            thing.draw(rng, num_frames, things[:n])
        for thing in things:
            entry = {"video_id": video, "category_id": 1}
            number = len(videos["annotations"]) + 1
            truth = {"id": number, "segmentations": thing.truth, "occlude_rate": thing.rates, "iscrowd": 0}
            videos["annotations"].append(entry | truth)
            tracks.append(entry | {"score": float(rng.random()), "segmentations": thing.predicted})
            for frame, (rle, rate) in enumerate(zip(thing.truth, thing.rates, strict=True)):
                entry = {"image_id": first_image + frame, "category_id": 1}
                number = len(images["annotations"]) + 1
                truth = {
                    "id": number,
                    "segmentation": rle,
                    "area": masks.area(rle),
                    "occlude_rate": rate,
                    "iscrowd": 0,
                }
                images["annotations"].append(entry | truth)
                score = {"score": float(rng.random()), "segmentation": thing.predicted[frame]}
                detections.append(entry | score)
    return videos, tracks, images, detections


class _Thing:
    """A polygon with 20 corners that drives through the video; about as large as things in traffic are."""

    def __init__(self, rng: np.random.Generator, size: tuple[int, int]) -> None:
        self.size = size
        height = size[0] * np.exp(rng.uniform(np.log(0.04), np.log(0.45)))
        angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
        radius = height / 2 * rng.uniform(0.7, 1.0, 20)
        self.shape = np.stack(
            [radius * np.cos(angle) * rng.uniform(0.4, 1.8), radius * np.sin(angle)], axis=1
        )
        self.centre = rng.uniform((0.05, 0.35), (0.95, 0.75)) * size[::-1]
        self.speed = rng.normal(0, 0.003, 2) * size[::-1] * (1, 0.2)
        self.quality = rng.uniform(0.01, 0.15)
        self.truth: list[masks.Rle] = []
        self.predicted: list[masks.Rle] = []
        self.rates: list[float] = []

    def draw(self, rng: np.random.Generator, num_frames: int, nearer: list["_Thing"]) -> None:
        """Fill the lists; those of the things that are nearer must be filled."""
        for frame in range(num_frames):
            amodal = self._at(frame)
            shake = rng.normal(0, self.quality, 2) * np.ptp(self.shape, axis=0)
            hidden = [masks.union([other.truth[frame] for other in nearer]), amodal] if nearer else []
            hidden_area = masks.area(masks.intersection(hidden)) if hidden else 0
            self.truth.append(amodal)
            self.predicted.append(self._at(frame, shake, 1 + rng.normal(0, self.quality)))
            self.rates.append(hidden_area / max(masks.area(amodal), 1))

    def _at(self, frame: int, shake: np.ndarray | float = 0.0, scale: float = 1.0) -> masks.Rle:
        corners = self.centre + self.speed * frame + shake + self.shape * scale
        (rle,) = coco.frPyObjects([corners.ravel().tolist()], *self.size)
        return {"size": list(self.size), "counts": rle["counts"].decode("ascii")}


# ---- The plain way, protocol `reference` ----------------------------------------------------------------------------


def plain_video_ap(truth: dict[str, Any], predictions: list[dict[str, Any]]) -> Scores:
    """Video-level AP, plainly."""
    real = [
        {
            "place": entry["video_id"],
            "id": entry["id"],
            "masks": entry["segmentations"],
            "size": _mean_area(entry["segmentations"]),
            "occlusion": _upper_mean(entry["occlude_rate"]),
        }
        for entry in truth["annotations"]
    ]
    guesses = [
        {
            "place": entry["video_id"],
            "id": number,
            "masks": entry["segmentations"],
            "size": _mean_area(entry["segmentations"]),
            "score": entry["score"],
        }
        for number, entry in enumerate(predictions)
    ]
    return _plain_ap(real, guesses, [video["id"] for video in truth["videos"]])


def plain_image_ap(truth: dict[str, Any], predictions: list[dict[str, Any]]) -> Scores:
    """Image-level AP, plainly."""
    real = [
        {
            "place": entry["image_id"],
            "id": entry["id"],
            "masks": [entry["segmentation"]],
            "size": entry["area"],
            "occlusion": entry["occlude_rate"],
        }
        for entry in truth["annotations"]
    ]
    guesses = [
        {
            "place": entry["image_id"],
            "id": number,
            "masks": [entry["segmentation"]],
            "size": int(coco.area(entry["segmentation"])),
            "score": entry["score"],
        }
        for number, entry in enumerate(predictions, 1)
    ]
    return _plain_ap(real, guesses, [image["id"] for image in truth["images"]])


def _mean_area(track: list) -> float:
    areas = [int(coco.area(rle)) for rle in track if rle]
    areas = [area for area in areas if area > 0]
    return sum(areas) / max(len(areas), 1)


def _upper_mean(rates: list) -> float:
    upper = sorted(rates, reverse=True)[: (len(rates) + 1) // 2]
    return sum(upper) / len(upper)


def _plain_ap(truth: list[dict], predictions: list[dict], places: list[int]) -> Scores:
    by_place: dict[int, tuple[list, list]] = {place: ([], []) for place in places}
    for entry in truth:
        by_place[entry["place"]][0].append(entry)
    for entry in sorted(predictions, key=lambda entry: -entry["score"]):
        by_place[entry["place"]][1].append(entry)
    ious = {
        place: [[_plain_iou(guess["masks"], real["masks"]) for real in there] for guess in guesses]
        for place, (there, guesses) in by_place.items()
    }
    sizes, rates = list(REFERENCE.areas.values()), list(REFERENCE.occlusions.values())
    shape = (len(IOU_THRESHOLDS), len(RECALL_POINTS), 1, len(sizes), len(rates), len(MAX_PREDICTIONS))
    precision, recall = np.full(shape, -1.0), np.full((shape[0], *shape[2:]), -1.0)
    for a, size in enumerate(sizes):
        for o, rate in enumerate(rates):
            matched = [_plain_match(*by_place[place], ious[place], size, rate) for place in places]
            for m, limit in enumerate(MAX_PREDICTIONS):
                _plain_curves(matched, limit, precision[:, :, 0, a, o, m], recall[:, 0, a, o, m])
    return precision, recall


def _plain_iou(first: list, second: list) -> float:
    shared = union = 0
    for a, b in zip(first, second, strict=True):
        shared += int(coco.area(coco.merge([a, b], intersect=True)))
        union += int(coco.area(coco.merge([a, b], intersect=False)))
    return shared / union if union else 0.0


def _plain_match(truth: list, predictions: list, iou: list, size: tuple, rate: tuple) -> tuple:
    """Scores, right and wrong predictions at every threshold, and the number of truths that count."""
    ignored = [
        not (size[0] <= entry["size"] <= size[1] and rate[0] <= entry["occlusion"] <= rate[1])
        for entry in truth
    ]
    order = sorted(range(len(truth)), key=lambda n: ignored[n])
    predictions = predictions[: max(MAX_PREDICTIONS)]
    right = np.zeros((len(IOU_THRESHOLDS), len(predictions)), bool)
    wrong = np.zeros_like(right)
    for t, threshold in enumerate(IOU_THRESHOLDS):
        taken = [False] * len(truth)
        for d, guess in enumerate(predictions):
            best, best_iou = -1, min(threshold, 1 - 1e-10)
            for g in order:
                if taken[g]:
                    continue
                if best >= 0 and not ignored[best] and ignored[g]:
                    break
                if iou[d][g] >= best_iou:
                    best, best_iou = g, iou[d][g]
            if best < 0:
                wrong[t, d] = size[0] <= guess["size"] <= size[1]
            else:
                taken[best] = guess["id"] != 0  # the original forgets matches of prediction 0
                right[t, d] = not ignored[best]
    return [guess["score"] for guess in predictions], right, wrong, len(truth) - sum(ignored)


def _plain_curves(matched: list[tuple], limit: int, precision: np.ndarray, recall: np.ndarray) -> None:
    num_truth = sum(count for *_, count in matched)
    if num_truth == 0:
        return
    scores = np.concatenate([scores[:limit] for scores, *_ in matched])
    order = np.argsort(-scores, kind="stable")
    right = np.concatenate([right[:, :limit] for _, right, _, _ in matched], axis=1)[:, order]
    wrong = np.concatenate([wrong[:, :limit] for _, _, wrong, _ in matched], axis=1)[:, order]
    for t in range(len(IOU_THRESHOLDS)):
        num_right, num_wrong = np.cumsum(right[t]), np.cumsum(wrong[t])
        recalls = num_right / num_truth
        precisions = (num_right / (num_right + num_wrong + np.spacing(1))).tolist()
        for n in range(len(precisions) - 1, 0, -1):
            precisions[n - 1] = max(precisions[n - 1], precisions[n])
        where = np.searchsorted(recalls, RECALL_POINTS, side="left")
        precision[t] = [precisions[n] if n < len(precisions) else 0.0 for n in where]
        recall[t] = recalls[-1]


# ---- The comparison -------------------------------------------------------------------------------------------------


def compare(
    videos: int, frames: int, instances: int, size: tuple[int, int], rounds: int = 3
) -> list[dict[str, Any]]:
    """Time both ways on the same data.

    Returns:
        For video and image AP: `score`, `plain` and `samodal` in seconds of processor time (medians over the rounds;
        the plain way is timed once), and `ratio`.

    Raises:
        AssertionError: the results differ in a single bit.
    """
    track_truth, tracks, image_truth, detections = draw(videos, frames, instances, size)
    cases: list[tuple[str, Callable, Callable, dict, list]] = [
        ("video AP", video_ap, plain_video_ap, track_truth, tracks),
        ("image AP", image_ap, plain_image_ap, image_truth, detections),
    ]
    rows = []
    for name, ours, plain, truth, predictions in cases:
        times = []
        for _ in range(rounds):
            begin = time.process_time()
            scores = ours(truth, predictions, "reference")
            times.append(time.process_time() - begin)
        before = peak_memory()
        begin = time.process_time()
        precision, recall = plain(truth, predictions)
        plain_time = time.process_time() - begin
        assert np.array_equal(scores["precision"], precision), f"{name}: precision differs"
        assert np.array_equal(scores["recall"], recall), f"{name}: recall differs"
        seconds = statistics.median(times)
        rows.append(
            {
                "score": name,
                "plain": plain_time,
                "samodal": seconds,
                "ratio": plain_time / seconds,
                "ap": scores["ap"],
            }
            | {"peak_memory": before}
        )
    return rows


def peak_memory() -> float:
    """The most memory that this process has held, the drawn masks included, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def main() -> None:
    """Compare, and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--videos", type=int, default=20)
    parser.add_argument("--frames", type=int, default=100)
    parser.add_argument("--instances", type=int, default=15)
    parser.add_argument("--size", default="1080x1920", help="height x width")
    parser.add_argument("--rounds", type=int, default=5, help="of samodal; the plain way is timed once")
    options = parser.parse_args()
    height, width = map(int, options.size.split("x"))
    print(
        f"{options.videos} videos x {options.frames} frames x {options.instances} instances of {height}x{width}; "
        "processor time"
    )
    for row in compare(options.videos, options.frames, options.instances, (height, width), options.rounds):
        print(
            f"{row['score']}: plain {row['plain']:.2f} s, samodal {row['samodal']:.3f} s, "
            f"{row['ratio']:.1f} times as fast; equal to the last bit (AP {row['ap']:.3f}); "
            f"memory up to here at most {row['peak_memory']:.2f} GB"
        )


if __name__ == "__main__":
    main()
