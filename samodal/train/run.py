"""`samodal train`: from the words of the command line to a model, clips, and the loop."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from samodal.check.quick import quick_check
from samodal.data import open_dataset
from samodal.data.clip import Clip
from samodal.errors import InputError
from samodal.export.card import run_facts, write_card
from samodal.sam import AmodalSam
from samodal.sam.load import load_model
from samodal.sam.lora import LoraOptions
from samodal.train.loop import train

if TYPE_CHECKING:
    from samodal.commands import Train

CHECK_SECONDS = 30
"""For the check of the data before a training; a large set would take many minutes."""


def run(command: "Train") -> None:
    """Train as the command line says; print where the best model is."""
    sets = {split: open_dataset(command.dataset, command.root, split) for split in ("train", "val")}
    clips, validation = list(sets["train"]), list(sets["val"])
    _refuse_shared_clips(command.root, clips, validation)
    first_process = os.environ.get("RANK", "0") == "0"  # where accelerate or torchrun started several
    if command.check and first_process:
        _refuse_faults(command.root, sets)
    model = build_model(command)
    best = train(model, clips, validation, command.out, command.options, command.resume)
    if best:  # of several processes one validates
        for name in ("best", "last"):
            _write_card(command, command.out / name, len(clips), len(validation))
        print(f"best: step {best['step']}, validation IoU {best['iou']:.3f}: {command.out / 'best'}")


def _write_card(command: "Train", folder: Path, clips: int, validation: int) -> None:
    """Say in the model's folder what it is, what was done to make it, and how well it does."""
    data = f"{command.dataset}: {clips} clips to learn from, {validation} to validate on"
    write_card(folder, replace(run_facts(folder), base=command.model, data=data))


def build_model(command: "Train") -> AmodalSam:
    """The model to start from, with the adapter and the prompt kinds that were asked for."""
    start = command.start
    model = load_model(
        command.model,
        start.adapter,
        start.adapter_dim,
        new_adapter=True,
        seed=command.options.seed,
        fresh_adapter=start.fresh_adapter,
        lora=LoraOptions(start.lora_alpha, start.lora_mlp),
    )
    if start.prompt_kinds:
        model.config.prompt_kinds = list(start.prompt_kinds)
    return model


def _refuse_faults(root: Path, sets: Mapping[str, Sequence[Clip]]) -> None:
    """Check as much of the data as there is time for.

    Raises:
        InputError: something is wrong with them that `samodal check` calls an error.
    """
    findings, checked, total = quick_check(sets, CHECK_SECONDS)
    errors = [str(finding) for finding in findings if finding.severity == "error"]
    if errors:
        raise InputError(
            f"{root}: {'; '.join(errors[:3])}{'; ...' if len(errors) > 3 else ''}. samodal check {root} says all of "
            "it; --no-check trains nevertheless"
        )
    rest = "" if checked == total else f" (all there was time for; samodal check {root} looks at all)"
    print(f"check: no errors in {checked} of {total} clips{rest}", flush=True)


def _refuse_shared_clips(root: Path, clips: Sequence[Clip], validation: Sequence[Clip]) -> None:
    """Make sure that nothing is validated on what was learnt from.

    Where names are mere numbers (KINS: 000000 on, in each split anew) the pictures say whether they are the same; of
    one such pair, because a split that was taken for the other is so from the first clip on.
    """
    learnt = {clip.name: clip for clip in clips}
    shared = [(learnt[clip.name], clip) for clip in validation if clip.name in learnt]
    named = [clip for _, clip in shared if not clip.name.isdigit()]
    same = named[:1] or [clip for one, clip in shared[:1] if np.array_equal(one.video[0], clip.video[0])]
    if same:
        raise InputError(f"{root}: {same[0].name} is in both train and val; keep the splits apart")
