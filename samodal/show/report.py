"""One HTML page about one video: what was run, what came out, how good it is. It needs no network."""

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
from urllib.parse import quote

import cv2
import numpy as np

from samodal import files
from samodal.show.colours import colour_of, css
from samodal.show.overlay import draw_frame
from samodal.video import Track, Video, VideoTracks

PARTLY = 0.05
"""From this occlusion rate on a visible instance is called partly hidden; less is noise along its border."""
PICTURES = 4
PICTURE_WIDTH = 960


def write_report(
    path: str | Path,
    video: Video,
    tracks: VideoTracks,
    run: Mapping[str, Any],
    scores: Mapping[str, Any] | None = None,
    overlay_name: str = "overlay.mp4",
) -> None:
    """Write the report page, all of it or nothing.

    Args:
        path: the HTML file.
        video: the frames; only a few of them are read, for the pictures in the page.
        tracks: what came out.
        run: what was run (command, versions, seed, model, ...): values are text, numbers, lists or mappings.
        scores: the content of `scores.json`, where truth is known.
        overlay_name: the overlay video, in the folder of the page. The page copes where it is missing.
    """
    data = report_data(video, tracks, run, scores)
    data["video"]["overlay"] = quote(overlay_name)
    files.write_text(path, page(f"samodal: {video.name}", data))


def page(title: str, data: Mapping[str, Any]) -> str:
    """The template with the title and the data filled in; neither can break out of its place."""
    # Inside <script> only "<" can do harm ("</script>", "<!--"); as an escape it is still the same JSON.
    block = json.dumps(data, allow_nan=False, default=str, separators=(",", ":")).replace("<", "\\u003c")
    values = {"title": html.escape(title), "data": block}
    template = resources.files("samodal.show").joinpath("report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda match: values[match[1]], template)


def report_data(
    video: Video, tracks: VideoTracks, run: Mapping[str, Any], scores: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Everything the page shows, ready for JSON. Frame numbers count from 0, times start at 0."""
    rates = [track.occlusion_rates for track in tracks]
    return {
        "video": {
            "name": video.name,
            "size": list(video.size),
            "times": [round(float(time - video.times[0]), 4) for time in video.times],
        },
        "run": dict(run),
        "summary": _summary(tracks, rates, len(video)),
        "tracks": [_track(track, rate) for track, rate in zip(tracks, rates, strict=True)],
        "scores": _finite(scores),
        "pictures": [
            {"frame": frame, "src": _jpeg(draw_frame(video[frame], tracks, frame, float(video.times[frame])))}
            for frame in _fullest(rates, len(video))
        ],
    }


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


def _track(track: Track, rates: list[float | None]) -> dict[str, Any]:
    looks = [_look(state, rate) for state, rate in zip(track.states, rates, strict=True)]
    return {
        "id": track.track_id,
        "category": track.category_id,
        "colour": css(colour_of(track.track_id)),
        "score": round(track.score, 4),
        "spans": [
            [look, reason, n] for (look, reason), n in _runs(list(zip(looks, track.reasons, strict=True)))
        ],
        "scores": [None if score is None else round(float(score), 3) for score in track.scores],
        "occlusion": [None if rate is None else round(rate, 3) for rate in rates],
    }


def _look(state: str, rate: float | None) -> str:
    return "partly" if state == "visible" and rate is not None and rate >= PARTLY else state


def _runs(values: Sequence[Any]) -> list[tuple[Any, int]]:
    """Equal neighbours put together: (value, how many)."""
    return [(value, len(list(group))) for value, group in groupby(values)]


def _fullest(rates: Sequence[list[float | None]], num_frames: int) -> list[int]:
    """A few frames, apart from each other, in which most is hidden; what is not seen at all counts twice."""
    hidden = np.zeros(num_frames)
    for track in rates:
        hidden += [(rate or 0.0) + (rate == 1.0) for rate in track]
    apart = max(1, num_frames // (2 * PICTURES))
    chosen: list[int] = []
    while len(chosen) < PICTURES and hidden.max(initial=-1.0) >= 0:
        best = int(hidden.argmax())
        chosen.append(best)
        hidden[max(0, best - apart + 1) : best + apart] = -1.0
    return sorted(chosen)


def _jpeg(frame: np.ndarray) -> str:
    """A frame as a data URL, scaled down where it is wider than a page needs."""
    height, width = frame.shape[:2]
    if width > PICTURE_WIDTH:
        size = (PICTURE_WIDTH, round(height * PICTURE_WIDTH / width))
        frame = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)
    coded = cv2.imencode(".jpg", cv2.cvtColor(frame, cv2.COLOR_RGB2BGR), [cv2.IMWRITE_JPEG_QUALITY, 82])[1]
    return "data:image/jpeg;base64," + base64.b64encode(coded.tobytes()).decode("ascii")


def _finite(value: Any) -> Any:
    """The same with None for every number that JSON cannot hold."""
    if isinstance(value, Mapping):
        return {key: _finite(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
