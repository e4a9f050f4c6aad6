import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.data import open_dataset
from samodal.data.clip import Clip, Instance
from samodal.data.write.asd_sequence import write_sequence
from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.train import loop, processes
from samodal.train.cache import EmbeddingCache
from samodal.train.loop import choose_trainable, train
from samodal.train.options import TrainOptions
from samodal.train.recipe import read_recipe
from samodal.train.samples import FrameSamples, collate
from samodal.video import Video

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
    ("adapter", "learns"), [("sam-adapter", True), ("medical-adapter", True), ("lora", True), ("none", False)]
)
def test_what_is_said_to_train_does_train(adapter: str, learns: bool, tmp_path: Path) -> None:
    model = tiny_sam(adapter)
    before = weights(model)
    train(model, CLIPS, CLIPS, tmp_path, replace(OPTIONS, steps=3))
    changed = {name for name, weight in model.state_dict().items() if not torch.equal(weight, before[name])}
    trainable = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert changed <= trainable
    assert any("mask_decoder.iou_prediction_head" in name for name in changed)
    adapters = ("prompt_generator", "space_adapter", "mlp_adapter", "lora_")
    assert any(part in name for name in changed for part in adapters) == learns
    assert not any("qkv" in name for name in changed if "lora_" not in name)
    assert AmodalSam.from_pretrained(tmp_path / "last").config.adapter == adapter


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
    logs = [(tmp_path / run / "log.jsonl").read_text().splitlines() for run in ("whole", "cut")]
    whole_log, cut_log = ([{**json.loads(line), "seconds": None} for line in log] for log in logs)
    assert whole_log == cut_log


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


@pytest.fixture
def written_samples(tmp_path: Path) -> FrameSamples:
    """Of files, with a cache: all that a loader's process is sent."""
    clip = CLIPS[0]
    frames = ((clip.video[frame], clip.instances(frame)) for frame in range(len(clip)))
    write_sequence(tmp_path, "train", "front", f"{0:014d}_Clear_Toy", frames, {})
    cache = EmbeddingCache(tmp_path / "cache", "encoder", 1e9)
    return FrameSamples(list(open_dataset("asd", tmp_path, "train")), 64, OPTIONS, cache)


def test_samples_can_be_sent_to_another_process(written_samples: FrameSamples) -> None:
    assert pickle.loads(pickle.dumps(processes.prepare_worker)) is processes.prepare_worker
    again = pickle.loads(pickle.dumps(written_samples))
    assert torch.equal(again[3]["target"], written_samples[3]["target"])


@pytest.mark.slow
def test_loader_processes_can_be_spawned(written_samples: FrameSamples) -> None:
    loader = DataLoader(
        written_samples, 2, num_workers=1, collate_fn=collate, multiprocessing_context="spawn"
    )
    together = collate([written_samples[0], written_samples[1]])
    assert torch.equal(next(iter(loader))["target"], together["target"])


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
        {"epochs": 0},
        {"batch": 0},
        {"workers": -1},
        {"crop": 1.5},
        {"mask_prompt": -0.1},
        {"lr": 0},
        {"mask_prompt": 0.0, "box_prompt": 0.0, "point_prompt": 0.0},
        {"strategy": "nearest"},
        {"saliency": "no_such_module:here", "strategy": "saliency"},
        {"lr": float("nan")},
        {"weight_decay": -1.0},
        {"beta2": 1.5},
        {"beta1": 1.0},
        {"order": "epochs"},
        {"loss_size": "frame"},
    ],
)
def test_options_that_cannot_be_are_refused(wrong: dict) -> None:
    with pytest.raises(InputError, match=next(iter(wrong))):
        TrainOptions(**wrong)


def test_the_recipe_of_the_original_runs(tmp_path: Path) -> None:
    recipe = read_recipe("reference")
    model = tiny_sam(recipe.start.adapter)
    before = weights(model)
    options = replace(recipe.train, epochs=2, warmup=3, validation_frames=2, workers=0)
    train(model, CLIPS, CLIPS, tmp_path, options)
    changed = {name for name, weight in weights(model).items() if not torch.equal(weight, before[name])}
    assert changed
    assert all(name.startswith("mask_decoder.") and "iou_prediction_head" not in name for name in changed)
    log = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert log[-1]["step"] == 2 * len(FrameSamples(CLIPS, 64, options).every)


def test_an_epoch_shows_each_instance_once() -> None:
    options = replace(
        OPTIONS, order="epochs", instances=1, epochs=2, batch=3, augment=False, crop=0.0, loss_size="frame"
    )
    samples = FrameSamples(CLIPS, 64, options)
    shown = [samples.shuffled(index) for index in range(len(samples))]
    epoch = len(samples) // 2
    assert epoch == len(samples.every) // 3 * 3
    for half in (shown[:epoch], shown[epoch:]):
        assert len({(id(clip), frame, one.track_id) for clip, frame, [one] in half}) == epoch
    assert [frame for _, frame, _ in shown[:epoch]] != [frame for _, frame, _ in shown[epoch:]]
    one = shown[0][2][0]
    sample = samples[0]
    assert sample["target"].shape == (1, 48, 64)
    assert torch.equal(sample["target"][0].bool(), torch.from_numpy(masks.decode(one.amodal)))
    with pytest.raises(InputError, match="batch 100: more than"):
        FrameSamples(CLIPS, 64, replace(options, batch=100))


def test_frames_of_different_sizes_are_not_compared_at_their_size_in_one_batch(tmp_path: Path) -> None:
    images = [np.zeros((30, 40, 3), np.uint8)]
    other = Clip("other", Video.from_frames(images, name="other"), lambda _: [])
    options = replace(OPTIONS, loss_size="frame", crop=0.0, batch=2)
    with pytest.raises(InputError, match=r"loss_size frame: frames of different sizes .*\(30, 40\)"):
        train(tiny_sam(), [*CLIPS, other], CLIPS, tmp_path, options)


def test_galore_is_resumed(tmp_path: Path) -> None:
    options = replace(OPTIONS, optimiser="galore", galore_rank=2, galore_every=2)
    train(tiny_sam(), CLIPS, CLIPS, tmp_path, options)
    saved = torch.load(tmp_path / "last/training.pt", weights_only=True)
    assert any("projector" in state for state in saved["optimiser"]["state"].values())
    train(tiny_sam(), CLIPS, CLIPS, tmp_path, options, resume=True)


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
