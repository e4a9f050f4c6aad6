"""`samodal predict`: from the words of the command line to the files in its folder."""

from pathlib import Path
from typing import TYPE_CHECKING

import torch

from samodal.data.visible import read_visible
from samodal.errors import InputError
from samodal.pipeline import AmodalVideoSegmenter
from samodal.progress import progress
from samodal.results import prepare_folder, run_facts, write_results
from samodal.sam.load import load_model
from samodal.video import Video

if TYPE_CHECKING:
    from samodal.cli import Predict


def predict(command: "Predict") -> None:
    """Read, predict, write; say at the end what was found and where it lies."""
    video = Video.open(command.video)
    visible = read_visible(command.visible, video, command.video_id)
    out = command.out or Path("runs/predict") / video.name
    model = load_model(command.model, command.adapter, device=choose_device(command.device))
    segmenter = AmodalVideoSegmenter(
        model,
        command.tracker,
        command.recover,
        command.prompt,
        command.seed,
        command.batch,
        command.unite_visible,
        command.refine,
    )
    facts = run_facts(
        video=str(command.video),
        visible=str(command.visible),
        model=command.model,
        recover=command.recover,
        refine=command.refine,
        prompt=f"{command.prompt.count} {command.prompt.strategy}",
        seed=command.seed,
    )
    prepare_folder(out)
    with progress("predicting", len(video)) as advance:
        tracks = segmenter(video, visible, advance)
    write_results(out, video, tracks, facts)
    hidden = sum(state == "hidden" for track in tracks for state in track.states)
    print(
        f"{len(tracks)} tracks in {len(video)} frames, {hidden} masks of completely hidden instances\n"
        f"{out}: amodal.json, overlay.mp4, report.html (open it: samodal show {out})"
    )


def choose_device(name: str | None) -> torch.device:
    """The device that was asked for, or the best there is.

    Raises:
        InputError: no such device here.
    """
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        raise InputError(f"--device {name}: not available here; leave it out for the best there is") from None
    return device
