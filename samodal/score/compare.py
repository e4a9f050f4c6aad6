"""A method beside the trivial answers: the rows of one table."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from samodal import masks
from samodal.score.baselines import BASELINES, constant_velocity, convex_hull, hold_last, visible_as_answer
from samodal.score.gaps import VideoGaps, gaps_of_video, join_gaps
from samodal.score.identity import identity_of_video, join_identity
from samodal.score.protocols import STRICT, Protocol
from samodal.score.video_scores import Row, VideoPart, join_videos, match_tracks, part_of_video
from samodal.video import Track, VideoTracks


def compare(
    truth: Sequence[VideoTracks],
    methods: Mapping[str, Sequence[VideoTracks]],
    match: str = "overlap",
    protocol: Protocol = STRICT,
    class_agnostic: bool = True,
    identity: bool = False,
    each: Callable[..., Iterable[Any]] = map,
) -> list[Row]:
    """Scores of one or more methods and of the trivial answers, over all videos together.

    `visible` and `convex-hull` are made from the visible masks of the first method, with its scores. `hold-last` and
    `constant-velocity` get its amodal masks where an instance is seen: they are compared with it in the gaps.

    Args:
        truth: with visible and amodal masks.
        methods: name -> its tracks of the same videos, with visible and amodal masks.
        match: see `score_videos`, as `protocol` and `class_agnostic`.
        protocol: of the average precision.
        class_agnostic: of the average precision.
        identity: HOTA and IDF1, too (needs the extra `identity`).
        each: does the videos, and then the methods: `map`, or that of a pool (`samodal.score.workers`).
    """
    of_video = partial(_compare_video, match=match, protocol=protocol, identity=identity)
    given = [
        dict(zip(methods, tracks, strict=True)) for _, *tracks in zip(truth, *methods.values(), strict=True)
    ]
    videos = list(each(of_video, truth, given))
    names = [*methods, *BASELINES]
    parts = [[video[name] for video in videos] for name in names]
    of_method = partial(_join, protocol=protocol, class_agnostic=class_agnostic)
    return [row for rows in each(of_method, names, parts) for row in rows]


@dataclass
class _Part:
    """What one video adds to the rows of one method."""

    scores: VideoPart
    gaps: VideoGaps
    identity: list[dict[str, Any]] | None


def _compare_video(
    truth: VideoTracks, given: Mapping[str, VideoTracks], match: str, protocol: Protocol, identity: bool
) -> dict[str, _Part]:
    """One video of every method, the trivial ones included."""
    first = next(iter(given.values()))
    without_gaps = replace(first, tracks=[without_recovery(track) for track in first])
    methods = {
        **given,
        "visible": visible_as_answer(first),
        "convex-hull": convex_hull(first),
        "hold-last": hold_last(without_gaps),
        "constant-velocity": constant_velocity(without_gaps),
    }
    parts = {}
    for name, predicted in methods.items():
        matched = match_tracks(truth, predicted, match)
        parts[name] = _Part(
            part_of_video(truth, predicted, matched, protocol),
            gaps_of_video(truth, predicted, matched),
            identity_of_video(truth, predicted) if identity else None,
        )
    return parts


def _join(method: str, parts: Sequence[_Part], protocol: Protocol, class_agnostic: bool) -> list[Row]:
    rows = join_videos([part.scores for part in parts], method, protocol, class_agnostic)
    rows += join_gaps([part.gaps for part in parts], method)
    counted = [part.identity for part in parts if part.identity is not None]
    return [*rows, join_identity(counted, method)] if counted else rows


def without_recovery(track: Track) -> Track:
    """A track without what was filled into its gaps."""
    amodal = [
        mask if masks.area(visible) else None
        for mask, visible in zip(track.amodal, track.visible, strict=True)
    ]
    return Track(track.track_id, track.category_id, track.score, track.visible, amodal, scores=track.scores)
