"""Damaged files of every kind, checked; and models that are programs."""

import os
import pickle
import zipfile
from pathlib import Path

import pytest
import torch
from damage import Cases, Spoil, assert_one_line_and_nothing_left
from toys import tiny_sam

from samodal.cli import run

CASES = Cases()
BOTH = "check youtube-vis.json youtube-vis-results.json"


@CASES.json_damage(
    "youtube-vis-results.json", BOTH, says="kinds of errors", name="check: scores that are no numbers"
)
def _(results: list) -> None:
    results[0]["score"] = float("nan")


@CASES.json_damage("youtube-vis-results.json", BOTH, says="kinds of errors", name="check: negative ids")
def _(results: list) -> None:
    results[0]["video_id"] = -1


@CASES.json_damage(
    "youtube-vis-results.json", BOTH, says="kinds of errors", name="check: an id beyond all numbers"
)
def _(results: list) -> None:
    results[0]["video_id"] = 10**400
    results[1]["score"] = 10**400


@CASES.json_damage(
    "youtube-vis-results.json", BOTH, says="kinds of errors", name="check: everything of another type"
)
def _(results: list) -> None:
    for place, wrong in enumerate((None, "x", [], {}, 1.5, True)):
        results.append(
            dict.fromkeys(results[0], wrong) | {"segmentations": [wrong, {"size": wrong, "counts": wrong}]}
        )
        results.append(wrong)
        results.append({"image_id": wrong} if place else {})


@CASES.json_damage("youtube-vis.json", BOTH, says="kinds of errors", name="check: truth of another type")
def _(truth: dict) -> None:
    for wrong in (None, "x", [], {}, 1.5, True):
        truth["videos"].append(wrong)
        truth["videos"].append(dict.fromkeys(truth["videos"][0], wrong))
        truth["annotations"].append(dict.fromkeys(truth["annotations"][0], wrong))
        truth["categories"].append({"id": wrong})


@CASES.json_damage(
    "coco.json",
    "check coco.json coco-results.json",
    says="kinds of errors",
    name="check: COCO of another type",
)
def _(truth: dict) -> None:
    for wrong in (None, "x", [], {}, 1.5, True):
        truth["images"].append(dict.fromkeys(truth["images"][0], wrong))
        truth["annotations"].append(dict.fromkeys(truth["annotations"][0], wrong))


@CASES.damage("check mots davis asd", says="kinds of errors", name="check: folders with a broken file each")
def _(folder: Path) -> None:
    for path in ("mots/toy.txt", "davis/Annotations/480p/toy/00001.png"):
        (folder / path).write_bytes((folder / path).read_bytes()[:50])
    next((folder / "asd").rglob("*0001_aminseg.png")).write_bytes(b"")


@CASES.damage("check sam.pth", says="cannot be read as a checkpoint", name="a checkpoint that is cut off")
def _(folder: Path) -> None:
    data = (folder / "sam.pth").read_bytes()
    (folder / "sam.pth").write_bytes(data[: len(data) // 2])


@CASES.damage("check sam.pth", says="kinds of errors", name="a checkpoint with other weights")
def _(folder: Path) -> None:
    state = tiny_sam("none").to_original()
    state["image_encoder.blocks.0.attn.qkv.weight"] = state["image_encoder.blocks.0.attn.qkv.weight"][:-1]
    state["extra"] = torch.zeros(3)
    del state["image_encoder.blocks.0.norm1.bias"]
    torch.save(state, folder / "sam.pth")


class Program:
    """What pickle would run when it is read: it makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return os.mkdir, (str(self.path),)


@CASES.damage("check sam.pth", says="sam.pth: ", name="a checkpoint that is a program")
def _(folder: Path) -> None:
    torch.save({"model": Program(folder / "evil")}, folder / "sam.pth")


@CASES.damage("check sam.pth", says="sam.pth: cannot be read", name="a pickle that is a program")
def _(folder: Path) -> None:
    (folder / "sam.pth").write_bytes(pickle.dumps(Program(folder / "evil")))


@CASES.damage(
    "predict asd/val/images/front/toy --visible youtube-vis.json --model sam.pth --out out",
    says="sam.pth: ",
    name="a program to predict with",
)
def _(folder: Path) -> None:
    torch.save({"model": Program(folder / "evil")}, folder / "sam.pth")


@CASES.damage("check sam.pth", says="sam.pth: cannot be read", name="an archive that leads elsewhere")
def _(folder: Path) -> None:
    with zipfile.ZipFile(folder / "sam.pth", "w") as archive:
        archive.writestr("../evil/data.pkl", b"x")


CASES.misuse("check nowhere", says="nowhere: no such file or folder", name="check: no file")
CASES.misuse("check", says="no paths", name="check: nothing")
CASES.misuse("check asd/val/images", says="say --format", name="check: a folder of something else")
CASES.misuse("check asd --format xyz", says="xyz", name="check: unknown format")


@pytest.mark.parametrize(("spoil", "command", "says"), CASES)
def test_damaged_files_give_one_line_and_nothing_is_run(
    undamaged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    spoil: Spoil,
    command: str,
    says: str,
) -> None:
    assert_one_line_and_nothing_left(undamaged, tmp_path, monkeypatch, capsys, (spoil, command, says))


def test_the_undamaged_ones_are_fine(undamaged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(undamaged)
    assert run([*BOTH.split(), "mots", "davis", "asd", "sam.pth"]) == 0
    assert run(["check", "coco.json", "coco-results.json"]) == 0
