"""Checkpoints of CoTracker: told apart by the names of their weights, read without running code."""

import logging
import re
from collections.abc import Mapping
from functools import cache
from pathlib import Path

import torch
from torch import Tensor

from samodal.errors import InputError
from samodal.sam.checkpoints import check_fit, read_original
from samodal.track.cotracker.v1 import CoTrackerV1
from samodal.track.cotracker.v3 import CoTrackerV3

LICENCE = "CC-BY-NC 4.0 (non-commercial use only)"

# Weights that only one version has.
_MARKS = {"v1": "ffeat_updater.0.weight", "v2": "track_feat_updater.0.weight", "v3": "corr_mlp.fc1.weight"}


def load_cotracker(
    source: str | Path | Mapping,
    device: torch.device | str | None = None,
    encoder_dtype: torch.dtype | None = None,
) -> CoTrackerV1 | CoTrackerV3:
    """Load the network of CoTracker v1, v3 offline or v3 online; the names of the weights say which it is.

    The file's name does not matter. Weights may lie under "model" or "state_dict", and their names may begin with
    "model." or "module.". The authors' weights are under CC-BY-NC 4.0; this is said once, in the log.

    Args:
        source: a .pth or .safetensors file, or a state dict.
        device: None: CPU.
        encoder_dtype: torch.bfloat16 makes the encoder about three times faster where the processor has it, and
            the features half as large; all else stays in float32, which places need. None: float32.

    Raises:
        InputError: the file cannot be read, is no CoTracker, or lists the weights that are missing, unexpected or
            of another shape.
    """
    state, name = read_original(source)
    state = {re.sub(r"^(model\.)+", "", key): value.float() for key, value in state.items()}
    with torch.device("meta"):
        model = _recognise(state, name)
    check_fit(model.state_dict(), state, name)
    model.load_state_dict(state, assign=True)
    if not isinstance(source, Mapping):
        _tell_licence()
    model.requires_grad_(False).eval().to(device)
    if encoder_dtype is not None:
        model.fnet.to(encoder_dtype)
    return model


def _recognise(state: Mapping[str, Tensor], name: str) -> CoTrackerV1 | CoTrackerV3:
    found = [version for version, mark in _MARKS.items() if mark in state]
    if found == ["v2"]:
        raise InputError(f"{name}: weights of CoTracker v2, which v3 replaces; v1 or v3 is expected")
    if found == ["v1"]:
        return CoTrackerV1()
    if found == ["v3"]:
        times = state.get("time_emb")
        return CoTrackerV3(frames=60 if times is None or times.ndim != 3 else times.shape[1])
    raise InputError(
        f"{name}: not recognised as a CoTracker (v1 has {_MARKS['v1']}, v3 has {_MARKS['v3']}); "
        f"it holds {len(state)} weights, such as {next(iter(state))}"
    )


@cache
def _tell_licence() -> None:
    logging.getLogger("samodal").warning(f"The weights of CoTracker are under {LICENCE}.")
