from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from toys import tiny_sam, toy_clip

from samodal.sam import AmodalSam
from samodal.train.loop import choose_trainable, train
from samodal.train.losses import mask_loss
from samodal.train.options import TrainOptions
from samodal.train.pictures import draw_answers
from samodal.train.plan import plan, saved_bytes, what_learns
from samodal.train.validate import pictures

OPTIONS = TrainOptions(instances=3, mask_prompt=0.5, box_prompt=0.0, steps=10, batch=2, validation_frames=2)


def learning_sam(adapter: str, options: TrainOptions) -> AmodalSam:
    model = tiny_sam(adapter)
    choose_trainable(model, options)
    return model


def test_it_says_what_is_about_to_happen() -> None:
    clips = [toy_clip(seed, frames=6) for seed in range(3)]
    text = plan(learning_sam("sam-adapter", OPTIONS), clips, OPTIONS, 4, 1, 2, ["a note"])
    for part in (
        "3 clips with 18 frames, about 2.0 instances",
        "steps 4 to 10 of 2 frames, at most 3 prompts each: 20 samples, 1.1 epochs",
        "image encoder: 0 of 61,216",
        "a note",
        "memory: at least 0.0",
    ):
        assert part in text


def test_parameters_are_counted_by_part() -> None:
    lines = what_learns(learning_sam("medical-adapter", OPTIONS))
    numbers = [[int(word.replace(",", "")) for word in line.split() if word[0].isdigit()] for line in lines]
    assert [sum(column) for column in zip(*numbers[:-1], strict=True)] == numbers[-1]
    assert any(line.startswith("adapter") for line in lines)


@pytest.mark.parametrize(
    ("adapter", "learns"),
    [("none", "adapter"), ("sam-adapter", "adapter"), ("lora", "adapter"), ("none", "all")],
)
def test_activations_are_those_that_a_real_pass_keeps(adapter: str, learns: str) -> None:
    options = replace(OPTIONS, train=learns)  # type: ignore[arg-type]
    model = learning_sam(adapter, options)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    estimate = saved_bytes(model, 2, options, (48, 64))
    assert all(torch.equal(weight, before[name]) for name, weight in model.state_dict().items())

    storages = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage()
        return tensor

    points, cells = torch.rand(2, 3, 3, 2) * 64, torch.rand(2, 3, 16, 16)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        shown = (
            {"embeddings": torch.rand(2, 32, 4, 4)}
            if (adapter, learns) == ("none", "adapter")
            else {"pixels": torch.rand(2, 3, 64, 64)}
        )
        logits, iou = model(
            **shown, points=points, labels=torch.ones(2, 3, 3, dtype=torch.long), mask_prompts=cells
        )
        mask_loss(logits[:, :, 0], iou[:, :, 0], cells, cells, torch.ones(2, 3, dtype=torch.bool))
    for weight in model.parameters():
        storages.pop(weight.untyped_storage().data_ptr(), None)
    assert estimate == pytest.approx(sum(storage.nbytes() for storage in storages.values()), rel=0.02)


def test_cheaper_ways_are_seen_in_the_estimate() -> None:
    options = replace(OPTIONS, train="all")
    model = learning_sam("none", options)
    full, half = saved_bytes(model, 2, options, (48, 64)), saved_bytes(model, 1, options, (48, 64))
    assert half < 0.6 * full
    assert saved_bytes(model, 2, replace(options, loss_size="frame", crop=0.0), (480, 640)) > 2 * full
    assert saved_bytes(model, 2, replace(options, dtype="bf16"), (48, 64)) < 0.9 * full
    model.vision_encoder.checkpointing = True
    assert saved_bytes(model, 2, options, (48, 64)) < full
    frozen = learning_sam("none", OPTIONS)
    assert saved_bytes(frozen, 2, OPTIONS, (48, 64)) < saved_bytes(
        learning_sam("sam-adapter", OPTIONS), 2, OPTIONS, (48, 64)
    )


def test_pictures_show_what_is_seen_said_and_true() -> None:
    frame = np.full((40, 60, 3), 100, np.uint8)
    visible, answer, truth = (np.zeros((1, 40, 60), bool) for _ in range(3))
    visible[0, 10:20, 10:20], answer[0, 10:20, 10:35], truth[0, 10:20, 10:50] = True, True, True
    picture = draw_answers(frame, [3], visible, answer, truth)
    assert picture.shape == (640, 960, 3)
    assert (picture[15 * 16, 15 * 16] != 100).any()  # filled
    assert (picture[15 * 16, 25 * 16] == 100).all()  # not seen: bare
    assert (picture > 200).all(axis=2)[:, 49 * 16 :].any()  # the truth's far edge
    assert (frame == 100).all()


def test_tensorboard_gets_numbers_and_pictures(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator", reason="an extra")
    clips = [toy_clip()]
    options = replace(OPTIONS, steps=2, validate_every=1, workers=0, tensorboard=True)
    model = tiny_sam()
    train(model, clips, clips, tmp_path, options)
    events = reader.EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("validation/iou_full")] == [1, 2]
    assert set(events.Tags()["images"]) == set(pictures(model, clips, options))


def test_without_tensorboard_it_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "torch.utils.tensorboard", None)
    with pytest.raises(ValueError, match=r"pip install 'samodal\[tensorboard\]'"):
        train(tiny_sam(), [toy_clip()], [toy_clip()], tmp_path, replace(OPTIONS, tensorboard=True))
