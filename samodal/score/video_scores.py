"""The scores of a method's tracks over one or many videos, as flat rows: IoU by occlusion, gaps, video AP."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from samodal import masks
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.score.iou import mask_iou, track_areas, track_intersections
from samodal.score.protocols import STRICT, Protocol
from samodal.score.video_ap import video_ap
from samodal.video import Track, VideoTracks

Row = dict[str, Any]
"""Flat: `method`, `subset`, and named numbers (None where there was nothing to score)."""

SUBSETS = ("all", "unoccluded", "partial", "medium", "heavy", "extreme", "hidden")
"""Instance-frames by true occlusion rate: 0, up to 25 %, 50 %, 75 %, more, and `hidden`: in a gap (nothing
visible)."""


def score_video(truth: VideoTracks, predicted: VideoTracks, method: str, match: str = "overlap") -> list[Row]:
    """The scores of one video; see `score_videos`."""
    return score_videos([(truth, predicted)], method, match)


def score_videos(
    videos: Iterable[tuple[VideoTracks, VideoTracks]],
    method: str,
    match: str = "overlap",
    protocol: Protocol = STRICT,
    class_agnostic: bool = True,
) -> list[Row]:
    """Score the predicted tracks of several videos, all together.

    What counts is every *instance-frame*: a frame in which an instance has an amodal mask and is, or has
    been, seen. Frames before an instance is first seen count neither for nor against (nobody can know), nor
    do instances that never are; only in the average precision of protocol `reference` they do count, as in the
    original. An instance-frame without prediction counts as IoU 0.

    Args:
        videos: pairs (truth, predicted); both with `visible` filled; taken one at a time.
        method: what to call it in the table.
        match: how predicted tracks are told which truth is theirs, for the IoU (average precision has its own
            matching): `overlap` of the visible masks over the whole video (see `match_tracks`), or equal
            `id`.

    Returns:
        One row for each of `SUBSETS`, with
        n: instance-frames; n_hidden_part: those whose truth has a hidden pixel;
        iou_full: mean IoU of the amodal masks over n;
        iou_hidden: mean IoU of the hidden parts (amodal minus true visible) over n_hidden_part.
        The row `all` also has
        n_gap, gap_iou: instance-frames within gaps, and the mean IoU of the amodal masks there;
        n_between, between_iou: those of them that lie between two sightings, the others are never seen again;
        ghosts: predicted masks of instances that the truth does not have in that frame;
        video_ap, video_ap50, video_ap75: of all videos together;
        video_ap_before, video_ap50_before: the same, had the predictions no masks in gaps.
        The rows of occlusion classes have video_ap and video_ap50 of the tracks of that class.

    Raises:
        InputError: videos that differ in size or length, or nothing to match by.
    """
    parts = [part_of_video(*video, match_tracks(*video, match), protocol) for video in videos]
    return join_videos(parts, method, protocol, class_agnostic)


@dataclass
class VideoPart:
    """What one video adds to the scores of a method.

    Attributes:
        frames: the scores of its instance-frames.
        ghosts: predicted masks of instances that the truth does not have in that frame.
        truth, predicted: what counts in average precision.
    """

    frames: "FrameScores"
    ghosts: int
    truth: VideoTracks
    predicted: VideoTracks


def part_of_video(
    truth: VideoTracks, predicted: VideoTracks, matched: dict[int, Track], protocol: Protocol
) -> VideoPart:
    """One video of `score_videos`; `matched` as `match_tracks` gives it."""
    ghosts = _count_ghosts(truth, predicted, matched)
    seen, answered = after_first_sight(truth, predicted, matched)
    frames = FrameScores()
    frames.add(seen, matched)
    return VideoPart(frames, ghosts, *((seen, answered) if protocol == STRICT else (truth, predicted)))


def join_videos(
    parts: Sequence[VideoPart], method: str, protocol: Protocol, class_agnostic: bool
) -> list[Row]:
    """The rows of `score_videos` from all videos."""
    scores = FrameScores()
    for part in parts:
        scores.extend(part.frames)
    rows = [{"method": method, "subset": subset, **scores.row(subset)} for subset in SUBSETS]

    truth = _truth_json([part.truth for part in parts])
    results, before_recovery = (
        _results_json([part.predicted for part in parts], gaps) for gaps in (True, False)
    )
    final = before = video_ap(truth, results, protocol, class_agnostic)
    if results != before_recovery:
        before = video_ap(truth, before_recovery, protocol, class_agnostic)
    in_gaps, ghosts = rows[SUBSETS.index("hidden")], sum(part.ghosts for part in parts)
    rows[0] |= {"n_gap": in_gaps["n"], "gap_iou": in_gaps["iou_full"], "ghosts": ghosts}
    rows[0] |= {"n_between": len(scores.between), "between_iou": _mean(scores.between)}
    rows[0] |= {"video_ap": final["ap"], "video_ap50": final["ap50"], "video_ap75": final["ap75"]}
    rows[0] |= {"video_ap_before": before["ap"], "video_ap50_before": before["ap50"]}
    for row in rows[1:-1]:
        if row["subset"] in protocol.occlusions:
            row |= {"video_ap": final[f"ap_{row['subset']}"], "video_ap50": final[f"ap50_{row['subset']}"]}
    return rows


def after_first_sight(
    truth: VideoTracks, predicted: VideoTracks, matched: dict[int, Track]
) -> tuple[VideoTracks, VideoTracks]:
    """Truth from its first sight on, and the predictions that are matched to it from the same frame on."""
    first = {track.track_id: _first_sight(track) for track in truth}
    theirs = {id(track): first[truth_id] for truth_id, track in matched.items()}
    return (
        replace(truth, tracks=[_begin(track, first[track.track_id]) for track in truth]),
        replace(predicted, tracks=[_begin(track, theirs.get(id(track), 0)) for track in predicted]),
    )


def _first_sight(track: Track) -> int:
    return next((frame for frame, rle in enumerate(track.visible) if masks.area(rle)), len(track))


def _begin(track: Track, frame: int) -> Track:
    nothing: list[Rle | None] = [None] * frame
    return replace(track, amodal=nothing + track.amodal[frame:])


def match_tracks(truth: VideoTracks, predicted: VideoTracks, match: str = "overlap") -> dict[int, Track]:
    """Which predicted track belongs to which truth: truth `track_id` -> predicted track, one to one.

    `overlap`: the pairs with the largest sum of visible-mask IoU over the video (Hungarian assignment); where the
    visible masks came from the truth this is the same as by id. `id`: equal `track_id`.

    Raises:
        InputError: videos that differ in size or length; or `overlap` is asked for, but no predicted track has a
            visible mask.
    """
    _check_same_video(truth, predicted)
    if match == "id":
        by_id = {track.track_id: track for track in predicted}
        return {track.track_id: by_id[track.track_id] for track in truth if track.track_id in by_id}
    if match != "overlap":
        raise InputError(f"match {match!r}: there are 'overlap' and 'id'")
    seen, predicted_seen = [t.visible for t in truth], [t.visible for t in predicted]
    shared = track_intersections(seen, predicted_seen)
    area, predicted_area = (track_areas(tracks, truth.num_frames).sum(1) for tracks in (seen, predicted_seen))
    if len(predicted) and not predicted_area.any():
        raise InputError("no predicted track has a visible mask to match it by; match by 'id' instead")
    union = area[:, None] + predicted_area - shared
    iou = np.divide(shared, union, out=np.zeros(shared.shape), where=union > 0)
    rows, columns = linear_sum_assignment(iou, maximize=True)
    pairs = zip(rows, columns, strict=True)
    return {
        truth.tracks[row].track_id: predicted.tracks[column] for row, column in pairs if shared[row, column]
    }


@dataclass
class FrameScores:
    """The scores of instance-frames, one entry each.

    Attributes:
        full: IoU of the amodal masks.
        hidden: IoU of the hidden parts; None where the truth has none.
        subset: one of `SUBSETS`.
        between: IoU of the amodal masks of those in gaps that end.
    """

    full: list[float] = field(default_factory=list)
    hidden: list[float | None] = field(default_factory=list)
    subset: list[str] = field(default_factory=list)
    between: list[float] = field(default_factory=list)

    def extend(self, other: "FrameScores") -> None:
        """Add the instance-frames of another video."""
        self.full += other.full
        self.hidden += other.hidden
        self.subset += other.subset
        self.between += other.between

    def add(self, truth: VideoTracks, predicted: dict[int, Track]) -> None:
        """Add those of a video; `predicted` as `match_tracks` gives it."""
        for track in truth:
            answer = predicted.get(track.track_id)
            last_sight = max((f for f, rle in enumerate(track.visible) if masks.area(rle)), default=-1)
            for frame, (amodal, visible) in enumerate(zip(track.amodal, track.visible, strict=True)):
                if masks.area(amodal):
                    full, hidden = mask_iou(answer.amodal[frame] if answer else None, amodal, visible)
                    self.full.append(full)
                    self.hidden.append(hidden)
                    self.subset.append(_subset(amodal, visible))
                    if self.subset[-1] == "hidden" and frame < last_sight:
                        self.between.append(full)

    def row(self, subset: str) -> Row:
        """The means over a subset, as `score_videos` names them."""
        chosen = [n for n, name in enumerate(self.subset) if subset in ("all", name)]
        hidden = [value for n in chosen if (value := self.hidden[n]) is not None]
        return {
            "n": len(chosen),
            "n_hidden_part": len(hidden),
            "iou_full": _mean([self.full[n] for n in chosen]),
            "iou_hidden": _mean(hidden),
        }


def _subset(amodal: Rle | None, visible: Rle | None) -> str:
    if not masks.area(visible):
        return "hidden"
    rate = masks.occlusion_rate(amodal, visible)
    ranges = list(STRICT.occlusions.items())[1:]
    return next(name for name, (low, high) in ranges if rate is not None and low <= rate <= high)


def _count_ghosts(truth: VideoTracks, predicted: VideoTracks, matched: dict[int, Track]) -> int:
    there = {id(matched[t.track_id]): t.amodal for t in truth if t.track_id in matched}
    nothing: list[Rle | None] = [None] * truth.num_frames
    return sum(
        masks.area(guess) > 0 and not masks.area(real)
        for track in predicted
        for guess, real in zip(track.amodal, there.get(id(track), nothing), strict=True)
    )


def _truth_json(videos: Sequence[VideoTracks]) -> dict[str, Any]:
    """YouTube-VIS truth; the videos are numbered from 0."""
    annotations = [
        {
            "video_id": video_id,
            "category_id": track.category_id,
            "segmentations": track.amodal,
            "occlude_rate": track.occlusion_rates,
        }
        for video_id, tracks in enumerate(videos)
        for track in tracks
    ]
    categories = sorted({track.category_id for tracks in videos for track in tracks})
    return {
        "videos": [{"id": video_id} for video_id in range(len(videos))],
        "categories": [{"id": category} for category in categories],
        "annotations": [{"id": number, **entry} for number, entry in enumerate(annotations, 1)],
    }


def _results_json(videos: Sequence[VideoTracks], gaps: bool) -> list[dict[str, Any]]:
    """YouTube-VIS results; without `gaps` only the frames in which the method was given a visible mask."""
    return [
        {
            "video_id": video_id,
            "category_id": track.category_id,
            "score": track.score,
            "segmentations": [
                amodal if gaps or masks.area(visible) else None
                for amodal, visible in zip(track.amodal, track.visible, strict=True)
            ],
        }
        for video_id, tracks in enumerate(videos)
        for track in tracks
    ]


def _check_same_video(truth: VideoTracks, predicted: VideoTracks) -> None:
    if truth.num_frames != predicted.num_frames or (len(predicted) and truth.size != predicted.size):
        raise InputError(
            f"the prediction has {predicted.num_frames} frames of {predicted.size} (height, width), "
            f"the truth {truth.num_frames} of {truth.size}"
        )


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
