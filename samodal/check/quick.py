"""A look at a data set before a training: as much of it as there is time for."""

import time
from collections.abc import Mapping, Sequence

import numpy as np

from samodal.check.datasets import check_asd_sequence, check_video
from samodal.check.findings import Finding, Findings
from samodal.data.asd import AsdDataset
from samodal.data.clip import Clip
from samodal.data.labelled import LabelledClips
from samodal.errors import InputError


def quick_check(sets: Mapping[str, Sequence[Clip]], seconds: float) -> tuple[list[Finding], int, int]:
    """Check clips of some splits in an order that mixes them, until the time is over; at least one.

    Returns:
        What was found; the number of clips that were looked at; and of all clips.
    """
    places = [(clips, index) for clips in sets.values() for index in range(len(clips))]
    findings, until, checked = Findings(), time.monotonic() + seconds, 0
    for place in np.random.default_rng(0).permutation(len(places)):
        findings.extend(_check_clip(*places[place]))
        checked += 1
        if time.monotonic() > until:
            break
    return list(findings), checked, len(places)


def _check_clip(clips: Sequence[Clip], index: int) -> list[Finding]:
    if isinstance(clips, AsdDataset):
        name = clips.names[index]
        return check_asd_sequence(clips.annotations / name, clips.images / name)
    try:
        return check_video(LabelledClips(clips)[index], set(getattr(clips, "categories", {})))
    except InputError as error:
        return [Finding("error", "videos that cannot be read", 1, (str(error),))]
