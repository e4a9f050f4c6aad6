"""What a predicted mask is pulled towards.

Shapes: logits and targets (..., h, w); at the decoder's low resolution targets are soft at the edges, in [0, 1],
because they are the share of the cell that the mask covers.
"""

import torch
import torch.nn.functional as F

from samodal.sam.images import logits_to_frame, resized_size
from samodal.train.options import LossForm, TrainOptions


def batch_loss(
    logits: torch.Tensor,
    predicted_iou: torch.Tensor,
    batch: dict[str, torch.Tensor],
    image_size: int,
    options: TrainOptions,
    counts: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """The loss of a batch of samples, as `options` choose it, and its parts.

    Args:
        logits: (B, N, h, w) of the padded input.
        predicted_iou: (B, N), the decoder's own estimate of its IoU.
        batch: see `FrameSamples`; "target" and "visible" are (B, N, h, w), or (B, N, H, W) in pixels of the frame.
        image_size: side of the model's input in pixels.
        options: form and weights of the loss.
        counts: see `mask_loss`.

    Returns:
        "loss", the weighted sum, and its parts by name; parts of weight 0 are left out, and reach no weight.
    """
    target = batch["target"]
    if options.loss_size == "frame":
        size = target.shape[-2], target.shape[-1]
        logits = logits_to_frame(logits, image_size, resized_size(size, image_size), size)
    return mask_loss(
        logits,
        predicted_iou,
        target,
        batch["visible"],
        batch["valid"],
        options.focal_weight,
        options.hidden_weight,
        options.iou_weight,
        options.loss,
        counts,
    )


def focal_loss(
    logits: torch.Tensor, target: torch.Tensor, alpha: float = 0.8, gamma: float = 2
) -> torch.Tensor:
    """Focal loss of every pixel: (..., h, w) -> (..., h, w).

    Source: S-AModal section 4 (alpha 0.8 for both classes, gamma 2). The original's code takes the focal form of
    the *mean* cross-entropy instead, which does not focus on hard pixels.
    """
    target = target.to(logits.dtype)
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target, reduction="none")
    probability_of_target = 1 - (logits.sigmoid() - target).abs()
    return alpha * (1 - probability_of_target) ** gamma * cross_entropy


def mean_around(
    values: torch.Tensor, target: torch.Tensor, times: float = 4, least: int = 64
) -> torch.Tensor:
    """Sum of (..., h, w) over `times` the area of the mask (at least `least`, at most all pixels): -> (...).

    A mean over all pixels makes the loss of a small instance vanish beside its dice loss; so the two keep step.
    """
    height, width = values.shape[-2:]
    area = target.sum((-2, -1))
    return values.sum((-2, -1)) / (times * area).clamp(min(least, height * width), height * width)


def dice_loss(logits: torch.Tensor, target: torch.Tensor, smooth: float = 1.0) -> torch.Tensor:
    """1 - (2 I + s) / (P + T + s) of every mask by itself, so that small masks count like large ones.

    (..., h, w) -> (...). Source: S-AModal section 4; the original takes one ratio over the whole batch.
    """
    probability = logits.sigmoid()
    overlap = (probability * target).sum((-2, -1))
    total = probability.sum((-2, -1)) + target.sum((-2, -1))
    return 1 - (2 * overlap + smooth) / (total + smooth)


def soft_iou(logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
    """IoU of the thresholded prediction with a soft target: (..., h, w) -> (...), no gradient."""
    with torch.no_grad():
        predicted = (logits > 0).to(target.dtype)
        overlap = torch.minimum(predicted, target).sum((-2, -1))
        union = torch.maximum(predicted, target).sum((-2, -1))
        return overlap / union.clamp(min=1e-6)


def mean_focal_loss(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, alpha: float = 0.8, gamma: float = 2
) -> torch.Tensor:
    """The focal form of the mean cross-entropy of all valid masks (..., h, w) together: one number.

    Source: sam_finetune.py of the original. It does not focus on hard pixels; only to repeat published numbers.
    """
    cross_entropy = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype), reduction="none")
    mean = _mean(cross_entropy.mean((-2, -1)), valid, valid.sum())
    return alpha * (1 - torch.exp(-mean)) ** gamma * mean


def pooled_dice_loss(
    logits: torch.Tensor, target: torch.Tensor, valid: torch.Tensor, smooth: float = 1.0
) -> torch.Tensor:
    """`dice_loss` of all valid masks (..., h, w) as if they were one: one number. Large masks dominate.

    Source: sam_finetune.py of the original; only to repeat published numbers.
    """
    chosen = valid[..., None, None]
    probability = logits.sigmoid() * chosen
    overlap, total = (probability * target).sum(), probability.sum() + (target * chosen).sum()
    return 1 - (2 * overlap + smooth) / (total + smooth)


def mask_loss(
    logits: torch.Tensor,
    predicted_iou: torch.Tensor,
    target: torch.Tensor,
    visible: torch.Tensor,
    valid: torch.Tensor,
    focal_weight: float = 5.0,
    hidden_weight: float = 1.0,
    iou_weight: float = 1.0,
    form: LossForm = "per-mask",
    counts: torch.Tensor | None = None,
) -> dict[str, torch.Tensor]:
    """The loss of a batch of prompts and its parts, each averaged over the valid prompts.

    Args:
        logits: (B, N, h, w).
        predicted_iou: (B, N), the decoder's own estimate of its IoU.
        target: (B, N, h, w) in [0, 1].
        visible: (B, N, h, w) in [0, 1], the visible mask.
        valid: (B, N) bool, False for padding.
        focal_weight: weight of the focal loss beside the dice loss (S-AModal: 20, with a mean over all pixels).
        hidden_weight: weight of a second dice loss outside the visible mask, for instances with a hidden part:
            there the visible mask gives no help, and a few pixels would be lost in the loss over the whole mask.
        iou_weight: weight of the loss that makes the predicted IoU true (the original leaves it untrained).
        form: of focal and dice: "per-mask", focal loss of every pixel and dice of every mask; "reference", both as
            in the original's code, over the whole batch at once.
        counts: `prompt_counts` of the whole batch of which this is a part: then the losses of all parts add up to
            the loss of the whole, however it was cut (not with form "reference"). None: this is the whole.

    Returns:
        "loss", the weighted sum, and its parts by name. Parts of weight 0 are left out: weights that serve only them
        get no gradient, not even zero, and so no weight decay either.
    """
    prompts, hidden = prompt_counts(target, visible, valid) if counts is None else counts
    if form == "reference":
        focal, dice = mean_focal_loss(logits, target, valid), pooled_dice_loss(logits, target, valid)
    else:
        focal = _mean(mean_around(focal_loss(logits, target), target), valid, prompts)
        dice = _mean(dice_loss(logits, target), valid, prompts)
    weighted = {"focal": (focal_weight, focal), "dice": (1.0, dice)}
    if hidden_weight:
        hidden_target, has_hidden = _hidden(target, visible, valid)
        outside = logits.masked_fill(visible > 0.5, -20.0)
        weighted["hidden"] = hidden_weight, _mean(dice_loss(outside, hidden_target), has_hidden, hidden)
    if iou_weight:
        wrong = (predicted_iou - soft_iou(logits, target)) ** 2
        weighted["iou"] = iou_weight, _mean(wrong, valid, prompts)
    loss = torch.stack([weight * part for weight, part in weighted.values()]).sum()
    return {"loss": loss, **{name: part for name, (_, part) in weighted.items()}}


def prompt_counts(target: torch.Tensor, visible: torch.Tensor, valid: torch.Tensor) -> torch.Tensor:
    """How many prompts there are, and how many of them have a hidden part: float32 (2,); see `mask_loss`."""
    return torch.stack([valid.sum(), _hidden(target, visible, valid)[1].sum()]).float()


def _hidden(
    target: torch.Tensor, visible: torch.Tensor, valid: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """The hidden parts (B, N, h, w), and for which prompts there is one, bool (B, N)."""
    hidden = (target - visible).clamp(min=0)
    return hidden, valid & (hidden.sum((-2, -1)) > 0.5)


def _mean(values: torch.Tensor, chosen: torch.Tensor, count: torch.Tensor) -> torch.Tensor:
    return (values * chosen).sum() / torch.where(count > 0, count, 1)
