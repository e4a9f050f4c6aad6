"""All instances of a frame together, a batch in parts, blocks computed anew: cheaper, and the same gradients."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import tiny_sam, toy_clip

from samodal.sam import AmodalSam
from samodal.train import loop
from samodal.train.log import Averages
from samodal.train.loop import choose_trainable, learn_from, train
from samodal.train.options import TrainOptions
from samodal.train.processes import make_accelerator
from samodal.train.samples import FrameSamples, Sample, collate

CLIPS = [toy_clip(seed, name=f"toy {seed}") for seed in range(2)]
OPTIONS = TrainOptions(instances=2, steps=4, batch=4, validate_every=4, validation_frames=2, workers=0)


def batch_of(size: int, options: TrainOptions = OPTIONS) -> Sample:
    samples = FrameSamples(CLIPS, 64, options.fitted_to(("points", "mask")))
    return collate([samples[index] for index in range(size)])


def one_by_one(batch: Sample) -> Iterator[Sample]:
    """The batch as a frame for every instance of it."""
    for frame in range(len(batch["pixels"])):
        for instance in torch.nonzero(batch["valid"][frame])[:, 0].tolist():
            chosen = slice(instance, instance + 1)
            yield {
                name: value[frame : frame + 1]
                if isinstance(value, list)
                else value[frame : frame + 1, chosen]
                for name, value in batch.items()
            }


def gradients(batch: Sample, options: TrainOptions, model: AmodalSam) -> tuple[dict, float]:
    accelerator, options = make_accelerator(), options.fitted_to(model.config.prompt_kinds)
    choose_trainable(model, options)
    model.vision_encoder.checkpointing = options.checkpointing
    model.train()
    averages = Averages(accelerator)
    learn_from(batch, 0, accelerator, model, accelerator.prepare(model), options, None, averages)
    found = {name: weight.grad for name, weight in model.named_parameters() if weight.grad is not None}
    return found, float(averages.sums["loss"])


def assert_same(found: tuple[dict, float], expected: tuple[dict, float]) -> None:
    assert found[1] == pytest.approx(expected[1], rel=1e-5)
    assert found[0].keys() == expected[0].keys()
    for name, gradient in expected[0].items():
        torch.testing.assert_close(found[0][name], gradient, atol=2e-6, rtol=1e-4)


@pytest.mark.parametrize("adapter", ["none", "sam-adapter"])
def test_instances_together_and_one_by_one(adapter: str) -> None:
    batch = batch_of(4)
    alone = list(one_by_one(batch))
    assert len(alone) > 4
    apart = collate_alone(alone)
    parts = replace(OPTIONS, accumulate=len(alone), batch=len(alone))
    assert_same(gradients(apart, parts, tiny_sam(adapter)), gradients(batch, OPTIONS, tiny_sam(adapter)))


def collate_alone(alone: list[Sample]) -> Sample:
    return {
        name: [one[name][0] for one in alone]
        if isinstance(value, list)
        else torch.cat([one[name] for one in alone])
        for name, value in alone[0].items()
    }


@pytest.mark.parametrize("change", [{"accumulate": 2}, {"accumulate": 4}, {"checkpointing": True}])
@pytest.mark.parametrize("train", ["adapter", "all"])
def test_parts_of_a_batch_and_checkpoints_of_blocks(change: dict, train: str) -> None:
    options = replace(OPTIONS, train=train)  # type: ignore[arg-type]
    batch = batch_of(4)
    expected = gradients(batch, options, tiny_sam())
    assert_same(gradients(batch, replace(options, **change), tiny_sam()), expected)


def test_padding_is_cut_off() -> None:
    batch = batch_of(4, replace(OPTIONS, instances=50))
    assert batch["target"].shape[1] == batch["valid"].shape[1] == int(batch["valid"].sum(1).max()) == 2


def test_a_frozen_encoder_does_no_work_for_gradients(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model, grads = tiny_sam("none"), []
    model.vision_encoder.register_forward_pre_hook(lambda *_: grads.append(torch.is_grad_enabled()))
    train(model, CLIPS, CLIPS, tmp_path, replace(OPTIONS, steps=1, validate_every=1))
    assert grads
    assert not any(grads)
    learning = tiny_sam("sam-adapter")
    choose_trainable(learning, OPTIONS)
    assert "pixels" in loop.shown_image(learning, batch_of(2), None)
