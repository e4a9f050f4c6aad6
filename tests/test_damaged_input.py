"""Damaged inputs through the command line: one clear line on stderr, exit code 2, nothing half-written, nothing run."""

import copy
import json
import os
import pickle
import shutil
import struct
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.cli import run
from samodal.convert import convert
from samodal.data.labelled import LabelledClips
from samodal.data.write import asd

Words = list[str]
CASES: list[Any] = []


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Every format, undamaged."""
    folder = tmp_path_factory.mktemp("whole")
    asd.write(folder / "asd", LabelledClips([toy_clip(frames=3)]), Counter(), "val", "front")
    for form in ("youtube-vis", "youtube-vis-results", "coco", "coco-results"):
        convert(folder / "asd", folder / f"{form}.json", "asd", form)
    for form in ("mots", "davis"):
        convert(folder / "asd", folder / form, "asd", form, masks="visible")
    torch.save(tiny_sam("none").to_original(), folder / "sam.pth")
    return folder


def damage(*words: str, says: str, name: str) -> Callable[[Callable[[Path], None]], Callable[[Path], None]]:
    """Register a function that damages the copy in a folder; `words` are what is run then, there."""

    def register(spoil: Callable[[Path], None]) -> Callable[[Path], None]:
        CASES.append(pytest.param(spoil, list(words), says, id=name))
        return spoil

    return register


def json_damage(file: str, *words: str, says: str, name: str) -> Callable:
    """The same, for a function that changes the parsed JSON."""

    def register(change: Callable[[Any], None]) -> Callable:
        def spoil(folder: Path) -> None:
            content = json.loads((folder / file).read_text())
            change(content)
            (folder / file).write_text(json.dumps(content))

        damage(*words, says=says, name=name)(spoil)
        return change

    return register


TRUTH = ("convert", "youtube-vis.json", "out", "--from", "youtube-vis", "--to", "coco")
RESULTS = (
    "convert",
    "youtube-vis-results.json",
    "out",
    "--from",
    "youtube-vis",
    "--to",
    "youtube-vis-results",
)
COCO = ("convert", "coco.json", "out", "--from", "coco", "--to", "youtube-vis")
MOTS = ("convert", "mots", "out", "--from", "mots", "--to", "youtube-vis")
DAVIS = ("convert", "davis", "out", "--from", "davis", "--to", "mots")
ASD = ("convert", "asd", "out", "--from", "asd", "--to", "coco")
BOTH = ("check", "youtube-vis.json", "youtube-vis-results.json")


@damage(*TRUTH, says="youtube-vis.json: not valid JSON", name="JSON that is cut off")
def _(folder: Path) -> None:
    text = (folder / "youtube-vis.json").read_text()
    (folder / "youtube-vis.json").write_text(text[: len(text) // 2])


@damage(*TRUTH, says="not valid JSON", name="JSON nested without end")
def _(folder: Path) -> None:
    (folder / "youtube-vis.json").write_text("[" * 100_000)


@damage(*TRUTH, says="cannot be read as text", name="bytes instead of text")
def _(folder: Path) -> None:
    (folder / "youtube-vis.json").write_bytes(bytes(range(256)))


@damage(*TRUTH, says="unknown format", name="JSON of something else")
def _(folder: Path) -> None:
    (folder / "youtube-vis.json").write_text('{"images": 5}')


@json_damage("youtube-vis.json", *TRUTH, says="mask of size", name="RLE of another size")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"][0] = masks.encode(np.ones((4, 4), bool))


@json_damage("youtube-vis.json", *TRUTH, says="broken RLE", name="RLE that is cut off")
def _(truth: dict) -> None:
    rle = truth["annotations"][0]["segmentations"][0]
    rle["counts"] = rle["counts"][:-2]


@json_damage("youtube-vis.json", *TRUTH, says="broken RLE", name="run lengths beyond all numbers")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"][0]["counts"] = [10**30, 5]


@json_damage("youtube-vis.json", *TRUTH, says="broken RLE", name="negative run lengths")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"][0]["counts"] = [-5, 5 + 48 * 64]


@json_damage("youtube-vis.json", *TRUTH, says="broken polygon", name="polygons of two corners")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"][0] = [[1, 1, 5, 5]]


@json_damage("youtube-vis.json", *TRUTH, says="'video_id' is None", name="a missing key")
def _(truth: dict) -> None:
    del truth["annotations"][1]["video_id"]


@json_damage("youtube-vis.json", *TRUTH, says="'category_id' is 'car'", name="a class in words")
def _(truth: dict) -> None:
    truth["annotations"][1]["category_id"] = "car"


@json_damage("youtube-vis.json", *TRUTH, says="no list 'segmentations'", name="masks that are no list")
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"] = {"0": None}


@json_damage(
    "youtube-vis.json", *TRUTH, says="2 values, but toy has 3 frames", name="masks of another length"
)
def _(truth: dict) -> None:
    truth["annotations"][0]["segmentations"].pop()


@json_damage("youtube-vis.json", *TRUTH, says="'length' 1000000000000", name="a length beyond all memory")
def _(truth: dict) -> None:
    truth["videos"][0].update(length=10**12, file_names=[])


@json_damage("youtube-vis.json", *TRUTH, says="is no (height, width)", name="a size beyond all memory")
def _(truth: dict) -> None:
    truth["videos"][0].update(height=10**9, width=10**9)


@json_damage(
    "youtube-vis.json", *TRUTH, says="two entries for video 1; ids must differ", name="a video twice"
)
def _(truth: dict) -> None:
    truth["videos"].append(copy.deepcopy(truth["videos"][0]))


@json_damage("youtube-vis.json", *TRUTH, says="track id 1 occurs twice", name="a track twice")
def _(truth: dict) -> None:
    truth["annotations"].append(copy.deepcopy(truth["annotations"][0]))


@json_damage("youtube-vis.json", *TRUTH, says="which is not in 'videos'", name="a track of no video")
def _(truth: dict) -> None:
    truth["annotations"][0]["video_id"] = 77


@json_damage("youtube-vis.json", *TRUTH, says="'video_id' is -77", name="a negative id of a video")
def _(truth: dict) -> None:
    truth["annotations"][0]["video_id"] = -77


@json_damage("youtube-vis.json", *TRUTH, says="'occlude_rate' is", name="occlusion rates in words")
def _(truth: dict) -> None:
    del truth["annotations"][0]["visible_segmentations"]
    truth["annotations"][0]["occlude_rate"] = ["much", None, 0.5]


@json_damage("youtube-vis-results.json", *RESULTS, says="'score' is nan", name="scores that are no numbers")
def _(results: list) -> None:
    results[0]["score"] = float("nan")


@json_damage("youtube-vis-results.json", *RESULTS, says="'states' can be", name="states that are none")
def _(results: list) -> None:
    results[0]["states"] = ["asleep"] * 3


@json_damage("coco.json", *COCO, says="not in 'images'", name="an annotation of no image")
def _(truth: dict) -> None:
    truth["annotations"][0]["image_id"] = 99


@json_damage("coco.json", *COCO, says="image id 1 occurs twice", name="an image twice")
def _(truth: dict) -> None:
    truth["images"][1]["id"] = truth["images"][0]["id"]


@json_damage("coco.json", *COCO, says="'score' is inf", name="an infinite score")
def _(truth: dict) -> None:
    truth["annotations"][0]["score"] = float("inf")


for place, trick in enumerate(
    ("../../evil", "/tmp/evil", "a/../../evil", "..", ".hidden", "a\\evil", "e\0", "x" * 999)
):
    for target in ("mots", "davis") if place < 2 else ("mots",):

        def spoil(truth: dict, trick: str = trick) -> None:
            truth["videos"][0]["name"] = trick

        words = (
            "convert",
            "youtube-vis.json",
            "out",
            "--from",
            "youtube-vis",
            "--to",
            target,
            "--masks",
            "visible",
        )
        trick_name = f"path trick {trick[:12]!a} to {target}"
        json_damage("youtube-vis.json", *words, says="cannot name a file", name=trick_name)(spoil)


@damage(*ASD, "--split", "../x", says="../x", name="path trick in a split")
@damage(
    "convert",
    "asd",
    "out",
    "--from",
    "asd",
    "--to",
    "mots",
    "--split",
    "../x",
    says="../x",
    name="path trick, written",
)
def _(folder: Path) -> None:
    pass


def mots_line(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    lines = (folder / "mots" / "toy.txt").read_text().splitlines()
    (folder / "mots" / "toy.txt").write_text("\n".join([" ".join(change(lines[0].split())), *lines[1:]]))


@damage(*MOTS, says="line 1: 5 fields", name="MOTS without masks")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: fields[:5])


@damage(*MOTS, says="holds masks of frames -4", name="MOTS with a negative frame")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: ["-4", *fields[1:]])
    (folder / "mots" / "val.seqmap").unlink()


@damage(*MOTS, says="cannot be right", name="MOTS with a frame beyond all memory")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: ["99999999999999", *fields[1:]])
    (folder / "mots" / "val.seqmap").unlink()


@damage(*MOTS, says="'1.5' is no whole number", name="MOTS with half a frame")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: ["1.5", *fields[1:]])


@damage(*MOTS, says="is no (height, width)", name="MOTS with a size beyond all memory")
def _(folder: Path) -> None:
    mots_line(folder, lambda fields: [*fields[:3], "999999999", "999999999", fields[5]])


@damage(*MOTS, says="occurs twice in frame", name="MOTS with an id twice")
def _(folder: Path) -> None:
    path = folder / "mots" / "toy.txt"
    path.write_text(path.read_text().splitlines()[0] + "\n" + path.read_text())


@damage(*MOTS, says="val.seqmap, line 1", name="a broken list of lengths")
def _(folder: Path) -> None:
    (folder / "mots" / "val.seqmap").write_text("toy empty 0 many\n")


@damage(*DAVIS, says="00001.png: broken image", name="a PNG that is cut off")
def _(folder: Path) -> None:
    path = folder / "davis/Annotations/480p/toy/00001.png"
    path.write_bytes(path.read_bytes()[:60])


@damage(*DAVIS, says="mask of size [4, 4]", name="a PNG of another size")
def _(folder: Path) -> None:
    Image.new("L", (4, 4)).save(folder / "davis/Annotations/480p/toy/00001.png")


@damage(*DAVIS, says="broken image", name="a PNG that unfolds to gigabytes")
def _(folder: Path) -> None:
    path = folder / "davis/Annotations/480p/toy/00000.png"
    data = bytearray(path.read_bytes())
    data[16:24] = struct.pack(">II", 300_000, 300_000)
    path.write_bytes(bytes(data))


@damage(*ASD, says="aminseg.json: not valid JSON", name="annotations that are cut off")
def _(folder: Path) -> None:
    path = next((folder / "asd").rglob("*0001_aminseg.json"))
    path.write_bytes(path.read_bytes()[:40])


@damage(*ASD, says="track_id", name="an instance without a track")
def _(folder: Path) -> None:
    path = next((folder / "asd").rglob("*0001_aminseg.json"))
    entries = json.loads(path.read_text())
    del next(iter(entries.values()))["track_id"]
    path.write_text(json.dumps(entries))


# ---- checks ----------------------------------------------------------------------------------------------


@json_damage(
    "youtube-vis-results.json", *BOTH, says="kinds of errors", name="check: scores that are no numbers"
)
def _(results: list) -> None:
    results[0]["score"] = float("nan")


@json_damage("youtube-vis-results.json", *BOTH, says="kinds of errors", name="check: negative ids")
def _(results: list) -> None:
    results[0]["video_id"] = -1


@json_damage(
    "youtube-vis-results.json", *BOTH, says="kinds of errors", name="check: an id beyond all numbers"
)
def _(results: list) -> None:
    results[0]["video_id"] = 10**400
    results[1]["score"] = 10**400


@json_damage(
    "youtube-vis-results.json", *BOTH, says="kinds of errors", name="check: everything of another type"
)
def _(results: list) -> None:
    for place, wrong in enumerate((None, "x", [], {}, 1.5, True)):
        results.append(
            dict.fromkeys(results[0], wrong) | {"segmentations": [wrong, {"size": wrong, "counts": wrong}]}
        )
        results.append(wrong)
        results.append({"image_id": wrong} if place else {})


@json_damage("youtube-vis.json", *BOTH, says="kinds of errors", name="check: truth of another type")
def _(truth: dict) -> None:
    for wrong in (None, "x", [], {}, 1.5, True):
        truth["videos"].append(wrong)
        truth["videos"].append(dict.fromkeys(truth["videos"][0], wrong))
        truth["annotations"].append(dict.fromkeys(truth["annotations"][0], wrong))
        truth["categories"].append({"id": wrong})


@json_damage(
    "coco.json",
    "check",
    "coco.json",
    "coco-results.json",
    says="kinds of errors",
    name="check: COCO of another type",
)
def _(truth: dict) -> None:
    for wrong in (None, "x", [], {}, 1.5, True):
        truth["images"].append(dict.fromkeys(truth["images"][0], wrong))
        truth["annotations"].append(dict.fromkeys(truth["annotations"][0], wrong))


@damage(
    "check", "mots", "davis", "asd", says="kinds of errors", name="check: folders with a broken file each"
)
def _(folder: Path) -> None:
    for path in ("mots/toy.txt", "davis/Annotations/480p/toy/00001.png"):
        (folder / path).write_bytes((folder / path).read_bytes()[:50])
    next((folder / "asd").rglob("*0001_aminseg.png")).write_bytes(b"")


@damage("check", "sam.pth", says="cannot be read as a checkpoint", name="a checkpoint that is cut off")
def _(folder: Path) -> None:
    data = (folder / "sam.pth").read_bytes()
    (folder / "sam.pth").write_bytes(data[: len(data) // 2])


@damage("check", "sam.pth", says="kinds of errors", name="a checkpoint with other weights")
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


@damage("check", "sam.pth", says="sam.pth: ", name="a checkpoint that is a program")
def _(folder: Path) -> None:
    torch.save({"model": Program(folder / "evil")}, folder / "sam.pth")


@damage("check", "sam.pth", says="sam.pth: cannot be read", name="a pickle that is a program")
def _(folder: Path) -> None:
    (folder / "sam.pth").write_bytes(pickle.dumps(Program(folder / "evil")))


@damage("predict", "asd/val/images/front/toy", "--visible", "youtube-vis.json", "--model", "sam.pth", "--out", "out",
        says="sam.pth: ", name="a program to predict with")  # fmt: skip
def _(folder: Path) -> None:
    torch.save({"model": Program(folder / "evil")}, folder / "sam.pth")


@damage("check", "sam.pth", says="sam.pth: cannot be read", name="an archive that leads elsewhere")
def _(folder: Path) -> None:
    with zipfile.ZipFile(folder / "sam.pth", "w") as archive:
        archive.writestr("../evil/data.pkl", b"x")


# ---- usage -----------------------------------------------------------------------------------------------


@damage(
    "convert",
    "nowhere.json",
    "out",
    "--from",
    "coco",
    "--to",
    "mots",
    says="nowhere.json: no such file",
    name="no file",
)
@damage("check", "nowhere", says="nowhere: no such file or folder", name="check: no file")
@damage("check", says="no paths", name="check: nothing")
@damage("check", "asd/val/images", says="say --format", name="check: a folder of something else")
@damage("check", "asd", "--format", "xyz", says="xyz", name="check: unknown format")
@damage(
    "convert", "asd", "out", "--from", "asd", "--to", "xyz", says="--to xyz: unknown", name="unknown target"
)
@damage(
    "convert",
    "asd",
    "out",
    "--from",
    "xyz",
    "--to",
    "coco",
    says="--from xyz: unknown",
    name="unknown source",
)
@damage(*ASD, "--classes", "24=1", says="--classes 24=1", name="classes in another spelling")
@damage(
    "convert",
    "asd",
    "mots",
    "--from",
    "asd",
    "--to",
    "coco",
    says="mots: is a folder",
    name="a folder for a file",
)
@damage(
    "convert",
    "asd",
    "coco.json",
    "--from",
    "asd",
    "--to",
    "davis",
    "--masks",
    "visible",
    says="coco.json",
    name="a file for a folder",
)
@damage(
    "convert",
    "coco-results.json",
    "out",
    "--from",
    "coco-results",
    "--to",
    "mots",
    says="--like",
    name="results without index",
)
def _(folder: Path) -> None:
    pass


@pytest.mark.parametrize(("spoil", "words", "says"), CASES)
def test_damaged_inputs_give_one_line_and_leave_nothing(
    whole: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
    spoil: Callable[[Path], None],
    words: Words,
    says: str,
) -> None:
    folder = tmp_path / "a" / "b" / "work"
    shutil.copytree(whole, folder)
    spoil(folder)
    monkeypatch.chdir(folder)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()}
    assert run(words) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("samodal: ")]
    assert len(lines) == 1
    assert says in lines[0]
    assert len(lines[0]) < 1500
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*") if path.is_file()} == before
    assert not (folder / "evil").exists()
    assert not (folder / "out").exists()


def test_the_undamaged_ones_are_fine(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(whole)
    assert (
        run(["check", "youtube-vis.json", "youtube-vis-results.json", "mots", "davis", "asd", "sam.pth"]) == 0
    )
    assert run(["check", "coco.json", "coco-results.json"]) == 0
