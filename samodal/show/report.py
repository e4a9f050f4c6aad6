"""One HTML page about one video: frames and masks to step through, how good they are, what was run. No network."""

import base64
import html
import json
import math
import re
from collections.abc import Mapping, Sequence
from importlib import resources
from itertools import groupby
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from samodal import files, masks
from samodal.masks import Rle
from samodal.show.colours import colour_of, css
from samodal.show.text import own_reason
from samodal.video import Track, Video, VideoTracks

PARTLY = 0.05
"""From this occlusion rate on a visible instance is called partly hidden; less is noise along its border."""
BUDGET = 20_000_000
"""Bytes of pictures and masks in one page. What needs more gets smaller pictures, then fewer frames."""
WIDTHS = (1280, 960, 640)
"""Of the pictures in the page, in pixels; never wider than the video."""
QUALITY = 80
"""Of the pictures, as JPEG has it."""

PointsOverTime = Mapping[int, Sequence[np.ndarray | None]]
"""Track id -> for every frame points (K, 2) (x, y), or None."""


def write_report(
    path: str | Path,
    video: Video,
    tracks: VideoTracks,
    run: Mapping[str, Any],
    scores: Mapping[str, Any] | None = None,
    truth: VideoTracks | None = None,
    tracked: PointsOverTime | None = None,
) -> None:
    """Write the report page, all of it or nothing; it holds everything it shows and stays below 25 MB.

    Args:
        path: the HTML file.
        video: the frames.
        tracks: what came out, of this video's length and size.
        run: what was run (command, versions, seed, model, ...): values are text, numbers, lists or mappings.
        scores: the content of `scores.json`, where truth is known.
        truth: the true tracks; those with the id of a predicted track are taken for the same instance.
        tracked: the points that were followed through gaps; those that stand in the tracks if not given.
    """
    data = report_data(video, tracks, run, scores, truth, tracked)
    files.write_text(path, page(f"samodal: {video.name}", data))


def page(title: str, data: Mapping[str, Any]) -> str:
    """The template with the title and the data filled in; neither can break out of its place."""
    # Inside <script> only "<" can do harm ("</script>", "<!--"); as an escape it is still the same JSON.
    block = json.dumps(data, allow_nan=False, default=str, separators=(",", ":")).replace("<", "\\u003c")
    values = {"title": html.escape(title), "data": block}
    template = resources.files("samodal.show").joinpath("report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def report_data(
    video: Video,
    tracks: VideoTracks,
    run: Mapping[str, Any],
    scores: Mapping[str, Any] | None = None,
    truth: VideoTracks | None = None,
    tracked: PointsOverTime | None = None,
) -> dict[str, Any]:
    """Everything the page shows, ready for JSON. Frame numbers count from 0, times start at 0.

    `kept` are the frames whose pictures, masks, points and numbers are in the page: all of them, unless the video
    is too long for that. The states ("spans") are those of all frames.
    """
    rates = [track.occlusion_rates for track in tracks]
    width, step = _fit(video, [*tracks, *(truth or [])])
    kept = range(0, len(video), step)
    true = {track.track_id: track for track in truth or []}
    return {
        "video": {
            "name": video.name,
            "size": list(video.size),
            "times": [round(float(time - video.times[0]), 4) for time in video.times],
            "kept": list(kept),
            "pictureWidth": width,
            "pictures": [_jpeg(video[frame], width) for frame in kept],
        },
        "run": dict(run),
        "summary": _summary(tracks, rates, len(video)),
        "tracks": [
            _track(track, rate, kept, true.get(track.track_id), (tracked or {}).get(track.track_id))
            for track, rate in zip(tracks, rates, strict=True)
        ],
        "truth": [{"id": track.track_id, "amodal": _counts(track.amodal, kept)} for track in truth or []],
        "scores": _finite(scores),
    }


def _fit(video: Video, tracks: Sequence[Track]) -> tuple[int, int]:
    """The widest pictures, and every how manieth frame, that the budget allows. Sizes of JPEGs are estimated."""
    in_masks = sum(len(rle["counts"]) for track in tracks for rle in track.visible + track.amodal if rle)
    sample = [video[i] for i in np.unique(np.linspace(0, len(video) - 1, 8).round().astype(int)).tolist()]
    widths = list(dict.fromkeys(min(width, video.size[1]) for width in WIDTHS))
    for width in widths:
        in_pictures = len(video) * sum(len(_jpeg(frame, width)) for frame in sample) // len(sample)
        if in_pictures + in_masks <= BUDGET:
            return width, 1
    return widths[-1], math.ceil((in_pictures + in_masks) / BUDGET)


def _summary(tracks: VideoTracks, rates: Sequence[list[float | None]], num_frames: int) -> dict[str, Any]:
    known = [rate for track in rates for rate in track if rate is not None]
    gaps = [length for track in tracks for state, length in _runs(track.states) if state == "hidden"]
    return {
        "tracks": len(tracks),
        "frames": num_frames,
        "gaps": len(gaps),
        "longest gap": max(gaps, default=0),
        "masks recovered": sum(gaps),
        "mean occlusion": round(float(np.mean(known)), 4) if known else None,
    }


def _track(
    track: Track,
    rates: list[float | None],
    kept: range,
    true: Track | None,
    tracked: Sequence[np.ndarray | None] | None,
) -> dict[str, Any]:
    looks = [_look(state, rate) for state, rate in zip(track.states, rates, strict=True)]
    reasons, ages = [own_reason(reason) for reason in track.reasons], track.ages
    prompts, followed = _prompts_and_followed(track)
    data = {
        "id": track.track_id,
        "category": track.category_id,
        "colour": css(colour_of(track.track_id)),
        "score": round(track.score, 4),
        "spans": [[look, reason, n] for (look, reason), n in _runs(list(zip(looks, reasons, strict=True)))],
        "ages": [ages[i] for i in kept],
        "occluders": [track.occluders[i] for i in kept],
        "depths": [track.depths[i] for i in kept],
        "scores": [_rounded(track.scores[i]) for i in kept],
        "occlusion": [_rounded(rates[i]) for i in kept],
        "visible": _counts(track.visible, kept),
        "amodal": _counts(track.amodal, kept),
        "points": _points(prompts, kept),
        "tracked": _points(followed if tracked is None else tracked, kept),
    }
    if true is not None:
        data["iou"] = [_rounded(_iou(true.amodal[i], track.amodal[i])) for i in kept]
    return data


def _prompts_and_followed(track: Track) -> tuple[list[np.ndarray | None], list[np.ndarray | None]]:
    """The points of frames that show the instance, and those of the others."""
    pairs = list(zip(track.points, track.states, strict=True))
    return (
        [xy if state == "visible" else None for xy, state in pairs],
        [None if state == "visible" else xy for xy, state in pairs],
    )


def _look(state: str, rate: float | None) -> str:
    return "partly" if state == "visible" and rate is not None and rate >= PARTLY else state


def _runs(values: Sequence[Any]) -> list[tuple[Any, int]]:
    """Equal neighbours put together: (value, how many)."""
    return [(value, len(list(group))) for value, group in groupby(values)]


def _iou(true: Rle | None, mask: Rle | None) -> float | None:
    return masks.iou(true, mask) if masks.area(true) or masks.area(mask) else None


def _counts(rles: Sequence[Rle | None], kept: range) -> list[str | None]:
    """Compressed COCO RLE without the size, which is that of the video; None where no pixel is inside."""
    return [rle["counts"] if (rle := rles[i]) is not None and masks.area(rle) else None for i in kept]


def _points(points: Sequence[np.ndarray | None], kept: range) -> list[list[list[float]] | None]:
    return [None if (xy := points[i]) is None else np.round(xy, 1).tolist() for i in kept]


def _jpeg(frame: np.ndarray, width: int) -> str:
    """A frame as a data URL, scaled down to `width` pixels where it is wider."""
    if frame.shape[1] > width:
        size = (width, max(1, round(frame.shape[0] * width / frame.shape[1])))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    coded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), quality)[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 3)


def _finite(value: Any) -> Any:
    """The same with None for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
