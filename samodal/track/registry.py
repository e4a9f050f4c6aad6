"""Trackers by name: those of samodal, and those that other packages name as entry points."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any

from samodal.download import find
from samodal.errors import InputError
from samodal.track.interface import PointTracker

GROUP = "samodal.trackers"


def _lucas_kanade() -> PointTracker:
    from samodal.track.lucas_kanade import LucasKanade

    return LucasKanade()


def _cotracker(
    weights: str | Path | None = None, device: str | None = None, bf16: bool = False, **options: Any
) -> PointTracker:
    from samodal.track.cotracker import open_cotracker

    return open_cotracker("v1", find(weights, "cotracker"), device, bf16, **options)


def _cotracker3(
    weights: str | Path | None = None, device: str | None = None, bf16: bool = False, **options: Any
) -> PointTracker:
    from samodal.track.cotracker import open_cotracker

    return open_cotracker("v3", find(weights, "cotracker3"), device, bf16, **options)


def _raft(weights: str | Path | None = None, device: str | None = None, updates: int = 12) -> PointTracker:
    from samodal.track.raft import open_raft

    return open_raft(find(weights, "raft"), device, updates)


BUILT_IN: dict[str, Callable[..., PointTracker]] = {
    "lucas-kanade": _lucas_kanade,
    "cotracker": _cotracker,
    "cotracker3": _cotracker3,
    "raft": _raft,
}


def tracker_names() -> list[str]:
    """The names that `open_tracker` knows: samodal's own ones, then those of other packages."""
    return [*BUILT_IN, *sorted(set(_plug_ins()) - set(BUILT_IN))]


def open_tracker(name: str, **options: Any) -> PointTracker:
    """Open a tracker.

    Args:
        name: one of `tracker_names()`.
        options: what this tracker takes: "cotracker", "cotracker3" and "raft" the file of `weights` (None: the one that
            `samodal download` fetched) and `device` (None: CPU); the first two `bf16` (the encoder in bfloat16) and the
            arguments of `CoTracker` or `CoTracker3`.

    Raises:
        InputError: there is none of this name, it cannot be imported, or it does not take these options.
    """
    opener: Callable[..., PointTracker]
    if name in BUILT_IN:
        opener = BUILT_IN[name]
    elif name in (plug_ins := _plug_ins()):
        opener = _load(plug_ins[name])
    else:
        raise InputError(f"tracker {name!r}: not known; these are: {', '.join(tracker_names())}")
    try:
        return opener(**options)
    except TypeError as error:
        raise InputError(f"tracker {name!r}: {error}") from error


def _plug_ins() -> dict[str, EntryPoint]:
    return {entry.name: entry for entry in entry_points(group=GROUP)}


def _load(entry: EntryPoint) -> Callable[..., PointTracker]:
    try:
        return entry.load()
    except Exception as error:  # whatever a foreign package does when it is imported
        raise InputError(
            f"tracker {entry.name!r}: {entry.value} cannot be imported ({type(error).__name__}: {error})"
        ) from error
