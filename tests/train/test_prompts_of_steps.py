"""What training shows the model: points by any strategy, at the right place, and any mix of kinds of prompts."""

from dataclasses import replace
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.data.clip import Clip, Instance
from samodal.prompts import STRATEGIES
from samodal.sam.config import PROMPT_KINDS
from samodal.sam.images import MEAN, STD
from samodal.train.loop import prompt_of_step, train
from samodal.train.options import TrainOptions
from samodal.train.samples import FrameSamples
from samodal.video import Video

CLIPS = [toy_clip(seed) for seed in range(2)]
OPTIONS = TrainOptions(
    instances=2, steps=2, batch=2, lr=1e-3, warmup=1, validate_every=2, validation_frames=2, workers=0
)
ALL_KINDS = [kinds for count in (1, 2, 3) for kinds in combinations(PROMPT_KINDS, count)]
NAMES = {"points": "points", "box": "boxes", "mask": "mask_prompts"}


def brightness(image: np.ndarray) -> np.ndarray:
    """A saliency model."""
    return image.sum(axis=2, dtype=np.float64)


def clip_with_lamps() -> Clip:
    """Two dark things, each with a bright lamp away from its middle that has more structure than all else."""
    size = (60, 80)
    image = np.full((*size, 3), 20, np.uint8)
    lamp = np.random.default_rng(0).integers(110, 190, (5, 5, 3))
    visible = np.zeros((2, *size), bool)
    for place, (top, left) in enumerate([(10, 8), (20, 45)]):
        visible[place, top : top + 24, left : left + 26] = True
        image[visible[place]] = 10
        image[top + 5 : top + 10, left + 16 : left + 21] = lamp
    instances = [Instance(i, 26, masks.encode(mask), masks.encode(mask)) for i, mask in enumerate(visible)]
    return Clip("lamps", Video.from_frames([image], name="lamps"), lambda _: instances)


@pytest.mark.parametrize("strategy", ["saliency", "max-entropy"])
def test_strategies_see_the_image_as_the_sample_shows_it(strategy: str) -> None:
    options = replace(OPTIONS, strategy=strategy, saliency=f"{__name__}:brightness", max_points=1, steps=20)
    samples = FrameSamples([clip_with_lamps()], 160, options)
    reach = 4 if strategy == "saliency" else 16  # in input pixels; a patch has 4 of the frame on each side
    found = missed = 0
    for index in range(40):
        sample = samples[index]
        colours = sample["pixels"] * torch.tensor(STD)[:, None, None] + torch.tensor(MEAN)[:, None, None]
        light = colours.mean(0)
        for row in range(int(sample["valid"].sum())):
            inside = sample["visible"][row].repeat_interleave(4, 0).repeat_interleave(4, 1) > 0.9
            if (light[inside] > 70).any():
                x, y = sample["points"][row, 0].round().long().tolist()
                near = light[max(0, y - reach) : y + reach + 1, max(0, x - reach) : x + reach + 1]
                found += bool(near.max() > 70)
                missed += bool(near.max() <= 70)
    assert found > 40
    assert missed <= (0 if strategy == "saliency" else 3), "only where most of the lamp is cut off"


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_samples_of_every_strategy_depend_on_seed_and_index_alone(strategy: str) -> None:
    options = replace(OPTIONS, strategy=strategy)
    first, again = (FrameSamples(CLIPS, 64, options) for _ in range(2))
    _ = [again[i] for i in range(3)]
    for name, value in first[3].items():
        assert torch.equal(value, again[3][name]), name
    cells = (first[3]["points"] / 4).long()
    for row in range(int(first[3]["valid"].sum())):
        assert (first[3]["visible"][row, cells[row, :, 1], cells[row, :, 0]] > 0).all()


def shown(options: TrainOptions, steps: int = 400) -> dict[tuple[str, ...], float]:
    """Which kinds the steps show together, and how often."""
    batch = {name: torch.zeros(1, 1, 3, 2) for name in NAMES.values()}
    seen = [tuple(k for k in NAMES if NAMES[k] in prompt_of_step(batch, i, options)) for i in range(steps)]
    return {kinds: seen.count(kinds) / steps for kinds in seen}


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_a_model_learns_with_what_it_is_prompted_with(kinds: tuple[str, ...], tmp_path: Path) -> None:
    model = tiny_sam()
    model.config.prompt_kinds = list(kinds)
    frequencies = shown(OPTIONS.fitted_to(kinds))
    assert {kind for together in frequencies for kind in together} == set(kinds)
    assert frequencies[kinds] > 0.2, "all of them together, as at inference"
    before = {name: weight.clone() for name, weight in model.mask_decoder.state_dict().items()}
    assert train(model, CLIPS, CLIPS, tmp_path, OPTIONS)["iou"] >= 0
    assert any(
        not torch.equal(weight, before[name]) for name, weight in model.mask_decoder.state_dict().items()
    )


@pytest.mark.parametrize("kinds", ALL_KINDS)
def test_any_mix_can_be_asked_for(kinds: tuple[str, ...], tmp_path: Path) -> None:
    shares = {f"{kind.rstrip('s')}_prompt": float(kind in kinds) for kind in PROMPT_KINDS}
    options = replace(OPTIONS, **shares)
    assert shown(options, 20) == {kinds: 1.0}
    train(tiny_sam(), CLIPS, CLIPS, tmp_path, options)


def test_shares_are_kept_and_no_step_is_empty() -> None:
    mixed = shown(replace(OPTIONS, point_prompt=0.5, box_prompt=0.4, mask_prompt=0.3))
    assert len(mixed) == 7
    assert sum(share for kinds, share in mixed.items() if "box" in kinds) == pytest.approx(0.4, abs=0.08)
    assert sum(share for kinds, share in mixed.items() if "mask" in kinds) == pytest.approx(0.3, abs=0.08)
    rare = shown(replace(OPTIONS, point_prompt=0.0, box_prompt=0.1, mask_prompt=0.2))
    assert set(rare) == {("box",), ("mask",), ("box", "mask")}
    instead = shown(replace(OPTIONS, box_prompt=0.4, mask_prompt=0.0))
    assert set(instead) == {("points",), ("box",)}
