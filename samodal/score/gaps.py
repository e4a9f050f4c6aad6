"""Scores of gaps: how well instances are followed while nothing of them is seen, and whether the score says so.

A *gap* is a run of frames in which a true instance that was seen before has an amodal mask, but no visible pixel; the
*age* of a gap frame is how many frames ago the instance was last seen.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np

from samodal import masks
from samodal.masks import Rle
from samodal.score.video_scores import Row, match_tracks
from samodal.video import Track, VideoTracks

AGES = {"gap 1-5": (1, 5), "gap 6-10": (6, 10), "gap 11-20": (11, 20), "gap 21+": (21, 10**9)}
"""Subsets of gap frames: name -> youngest and oldest age."""
BINS = 10
"""Bins of the score, equally wide, for the calibration."""
SAME = 0.5
"""IoU from which on a predicted mask is taken to show the instance."""


@dataclass(frozen=True)
class GapFrame:
    """What a method says of one instance in one gap frame.

    Attributes:
        age: frames since the instance was last seen.
        iou: of the predicted mask and the true amodal mask; 0 without one.
        center_error: distance of the centroids in sizes of the instance (square root of the true area); None without
            a predicted mask.
        score: what the method says of its mask; None if it says nothing or has no mask.
    """

    age: int
    iou: float
    center_error: float | None
    score: float | None


def score_gaps(
    videos: Iterable[tuple[VideoTracks, VideoTracks]], method: str, match: str = "overlap"
) -> list[Row]:
    """The scores of gaps over several videos, as rows of the same shape as those of `score_videos`.

    Args:
        videos: pairs (truth, predicted), both with `visible` filled; taken one at a time.
        method: what to call it in the table.
        match: as in `score_videos`.

    Returns:
        One row for each of `AGES`: n (gap frames), iou (mean, 0 where no mask was given), found (share with a mask),
        center_error (mean over those, in sizes of the instance).
        One row `gaps` with the same over all, and
        n_ended: gaps after which the instance is seen again;
        survival: share of these over which a method keeps the identity: the same predicted track shows the
            instance (IoU of at least 0.5) when it is last seen before and first seen after the gap;
        ghosts, ghost_share: predicted masks without visible pixels where the instance has no mask, or the track no
            instance, their number and their share of all masks that were given without visible pixels;
        score_error: mean |score - IoU| of the masks in gaps that have a score;
        calibration_error: |mean score - mean IoU| in ten bins of the score, averaged with the number of masks.
        One row `score 0.0-0.1` (and so on) for each bin that has masks: n, score, iou.
    """
    return join_gaps([gaps_of_video(*video, match_tracks(*video, match)) for video in videos], method)


@dataclass
class VideoGaps:
    """What one video adds to the scores of gaps.

    Attributes:
        frames: all gap frames.
        kept: of every gap that ends, whether the identity survives it.
        unseen: number of predicted masks without visible pixels.
        ghosts: those of them where the truth has nothing.
    """

    frames: list[GapFrame] = field(default_factory=list)
    kept: list[bool] = field(default_factory=list)
    unseen: int = 0
    ghosts: int = 0


def gaps_of_video(truth: VideoTracks, predicted: VideoTracks, matched: dict[int, Track]) -> VideoGaps:
    """One video of `score_gaps`; `matched` as `match_tracks` gives it."""
    found = VideoGaps()
    for track in truth:
        found.frames += _gap_frames(track, matched.get(track.track_id))
        found.kept += [_keeps_identity(track, predicted, gap) for gap in ended_gaps(track)]
    for whom, track in _with_truth(truth, predicted, matched):
        given = [f for f in range(len(track)) if _unseen(track, f) and masks.area(track.amodal[f])]
        found.unseen += len(given)
        found.ghosts += sum(whom is None or not masks.area(whom.amodal[f]) for f in given)
    return found


def join_gaps(parts: Sequence[VideoGaps], method: str) -> list[Row]:
    """The rows of `score_gaps` from all videos."""
    frames = [frame for part in parts for frame in part.frames]
    kept = [survived for part in parts for survived in part.kept]
    ghosts, unseen = sum(part.ghosts for part in parts), sum(part.unseen for part in parts)
    rows = [
        {"method": method, "subset": name, **_means([f for f in frames if low <= f.age <= high])}
        for name, (low, high) in AGES.items()
    ]
    scored = [(frame.score, frame.iou) for frame in frames if frame.score is not None]
    overall = {
        "n_ended": len(kept),
        "survival": _mean(kept),
        "ghosts": ghosts,
        "ghost_share": ghosts / unseen if unseen else None,
        "score_error": _mean([abs(score - iou) for score, iou in scored]),
        "calibration_error": calibration_error(scored),
    }
    rows.append({"method": method, "subset": "gaps", **_means(frames), **overall})
    rows += [{"method": method, **row} for row in reliability(scored)]
    return rows


def ended_gaps(track: Track) -> list[tuple[int, int]]:
    """For every gap after which the instance is seen again: its last sighting before and its first after it."""
    seen = [frame for frame, rle in enumerate(track.visible) if masks.area(rle)]
    return [
        (before, after)
        for before, after in pairwise(seen)
        if any(masks.area(rle) for rle in track.amodal[before + 1 : after])
    ]


def reliability(scored: list[tuple[float, float]]) -> list[Row]:
    """Mean score and mean IoU in each bin of the score that has masks, from pairs (score, IoU)."""
    rows = []
    for number, members in _bins(scored):
        name = f"score {number / BINS:.1f}-{(number + 1) / BINS:.1f}"
        score, iou = np.mean(members, axis=0)
        rows.append({"subset": name, "n": len(members), "score": float(score), "iou": float(iou)})
    return rows


def calibration_error(scored: list[tuple[float, float]]) -> float | None:
    """Expected calibration error: |mean score - mean IoU| in each bin, averaged with the number of pairs."""
    if not scored:
        return None
    off = [len(members) * abs(np.subtract(*np.mean(members, axis=0))) for _, members in _bins(scored)]
    return float(sum(off) / len(scored))


def _bins(scored: list[tuple[float, float]]) -> Iterator[tuple[int, list[tuple[float, float]]]]:
    numbers = [min(int(np.clip(score, 0, 1) * BINS), BINS - 1) for score, _ in scored]
    for number in sorted(set(numbers)):
        yield number, [pair for pair, its in zip(scored, numbers, strict=True) if its == number]


def _gap_frames(truth: Track, answer: Track | None) -> list[GapFrame]:
    result = []
    last_seen = None
    for frame, (amodal, visible) in enumerate(zip(truth.amodal, truth.visible, strict=True)):
        if masks.area(visible):
            last_seen = frame
        elif amodal is not None and masks.area(amodal) and last_seen is not None:
            guess = answer.amodal[frame] if answer else None
            if answer is None or guess is None or not masks.area(guess):
                result.append(GapFrame(frame - last_seen, 0.0, None, None))
                continue
            apart = float(np.hypot(*np.subtract(_centroid(guess), _centroid(amodal))))
            error = apart / masks.area(amodal) ** 0.5
            result.append(GapFrame(frame - last_seen, masks.iou(guess, amodal), error, answer.scores[frame]))
    return result


def _keeps_identity(truth: Track, predicted: VideoTracks, gap: tuple[int, int]) -> bool:
    shown_by = []
    for frame in gap:
        ious = [masks.iou(track.amodal[frame], truth.amodal[frame]) for track in predicted]
        best = int(np.argmax(ious)) if ious else 0
        if not ious or ious[best] < SAME:
            return False
        shown_by.append(best)
    return shown_by[0] == shown_by[1]


def _with_truth(
    truth: VideoTracks, predicted: VideoTracks, matched: dict[int, Track]
) -> Iterator[tuple[Track | None, Track]]:
    """Every predicted track with the truth it is matched to, if any."""
    theirs = {id(matched[track.track_id]): track for track in truth if track.track_id in matched}
    for track in predicted:
        yield theirs.get(id(track)), track


def _unseen(track: Track, frame: int) -> bool:
    return not masks.area(track.visible[frame])


def _centroid(rle: Rle) -> tuple[float, float]:
    part, x, y = masks.decode_box(rle)
    height, width = part.shape
    total = part.sum()
    return x + float(part.sum(0) @ np.arange(width) / total), y + float(
        part.sum(1) @ np.arange(height) / total
    )


def _means(frames: list[GapFrame]) -> Row:
    errors = [frame.center_error for frame in frames if frame.center_error is not None]
    return {
        "n": len(frames),
        "iou": _mean([frame.iou for frame in frames]),
        "found": len(errors) / len(frames) if frames else None,
        "center_error": _mean(errors),
    }


def _mean(values: list[float] | list[bool]) -> float | None:
    return float(np.mean(values)) if values else None
