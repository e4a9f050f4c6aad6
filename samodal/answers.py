"""SAM's answers, kept on disk while a video is worked on, so that a run that is cut off goes on where it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from samodal import files, masks
from samodal.sam.ask import Answer


class AnswerLog:
    """A file with one line a frame.

    Args:
        path: the file. What is in it is used only if it was begun with the same `identity`.
        identity: all that the answers depend on, as JSON knows it.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path: Path | None = path
        head = json.dumps(identity, sort_keys=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        same = bool(lines) and lines[0] == head
        self._known: dict[int, list[dict[str, Any]]] = {}
        for line in lines[1:] if same else []:
            try:
                entry = json.loads(line)
            except ValueError:  # cut off while it was written
                break
            self._known[entry["frame"]] = entry["answers"]
        kept = [json.dumps({"frame": frame, "answers": said}) for frame, said in self._known.items()]
        files.write_text(path, "\n".join([head, *kept]) + "\n")

    def __contains__(self, frame: int) -> bool:
        return frame in self._known

    def __getitem__(self, frame: int) -> dict[int, Answer]:
        """The answers of a frame, by track id."""
        return {
            entry["track_id"]: Answer(masks.decode(entry["amodal"]), entry["score"], _points(entry["points"]))
            for entry in self._known[frame]
        }

    def add(self, frame: int, answers: Mapping[int, Answer]) -> None:
        """Write the answers of a frame, by track id."""
        if self.path is None:
            return
        said = [
            {
                "track_id": track_id,
                "amodal": masks.encode(answer.amodal),
                "score": answer.score,
                "points": None if answer.points is None else answer.points.tolist(),
            }
            for track_id, answer in answers.items()
        ]
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"frame": frame, "answers": said}) + "\n")
        except OSError:  # the disk is full: do without
            self.remove()

    def remove(self) -> None:
        """Delete the file, when the run is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.path = None


def _points(values: list[list[int]] | None) -> np.ndarray | None:
    return None if values is None else np.array(values, np.int64).reshape(-1, 2)
