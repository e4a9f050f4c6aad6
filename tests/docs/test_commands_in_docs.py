"""Every command and every piece of Python in README and docs is run, block after block, on small stand-ins.

What stands on a page runs as it stands there, in a folder that has the files that the pages talk about (`stand_ins`).
Numbers that mean hours are made smaller (`SMALLER`); `ELSEWHERE` names what is not run here, and why.
"""

import glob
import re
import runpy
import shlex
import shutil
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path

import pytest
import toys
from PIL import Image

from samodal.cli import run
from samodal.export.original import write_original
from samodal.frames import write_video
from samodal.video import Video

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
ELSEWHERE = {
    r"make ": "continuous integration runs `make test`; `make demo` is `samodal demo`, which tests/test_demo.py runs",
    r"pip |curl ": "installs and downloads",
    r"export ": "a setting of the shell",
    r"python benchmarks/": "minutes to an hour each",
    r"scripts/train_nano.sh": "hours; tests/train runs trainings",
    r"samodal export .*--onnx": "half a minute; tests/export/test_onnx_files.py makes the files",
    r"samodal app": "serves until it is interrupted; tests/app opens it in a browser",
    r"samodal download": "needs the network; tests/test_download.py has a server of its own",
    r"samodal .* facebook/": "needs weights of others; tests/vis makes small ones",
    r"samodal .* --tracker (cotracker|tapir)": "needs weights of others; tests/track has goldens and stand-ins",
}
PYTHON_ELSEWHERE = {
    "export.md": "tests/export/test_onnx_files.py",
    "trackers.md": "tests/track/test_trackers_page.py, with a stand-in for the network",
}
SMALLER = [
    (r"samodal demo", "samodal demo --clips 1 --frames 6"),
    (r"--split train --videos \d+", "--split train --videos 1 --frames 4 --size 96x160"),
    (r"--split val --videos \d+", "--split val --videos 1 --frames 6 --size 96x160"),
    (r"(samodal train asd .*)", r"\1 --steps 1 --workers 0"),
    (r"--frames 12 20 31 --tracks 3 7", "--frames 0 2 4 --tracks 3 5"),
]


def words_of(line: str) -> list[str]:
    """A line of the shell as words, without its comment; patterns that are not quoted are filled in."""
    for pattern, smaller in SMALLER:
        line = re.sub(pattern, smaller, line.split(" #")[0].rstrip())
    quoted = re.findall(r'"([^"]*)"', line)
    return [
        found
        for word in shlex.split(line)
        for found in ((sorted(glob.glob(word)) or [word]) if "*" in word and word not in quoted else [word])
    ]


@pytest.fixture(scope="module")
def stand_ins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All that the pages take for granted: a clip with masks in every format, and checkpoints."""
    folder = tmp_path_factory.mktemp("docs")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(words_of("samodal synth data --split val --videos 1 --seed 123457")[1:]) == 0
        assert run(words_of("samodal synth data --split train --videos 1")[1:]) == 0
        for written in (
            "truth.json --to youtube-vis",
            "predictions.json --to youtube-vis-results",
            "truth_coco.json --to coco",
            "predictions_coco.json --to coco-results",
            "genvis.json --to genvis --masks visible",
            "mots --to mots --masks visible",
            "davis --to davis --masks visible",
        ):
            assert run(["convert", "data", *written.split(), "--from", "asd"]) == 0
    (name,) = (path.stem for path in (folder / "mots").glob("*.txt"))
    shutil.copytree(folder / "data" / "val" / "images" / "front" / name, folder / "image_02" / "0001")
    (folder / "instances_txt").mkdir()
    shutil.copy(folder / "mots" / f"{name}.txt", folder / "instances_txt" / "0001.txt")
    shutil.copytree(folder / "davis" / "Annotations" / "480p" / name, folder / "masks")
    video = Video.open(folder / "image_02" / "0001")
    write_video(folder / "clip.mp4", video, 10)
    for clip in ("a", "b"):
        for path in ("clips", "visible", f"sequences/{clip}"):
            (folder / path).mkdir(parents=True, exist_ok=True)
        shutil.copy(folder / "clip.mp4", folder / "clips" / f"{clip}.mp4")
        shutil.copy(folder / "genvis.json", folder / "visible" / f"{clip}.json")
        shutil.copytree(folder / "image_02" / "0001", folder / "sequences" / clip / "rgb")
        shutil.copytree(folder / "masks", folder / "sequences" / clip / "masks")
    (folder / "frames").mkdir()
    for index, image in enumerate(video):
        Image.fromarray(image).save(folder / "frames" / f"{index:05d}.png")
    shutil.copy(folder / "frames" / "00000.png", folder / "frame.png")
    shutil.copy(folder / "genvis.json", folder / "genvis_results.json")
    for seed in range(3):
        shutil.copy(folder / "predictions.json", folder / f"seed{seed}.json")
    for checkpoint in ("checkpoint.pth", "sam_vit_b_01ec64.pth"):
        write_original(toys.tiny_sam("none"), folder / checkpoint)
    toys.tiny_sam().save_pretrained(folder / "weights" / "samodal-nano")
    return folder


def write_files(page: Path) -> None:
    """Pieces of Python under a line that is a file's name, such as `contrast.py`: are that file."""
    for name, code in re.findall(
        r"`(\w+\.py)`:\n+```python\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        Path(name).write_text(code)
        sys.modules.pop(Path(name).stem, None)  # another test's


@pytest.fixture
def folder(stand_ins: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.chdir(tmp_path)
    # A small model in the place of the bundled one, which tests/test_demo.py runs.
    monkeypatch.setattr("samodal.sam.reading.WEIGHTS", stand_ins / "weights")
    monkeypatch.setattr(webbrowser, "open", lambda url: True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    yield tmp_path
    for name in {path.stem for path in tmp_path.glob("*.py")}:  # the next page may have a file of that name
        sys.modules.pop(name, None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_what_stands_on_a_page_runs(
    page: Path, stand_ins: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if page.name == "export.md":
        toys.tiny_sam("none").save_pretrained("runs/train/best")
    write_files(page)
    known: dict[str, object] = {}
    for language, block in re.findall(
        r"^```(bash|python)\n(.*?)^```", page.read_text(), re.DOTALL | re.MULTILINE
    ):
        shutil.copytree(stand_ins, folder, dirs_exist_ok=True)
        if language == "python":
            if page.name in PYTHON_ELSEWHERE:
                continue
            image = Video.open("clip.mp4")[0]
            known = {"image": image, "pairs": [(image, {})], **known}  # what the text says is there
            exec(compile(block, str(page), "exec"), known)
            continue
        for line in block.replace("\\\n", " ").splitlines():
            if line.split("#")[0].strip() and not any(re.match(start, line) for start in ELSEWHERE):
                command, *words = words_of(line)
                if command == "python":
                    monkeypatch.setattr(sys, "argv", words)
                    runpy.run_path(str(ROOT / words[0]), run_name="__main__")
                    continue
                assert command == "samodal", f"{page.name}: {line}: what is this?"
                assert run(words) == 0, f"{page.name}: {line}"
