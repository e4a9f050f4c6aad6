"""What a run leaves in its folder: amodal.json, overlay.mp4, report.html, and scores.json where truth is known."""

import platform
import shlex
import sys
import tempfile
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from samodal import score
from samodal.errors import InputError
from samodal.score.protocols import STRICT
from samodal.show import write_overlay, write_report
from samodal.video import Video, VideoTracks

PACKAGES = ("samodal", "torch", "transformers", "numpy", "opencv-python-headless", "pycocotools", "av")


def write_results(
    out: Path,
    video: Video,
    tracks: VideoTracks,
    run: dict[str, Any],
    rows: Sequence[dict[str, Any]] | None = None,
    truth: VideoTracks | None = None,
) -> None:
    """Write all files of a run to `out`, each all of it or nothing; the report last, when all else is there.

    Args:
        out: the folder; made where it is missing.
        video: the frames.
        tracks: what came out.
        run: what was run, see `run_facts`.
        rows: scores, see `samodal.score.score_videos`.
        truth: the true tracks, to look at in the report.
    """
    tracks.write(out / "amodal.json")
    scores = None
    if rows is not None:
        scores = {
            "protocol": STRICT.name,
            "command": run["command"],
            "versions": run["versions"],
            "rows": rows,
        }
        score.write_scores(out / "scores.json", rows, STRICT.name, run["command"], run["versions"])
    write_overlay(out / "overlay.mp4", video, tracks)
    write_report(out / "report.html", video, tracks, run, scores, truth)


def prepare_folder(out: Path) -> None:
    """Make the folder of a run before hours are spent on it.

    Raises:
        InputError: it cannot be made or written to.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=out):
            pass
    except OSError as error:
        why = error.strerror or error
        raise InputError(f"{out}: cannot be written to ({why}); choose another --out") from None


def run_facts(**more: Any) -> dict[str, Any]:
    """The command and the versions, to stand beside every result, and what else matters for it."""
    command = shlex.join(["samodal", *sys.argv[1:]])
    versions = {"python": platform.python_version()} | {package: version(package) for package in PACKAGES}
    return {"command": command, **more, "versions": versions}
