"""`samodal train`: from the words of the command line to a model, clips, and the loop."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from samodal.data import open_dataset
from samodal.data.clip import Clip
from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.sam.load import load_model
from samodal.sam.lora import LoraOptions
from samodal.train.loop import train

if TYPE_CHECKING:
    from samodal.cli import Train


def run(command: "Train") -> None:
    """Train as the command line says; print where the best model is."""
    clips = list(open_dataset(command.dataset, command.root, "train"))
    validation = list(open_dataset(command.dataset, command.root, "val"))
    _refuse_shared_clips(command.root, clips, validation)
    model = build_model(command)
    best = train(model, clips, validation, command.out, command.options, command.resume)
    if best:  # of several processes one validates
        print(f"best: step {best['step']}, validation IoU {best['iou']:.3f}: {command.out / 'best'}")


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


def _refuse_shared_clips(root: Path, clips: Sequence[Clip], validation: Sequence[Clip]) -> None:
    shared = {clip.name for clip in clips} & {clip.name for clip in validation}
    if shared:
        raise InputError(
            f"{root}: sequence {sorted(shared)[0]} is in both train and val; keep the splits apart"
        )
