"""`samodal predict`: from the words of the command line to the files in its folder."""

import glob
import hashlib
import logging
import shlex
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from samodal import score
from samodal.answers import AnswerLog
from samodal.backends import use_backend
from samodal.backends.exported import fingerprint
from samodal.data.visible import read_visible
from samodal.errors import InputError
from samodal.jobs import DEFAULT_OUT, Job, jobs_of, several
from samodal.motion import EgoMotion
from samodal.motion.odometry import known_ego, read_homographies
from samodal.pipeline import AmodalVideoSegmenter
from samodal.progress import progress
from samodal.results import prepare_folder, run_facts, write_results
from samodal.sam import AmodalSam
from samodal.sam.load import load_model
from samodal.track import PointTracker, open_tracker
from samodal.truth import read_truth
from samodal.video import Video, VideoTracks
from samodal.vis import open_vis
from samodal.vis.run import FOUND_LOG, find_visible

if TYPE_CHECKING:
    from samodal.commands import Predict

log = logging.getLogger("samodal")


@dataclass
class Inputs:
    """One video, opened, and all that is known of it.

    Attributes:
        video: its frames.
        find_visible: gives its visible masks, once there is a folder for the results.
        truth: its true masks; None: not known.
        ego: how its camera turned and drove; None: to be estimated.
        out: the folder of its results.
    """

    video: Video
    find_visible: Callable[[Path], VideoTracks]
    truth: VideoTracks | None
    ego: EgoMotion | None
    out: Path


@dataclass
class Tools:
    """What all videos of a command share."""

    model: AmodalSam
    weights: str
    tracker: str | PointTracker


def predict(command: "Predict") -> None:
    """Read, predict, write; say at the end what was found and where it lies. Of several videos, one after the other.

    Raises:
        InputError: an input is wrong; of several videos, when all others are done.
    """
    jobs = jobs_of(command)
    if not jobs:
        print(f"--shard {command.shard}: there are fewer videos, none is left for this one")
        return
    device = torch.device("cpu") if command.backend != "torch" and command.device is None else None
    device = device or choose_device(command.device)
    if not several(command.video):
        inputs = open_inputs(command, jobs[0], device)  # before the model: what is wrong is said at once
        predict_one(command, jobs[0], inputs, open_tools(command, device))
        return
    tools, failed = open_tools(command, device), list[str]()
    for number, job in enumerate(jobs, 1):
        done = job.out is not None and (job.out / "report.html").exists()  # it is written last
        news = ": is there already, is left as it is" if done else ""
        print(f"{number}/{len(jobs)} {job.name}{news}", file=sys.stderr)
        if done:
            continue
        try:
            predict_one(command, job, open_inputs(command, job, device), tools)
        except InputError as error:
            print(f"samodal: {error}", file=sys.stderr)
            failed.append(job.name)
    if failed:
        raise InputError(f"{len(failed)} of {len(jobs)} videos failed, see above: {', '.join(failed)}")


def open_inputs(command: "Predict", job: Job, device: torch.device) -> Inputs:
    """Open a video and what is known of it.

    Raises:
        InputError: a file cannot be read, or does not fit the video, or what should find masks cannot be loaded.
    """
    video = Video.open(job.video)
    ego = None if job.ego is None else known_ego(read_homographies(job.ego), len(video), str(job.ego))
    truth, video_id = None, command.video_id
    if job.truth is not None:
        truth = read_truth(job.truth, video, job.name, video_id)
        if job.name and job.visible == command.visible:  # one file for several videos
            video_id = truth.video_id
    find = open_visible(command, job, video, video_id, device)
    out = job.out or DEFAULT_OUT / video.name
    if job.out is None and (out / "report.html").exists():
        log.warning("%s: the results that are there are replaced; --out names another folder", out)
    return Inputs(video, find, truth, ego, out)


def open_tools(command: "Predict", device: torch.device) -> Tools:
    """Load the model and the point tracker.

    Raises:
        InputError: one of them cannot be loaded.
    """
    model = load_model(command.model, command.adapter, device=device)
    model = use_backend(model, command.backend, command.dtype, command.compile)
    tracker = choose_tracker(command.tracker, command.tracker_weights, model.device)
    return Tools(model, fingerprint(model), tracker)


def predict_one(command: "Predict", job: Job, inputs: Inputs, tools: Tools) -> None:
    """Predict one video and write its results."""
    video, truth, out, ego = inputs.video, inputs.truth, inputs.out, inputs.ego
    segmenter = AmodalVideoSegmenter(
        tools.model,
        tools.tracker,
        command.recover,
        command.prompt,
        command.seed,
        command.batch,
        command.unite_visible,
        command.refine,
        None if ego is None else lambda: ego,
        command.rejoin,
    )
    facts = run_facts(
        video=job.video,
        visible=f"auto: {command.vis.model}" if job.visible == "auto" else job.visible,
        model=command.model,
        tracker=command.tracker,
        weights=tools.weights,
        recover=command.recover,
        refine=command.refine,
        rejoin=command.rejoin,
        prompt=f"{command.prompt.count} {command.prompt.strategy}",
        seed=command.seed,
        backend=command.backend,
        dtype=command.dtype,
        ego=str(job.ego or "estimated"),
    )
    prepare_folder(out)
    visible = inputs.find_visible(out)
    del inputs.find_visible  # and a model with it
    with progress("predicting", len(video)) as advance:
        answers = AnswerLog(out / "answers.part.jsonl", identity(command, job, tools, video, visible))
        looked = segmenter.look(video, visible, advance, answers)
        tracks = segmenter.follow(looked)
    rows = None
    if truth is not None:
        rows = score.compare(
            [truth], {"samodal": [tracks], "frame by frame": [segmenter.follow(looked, "none")]}
        )
    write_results(out, video, tracks, facts, rows, truth)
    answers.remove()
    (out / FOUND_LOG).unlink(missing_ok=True)
    if rows is not None:
        score.print_table(rows)
    hidden = sum(state == "hidden" for track in tracks for state in track.states)
    files = ["visible.json"] if job.visible == "auto" else []
    files += ["amodal.json", "overlay.mp4", "report.html", *(["scores.json"] if rows else [])]
    print(
        f"tracks: {len(tracks)}, frames: {len(video)}, masks of completely hidden instances: {hidden}\n"
        f"{out}: {', '.join(files)} (open it: samodal show {shlex.quote(str(out))})"
    )


def open_visible(
    command: "Predict", job: Job, video: Video, video_id: int | None, device: torch.device
) -> Callable[[Path], VideoTracks]:
    """What gives the visible masks, once there is a folder for the results; what cannot work is said at once.

    Raises:
        InputError: the file of masks does not fit the video, or what should find them cannot be loaded.
    """
    if job.visible != "auto":
        tracks = read_visible(job.visible, video, video_id)
        return lambda out: tracks
    vis = open_vis(command.vis, device)
    about = [video.name, len(video), *video.size, *_stamps(job.video)]
    return lambda out: find_visible(vis, command.vis, video, out, about)


def identity(
    command: "Predict", job: Job, tools: Tools, video: Video, visible: VideoTracks
) -> dict[str, Any]:
    """All that SAM's answers depend on: a run with the same can go on where another was cut off."""
    seen = hashlib.blake2b(repr([(t.track_id, t.visible) for t in visible]).encode())
    return {
        "samodal": version("samodal"),
        "model": tools.weights,
        "visible": seen.hexdigest(),
        "video": [video.name, visible.video_id, len(video), *video.size, *_stamps(job.video)],
        "prompt": asdict(command.prompt),
        "seed": command.seed,
        "unite_visible": command.unite_visible,
        "device": tools.model.device.type,
        "backend": [command.backend, command.dtype, command.compile],
    }


def _stamps(source: str) -> list[int]:
    """Size and time of change of the files that a video is made of, together."""
    path = Path(source)
    names = (
        sorted(path.iterdir()) if path.is_dir() else [path] if path.exists() else sorted(glob.glob(source))
    )
    stats = [Path(name).stat() for name in names]
    return [sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)]


def choose_tracker(name: str, weights: Path | None, device: torch.device) -> str | PointTracker:
    """The point tracker of a name, with its weights (None: those downloaded) where it needs some; "motion" as it is.

    Raises:
        InputError: weights are missing, not needed, or not readable.
    """
    if name in ("motion", "lucas-kanade") and weights is not None:
        raise InputError(f"--tracker-weights {weights}: --tracker {name} has no weights")
    if weights is None and name not in ("cotracker", "cotracker3", "raft"):
        return name
    return open_tracker(name, weights=weights, device=str(device))


def choose_device(name: str | None) -> torch.device:
    """The device that was asked for, or the best there is; on a GPU, fp32 shall mean fp32 in convolutions, too.

    Raises:
        InputError: no such device here.
    """
    torch.backends.cudnn.allow_tf32 = False
    if name is None:
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError, NotImplementedError):
        # Which one torch raises depends on the device and the build.
        raise InputError(f"--device {name}: not available here; leave it out for the best there is") from None
    return device
