"""Data sets: one reader (and writer) a format, all of them giving clips."""

from collections.abc import Sequence
from importlib import import_module
from inspect import signature
from pathlib import Path
from typing import Any

from samodal.data.clip import Clip, Instance
from samodal.errors import InputError

__all__ = ["Clip", "Instance", "open_dataset"]

DATASETS = {  # name -> module and class, imported when asked for
    "asd": ("samodal.data.asd", "AsdDataset"),
    "amodalsynthdrive": ("samodal.data.asd", "AsdDataset"),
}


def open_dataset(name: str, root: str | Path, split: str = "val", **options: Any) -> Sequence[Clip]:
    """Open a data set: a sequence of clips, each a video with the truth of every frame.

    Args:
        name: "asd" or "amodalsynthdrive", the layout of AmodalSynthDrive, which `samodal synth` writes too.
        root: its folder.
        split: train, val or test.
        options: of the reader, such as `camera` and `sequences` of `samodal.data.asd.AsdDataset`.

    Raises:
        InputError: unknown name or option, or the folder does not hold such a data set.
    """
    if name not in DATASETS:
        raise InputError(f"unknown data set {name!r}; known are {', '.join(DATASETS)}")
    module, reader = DATASETS[name]
    open_it = getattr(import_module(module), reader)
    try:
        signature(open_it).bind(root, split, **options)
    except TypeError as error:
        raise InputError(f"data set {name!r}: {error}") from None
    return open_it(root, split, **options)
