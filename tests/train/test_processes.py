"""Two processes that share each batch learn what one process learns."""

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from samodal.sam import AmodalSam

RUN = """
import sys
from toys import tiny_sam, toy_clip
from samodal.train.loop import train
from samodal.train.options import TrainOptions

import torch
torch.set_num_threads(1)
# Frames with one instance and with two, some with a hidden part: the processes must weigh them alike.
options = TrainOptions(
    instances=2, accumulate=int(sys.argv[3]), mask_prompt=0.5, box_prompt=0.5, steps=4, batch=4, lr=1e-3, warmup=2,
    validate_every=2, validation_frames=2, workers=0, log_every=1,
)
clips = [toy_clip(seed) for seed in range(2)]
if sys.argv[2] == "resume":
    train(tiny_sam(), clips, clips, sys.argv[1], options, resume=True)
else:
    best = train(tiny_sam(), clips, clips, sys.argv[1], options)
    print("best", sorted(best))
"""


def launch(out: Path, processes: int, what: str = "start", accumulate: int = 1) -> list[str]:
    """Run the training in so many processes of the gloo backend; what each of them printed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    common = {
        "ACCELERATE_USE_CPU": "1",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(processes),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": str(Path(__file__).parents[1]),
    }
    running = [
        subprocess.Popen(
            [sys.executable, "-c", RUN, str(out), what, str(accumulate)],
            env={**os.environ, **common, "RANK": str(rank), "LOCAL_RANK": str(rank)},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(processes)
    ]
    try:
        printed = [process.communicate(timeout=300)[0] for process in running]
    finally:
        for process in running:
            process.kill()
    assert [process.returncode for process in running] == [0] * processes, printed
    return printed


@pytest.mark.slow
def test_two_processes_learn_what_one_learns(tmp_path: Path) -> None:
    launch(tmp_path / "one", 1)
    first, second = launch(tmp_path / "two", 2)
    assert "plan" not in second
    assert "iou" in first
    assert "best []" in second
    launch(tmp_path / "parts", 2, accumulate=2)
    for run in ("two", "parts"):
        compare(tmp_path / "one", tmp_path / run)
    launch(tmp_path / "two", 2, "resume")


def compare(one: Path, other: Path) -> None:
    """The losses of every step, and the weights after the last one."""
    lines, others = (
        [json.loads(line) for line in (run / "log.jsonl").read_text().splitlines()] for run in (one, other)
    )
    losses = ("loss", "focal", "dice", "hidden", "iou")
    logged = 0
    for line, same in zip(lines, others, strict=True):
        if "focal" in line:
            assert {name: line[name] for name in losses} == pytest.approx(
                {name: same[name] for name in losses}, rel=1e-4, abs=2e-6
            )
            logged += 1
    assert logged == 4
    weights = dict(AmodalSam.from_pretrained(one / "last").named_parameters())
    for name, weight in AmodalSam.from_pretrained(other / "last").named_parameters():
        if name.endswith("k_proj.bias"):  # softmax leaves it no gradient but noise, which Adam makes large
            continue
        torch.testing.assert_close(
            weight, weights[name], atol=1e-4, rtol=1e-3, msg=lambda m, n=name: f"{n}: {m}"
        )
