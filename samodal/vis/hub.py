"""Models of Hugging Face `transformers`: from a hub's id or a folder, whole or not at all."""

import sys
from pathlib import Path
from typing import Any

import torch

from samodal.errors import InputError

OFFLINE = (
    "without a network, fetch it where there is one (hf download {name} --local-dir FOLDER) and give the folder, "
    "or make the masks in another way (docs/own_video.md)"
)


def read_config(name: str) -> Any:
    """The configuration of a model, downloaded where it is not here.

    Raises:
        InputError: there is none of this name.
    """
    from huggingface_hub.utils.logging import set_verbosity_error
    from transformers import AutoConfig

    set_verbosity_error()  # where there is no network, it would say so before each of its attempts
    try:
        return AutoConfig.from_pretrained(name)
    except (OSError, ValueError, KeyError) as error:  # not there, no network, no access; not a model
        cure = "" if Path(name).exists() else f"; {OFFLINE.format(name=name)}"
        raise InputError(f"--vis.model {name}: {_first_line(error).rstrip('.')}{cure}") from error


def load_weights(model_class: Any, name: str, device: torch.device) -> Any:
    """A model for inference, all of its weights read from a folder or the hub.

    Raises:
        InputError: there are no weights, or some are missing or of another shape.
    """
    from transformers.utils.logging import disable_progress_bar

    if not sys.stderr.isatty():
        disable_progress_bar()
    try:
        model, report = model_class.from_pretrained(name, output_loading_info=True)
    except (OSError, ValueError, RuntimeError, ImportError) as error:
        raise InputError(f"--vis.model {name}: {_first_line(error)}") from error
    if missing := sorted(report["missing_keys"]):
        raise InputError(
            f"--vis.model {name}: {len(missing)} weights are missing in it, such as {missing[0]}; "
            f"is it a {model_class.__name__}?"
        )
    return model.to(device).eval()


def _first_line(error: Exception) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
