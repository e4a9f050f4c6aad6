"""What the tests of damaged input share: every format undamaged, and how a damaged copy of it must be met."""

import json
import shlex
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from toys import tiny_sam, toy_clip

from samodal.cli import run
from samodal.convert import convert
from samodal.data.labelled import LabelledClips
from samodal.data.write import asd

Spoil = Callable[[Path], None]


def write_undamaged(folder: Path) -> None:
    """The same toy clip in every format, and a checkpoint."""
    asd.write(folder / "asd", LabelledClips([toy_clip(frames=3)]), Counter(), "val", "front")
    for form in ("youtube-vis", "youtube-vis-results", "coco", "coco-results"):
        convert(folder / "asd", folder / f"{form}.json", "asd", form)
    for form in ("mots", "davis"):
        convert(folder / "asd", folder / form, "asd", form, masks="visible")
    torch.save(tiny_sam("none").to_original(), folder / "sam.pth")


class Cases(list):
    """Parameters of a test: what is damaged, the command that is run then, and what it must say."""

    def damage(self, command: str, says: str, name: str) -> Callable[[Spoil], Spoil]:
        """Register a function that damages the copy in a folder; `command` is run there."""

        def register(spoil: Spoil) -> Spoil:
            self.append(pytest.param(spoil, command, says, id=name))
            return spoil

        return register

    def json_damage(self, file: str, command: str, says: str, name: str) -> Callable:
        """The same, for a function that changes the parsed JSON."""

        def register(change: Callable[[Any], None]) -> Callable:
            def spoil(folder: Path) -> None:
                content = json.loads((folder / file).read_text())
                change(content)
                (folder / file).write_text(json.dumps(content))

            self.damage(command, says, name)(spoil)
            return change

        return register

    def misuse(self, command: str, says: str, name: str) -> None:
        """Nothing is damaged but the command."""
        self.damage(command, says, name)(lambda folder: None)


def assert_one_line_and_nothing_left(
    undamaged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    case: tuple[Spoil, str, str],
) -> None:
    """One clear line on stderr, exit code 2, nothing written, nothing run."""
    spoil, command, says = case
    folder = tmp_path / "a" / "b" / "work"
    shutil.copytree(undamaged, folder)
    spoil(folder)
    monkeypatch.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert run(shlex.split(command)) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("samodal: ")]
    assert len(lines) == 1
    assert says in lines[0]
    assert len(lines[0]) < 1500
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (folder / "evil").exists()
    assert not (folder / "out").exists()
