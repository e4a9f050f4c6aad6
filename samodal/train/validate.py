"""How good a model is on clips it has not seen: mean IoU of the full masks and of their hidden parts."""

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
import torch

from samodal import masks
from samodal.data.clip import Clip
from samodal.prompts import PromptOptions, prompt_rng
from samodal.sam import AmodalSam
from samodal.sam.ask import ask
from samodal.train.options import TrainOptions
from samodal.train.samples import seen_instances, target_masks, usable_frames

MIN_HIDDEN_PIXELS = 10
"""A hidden part of fewer pixels is an uncertain edge, not a part."""


@torch.no_grad()
def mean_ious(model: AmodalSam, clips: Sequence[Clip], options: TrainOptions) -> dict[str, float]:
    """Scores on `options.validation_frames` frames, spread evenly over the clips, one prompt an instance.

    Returns:
        "iou_full": of the target masks, mean over instances; "iou_hidden": of the parts outside the visible mask,
        over instances that have one (amodal targets only); "iou": the mean of those two, by which the best
        checkpoint is chosen; "score_error": mean |predicted IoU - IoU|. At least one instance must be seen.
    """
    model.eval()
    amodal = options.target == "amodal"
    # As the model is prompted, but a mask prompt would give the visible mask away.
    kinds = [kind for kind in model.config.prompt_kinds if amodal or kind != "mask"]
    full, hidden, errors = [], [], []
    for index, clip, frame in chosen_frames(clips, options):
        seen = seen_instances(clip, frame)
        if not seen:
            continue
        visible = np.stack([masks.decode(instance.visible) for instance in seen if instance.visible])
        target = target_masks(seen, visible, options)
        rngs = [prompt_rng(options.seed, index, instance.track_id) for instance in seen]
        prompt = PromptOptions(options.strategy, kinds=cast(Any, tuple(kinds)), saliency=options.saliency)
        image = clip.video[frame]
        answers = ask(model, model.encode(image), visible, rngs, prompt, unite_visible=amodal, image=image)
        for answer, seen_part, truth in zip(answers, visible, target, strict=True):
            full.append(_iou(answer.amodal, truth))
            errors.append(abs(answer.score - full[-1]))
            hidden_truth = truth & ~seen_part
            if hidden_truth.sum() >= MIN_HIDDEN_PIXELS:
                hidden.append(_iou(answer.amodal & ~seen_part, hidden_truth))
    scores = {"iou_full": float(np.mean(full)), "score_error": float(np.mean(errors))}
    if hidden:
        scores["iou_hidden"] = float(np.mean(hidden))
    scores["iou"] = float(np.mean([scores[name] for name in ("iou_full", "iou_hidden") if name in scores]))
    return scores


def chosen_frames(clips: Sequence[Clip], options: TrainOptions) -> list[tuple[int, Clip, int]]:
    """`options.validation_frames` frames whose targets are known, spread evenly over the clips.

    Returns:
        For each its number among all such frames, the clip, and the frame of the clip.
    """
    usable = zip(clips, usable_frames(clips, options), strict=True)
    places = [(clip, frame) for clip, frames in usable for frame in frames]
    chosen = np.linspace(0, len(places) - 1, min(options.validation_frames, len(places))).astype(int).tolist()
    return [(index, *places[index]) for index in chosen]


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0
