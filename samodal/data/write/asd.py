"""The layout of AmodalSynthDrive, frames included."""

from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np

from samodal import masks
from samodal.data.clip import Instance
from samodal.data.labelled import LabelledVideo
from samodal.data.write.asd_sequence import write_sequence
from samodal.errors import InputError
from samodal.files import filling, plain_name
from samodal.frames import frame_numbers
from samodal.masks import Rle


def write(
    out: Path, videos: Iterable[LabelledVideo], left_out: Counter[str], split: str, camera: str
) -> None:
    """Write sequences with their frames as PNG, so that nothing is lost.

    Where only one kind of masks is known, it is written as that of instances that nothing hides.

    Raises:
        InputError: frames that are not at hand, overlapping visible masks, a name that cannot be a folder's, files
            that are there already.
    """
    with filling(out) as root:
        for video in videos:
            name = plain_name(video.name, "name of a video")
            try:
                write_sequence(
                    root, split, camera, name, _frames(video, left_out), video.extra, image_suffix=".png"
                )
            except InputError:
                raise
            except ValueError as error:
                raise InputError(
                    f"{video.name}: {error}, which AmodalSynthDrive's id maps cannot hold"
                ) from None
            numbers = frame_numbers([Path(file).stem for file in video.file_names])
            if numbers != list(range(len(video.file_names))):
                left_out["names of frames (numbered from 0)"] += len(video.file_names)
            left_out["ignored regions"] += sum(sum(map(bool, region.visible)) for region in video.ignored)
            for track in video.tracks:
                left_out["tracks without a mask"] += not (any(track.amodal) or any(track.visible))
                left_out["scores"] += track.score != 1.0 or any(score is not None for score in track.scores)
                left_out["prompt points of frames"] += sum(points is not None for points in track.points)


def _frames(video: LabelledVideo, left_out: Counter[str]) -> Iterator[tuple[np.ndarray, list[Instance]]]:
    for frame in range(video.tracks.num_frames):
        instances = []
        for track in video.tracks:
            amodal, visible = track.amodal[frame], track.visible[frame]
            full = amodal or visible
            if full is None:
                continue
            seen: Rle | None = full
            if amodal is not None and video.rates is None:
                seen = masks.intersection([visible, full]) if visible else None
                left_out["visible pixels outside the amodal mask"] += masks.area(visible) - masks.area(seen)
            instances.append(
                Instance(track.track_id, track.category_id, full, seen if masks.area(seen) else None)
            )
        yield video.video[frame], instances
