"""What is found frame by frame, kept on disk, so that a run that is cut off goes on where it was."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from samodal import files


class FrameLog:
    """A file with one line a frame.

    Args:
        path: the file. What is in it is used only if it was begun with the same `identity`.
        identity: all that the lines depend on, as JSON knows it.
    """

    def __init__(self, path: Path, identity: Mapping[str, Any]) -> None:
        self.path: Path | None = path
        head = json.dumps(identity, sort_keys=True)
        lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
        same = bool(lines) and lines[0] == head
        self._known: dict[int, Any] = {}
        for line in lines[1:] if same else []:
            try:
                entry = json.loads(line)
            except ValueError:  # cut off while it was written
                break
            self._known[entry["frame"]] = entry["found"]
        kept = [_line(frame, found) for frame, found in self._known.items()]
        files.write_text(path, "\n".join([head, *kept]) + "\n")

    def __contains__(self, frame: int) -> bool:
        return frame in self._known

    def __getitem__(self, frame: int) -> Any:
        return self._known[frame]

    def add(self, frame: int, found: Any) -> None:
        """Write what was found in a frame, as JSON knows it."""
        if self.path is None:
            return
        try:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(_line(frame, found) + "\n")
        except OSError:  # the disk is full: do without
            self.remove()

    def remove(self) -> None:
        """Delete the file, when the run is done."""
        if self.path is not None:
            self.path.unlink(missing_ok=True)
        self.path = None


def _line(frame: int, found: Any) -> str:
    return json.dumps({"frame": frame, "found": found})
