import json
from pathlib import Path

import numpy as np
import pytest
import torch

from samodal.train.losses import (
    dice_loss,
    focal_loss,
    mask_loss,
    mean_focal_loss,
    pooled_dice_loss,
    soft_iou,
)

GOLDEN = Path(__file__).parents[1] / "data/golden/04_losses"


def test_focal_of_every_pixel_agrees_with_the_recorded_alternative() -> None:
    arrays = np.load(GOLDEN / "losses.npz")
    for case in json.loads((GOLDEN / "losses.json").read_text())["cases"]:
        logits = torch.from_numpy(arrays[f"{case['name']}__logits"]).float()
        target = torch.from_numpy(arrays[f"{case['name']}__target"]).float()
        expected = case["focal_pixelwise_alternative"]
        assert focal_loss(logits, target).mean().item() == pytest.approx(expected, rel=1e-5, abs=1e-9)
        whole = torch.from_numpy(arrays[f"{case['name']}__target"])  # of whole numbers, as masks are stored
        assert torch.equal(focal_loss(logits, whole), focal_loss(logits, target))


def test_dice_of_one_mask_by_hand() -> None:
    logits = torch.full((1, 2, 2), -50.0)
    logits[0, 0] = 50  # the upper two of four pixels
    target = torch.tensor([[[1.0, 0.0], [0.0, 0.0]]])
    assert dice_loss(logits, target).item() == pytest.approx(1 - (2 * 1 + 1) / (2 + 1 + 1))


def test_small_masks_count_like_large_ones() -> None:
    target = torch.zeros(2, 32, 32)
    target[0, :2, :2] = 1
    target[1, :30, :30] = 1
    small, large = dice_loss(torch.full((2, 32, 32), -9.0), target)
    assert small > 0.75
    assert large > 0.75


def test_soft_iou() -> None:
    logits = torch.tensor([[[1.0, -1.0], [1.0, -1.0]]])
    assert soft_iou(logits, torch.tensor([[[1.0, 0.0], [0.5, 0.0]]])).item() == pytest.approx(1.5 / 2)
    assert soft_iou(-logits.abs(), torch.zeros(1, 2, 2)).item() == 0


def test_padding_changes_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(1, 3, 8, 8, generator=generator)
    target = (torch.rand(1, 3, 8, 8, generator=generator) > 0.5).float()
    visible = target * (torch.rand(1, 3, 8, 8, generator=generator) > 0.5)
    iou = torch.rand(1, 3, generator=generator)
    valid = torch.tensor([[True, True, False]])
    padded = mask_loss(logits, iou, target, visible, valid)
    alone = mask_loss(logits[:, :2], iou[:, :2], target[:, :2], visible[:, :2], valid[:, :2])
    for name, value in alone.items():
        assert padded[name].item() == pytest.approx(value.item()), name


def test_parts_of_weight_zero_reach_no_weight() -> None:
    logits, iou = torch.zeros(1, 1, 8, 8, requires_grad=True), torch.zeros(1, 1, requires_grad=True)
    target, valid = torch.ones(1, 1, 8, 8), torch.ones(1, 1, dtype=torch.bool)
    parts = mask_loss(logits, iou, target, target, valid, hidden_weight=0, iou_weight=0)
    parts["loss"].backward()
    assert parts.keys() == {"loss", "focal", "dice"}
    assert iou.grad is None


def test_padding_changes_nothing_over_the_whole_batch_either() -> None:
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(2, 2, 8, 8, generator=generator)
    target = (torch.rand(2, 2, 8, 8, generator=generator) > 0.5).float()
    valid = torch.tensor([[True, True], [True, False]])
    chosen = logits[valid][None], target[valid][None], torch.ones(1, 3, dtype=torch.bool)
    for loss in (mean_focal_loss, pooled_dice_loss):
        assert loss(logits, target, valid).item() == pytest.approx(loss(*chosen).item())


def test_hidden_part_has_a_loss_of_its_own() -> None:
    target = torch.ones(1, 1, 8, 8)
    visible = target.clone()
    visible[..., 6:] = 0
    right, wrong = torch.full((1, 1, 8, 8), 9.0), torch.full((1, 1, 8, 8), 9.0)
    wrong[..., 6:] = -9
    valid, iou = torch.ones(1, 1, dtype=torch.bool), torch.ones(1, 1)
    assert mask_loss(right, iou, target, visible, valid)["hidden"] < 0.05
    assert mask_loss(wrong, iou, target, visible, valid)["hidden"] > 0.8
    assert mask_loss(wrong, iou, target, target, valid)["hidden"] == 0  # nothing hidden, nothing to learn
