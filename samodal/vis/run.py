"""`--visible auto`: the visible masks of a video, found and written beside the results."""

from collections import Counter
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from samodal.data.labelled import LabelledVideo, frame_files
from samodal.data.visible import read_visible
from samodal.data.write.youtube_vis import write_results
from samodal.errors import InputError
from samodal.frame_log import FrameLog
from samodal.progress import progress
from samodal.video import Video, VideoTracks
from samodal.vis.interface import VisibleMasks
from samodal.vis.options import VisOptions

FOUND_LOG = "visible.part.jsonl"
"""In the folder of the results, while a run is under way."""
ALL = -1
"""In place of a frame's number in the log: all frames are done, and their masks written."""


def find_visible(
    vis: VisibleMasks, options: VisOptions, video: Video, out: Path, stamps: Sequence[Any]
) -> VideoTracks:
    """The visible masks of a video; written to `out` as visible.json (YouTube-VIS results).

    What was found before a run was cut off is not looked for again.

    Args:
        vis: finds them.
        options: what it was opened with.
        video: the frames.
        out: the folder of the results.
        stamps: all that tells this video from others.

    Raises:
        InputError: nothing was found.
    """
    path = out / "visible.json"
    identity = {"samodal": version("samodal"), "vis": repr(options), **vis.identity, "video": list(stamps)}
    log = FrameLog(out / FOUND_LOG, identity)
    if not (ALL in log and path.is_file()):
        with progress("finding", len(video)) as advance:
            tracks = vis(video, advance, log)
        if not any(any(track.visible) for track in tracks):
            log.remove()
            raise InputError(
                f"{video.name}: --vis.model {options.model} finds no instance in it; try a lower --vis.threshold than "
                f"{options.threshold}, or other --vis.classes"
            )
        labelled = LabelledVideo(video.name, video, tracks, frame_files(video.name, video))
        write_results(path, [labelled], Counter())
        log.add(ALL, len(tracks))
    return read_visible(path, video)
