"""How good a model is on clips it has not seen: mean IoU of the full masks and of their hidden parts."""

from collections.abc import Sequence

import numpy as np
import torch

from samodal import masks
from samodal.data.clip import Clip
from samodal.prompts import PromptOptions, prompt_rng
from samodal.sam import AmodalSam
from samodal.sam.ask import ask
from samodal.train.options import TrainOptions

MIN_HIDDEN_PIXELS = 10
"""A hidden part of fewer pixels is an uncertain edge, not a part."""


@torch.no_grad()
def mean_ious(model: AmodalSam, clips: Sequence[Clip], options: TrainOptions) -> dict[str, float]:
    """Scores on `options.validation_frames` frames, spread evenly over the clips, one prompt an instance.

    Returns:
        "iou_full": of the target masks, mean over instances; "iou_hidden": of the parts outside the visible mask,
        over instances that have one (amodal targets only); "iou": the mean of those two, by which the best
        checkpoint is chosen; "score_error": mean |predicted IoU - IoU|.
    """
    model.eval()
    amodal = options.target == "amodal"
    kinds = tuple(model.config.prompt_kinds) if amodal else ("points",)
    full, hidden, errors = [], [], []
    places = [(clip, frame) for clip in clips for frame in range(len(clip))]
    chosen = np.linspace(0, len(places) - 1, min(options.validation_frames, len(places))).astype(int)
    for index in chosen:
        clip, frame = places[index]
        seen = [instance for instance in clip.instances(frame) if instance.visible]
        if not seen:
            continue
        visible = np.stack([masks.decode(instance.visible) for instance in seen if instance.visible])
        target = np.stack([masks.decode(instance.amodal) for instance in seen]) if amodal else visible
        rngs = [prompt_rng(options.seed, int(index), instance.track_id) for instance in seen]
        prompt = PromptOptions(options.strategy, kinds=kinds)
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


def _iou(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0
