"""SAM's answers, kept on disk while a video is worked on, so that a run that is cut off goes on where it was."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from samodal import masks
from samodal.frame_log import FrameLog
from samodal.sam.ask import Answer


class AnswerLog:
    """A file with one line a frame; arguments as of `FrameLog`."""

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self._log = FrameLog(path, identity)

    def __contains__(self, frame: int) -> bool:
        return frame in self._log

    def __getitem__(self, frame: int) -> dict[int, Answer]:
        """The answers of a frame, by track id."""
        return {
            entry["track_id"]: Answer(masks.decode(entry["amodal"]), entry["score"], _points(entry["points"]))
            for entry in self._log[frame]
        }

    def add(self, frame: int, answers: Mapping[int, Answer]) -> None:
        """Write the answers of a frame, by track id."""
        said = [
            {
                "track_id": track_id,
                "amodal": masks.encode(answer.amodal),
                "score": answer.score,
                "points": None if answer.points is None else answer.points.tolist(),
            }
            for track_id, answer in answers.items()
        ]
        self._log.add(frame, said)

    def remove(self) -> None:
        """Delete the file, when the run is done."""
        self._log.remove()


def _points(values: list[list[int]] | None) -> np.ndarray | None:
    return None if values is None else np.array(values, np.int64).reshape(-1, 2)
