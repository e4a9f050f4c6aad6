"""Scores: how good are amodal masks and tracks, as a whole, in their hidden part, and within gaps."""

from samodal.score.baselines import BASELINES, constant_velocity, convex_hull, hold_last, visible_as_answer
from samodal.score.compare import compare
from samodal.score.gaps import score_gaps
from samodal.score.identity import score_identity
from samodal.score.image_ap import image_ap
from samodal.score.iou import mask_iou, mean_iou, pooled_iou
from samodal.score.protocols import REFERENCE, STRICT, Protocol
from samodal.score.tables import print_table, spread, write_scores
from samodal.score.video_ap import video_ap
from samodal.score.video_scores import match_tracks, score_video, score_videos

__all__ = [
    "BASELINES",
    "REFERENCE",
    "STRICT",
    "Protocol",
    "compare",
    "constant_velocity",
    "convex_hull",
    "hold_last",
    "image_ap",
    "mask_iou",
    "match_tracks",
    "mean_iou",
    "pooled_iou",
    "print_table",
    "score_gaps",
    "score_identity",
    "score_video",
    "score_videos",
    "spread",
    "video_ap",
    "visible_as_answer",
    "write_scores",
]
