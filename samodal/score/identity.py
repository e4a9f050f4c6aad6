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
    try:
        from trackeval.metrics import HOTA, Identity
    except ImportError:
        raise InputError(INSTALL) from None
    hota, identity = HOTA(), Identity({"PRINT_CONFIG": False})
    sequences = {str(number): sequence_of(*pair) for number, pair in enumerate(videos)}
    of_all = [
        metric.combine_sequences({name: metric.eval_sequence(data) for name, data in sequences.items()})
        for metric in (hota, identity)
    ]
    means = {name.lower(): float(np.mean(of_all[0][name])) for name in ("HOTA", "DetA", "AssA")}
    counts = {name.lower(): float(of_all[1][name]) for name in ("IDF1", "IDP", "IDR")}
    return {"method": method, "subset": "identity", **means, **counts}


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
