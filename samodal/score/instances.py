"""Instances as columns: what the sums of average precision need of the entries of a file.

An instance is a track: the masks of one thing, one a frame. In an image it is a track of one frame.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np

from samodal.errors import InputError
from samodal.score.entries import Entries, MaskTable
from samodal.score.protocols import UNKNOWN_OCCLUSION, Protocol


@dataclass
class Instances:
    """N annotations or results, as columns.

    Attributes:
        entries: the dicts they were read from.
        id: int64 (N,).
        place: id of the video or image, int64 (N,).
        category: int64 (N,).
        masks: one a frame of every instance.
        size: area in pixels, by which it belongs to a class, float64 (N,).
    """

    entries: Entries
    id: np.ndarray
    place: np.ndarray
    category: np.ndarray
    masks: MaskTable
    size: np.ndarray


@dataclass
class TrueInstances(Instances):
    """What truth has besides: occlusion score float64 (N,), `crowd` and `ignore` as the file says, bool (N,)."""

    occlusion: np.ndarray
    crowd: np.ndarray
    ignore: np.ndarray


@dataclass
class PredictedInstances(Instances):
    """What predictions have besides: scores, float64 (N,)."""

    score: np.ndarray


def read_places(truth: Any, key: str) -> np.ndarray:
    """The ids of the videos or images of a truth file, int64 (N,)."""
    return Entries(part(truth, key), key.removesuffix("s")).unique("id")


def read_categories(truth: Any) -> np.ndarray:
    """The ids of the categories that a truth file lists, int64 (N,); it need not list any."""
    return Entries(truth.get("categories", ()), "category").whole_numbers("id")


def part(truth: Any, key: str) -> Any:
    """What a truth file has under `key`.

    Raises:
        InputError: it does not.
    """
    if not isinstance(truth, dict):
        raise InputError(f"truth: a dict with {key!r} is expected, not {type(truth).__name__}")
    if key not in truth:
        raise InputError(f"truth: no {key!r}")
    return truth[key]


def occlusion_rates(entries: Entries, rules: Protocol) -> list[Any]:
    """`occlude_rate` of every annotation; None where there is none.

    Raises:
        InputError: the protocol needs them all, but one is missing.
    """
    rates = entries.column("occlude_rate", None)
    if None in rates and rules.occlusions["all"][0] > UNKNOWN_OCCLUSION:
        name = entries.name(rates.index(None))
        raise InputError(f"{name}: no 'occlude_rate', which protocol {rules.name!r} needs; 'strict' does not")
    return rates


@dataclass
class Grouped:
    """Some instances, ordered by the group in which they may match.

    Attributes:
        rows: which instances, int (n,).
        group: of each of them, int (n,), rising.
    """

    rows: np.ndarray
    group: np.ndarray
