"""A method beside the trivial answers: the rows of one table."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from samodal import masks
from samodal.score.baselines import constant_velocity, convex_hull, hold_last, visible_as_answer
from samodal.score.gaps import score_gaps
from samodal.score.identity import score_identity
from samodal.score.protocols import STRICT, Protocol
from samodal.score.video_scores import Row, score_videos
from samodal.video import Track, VideoTracks


def compare(
    truth: Sequence[VideoTracks],
    methods: Mapping[str, Sequence[VideoTracks]],
    match: str = "overlap",
    protocol: Protocol = STRICT,
    class_agnostic: bool = True,
    identity: bool = False,
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
    """
    first = next(iter(methods.values()))
    without_gaps = [replace(tracks, tracks=[without_recovery(track) for track in tracks]) for tracks in first]
    trivial = {
        "visible": [visible_as_answer(tracks) for tracks in first],
        "convex-hull": [convex_hull(tracks) for tracks in first],
        "hold-last": [hold_last(tracks) for tracks in without_gaps],
        "constant-velocity": [constant_velocity(tracks) for tracks in without_gaps],
    }
    rows = []
    for method, tracks in {**methods, **trivial}.items():
        pairs = list(zip(truth, tracks, strict=True))
        rows += score_videos(pairs, method, match, protocol, class_agnostic)
        rows += score_gaps(pairs, method, match)
        if identity:
            rows.append(score_identity(pairs, method))
    return rows


def without_recovery(track: Track) -> Track:
    """A track without what was filled into its gaps."""
    amodal = [
        mask if masks.area(visible) else None
        for mask, visible in zip(track.amodal, track.visible, strict=True)
    ]
    return Track(track.track_id, track.category_id, track.score, track.visible, amodal, scores=track.scores)
