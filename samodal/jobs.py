"""What one `samodal predict` has to do: a video, or each of the several that a pattern names, with its own masks,
truth and folder."""

import glob
import os
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from samodal.errors import InputError
from samodal.frames import IMAGE_SUFFIXES, natural_order

if TYPE_CHECKING:
    from samodal.commands import Predict

DEFAULT_OUT = Path("runs/predict")


@dataclass(frozen=True)
class Job:
    """One video.

    Attributes:
        video: a file, a folder of frames, or a pattern of frames.
        visible: its visible masks, or "auto".
        truth: its true masks; None: not known.
        ego: how its camera turned and drove; None: to be estimated.
        out: the folder of its results; None: named after the video.
        name: of one among several videos, else empty.
    """

    video: str
    visible: str
    truth: Path | None
    ego: Path | None
    out: Path | None
    name: str = ""


def jobs_of(command: "Predict") -> list[Job]:
    """The videos of a command, in natural order; of a shard "i/n" (1/n to n/n) every n-th, from the i-th on.

    Where the pattern names several videos, a * in --visible, --truth and --ego stands for the name of each. Without,
    one file of truth and one of visible masks hold them all: the truth says which id a name has.

    Raises:
        InputError: several videos, but one file of masks for all of them; or no such shard; or two of one name.
    """
    jobs = [Job(command.video, command.visible, command.truth, command.ego, command.out)]
    if paths := several(command.video):
        names = names_of(paths)
        for option, value in (("--visible", command.visible), ("--ego", command.ego)):
            shared = value is not None and value != "auto" and "*" not in str(value)
            if shared and (option == "--ego" or command.truth is None):
                raise InputError(
                    f"{command.video}: {len(paths)} videos, but one {option} {value}; write * for the name of each, "
                    f"such as '{option} masks/*.json' for masks/{names[0]}.json"
                )
        jobs = [_named(jobs[0], path, name) for path, name in zip(paths, names, strict=True)]
    if command.shard is None:
        return jobs
    found = re.fullmatch(r"([0-9]+)/([0-9]+)", command.shard)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise InputError(f"--shard {command.shard}: i/n is expected, from 1/n to n/n")
    return jobs[int(found[1]) - 1 :: int(found[2])]


def several(video: str) -> list[Path]:
    """The videos that a pattern names, files and folders; none where it names frames, or is no pattern."""
    if Path(video).exists() or not glob.has_magic(video):
        return []
    paths = [path for path in map(Path, glob.glob(video)) if not path.name.startswith(".")]
    frames = any(path.is_file() and path.suffix.lower() in IMAGE_SUFFIXES for path in paths)
    return (
        [] if frames else sorted(paths, key=lambda path: [natural_order(Path(part)) for part in path.parts])
    )


def names_of(paths: Sequence[Path]) -> list[str]:
    """What tells videos from each other: a/rgb and b/rgb are a and b, clips/a.mp4 and clips/b.mp4 too.

    Raises:
        InputError: two have the same name.
    """
    above = Path(os.path.commonpath([path.parent for path in paths]))
    parts = [
        path.relative_to(above).with_suffix("" if path.is_file() else path.suffix).parts for path in paths
    ]
    while min(map(len, parts)) > 1 and len({part[-1] for part in parts}) == 1:
        parts = [part[:-1] for part in parts]
    names = ["/".join(part) for part in parts]
    if (twice := Counter(names).most_common(1)[0])[1] > 1:
        raise InputError(f"{above}: {twice[1]} videos are called {twice[0]!r}; a pattern of fewer is needed")
    return names


def _named(job: Job, path: Path, name: str) -> Job:
    def its(pattern: Path | None) -> Path | None:
        return None if pattern is None else Path(str(pattern).replace("*", name))

    out = (job.out or DEFAULT_OUT) / name
    visible = job.visible.replace("*", name)
    return replace(
        job, video=str(path), visible=visible, truth=its(job.truth), ego=its(job.ego), out=out, name=name
    )
