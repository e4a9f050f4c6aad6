"""The one thing that is passed along: a video (frames read when asked for) and the tracks in it."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from samodal import files, masks
from samodal.errors import InputError
from samodal.masks import Rle

State = Literal["absent", "visible", "hidden", "gone"]
"""What is known of a track in a frame: not seen yet, seen, in a gap (followed), or given up."""


@dataclass
class Video:
    """Frames, read when they are asked for.

    Attributes:
        frames: a sequence of uint8 (H, W, 3) RGB arrays; may decode on access.
        times: (T,) seconds, not necessarily evenly spaced.
        size: (H, W) of every frame.
        name: what to call the video in messages and reports.
        frame_names: the names of the frames' files without suffix, where the frames are files.
    """

    frames: Sequence[np.ndarray]
    times: np.ndarray
    size: tuple[int, int]
    name: str
    frame_names: list[str] | None = None

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> np.ndarray:
        return self.frames[index]

    def __iter__(self) -> Iterator[np.ndarray]:
        return (self[index] for index in range(len(self)))

    @staticmethod
    def from_frames(frames: Sequence[np.ndarray], fps: float = 10.0, name: str = "video") -> "Video":
        """A video of arrays that are in memory already, uint8 (H, W, 3) RGB each."""
        if len(frames) == 0:
            raise InputError(f"{name}: a video needs at least one frame")
        height, width = frames[0].shape[:2]
        return Video(frames, np.arange(len(frames)) / fps, (height, width), name)

    @staticmethod
    def open(source: "str | Path | Video") -> "Video":
        """Open a video file, a folder of frames or a glob pattern (see `samodal.frames.open_video`)."""
        if isinstance(source, Video):
            return source
        from samodal.frames import open_video

        return open_video(source)


@dataclass
class Track:
    """One instance over a whole video of T frames. Every list has length T.

    Attributes:
        track_id: unique in its video.
        category_id: the data set's own category.
        score: confidence of the whole track, in [0, 1].
        visible: mask of what is seen, None where nothing is.
        amodal: the full mask, None where the instance is absent or gone.
        states: see `State`.
        scores: confidence of each amodal mask in [0, 1]; decays inside a gap.
        points: (K, 2) prompt points (x, y), int64, or where it is hidden the points that were tracked there, float64;
            None where there are none.
        reasons: why a frame is hidden or gone, in words; None otherwise.
        occluders: track id of the instance that hides most of the hidden part; None where no known one does.
        depths: place of the instance among those of the frame, 0 the nearest (see `samodal.depth`); None without mask.
    """

    track_id: int
    category_id: int
    score: float
    visible: list[Rle | None]
    amodal: list[Rle | None] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    scores: list[float | None] = field(default_factory=list)
    points: list[np.ndarray | None] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)
    occluders: list[int | None] = field(default_factory=list)
    depths: list[int | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        length = len(self.visible)
        self.amodal = self.amodal or [None] * length
        self.states = self.states or ["visible" if masks.area(rle) else "absent" for rle in self.visible]
        self.scores = self.scores or [None] * length
        self.points = self.points or [None] * length
        self.reasons = self.reasons or [None] * length
        self.occluders = self.occluders or [None] * length
        self.depths = self.depths or [None] * length

    def __len__(self) -> int:
        return len(self.visible)

    @property
    def occlusion_rates(self) -> list[float | None]:
        """Hidden area / amodal area of every frame; None where there is no amodal mask."""
        return [masks.occlusion_rate(*pair) for pair in zip(self.amodal, self.visible, strict=True)]

    @property
    def ages(self) -> list[int | None]:
        """For how many frames it has not been seen: 0 where it is visible, None before the first sighting."""
        ages: list[int | None] = []
        for state in self.states:
            before = ages[-1] if ages else None
            ages.append(0 if state == "visible" else None if before is None else before + 1)
        return ages


@dataclass
class VideoTracks:
    """All tracks of one video.

    Attributes:
        size: (H, W) of every mask.
        num_frames: T, the length of every list in every track.
        tracks: in the order of the input.
        video_id: the id of the video in its data set.
    """

    size: tuple[int, int]
    num_frames: int
    tracks: list[Track] = field(default_factory=list)
    video_id: int = 1

    def __len__(self) -> int:
        return len(self.tracks)

    def __iter__(self) -> Iterator[Track]:
        return iter(self.tracks)

    def write(self, path: str | Path) -> None:
        """Write `amodal.json`: YouTube-VIS results plus the keys that only amodal tracks have."""
        files.write_json(path, [_track_to_json(track, self.video_id) for track in self.tracks])

    @staticmethod
    def read(path: str | Path) -> "VideoTracks":
        """Read an `amodal.json` that `write` made.

        Raises:
            InputError: not such a file, or lists of different lengths.
        """
        entries = files.read_json(path)
        if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
            raise InputError(f"{path}: not an amodal.json: a list with one object a track is expected")
        try:
            tracks = [_track_from_json(entry) for entry in entries]
            lengths = {len(track) for track in tracks}
            found = [rle for track in tracks for rle in track.amodal + track.visible if rle]
            sizes = {(int(rle["size"][0]), int(rle["size"][1])) for rle in found}
            for rle in found:  # a broken one would make the COCO functions read beyond it
                masks.check_runs(masks.run_lengths(rle["counts"]), (rle["size"][0], rle["size"][1]))
        except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
            raise InputError(
                f"{path}: not an amodal.json as `samodal predict` writes it ({error!r})"
            ) from None
        if len(lengths) > 1 or len(sizes) > 1:
            raise InputError(f"{path}: tracks of different lengths {lengths} or sizes {sizes} in one video")
        return VideoTracks(
            size=next(iter(sizes), (0, 0)),
            num_frames=next(iter(lengths), 0),
            tracks=tracks,
            video_id=entries[0]["video_id"] if entries else 1,
        )


def _track_to_json(track: Track, video_id: int) -> dict[str, Any]:
    return {
        "video_id": int(video_id),
        "track_id": int(track.track_id),
        "category_id": int(track.category_id),
        "score": _rounded(track.score),
        "segmentations": track.amodal,
        "states": track.states,
        "scores": [_rounded(score) for score in track.scores],
        "reasons": track.reasons,
        "ages": track.ages,
        "occluders": track.occluders,
        "depths": track.depths,
        "visible_segmentations": track.visible,
        "occlusion_rates": [_rounded(rate) for rate in track.occlusion_rates],
        "points": [None if xy is None else np.round(xy, 2).tolist() for xy in track.points],
    }


def _track_from_json(entry: dict[str, Any]) -> Track:
    track = Track(
        track_id=int(entry["track_id"]),
        category_id=int(entry["category_id"]),
        score=float(entry["score"]),
        visible=entry["visible_segmentations"],
        amodal=entry["segmentations"],
        states=entry["states"],
        scores=entry["scores"],
        points=[None if xy is None else points_from_json(xy) for xy in entry["points"]],
        reasons=entry.get("reasons", []),
        occluders=entry.get("occluders", []),
        depths=entry.get("depths", []),
    )
    for name in ("amodal", "states", "scores", "points", "reasons", "occluders", "depths"):
        if len(getattr(track, name)) != len(track):
            raise ValueError(f"track {track.track_id}: {name!r} is not as long as 'visible_segmentations'")
    return track


def points_from_json(values: list[list[float]]) -> np.ndarray:
    """Points (K, 2) of one frame: int64 where all are whole numbers, as those of prompts are, else float64."""
    points = np.asarray(values, np.float64).reshape(-1, 2)
    whole = points.astype(np.int64)
    return whole if (whole == points).all() else points


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 5)
