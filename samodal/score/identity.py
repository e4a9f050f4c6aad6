"""Identity over time: HOTA and IDF1 of amodal masks, computed by TrackEval (extra `identity`)."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from pycocotools import mask as coco

from samodal import masks
from samodal.errors import InputError
from samodal.score.video_scores import Row
from samodal.video import VideoTracks

INSTALL = "HOTA and IDF1 need TrackEval: pip install 'samodal[identity]'"


def score_identity(videos: Sequence[tuple[VideoTracks, VideoTracks]], method: str) -> Row:
    """HOTA, DetA, AssA (means over IoU 0.05 to 0.95), IDF1, IDP, IDR (IoU 0.5) of amodal masks, without classes.

    Args:
        videos: pairs (truth, predicted).
        method: what to call it in the table.

    Returns:
        A row of subset `identity`, numbers in [0, 1].

    Raises:
        InputError: TrackEval is not installed, or a prediction does not fit its video.

    Source: Luiten et al., IJCV 2021 (HOTA); Ristani et al., ECCVW 2016 (IDF1).
    """
    return join_identity([identity_of_video(*video) for video in videos], method)


def identity_of_video(truth: VideoTracks, predicted: VideoTracks) -> list[dict[str, Any]]:
    """One video of `score_identity`: what HOTA and IDF1 count in it."""
    sequence = sequence_of(truth, predicted)
    return [metric.eval_sequence(sequence) for metric in _metrics()]


def join_identity(parts: Sequence[list[dict[str, Any]]], method: str) -> Row:
    """The row of `score_identity` from all videos."""
    hota, identity = (
        metric.combine_sequences({str(number): part[which] for number, part in enumerate(parts)})
        for which, metric in enumerate(_metrics())
    )
    means = {name.lower(): float(np.mean(hota[name])) for name in ("HOTA", "DetA", "AssA")}
    counts = {name.lower(): float(identity[name]) for name in ("IDF1", "IDP", "IDR")}
    return {"method": method, "subset": "identity", **means, **counts}


def _metrics() -> tuple[Any, Any]:
    try:
        from trackeval.metrics import HOTA, Identity
    except ImportError:
        raise InputError(INSTALL) from None
    return HOTA(), Identity({"PRINT_CONFIG": False})


def sequence_of(truth: VideoTracks, predicted: VideoTracks) -> dict[str, Any]:
    """One video as TrackEval's metrics take it: per frame the ids (from 0) that have a mask, and their IoU matrix."""
    if truth.num_frames != predicted.num_frames:
        raise InputError(f"the prediction has {predicted.num_frames} frames, the truth {truth.num_frames}")
    true_ids, their_ids, similarity = [], [], []
    for frame in range(truth.num_frames):
        ours, theirs = (
            [n for n, track in enumerate(tracks) if masks.area(track.amodal[frame])]
            for tracks in (truth, predicted)
        )
        true_ids.append(np.array(ours, int))
        their_ids.append(np.array(theirs, int))
        iou = np.zeros((len(ours), len(theirs)))
        if iou.size:
            # pycocotools' first argument gives the rows.
            iou[:] = coco.iou(
                [truth.tracks[n].amodal[frame] for n in ours],
                [predicted.tracks[n].amodal[frame] for n in theirs],
                [0] * len(theirs),
            )
        similarity.append(iou)
    return {
        "num_timesteps": truth.num_frames,
        "num_gt_ids": len(truth),
        "num_tracker_ids": len(predicted),
        "num_gt_dets": sum(map(len, true_ids)),
        "num_tracker_dets": sum(map(len, their_ids)),
        "gt_ids": true_ids,
        "tracker_ids": their_ids,
        "similarity_scores": similarity,
    }
