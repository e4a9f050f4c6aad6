"""Damaged folders (MOTS, DAVIS, AmodalSynthDrive), converted; and conversions that cannot be meant."""

import json
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
from damage import Cases, Spoil, assert_one_line_and_nothing_left
from PIL import Image

CASES = Cases()
MOTS = "convert mots out --from mots --to youtube-vis"
DAVIS = "convert davis out --from davis --to mots"
ASD = "convert asd out --from asd --to coco"


def mots_line(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = (folder / "mots" / "toy.txt").read_text().splitlines()
    (folder / "mots" / "toy.txt").write_text("\n".join([" ".join(change(lines[0].split())), *lines[1:]]))


@CASES.damage(MOTS, says="line 1: 5 fields", name="MOTS without masks")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: fields[:5])


@CASES.damage(MOTS, says="holds masks of frames -4", name="MOTS with a negative frame")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: ["-4", *fields[1:]])
    (folder / "mots" / "val.seqmap").unlink()


@CASES.damage(MOTS, says="cannot be right", name="MOTS with a frame beyond all memory")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: ["99999999999999", *fields[1:]])
    (folder / "mots" / "val.seqmap").unlink()


@CASES.damage(MOTS, says="'1.5' is no whole number", name="MOTS with half a frame")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: ["1.5", *fields[1:]])


@CASES.damage(MOTS, says="is no (height, width)", name="MOTS with a size beyond all memory")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: [*fields[:3], "999999999", "999999999", fields[5]])


@CASES.damage(MOTS, says="occurs twice in frame", name="MOTS with an id twice")
def _(folder: Path) -> None:
    path = folder / "mots" / "toy.txt"
    path.write_text(path.read_text().splitlines()[0] + "\n" + path.read_text())


@CASES.damage(MOTS, says="val.seqmap, line 1", name="a broken list of lengths")
def _(folder: Path) -> None:
    (folder / "mots" / "val.seqmap").write_text("toy empty 0 many\n")


@CASES.damage(DAVIS, says="00001.png: broken image", name="a PNG that is cut off")
def _(folder: Path) -> None:
    path = folder / "davis/Annotations/480p/toy/00001.png"
    path.write_bytes(path.read_bytes()[:60])


@CASES.damage(DAVIS, says="mask of size [4, 4]", name="a PNG of another size")
def _(folder: Path) -> None:
    Image.new("L", (4, 4)).save(folder / "davis/Annotations/480p/toy/00001.png")


@CASES.damage(DAVIS, says="broken image", name="a PNG that unfolds to gigabytes")
def _(folder: Path) -> None:
    path = folder / "davis/Annotations/480p/toy/00000.png"
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 300_000, 300_000)
    path.write_bytes(bytes(data))


@CASES.damage(ASD, says="aminseg.json: not valid JSON", name="annotations that are cut off")
def _(folder: Path) -> None:
    path = next((folder / "asd").rglob("*0001_aminseg.json"))
    path.write_bytes(path.read_bytes()[:40])


@CASES.damage(ASD, says="track_id", name="an instance without a track")
def _(folder: Path) -> None:
    path = next((folder / "asd").rglob("*0001_aminseg.json"))
    entries = json.loads(path.read_text())
    del next(iter(entries.values()))["track_id"]
    path.write_text(json.dumps(entries))


CASES.misuse(ASD + " --split ../x", says="../x", name="path trick in a split")
CASES.misuse(
    "convert asd out --from asd --to mots --split ../x",
    says="../x",
    name="path trick, written",
)
CASES.misuse(
    "convert nowhere.json out --from coco --to mots",
    says="nowhere.json: no such file",
    name="no file",
)
CASES.misuse("convert asd out --from asd --to xyz", says="--to xyz: unknown", name="unknown target")
CASES.misuse(
    "convert asd out --from xyz --to coco",
    says="--from xyz: unknown",
    name="unknown source",
)
CASES.misuse(ASD + " --classes 24=1", says="--classes 24=1", name="classes in another spelling")
CASES.misuse(
    "convert asd mots --from asd --to coco",
    says="mots: is a folder",
    name="a folder for a file",
)
CASES.misuse(
    "convert asd coco.json --from asd --to davis --masks visible",
    says="coco.json",
    name="a file for a folder",
)
CASES.misuse(
    "convert coco-results.json out --from coco-results --to mots",
    says="--like",
    name="results without index",
)


@pytest.mark.parametrize(("spoil", "command", "says"), CASES)
def test_damaged_folders_give_one_line_and_leave_nothing(
    undamaged: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    spoil: Spoil,
    command: str,
    says: str,
) -> None:
    assert_one_line_and_nothing_left(undamaged, tmp_path, monkeypatch, capsys, (spoil, command, says))
