"""COCO, an entry an instance and image, under the names that amodal tools agree on (aistron)."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from samodal import masks
from samodal.data.labelled import LabelledVideo
from samodal.data.write.youtube_vis import category_list
from samodal.files import write_json
from samodal.masks import Rle
from samodal.video import Track


def write_truth(
    path: Path, videos: Iterable[LabelledVideo], categories: dict[int, str], left_out: Counter[str]
) -> None:
    """Write {videos, images, categories, annotations}; images have `video_id` and `frame_index`, ids count from 1.

    An annotation has `segmentation` (amodal where known, else visible) with `bbox` and `area`, `track_id`,
    `occlude_rate`, and where known `amodal_segm`, `visible_segm` (null where hidden), `amodal_bbox`, `visible_bbox`
    and `occluder_segm`: the visible masks of the other instances that lie over its hidden part.
    """
    images: list[dict[str, Any]] = []
    listed: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    used: set[int] = set()
    for video in videos:
        height, width = video.tracks.size
        listed.append({"id": video.tracks.video_id, "name": video.name})
        for frame, file_name in enumerate(video.file_names):
            image_id = video.image_ids[frame] if video.image_ids else len(images) + 1
            images.append(
                {
                    "id": image_id,
                    "file_name": file_name,
                    "height": height,
                    "width": width,
                    "video_id": video.tracks.video_id,
                    "frame_index": frame,
                }
            )
            for entry in _entries(video, frame):
                annotations.append({"id": len(annotations) + 1, "image_id": image_id, **entry})
                used.add(entry["category_id"])
            for region in video.ignored:
                if rle := region.visible[frame]:
                    more = {"id": len(annotations) + 1, "image_id": image_id, "track_id": region.track_id}
                    more |= {"category_id": region.category_id, "iscrowd": 1, **_shape(rle)}
                    annotations.append(more)
                    used.add(region.category_id)
        _count_left_out(video, left_out)
        left_out["scores"] += sum(track.score != 1.0 or any(track.scores) for track in video.tracks)
    write_json(
        path,
        {
            "videos": listed,
            "images": images,
            "categories": category_list(categories, used),
            "annotations": annotations,
        },
    )


def write_results(path: Path, videos: Iterable[LabelledVideo], left_out: Counter[str]) -> None:
    """Write COCO results: a list of entries as in `write_truth`, with `score`; the ids of images are those of a truth
    file (`image_ids`), or count from 1 over all frames of all videos."""
    results: list[dict[str, Any]] = []
    frames = 0
    for video in videos:
        for frame in range(video.tracks.num_frames):
            frames += 1
            image_id = video.image_ids[frame] if video.image_ids else frames
            results += [{"image_id": image_id, **entry} for entry in _entries(video, frame, scores=True)]
        left_out["ignored regions"] += sum(sum(map(bool, region.visible)) for region in video.ignored)
        left_out["names of videos (--like finds their ids again)"] += 1
        left_out["names of frames"] += len(video.file_names)
        _count_left_out(video, left_out)
    write_json(path, results)


def _entries(video: LabelledVideo, frame: int, scores: bool = False) -> list[dict[str, Any]]:
    found = []
    for track in video.tracks:
        amodal, visible = track.amodal[frame], track.visible[frame]
        shape = amodal or visible
        if shape is None:
            continue
        entry: dict[str, Any] = {"track_id": track.track_id, "category_id": track.category_id}
        if scores:
            score = track.scores[frame]
            entry["score"] = track.score if score is None else score
        else:
            entry["iscrowd"] = 0
        entry |= _shape(shape)
        if amodal:
            entry |= {"amodal_segm": amodal, "amodal_bbox": masks.box(amodal)}
        if video.rates is None:
            entry |= {"visible_segm": visible, "visible_bbox": masks.box(visible) if visible else None}
        if amodal and video.rates is None:
            entry["occluder_segm"] = _occluder(video, track, frame)
        if (rates := video.occlusion_rates(track)) is not None:
            entry["occlude_rate"] = rates[frame]
        found.append(entry)
    return found


def _shape(rle: Rle) -> dict[str, Any]:
    return {"segmentation": rle, "bbox": masks.box(rle), "area": masks.area(rle)}


def _occluder(video: LabelledVideo, track: Track, frame: int) -> Rle | None:
    """The visible masks of all other instances that cover a hidden pixel, as one; None where there are none."""
    amodal, visible = track.amodal[frame], track.visible[frame]
    if amodal is None:
        return None
    full = masks.decode(amodal)
    hidden = full if visible is None else full & ~masks.decode(visible)
    if not hidden.any():
        return None
    part = masks.encode(hidden)
    others = [other.visible[frame] for other in video.tracks if other is not track]
    over = [rle for rle in others if rle and masks.area(masks.intersection([rle, part]))]
    return masks.union(over) if over else None


def _count_left_out(video: LabelledVideo, left_out: Counter[str]) -> None:
    for track in video.tracks:
        left_out["tracks without a mask"] += not (any(track.amodal) or any(track.visible))
        left_out["prompt points of frames"] += sum(points is not None for points in track.points)
        left_out["reasons"] += sum(reason is not None for reason in track.reasons)
        left_out["states 'gone'"] += track.states.count("gone")
