"""What a run says: lines of JSON, the same on the screen, and TensorBoard's files if asked for."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from accelerate import Accelerator

from samodal import files
from samodal.errors import missing_extra


class RunLog:
    """The log of a run in the folder `out`; entries after `step`, which will be done again, are dropped.

    Raises:
        InputError: TensorBoard's files are wanted and the package is not installed.
    """

    def __init__(self, out: Path, step: int, tensorboard: bool) -> None:
        self.path = out / "log.jsonl"
        if self.path.exists():
            lines = [line for line in self.path.read_text().splitlines() if _step_of(line) <= step]
            files.write_text(self.path, "".join(line + "\n" for line in lines))
        self.board = _board(out / "tensorboard", step) if tensorboard else None

    def write(self, entry: Mapping[str, float]) -> None:
        """Note numbers of a step, which is one of them."""
        entry = {name: float(f"{value:.7g}") for name, value in entry.items()}
        with self.path.open("a") as log:
            log.write(json.dumps(entry) + "\n")
        print("  ".join(f"{name} {value:g}" for name, value in entry.items()), flush=True)
        if self.board:
            group = "validation" if "iou_full" in entry else "training"
            for name, value in entry.items():
                if name != "step":
                    self.board.add_scalar(f"{group}/{name}", value, int(entry["step"]))
            self.board.flush()

    def show(self, step: int, pictures: Mapping[str, np.ndarray]) -> None:
        """Note pictures, uint8 (H, W, 3), by name."""
        if self.board:
            for name, picture in pictures.items():
                self.board.add_image(name, picture, step, dataformats="HWC")
            self.board.flush()


def _step_of(line: str) -> float:
    """The step of a line of the log; of one that was cut off while it was written, endlessly far."""
    try:
        return float(json.loads(line)["step"])
    except ValueError:
        return math.inf


def _board(folder: Path, step: int) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise missing_extra("tensorboard", "tensorboard", "writing TensorBoard's files") from None
    return SummaryWriter(str(folder), purge_step=step + 1)


class Averages:
    """Means of the loss parts since they were last taken, over all processes.

    Nothing here waits for the device, or for other processes, before the means are taken.
    """

    def __init__(self, accelerator: Accelerator) -> None:
        self.accelerator = accelerator
        self.sums: dict[str, torch.Tensor] = {}
        self.steps = 0
        self.broken = torch.full((1,), NEVER, device=accelerator.device)

    def add(self, parts: Mapping[str, torch.Tensor]) -> None:
        """Add the loss of a part of a batch."""
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()

    def end_step(self, step: int, norm: torch.Tensor) -> None:
        """The step's loss is complete, and this is the norm of its gradient."""
        self.steps += 1
        fine = torch.isfinite(norm) & torch.isfinite(self.sums["loss"])
        self.broken = torch.where(fine, self.broken, self.broken.clamp(max=step))

    def broken_step(self) -> int | None:
        """The first step in which a loss or a gradient was not finite; None if there is none."""
        first = int(self.accelerator.gather(self.broken).min())
        return None if first == NEVER else first

    def take(self) -> dict[str, float]:
        """The means, and begin anew."""
        state = self.state()
        means = {name: float(total) / state["steps"] for name, total in state["sums"].items()}
        self.sums, self.steps = {}, 0
        return means

    def state(self) -> dict[str, Any]:
        """What `load` takes in order to go on from here, in any number of processes."""
        return {"sums": self.accelerator.reduce(dict(self.sums), "mean"), "steps": self.steps}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from where `state` was taken."""
        self.sums = {name: total.to(self.accelerator.device) for name, total in state["sums"].items()}
        self.steps = state["steps"]


NEVER = 2**62
