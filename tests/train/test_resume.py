"""A run that is stopped at any step and taken up again ends as one that was not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from toys import tiny_sam, toy_clip

from samodal.errors import InputError, StoppedError
from samodal.sam import AmodalSam
from samodal.train import loop
from samodal.train.loop import train
from samodal.train.options import TrainOptions

CLIPS = [toy_clip(seed, name=f"toy {seed}") for seed in range(2)]
OPTIONS = TrainOptions(
    instances=2,
    mask_prompt=0.5,
    box_prompt=0.3,
    steps=6,
    batch=2,
    lr=1e-3,
    warmup=2,
    validate_every=4,
    validation_frames=2,
    workers=0,
    log_every=5,
)


def forgetful_sam() -> AmodalSam:
    """A tiny SAM with dropout."""
    model = tiny_sam()
    model.vision_encoder.neck.register_forward_hook(lambda part, _, out: F.dropout(out, 0.2, part.training))
    return model


def before_step(monkeypatch: pytest.MonkeyPatch, wanted: int, act: Callable[[dict], Any]) -> None:
    original = loop.learn_from

    def learn_from(batch: dict, step: int, *rest: Any) -> None:
        if step == wanted:
            act(batch)
        original(batch, step, *rest)

    monkeypatch.setattr(loop, "learn_from", learn_from)


def deliver(number: signal.Signals) -> None:
    """As if the signal came in now. Real ones, below, go to a process of their own: here they could end pytest."""
    handler = signal.getsignal(number)
    assert callable(handler), "the run does not listen"
    assert handler is not signal.default_int_handler, "the run does not listen"
    handler(number, None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[AmodalSam, Path]:
    """A run that nothing happens to."""
    model, folder = forgetful_sam(), tmp_path_factory.mktemp("whole")
    train(model, CLIPS, CLIPS, folder, OPTIONS)
    return model, folder


@pytest.mark.parametrize("step", range(6))
def test_stopped_by_a_signal_at_any_step_and_resumed(
    step: int, whole: tuple[AmodalSam, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut, resumed = forgetful_sam(), forgetful_sam()
    torch.manual_seed(7)  # whatever was drawn before
    number = signal.SIGTERM if step % 2 else signal.SIGINT
    with monkeypatch.context() as patch:
        before_step(patch, step, lambda _: deliver(number))
        if step < 5:
            with pytest.raises(
                StoppedError, match=rf"{number.name}: stopped at step {step + 1} of 6.*--resume"
            ) as stop:
                train(cut, CLIPS, CLIPS, tmp_path / "cut", OPTIONS)
            assert stop.value.exit_code == 128 + number
        else:  # nothing is left to do
            train(cut, CLIPS, CLIPS, tmp_path / "cut", OPTIONS)
    train(resumed, CLIPS, CLIPS, tmp_path / "cut", OPTIONS, resume=True)
    for name, weight in whole[0].state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
    logs = [(folder / "log.jsonl").read_text().splitlines() for folder in (whole[1], tmp_path / "cut")]
    for line, other in zip(*(map(json.loads, log) for log in logs), strict=True):
        assert line | {"seconds": 0} == other | {"seconds": 0}
    states = [
        torch.load(folder / "last" / "training.pt", weights_only=True)
        for folder in (whole[1], tmp_path / "cut")
    ]
    assert str(states[0]) == str(states[1])


def test_a_line_of_the_log_that_was_cut_off_is_dropped(whole: tuple[AmodalSam, Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(whole[1], cut)
    with (cut / "log.jsonl").open("a") as log:
        log.write('{"step": 6, "lo')
    train(forgetful_sam(), CLIPS, CLIPS, cut, OPTIONS, resume=True)
    assert (cut / "log.jsonl").read_text() == (whole[1] / "log.jsonl").read_text()


@pytest.mark.parametrize("content", [None, b"", b"damaged", b"PK\x03\x04"])
def test_a_damaged_checkpoint(content: bytes | None, whole: tuple[AmodalSam, Path], tmp_path: Path) -> None:
    cut = tmp_path / "cut"
    shutil.copytree(whole[1], cut)
    state = cut / "last" / "training.pt"
    state.write_bytes(content) if content is not None else state.unlink()
    with pytest.raises(InputError, match=r"training\.pt: missing or damaged"):
        train(forgetful_sam(), CLIPS, CLIPS, cut, OPTIONS, resume=True)


def test_small_learning_rates_are_logged_as_they_are(tmp_path: Path) -> None:
    options = replace(OPTIONS, lr=1.25e-7, warmup=0, schedule="step", steps=2, log_every=1)
    train(tiny_sam(), CLIPS, CLIPS, tmp_path, options)
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [line["lr"] for line in lines if "lr" in line] == [1.25e-7] * 2


def test_galore_is_cut_and_resumed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("pytorch_optimizer", reason="an extra")
    options = replace(OPTIONS, optimiser="galore", galore_rank=2, galore_every=2)
    whole, resumed = tiny_sam(), tiny_sam()
    train(whole, CLIPS, CLIPS, tmp_path / "whole", options)
    with monkeypatch.context() as patch:
        before_step(patch, 2, lambda _: deliver(signal.SIGTERM))
        with pytest.raises(StoppedError):
            train(tiny_sam(), CLIPS, CLIPS, tmp_path / "cut", options)
    train(resumed, CLIPS, CLIPS, tmp_path / "cut", options, resume=True)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_checkpoints_in_between(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class CutOffError(Exception):
        pass

    def cut(_: dict) -> None:
        raise CutOffError

    before_step(monkeypatch, 3, cut)
    with pytest.raises(CutOffError):
        train(tiny_sam(), CLIPS, CLIPS, tmp_path, replace(OPTIONS, save_every=2))
    assert torch.load(tmp_path / "last" / "training.pt", weights_only=True)["step"] == 2
    with pytest.raises(InputError, match="--resume"):  # nothing is logged yet, but it is there
        train(tiny_sam(), CLIPS, CLIPS, tmp_path, OPTIONS)


def test_a_loss_that_is_not_finite_stops_the_run_and_spoils_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def spoil(batch: dict) -> None:
        batch["target"][0, 0, 0, 0] = float("nan")

    said = r"step 5: .*not finite.* toy \d frame \d, toy \d frame \d.*holds step 3"
    with monkeypatch.context() as patch:
        before_step(patch, 4, spoil)
        with pytest.raises(StoppedError, match=said) as stop:
            train(tiny_sam(), CLIPS, CLIPS, tmp_path, replace(OPTIONS, validate_every=3))
    assert stop.value.exit_code == 1
    assert torch.load(tmp_path / "last" / "training.pt", weights_only=True)["step"] == 3
    for name in ("last", "best"):
        model = AmodalSam.from_pretrained(tmp_path / name)
        assert all(torch.isfinite(weight).all() for weight in model.parameters())
    for line in (tmp_path / "log.jsonl").read_text().splitlines():
        json.loads(line, parse_constant=pytest.fail)
    train(tiny_sam(), CLIPS, CLIPS, tmp_path, replace(OPTIONS, validate_every=3), resume=True)


def test_the_command_says_how_to_go_on(tmp_path: Path) -> None:
    """As a job scheduler stops it: with loader workers, from outside, the whole group of processes."""
    run = (
        "import sys, torch; torch.set_num_threads(1)\n"
        "from samodal import cli\n"
        "from toys import tiny_sam, toy_clip\n"
        "import samodal.train.run as run\n"
        "run.open_dataset = lambda name, root, split: [toy_clip(name=split)]\n"
        "run.build_model = lambda command: tiny_sam()\n"
        "sys.exit(cli.run(['train', 'asd', '--root', '.', '--model', 'tiny', '--out', sys.argv[1],"
        " '--validation-frames', '1', '--validate-every', '5', '--steps', '100000', '--workers', '1']))\n"
    )
    paths = os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])
    running = subprocess.Popen(
        [sys.executable, "-c", run, str(tmp_path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    assert running.stdout is not None
    for line in running.stdout:
        if "step 5 " in line:
            break
    os.killpg(running.pid, signal.SIGTERM)
    until = time.monotonic() + 60
    _, errors = running.communicate(timeout=max(1, until - time.monotonic()))
    assert running.returncode == 143, errors
    assert errors.strip().splitlines()[-1].startswith("samodal: SIGTERM: stopped at step ")
    assert (tmp_path / "last" / "training.pt").exists()
