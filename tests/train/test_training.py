import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.data.clip import Clip, Instance
from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.train import loop
from samodal.train.loop import choose_trainable, learning_rate, train
from samodal.train.options import TrainOptions
from samodal.train.samples import FrameSamples

CLIPS = [toy_clip(seed) for seed in range(2)]
OPTIONS = TrainOptions(
    instances=2,
    mask_prompt=0.5,
    box_prompt=0.3,
    steps=6,
    batch=1,
    lr=1e-3,
    warmup=2,
    validate_every=3,
    validation_frames=3,
    workers=0,
)


def weights(model: AmodalSam) -> dict[str, torch.Tensor]:
    return {name: weight.detach().clone() for name, weight in model.state_dict().items()}


def test_samples_depend_on_seed_and_index_alone() -> None:
    first, again = (FrameSamples(CLIPS, 64, replace(OPTIONS, seed=3)) for _ in range(2))
    _ = [again[i] for i in range(5)]  # whatever was drawn before
    for name, value in first[6].items():
        assert torch.equal(value, again[6][name]), name
    assert not torch.equal(first[6]["pixels"], first[7]["pixels"])


def test_points_and_targets_fit_together() -> None:
    for index in range(20):
        sample = FrameSamples(CLIPS, 64, OPTIONS)[index]
        cells = (sample["points"] / 4).long()
        for row in range(int(sample["valid"].sum())):
            for x, y in cells[row].tolist():
                assert sample["visible"][row, y, x] > 0
        assert (sample["target"] + 1e-5 >= sample["visible"]).all()
        assert (sample["mask_prompts"][sample["visible"] == 1] > 5.9).all()


@pytest.mark.parametrize(
    ("adapter", "learns"), [("sam-adapter", True), ("medical-adapter", True), ("none", False)]
)
def test_what_is_said_to_train_does_train(adapter: str, learns: bool, tmp_path: Path) -> None:
    model = tiny_sam(adapter)
    before = weights(model)
    train(model, CLIPS, CLIPS, tmp_path, replace(OPTIONS, steps=3))
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    trainable = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert changed <= trainable
    assert any("mask_decoder.iou_prediction_head" in name for name in changed)
    adapters = ("prompt_generator", "space_adapter", "mlp_adapter")
    assert any(part in name for name in changed for part in adapters) == learns
    assert not any("qkv" in name for name in changed)


def test_everything_but_the_constant_learns_when_asked() -> None:
    model = tiny_sam()
    choose_trainable(model, replace(OPTIONS, train="all"))
    fixed = [name for name, weight in model.named_parameters() if not weight.requires_grad]
    assert fixed == ["shared_image_embedding.positional_embedding"]


class CutOffError(Exception):
    pass


def test_a_run_that_was_cut_off_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = tiny_sam()
    train(whole, CLIPS, CLIPS, tmp_path / "whole", OPTIONS)

    def cut_at_step_5(batch: dict, step: int, options: TrainOptions) -> dict:
        if step == 5:
            raise CutOffError
        return original(batch, step, options)

    original = loop.prompt_of_step
    with monkeypatch.context() as patch:
        patch.setattr(loop, "prompt_of_step", cut_at_step_5)
        with pytest.raises(CutOffError):
            train(tiny_sam(), CLIPS, CLIPS, tmp_path / "cut", OPTIONS)
    resumed = tiny_sam()
    train(resumed, CLIPS, CLIPS, tmp_path / "cut", OPTIONS, resume=True)
    for name, weight in weights(whole).items():
        assert torch.equal(weight, weights(resumed)[name]), name
    logs = [(tmp_path / run / "log.jsonl").read_text() for run in ("whole", "cut")]
    assert logs[0] == logs[1]


def test_best_and_last_can_be_loaded(tmp_path: Path) -> None:
    best = train(tiny_sam(), CLIPS, CLIPS, tmp_path, OPTIONS)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert best["iou"] == pytest.approx(max(line["iou"] for line in log if "iou" in line), abs=1e-5)
    for name in ("best", "last"):
        assert AmodalSam.from_pretrained(tmp_path / name).config.adapter == "sam-adapter"


def test_a_run_is_not_overwritten_and_not_resumed_with_other_options(tmp_path: Path) -> None:
    train(tiny_sam(), CLIPS, CLIPS, tmp_path, replace(OPTIONS, steps=3))
    with pytest.raises(InputError, match="--resume"):
        train(tiny_sam(), CLIPS, CLIPS, tmp_path, replace(OPTIONS, steps=3))
    with pytest.raises(InputError, match="other options"):
        train(tiny_sam(), CLIPS, CLIPS, tmp_path, replace(OPTIONS, steps=4), resume=True)
    with pytest.raises(InputError, match="no training run"):
        train(tiny_sam(), CLIPS, CLIPS, tmp_path / "nowhere", OPTIONS, resume=True)


def test_learning_rate_rises_and_falls() -> None:
    options = TrainOptions(steps=100, warmup=10, lr=1.0)
    rates = [learning_rate(step, options) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert max(rates) == rates[9] == rates[10] == pytest.approx(1.0)
    assert rates[10:] == sorted(rates[10:], reverse=True)
    assert rates[-1] < 0.001


def test_what_is_not_the_same_run_is_not_resumed(tmp_path: Path) -> None:
    options = replace(OPTIONS, steps=3)
    train(tiny_sam(), CLIPS, CLIPS, tmp_path, options)
    for model, clips, name in (
        (tiny_sam("none"), CLIPS, r"model\.adapter"),
        (tiny_sam(), [toy_clip(name="another")], "clips"),
    ):
        with pytest.raises(InputError, match=f"other options than now .*{name}"):
            train(model, clips, CLIPS, tmp_path, options, resume=True)
    for name in ("last", "best"):  # as if cut off between the two renames of a checkpoint
        (tmp_path / name).rename(tmp_path / f".{name}.old")
    train(tiny_sam(), CLIPS, CLIPS, tmp_path, replace(options, workers=1), resume=True)
    assert (tmp_path / "best").exists()


def test_both_arithmetics_in_one_process(tmp_path: Path) -> None:
    for dtype in ("bf16", "fp32"):
        model = tiny_sam()
        train(model, CLIPS, CLIPS, tmp_path / dtype, replace(OPTIONS, steps=1, dtype=dtype))
        assert {weight.dtype for weight in model.parameters()} == {torch.float32}


def test_loader_processes_can_be_spawned() -> None:
    assert pickle.loads(pickle.dumps(loop.one_thread_a_worker)) is loop.one_thread_a_worker


def test_shares_follow_the_prompts_of_the_model() -> None:
    def shares(options: TrainOptions, *kinds: str) -> tuple[float | None, ...]:
        fitted = options.fitted_to(kinds)
        return fitted.mask_prompt, fitted.box_prompt, fitted.point_prompt

    assert shares(TrainOptions(), "points") == (0, 0, None)
    assert shares(TrainOptions(), "points", "mask") == (0.7, 0, None)
    assert shares(TrainOptions(), "points", "mask", "box") == (0.7, 0.5, 0.8)
    assert shares(TrainOptions(), "box") == (0, 1, 0)
    assert shares(TrainOptions(), "mask") == (1, 0, 0)
    assert shares(TrainOptions(mask_prompt=0.0, box_prompt=0.3), "points", "mask") == (0, 0.3, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"batch": 0},
        {"workers": -1},
        {"crop": 1.5},
        {"mask_prompt": -0.1},
        {"lr": 0},
        {"mask_prompt": 0.0, "box_prompt": 0.0, "point_prompt": 0.0},
        {"strategy": "nearest"},
        {"saliency": "no_such_module:here", "strategy": "saliency"},
    ],
)
def test_options_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        TrainOptions(**wrong)


def test_clips_in_which_nothing_is_seen_are_refused(tmp_path: Path) -> None:
    clip = toy_clip()
    empty = masks.empty(clip.video.size)
    dark = Clip("dark", clip.video, lambda i: [replace(x, visible=empty) for x in clip.instances(i)])
    for clips, validation, message in (
        ([], CLIPS, "no clips"),
        (CLIPS, [dark], "validation clips"),
        (CLIPS, [], "validation clips"),
        ([dark], CLIPS, "1000 frames"),
    ):
        with pytest.raises(InputError, match=message):
            train(tiny_sam(), clips, validation, tmp_path / str(len(message)), OPTIONS)
    half = Clip("half", clip.video, lambda i: dark.instances(i) if i % 2 else clip.instances(i))
    train(tiny_sam(), [half], [half], tmp_path / "half", replace(OPTIONS, steps=1))


def without_full_masks(clip: Clip, frames: set[int]) -> Clip:
    """The clip as a data set gives it that knows the full masks in some frames only."""

    def instances(frame: int) -> list[Instance]:
        known = clip.instances(frame)
        return known if frame in frames else [replace(one, amodal=None) for one in known]

    return Clip(clip.name, clip.video, instances, annotated=sorted(frames))


def test_only_frames_with_full_masks_are_learnt_from(tmp_path: Path) -> None:
    none, some = without_full_masks(CLIPS[0], set()), without_full_masks(CLIPS[1], {2})
    with pytest.raises(InputError, match="no amodal masks, only visible ones"):
        train(tiny_sam(), [none], [none], tmp_path / "none", OPTIONS)
    train(tiny_sam(), [none, some], [none, some], tmp_path / "some", replace(OPTIONS, steps=1))
    first = FrameSamples([none, some], 64, OPTIONS)
    assert {id(clip) for clip, frames in zip(first.clips, first.frames, strict=True) if frames} == {id(some)}
    visible = FrameSamples([none], 64, replace(OPTIONS, target="visible"))
    assert visible[0]["valid"].any()
