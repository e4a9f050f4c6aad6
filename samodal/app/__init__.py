"""`samodal app`: a page on this machine to look at a clip, ask the model by clicks, and run it."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from samodal.errors import InputError, missing_extra

if TYPE_CHECKING:
    from samodal.commands import App


def run(command: "App") -> None:
    """Load the model and serve the page until it is interrupted.

    Raises:
        InputError: gradio is missing; no such model, device or clip; a port that is taken.
    """
    for clip in command.clips:
        if not Path(clip).exists():
            raise InputError(f"{clip}: no such file or folder")
    try:
        from samodal.app import page
    except ModuleNotFoundError as error:
        if error.name != "gradio":
            raise
        raise missing_extra("gradio", "app", "samodal app") from None
    from samodal.backends import use_backend
    from samodal.backends.exported import fingerprint
    from samodal.pipeline import AmodalVideoSegmenter
    from samodal.predict import choose_device
    from samodal.sam.load import load_model

    device = "cpu" if command.backend != "torch" and command.device is None else command.device
    model = load_model(command.model, command.adapter, device=choose_device(device))
    model = use_backend(model, command.backend, command.dtype)
    facts = {"model": command.model, "weights": fingerprint(model)}
    facts |= {"backend": command.backend, "dtype": command.dtype}
    segmenter = AmodalVideoSegmenter(model, seed=command.seed)
    with tempfile.TemporaryDirectory(prefix="samodal-app-") as folder:  # uploads and results; gone at the end
        os.environ["GRADIO_TEMP_DIR"] = folder
        built = page.build(segmenter, facts, Path(folder), command.clips)
        address = page.serve(built, command.host, command.port, command.open)
        print(f"samodal app: {address} (Ctrl-C ends it)", flush=True)
        built.block_thread()
