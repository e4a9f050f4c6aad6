"""YouTube-VIS: the truth file that scoring on videos reads, and results."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np

from samodal import masks
from samodal.data.labelled import LabelledVideo
from samodal.files import write_json
from samodal.masks import Rle
from samodal.video import Track


def write_truth(
    path: Path, videos: Iterable[LabelledVideo], categories: dict[int, str], left_out: Counter[str]
) -> None:
    """Write {videos, categories, annotations}: all that `samodal.score.video_ap` reads.

    `segmentations` are the amodal masks where there are any, else the visible ones; `visible_segmentations` stand
    beside amodal ones, and `occlude_rate` (T) says how much is hidden. Annotation ids count from 1, because the
    original's scores take id 0 for "no match"; `track_id` is that of the source.

    Args:
        path: the JSON file.
        videos: with different `tracks.video_id`.
        categories: id -> name; those without a name are listed by their number.
        left_out: grows by what the format has no place for.
    """
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    used: set[int] = set()
    for video in videos:
        (height, width), video_id = video.tracks.size, video.tracks.video_id
        listed.append(
            {
                "id": video_id,
                "name": video.name,
                "file_names": video.file_names,
                "height": height,
                "width": width,
                "length": video.tracks.num_frames,
            }
        )
        crowd = {id(track) for track in video.ignored}
        for track in (*video.tracks, *video.ignored):
            used.add(track.category_id)
            entry = {
                "id": len(annotations) + 1,
                "video_id": video_id,
                "track_id": track.track_id,
                "category_id": track.category_id,
                "iscrowd": int(id(track) in crowd),
                **_masks(video, track),
            }
            given: list[Rle | None] = entry["segmentations"]
            entry["bboxes"] = [masks.box(rle) if rle else None for rle in given]
            entry["areas"] = [masks.area(rle) if rle else None for rle in given]
            if (rates := video.occlusion_rates(track)) is not None:
                entry["occlude_rate"] = rates
            annotations.append(entry)
            left_out["scores"] += track.score != 1.0
            left_out["scores of frames"] += sum(score is not None for score in track.scores)
            left_out["prompt points of frames"] += sum(points is not None for points in track.points)
            left_out["reasons"] += sum(reason is not None for reason in track.reasons)
            left_out["states 'gone'"] += track.states.count("gone")
            left_out["occluders"] += sum(occluder is not None for occluder in track.occluders)
            left_out["places from near to far"] += sum(depth is not None for depth in track.depths)
    write_json(
        path, {"videos": listed, "categories": category_list(categories, used), "annotations": annotations}
    )


def write_results(path: Path, videos: Iterable[LabelledVideo], left_out: Counter[str]) -> None:
    """Write results: a list of {video_id, track_id, category_id, score, segmentations}, an entry a track.

    With amodal masks it is an `amodal.json` (see `samodal.video.VideoTracks.write`), unrounded.
    """
    results: list[dict[str, Any]] = []
    for video in videos:
        left_out["ignored regions"] += sum(sum(map(bool, region.visible)) for region in video.ignored)
        left_out["videos without a track"] += not len(video.tracks)
        left_out["names of videos (--like finds their ids again)"] += 1
        left_out["names of frames"] += len(video.file_names)
        for track in video.tracks:
            entry = {
                "video_id": video.tracks.video_id,
                "track_id": track.track_id,
                "category_id": track.category_id,
                "score": track.score,
                **_masks(video, track),
            }
            if any(track.amodal):
                entry |= {
                    "states": track.states,
                    "scores": track.scores,
                    "reasons": track.reasons,
                    "points": [None if xy is None else np.asarray(xy).tolist() for xy in track.points],
                    "occluders": track.occluders,
                    "depths": track.depths,
                }
                if (rates := video.occlusion_rates(track)) is not None:
                    entry["occlusion_rates"] = rates
            results.append(entry)
    write_json(path, results)


def category_list(categories: dict[int, str], used: set[int]) -> list[dict[str, Any]]:
    """The 'categories' of a truth file: the known ones and all that are used."""
    return [{"id": i, "name": categories.get(i, str(i))} for i in sorted({*categories, *used})]


def _masks(video: LabelledVideo, track: Track) -> dict[str, list[Rle | None]]:
    if not any(track.amodal):
        return {"segmentations": track.visible}
    if video.rates is not None:  # nothing is known of what is seen
        return {"segmentations": track.amodal}
    return {"segmentations": track.amodal, "visible_segmentations": track.visible}
