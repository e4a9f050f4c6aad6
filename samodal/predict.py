"""`samodal predict`: from the words of the command line to the files in its folder."""

import glob
import hashlib
import shlex
from collections.abc import Callable
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from samodal.answers import AnswerLog
from samodal.backends import use_backend
from samodal.backends.exported import fingerprint
from samodal.data.visible import read_visible
from samodal.errors import InputError
from samodal.motion.odometry import known_ego, read_homographies
from samodal.pipeline import AmodalVideoSegmenter
from samodal.progress import progress
from samodal.results import prepare_folder, run_facts, write_results
from samodal.sam import AmodalSam
from samodal.sam.load import load_model
from samodal.track import PointTracker, open_tracker
from samodal.video import Video, VideoTracks
from samodal.vis import open_vis
from samodal.vis.run import FOUND_LOG, find_visible

if TYPE_CHECKING:
    from samodal.cli import Predict


def predict(command: "Predict") -> None:
    """Read, predict, write; say at the end what was found and where it lies."""
    video = Video.open(command.video)
    ego = (
        None
        if command.ego is None
        else known_ego(read_homographies(command.ego), len(video), str(command.ego))
    )
    out = command.out or Path("runs/predict") / video.name
    device = torch.device("cpu") if command.backend != "torch" and command.device is None else None
    device = device or choose_device(command.device)
    find_masks = open_visible(command, video, device)
    model = load_model(command.model, command.adapter, device=device)
    model = use_backend(model, command.backend, command.dtype, command.compile)
    segmenter = AmodalVideoSegmenter(
        model,
        choose_tracker(command.tracker, command.tracker_weights, model.device),
        command.recover,
        command.prompt,
        command.seed,
        command.batch,
        command.unite_visible,
        command.refine,
        None if ego is None else lambda: ego,
        command.rejoin,
    )
    weights = fingerprint(model)
    facts = run_facts(
        video=str(command.video),
        visible=f"auto: {command.vis.model}" if command.visible == "auto" else command.visible,
        model=command.model,
        tracker=command.tracker,
        weights=weights,
        recover=command.recover,
        refine=command.refine,
        rejoin=command.rejoin,
        prompt=f"{command.prompt.count} {command.prompt.strategy}",
        seed=command.seed,
        backend=command.backend,
        dtype=command.dtype,
        ego=str(command.ego or "estimated"),
    )
    prepare_folder(out)
    visible = find_masks(out)
    del find_masks  # and a model with it
    with progress("predicting", len(video)) as advance:
        log = AnswerLog(out / "answers.part.jsonl", identity(command, model, weights, video, visible))
        tracks = segmenter.follow(segmenter.look(video, visible, advance, log))
    write_results(out, video, tracks, facts)
    log.remove()
    (out / FOUND_LOG).unlink(missing_ok=True)
    hidden = sum(state == "hidden" for track in tracks for state in track.states)
    print(
        f"{len(tracks)} tracks in {len(video)} frames, {hidden} masks of completely hidden instances\n"
        f"{out}: {'visible.json, ' if command.visible == 'auto' else ''}amodal.json, overlay.mp4, report.html "
        f"(open it: samodal show {shlex.quote(str(out))})"
    )


def open_visible(command: "Predict", video: Video, device: torch.device) -> Callable[[Path], VideoTracks]:
    """What gives the visible masks, once there is a folder for the results; what cannot work is said at once.

    Raises:
        InputError: the file of masks does not fit the video, or what should find them cannot be loaded.
    """
    if command.visible != "auto":
        tracks = read_visible(command.visible, video, command.video_id)
        return lambda out: tracks
    vis = open_vis(command.vis, device)
    about = [video.name, len(video), *video.size, *_stamps(command.video)]
    return lambda out: find_visible(vis, command.vis, video, out, about)


def identity(
    command: "Predict", model: AmodalSam, weights: str, video: Video, visible: VideoTracks
) -> dict[str, Any]:
    """All that SAM's answers depend on: a run with the same can go on where another was cut off."""
    seen = hashlib.blake2b(repr([(t.track_id, t.visible) for t in visible]).encode())
    return {
        "samodal": version("samodal"),
        "model": weights,
        "visible": seen.hexdigest(),
        "video": [video.name, visible.video_id, len(video), *video.size, *_stamps(command.video)],
        "prompt": asdict(command.prompt),
        "seed": command.seed,
        "unite_visible": command.unite_visible,
        "device": model.device.type,
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
