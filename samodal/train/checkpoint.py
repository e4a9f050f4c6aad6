"""A run on disk: what it is made of, where it stands, and how it is taken up again.

options.json     what the run is made of; it is resumed with the same or not at all
log.jsonl        what it said
last/, best/     model folders; last/training.pt holds the rest of the state
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from samodal import files
from samodal.data.clip import Clip
from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.train.options import TrainOptions

CHANGES_NOTHING = (
    *("workers", "cache", "cache_gb", "checkpointing", "log_every", "save_every", "tensorboard"),
    "model.transformers_version",
)


def identity(
    model: AmodalSam, clips: Sequence[Clip], validation: Sequence[Clip], options: TrainOptions
) -> dict[str, Any]:
    """What a run is made of, and must be when it is resumed, as it comes out of JSON."""
    values = {
        **{f"model.{name}": value for name, value in model.config.to_dict().items()},
        **asdict(options),
        "clips": [clip.name for clip in clips],
        "validation clips": [clip.name for clip in validation],
    }
    for name in CHANGES_NOTHING:
        values.pop(name, None)
    return json.loads(json.dumps(values))


def prepare(out: Path, made_of: dict[str, Any], resume: bool) -> None:
    """Begin a run in `out`, or make sure that the one in it is this one, and whole.

    Raises:
        InputError: `out` holds a run and `resume` is False, or none or another one and `resume` is True.
    """
    known = out / "options.json"
    if not resume:
        if (out / "log.jsonl").exists() or (out / "last").exists():
            raise InputError(
                f"{out}: holds a training run already; go on with --resume, or choose another --out"
            )
        files.write_json(known, made_of, indent=1)
        return
    if not known.exists():
        raise InputError(f"{out}: no training run to resume; start one without --resume")
    saved = files.read_json(known)
    if different := sorted(name for name in {*saved, *made_of} if saved.get(name) != made_of.get(name)):
        raise InputError(
            f"{known}: other options than now ({', '.join(different)}); resume with the same ones"
        )
    for name in ("last", "best"):
        folder = out / name
        _, old = _beside(folder)
        if not folder.exists() and old.exists():  # cut off between the two renames of `save`
            old.rename(folder)


def load(last: Path, model: AmodalSam, optimiser: torch.optim.Optimizer) -> dict[str, Any]:
    """Give `model` and `optimiser` the state of the last checkpoint.

    Returns:
        The rest of that state ("step", "best", "averages"); empty where the run was cut off before the first one.

    Raises:
        InputError: a file of the checkpoint is missing or damaged.
    """
    if not last.exists():
        return {}
    rest = last / "training.pt"
    try:
        saved = torch.load(rest, weights_only=True, map_location="cpu")
    except (OSError, RuntimeError, EOFError, UnpicklingError):
        raise InputError(
            f"{rest}: missing or damaged, so that this run cannot go on; start another one with --model {last}"
        ) from None
    model.load_state_dict(AmodalSam.from_pretrained(last).state_dict())
    optimiser.load_state_dict(saved.pop("optimiser"))
    return saved


def save(folder: Path, model: AmodalSam, state: dict[str, Any] | None = None) -> None:
    """Write a model folder beside the old one, then take its place: a cut run always leaves a whole one."""
    temporary, old = _beside(folder)
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(temporary)
    if state is not None:
        torch.save(state, temporary / "training.pt")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _beside(folder: Path) -> tuple[Path, Path]:
    """Where the new and the old content of a folder are while they are exchanged."""
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
