"""Why a run ends early: a signal, which is noted and obeyed between two steps, or a loss that is not finite."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch
from accelerate import Accelerator

from samodal.errors import StoppedError
from samodal.train.samples import FrameSamples

AGREE_EVERY = 10
"""Steps after which several processes ask each other whether one of them was told to stop."""


class StopRequest:
    """The number of the signal that came in, 0 for none."""

    number: int = 0


@contextmanager
def noting_signals() -> Iterator[StopRequest]:
    """Note SIGTERM and SIGINT instead of dying of them; a second one acts as usual."""
    request = StopRequest()
    if threading.current_thread() is not threading.main_thread():  # only the main thread may
        yield request
        return

    def note(number: int, _: FrameType | None) -> None:
        request.number = number
        signal.signal(number, before[signal.Signals(number)])

    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    for number in before:
        signal.signal(number, note)
    try:
        yield request
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def leave_signals_to_the_parent() -> None:
    """In a loader worker: who starts a run decides when its workers end (Ctrl-C reaches all of them at once)."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_IGN)


def told_to_stop(request: StopRequest, accelerator: Accelerator, step: int) -> int:
    """The number of the signal that came to any of the processes, 0 for none; all get the same answer.

    Several processes ask each other every few steps only: an answer has to be waited for.
    """
    number = request.number
    if accelerator.num_processes == 1:
        return number
    if step % AGREE_EVERY:
        return 0
    return int(accelerator.gather(torch.tensor([number], device=accelerator.device)).max())


def refuse_to_go_on(number: int, out: Path, step: int, steps: int) -> NoReturn:
    """End a run whose state is saved.

    Raises:
        StoppedError: always; its exit code is the one that shells give to the signal.
    """
    raise StoppedError(
        f"{signal.Signals(number).name}: stopped at step {step} of {steps}, all of it is in {out / 'last'}; "
        "go on with the same command and --resume",
        128 + number,
    )


def refuse_broken(broken: int | None, samples: FrameSamples, out: Path, saved: int) -> None:
    """End a run in which a step went wrong, before anything of it is written.

    Args:
        broken: the first step whose loss or gradient was not finite; None is fine.
        samples: of the run.
        out: its folder.
        saved: the step of the last checkpoint.

    Raises:
        StoppedError: `broken` is a step. The message names its frames.
    """
    if broken is None:
        return
    batch = samples.options.batch
    drawn = (samples.draw(index) for index in range(broken * batch, (broken + 1) * batch))
    places = ", ".join(f"{clip.name} frame {frame}" for clip, frame, _ in drawn)
    kept = f"{out / 'last'} holds step {saved}" if (out / "last").exists() else "there is no checkpoint yet"
    raise StoppedError(
        f"step {broken + 1}: the loss or its gradient is not finite; its frames: {places}. Nothing of it was saved, "
        f"{kept}; a lower --lr, a lower --clip-norm or --dtype fp32 may help, or a look at these frames"
    )
