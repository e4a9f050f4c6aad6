"""CoTracker, versions 1 and 3, written anew from facts under the names of the published weights.

frames -> `features.py` (each encoded once) -> `windows.py` leads points from window to window, in each of which the
network (`v1.py`, `v3.py`) refines them -> `tracker_v1.py`, `tracker_v3.py` (point trackers); `streaming.py` and
`chunks.py` do the same while frames are still coming.
"""

from pathlib import Path
from typing import Any, Literal

import torch

from samodal.errors import InputError
from samodal.track.cotracker.loading import load_cotracker
from samodal.track.cotracker.tracker_v1 import CoTracker
from samodal.track.cotracker.tracker_v3 import CoTracker3
from samodal.track.cotracker.v1 import CoTrackerV1
from samodal.track.cotracker.v3 import CoTrackerV3

__all__ = [
    "CoTracker",
    "CoTracker3",
    "CoTrackerV1",
    "CoTrackerV3",
    "load_cotracker",
    "open_cotracker",
]


def open_cotracker(
    version: Literal["v1", "v3"],
    weights: str | Path,
    device: str | None = None,
    bf16: bool = False,
    **options: Any,
) -> CoTracker | CoTracker3:
    """A tracker from a file of weights.

    Args:
        version: that is expected.
        weights: see `load_cotracker`.
        device: None: CPU.
        bf16: the encoder in bfloat16.
        options: of `CoTracker` or `CoTracker3`.

    Raises:
        InputError: the weights cannot be read or are of another version.
    """
    model = load_cotracker(weights, device, torch.bfloat16 if bf16 else None)
    if version == "v1" and isinstance(model, CoTrackerV1):
        return CoTracker(model, **options)
    if version == "v3" and isinstance(model, CoTrackerV3):
        return CoTracker3(model, **options)
    other = "cotracker3" if version == "v1" else "cotracker"
    raise InputError(f"{weights}: weights for the tracker {other!r}, not for CoTracker {version}")
