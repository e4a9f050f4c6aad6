"""Finding and reading the files of a model, safely: a file can never run code."""

import json
import pickle
import warnings
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path

import torch
from huggingface_hub import snapshot_download
from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor
from transformers import SamConfig

from samodal import files
from samodal.errors import InputError
from samodal.sam.config import AmodalSamConfig

State = dict[str, Tensor]

BUNDLED = ("samodal-nano",)
WEIGHTS = Path(__file__).parents[1] / "weights"
TIED = "prompt_encoder.shared_embedding.positional_embedding"
TIED_TO = "shared_image_embedding.positional_embedding"

NOTE = "samodal_config"


def find_folder(name: str | Path) -> Path:
    """The folder of a model: a bundled one by its name, a folder, or a Hugging Face id (from the cache).

    Raises:
        InputError: there is no such model.
    """
    if str(name) in BUNDLED:
        folder = WEIGHTS / str(name)
        if not (folder / "config.json").is_file():
            raise InputError(
                f"{folder}: the bundled model {name} is missing from this installation; install again"
            )
        return folder
    path = Path(name)
    if path.is_dir():
        return path
    if path.is_file():
        raise InputError(
            f"{path}: a file, but a model is a folder; original checkpoints: AmodalSam.from_original"
        )
    try:
        return Path(snapshot_download(str(name), allow_patterns=["config.json", "*.safetensors"]))
    except HFValidationError:
        raise InputError(f"{name}: no such folder, nor a Hugging Face id (owner/name)") from None
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(
            f"{name}: no such folder, and not to be had from Hugging Face either ({reason})"
        ) from None


def read_config(folder: Path) -> AmodalSamConfig:
    """Read `config.json`, ours or one of transformers' `SamModel`.

    Raises:
        InputError: not there, or not the configuration of a SAM.
    """
    path = folder / "config.json"
    return to_config(files.read_json(path), str(path))


def to_config(values: object, name: str) -> AmodalSamConfig:
    """The configuration in what was read from JSON.

    Raises:
        InputError: not the configuration of a SAM.
    """
    if not isinstance(values, dict) or values.get("model_type") != "sam":
        raise InputError(f"{name}: not the configuration of a SAM (model_type 'sam' is expected)")
    try:
        return AmodalSamConfig.from_sam(SamConfig(**values))
    except InputError as error:
        raise InputError(f"{name}: {error}") from None
    except Exception as error:  # transformers has many classes of error for a value that does not fit
        raise InputError(f"{name}: not the configuration of a SAM ({one_line(error)})") from None


def read_weights(folder: Path) -> State:
    """Read `model.safetensors` of a folder, in our own (transformers') names; tied weights come once.

    Raises:
        InputError: not there or not readable.
    """
    parts = [folder / "model.safetensors"]
    if not parts[0].is_file():
        parts = sorted(folder.glob("model-*-of-*.safetensors"))
    if not parts:
        raise InputError(
            f"{folder}: has no model.safetensors; only safetensors are read, save the model in that format"
        )
    state: State = {}
    for part in parts:
        state |= read_safetensors(part)
    if TIED in state:
        tied = state.pop(TIED)
        if not torch.equal(state.setdefault(TIED_TO, tied), tied):
            raise InputError(f"{folder}: {TIED} and {TIED_TO} differ, but they are one weight")
    return state


def read_safetensors(path: Path) -> State:
    """Read one safetensors file.

    Raises:
        InputError: not there, truncated or of another format.
    """
    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: cannot be read as safetensors ({one_line(error)})") from None


def read_exported(path: Path) -> State:
    """Read one safetensors file in the original's naming, with the note that `note_config` put into it.

    Raises:
        InputError: not there, truncated or of another format.
    """
    state = OrderedDict(read_safetensors(path))
    with safe_open(path, framework="pt") as file:
        note = (file.metadata() or {}).get(NOTE)
    return state if note is None else note_config(state, note)


def note_config(state: State, note: str) -> State:
    """Note a configuration (JSON) where `torch.save` keeps it and `load_state_dict` ignores it.

    The original's naming has no place for it, and the shapes of the weights do not tell all of it.
    """
    noted = OrderedDict(state)
    noted._metadata = {"": {"version": 1, NOTE: note}}  # type: ignore[attr-defined]
    return noted


def carried_config(content: object, name: str) -> AmodalSamConfig | None:
    """The configuration that `note_config` noted in a state dict, None where there is none.

    Raises:
        InputError: what is noted is not a configuration.
    """
    metadata = getattr(content, "_metadata", None)
    top = metadata.get("") if isinstance(metadata, Mapping) else None
    note = top.get(NOTE) if isinstance(top, Mapping) else None
    if not isinstance(note, str):
        return None
    try:
        values = json.loads(note)
    except (ValueError, RecursionError):
        values = None
    return to_config(values, f"{name}, the noted configuration")


def read_pickle(path: Path) -> object:
    """Read a file of `torch.save`. Objects that are not tensors (schedulers, options) become empty stand-ins.

    Raises:
        InputError: truncated, not such a file, or one that would run a program.
    """
    try:
        foreign = []
        if zipfile.is_zipfile(path):  # before torch 1.6 it was another format, which cannot be searched
            foreign = torch.serialization.get_unsafe_globals_in_checkpoint(path)
        stand_ins: list = [
            (empty_dict if name == "collections.defaultdict" else StandIn, name) for name in foreign
        ]
        with torch.serialization.safe_globals(stand_ins), warnings.catch_warnings():
            # Of pickles by others torch warns that it might fail; where it does, that is said below.
            warnings.filterwarnings("ignore", "Detected pickle protocol", UserWarning)
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError:
        reason = "it is damaged, or has content that only running code could restore"
    except Exception as error:  # a damaged file can raise anything
        reason = one_line(error)
    raise InputError(f"{path}: cannot be read as a checkpoint of torch.save ({reason})")


def empty_dict(*_: object) -> dict:
    """Stands for a defaultdict, whatever its default."""
    return {}


class StandIn:
    """What is left of a pickled object of any class: nothing. S-AModal's training pickles its scheduler."""

    def __new__(cls, *_: object) -> "StandIn":
        """Take any arguments."""
        return super().__new__(cls)

    def __init__(self, *_: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass


def one_line(error: Exception) -> str:
    """The first line of an error's text, or its class where it has none."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)
