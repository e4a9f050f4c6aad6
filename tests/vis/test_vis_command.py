"""`samodal predict --visible auto`, functions of the user's own, and the page that tells of them."""

import json
import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.cli import _parse, run
from samodal.errors import InputError
from samodal.frame_log import FrameLog
from samodal.frames import write_video
from samodal.video import Video
from samodal.vis import VisOptions, open_vis
from samodal.vis.by_image import FrameByFrame, without_overlaps

PAGE = Path(__file__).parents[2] / "docs" / "visible.md"
CLIP = toy_clip(frames=6)

SQUARES = """
calls = 0

def find(image):
    global calls
    calls += 1
    bright, dark = image[..., 0] == 220, image[..., 0] == 20
    return [(mask, name, 0.9) for mask, name in ((bright, "car"), (dark, "person")) if mask.any()]

def stops(image):
    if calls == 3:
        raise KeyboardInterrupt
    return find(image)

def nothing(image):
    return []
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, whose modules are forgotten afterwards; with the toy clip's frames, and a model."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("frames").mkdir()
    for index, frame in enumerate(CLIP.video):
        cv2.imwrite(f"frames/{index}.png", frame[..., ::-1])
    tiny_sam().save_pretrained("model")
    Path("squares.py").write_text(SQUARES)
    yield tmp_path
    for name in ("own", "squares", "bright", "own_vis"):
        sys.modules.pop(name, None)


COMMAND = ["predict", "frames", "--visible", "auto", "--model", "model", "--out", "out"]


def refused(capsys: pytest.CaptureFixture, *words: str) -> str:
    """The one line that a command is refused with."""
    capsys.readouterr()
    assert run([*COMMAND, *words]) == 2
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("samodal: ")]
    assert len(lines) == 1
    return lines[0]


def test_raw_video_in(folder: Path, capfd: pytest.CaptureFixture) -> None:
    assert run([*COMMAND, "--vis.model", "squares:find"]) == 0
    captured = capfd.readouterr()
    assert "finding: 6/6" in captured.err
    assert "out: visible.json, amodal.json, overlay.mp4, report.html" in captured.out
    assert {path.name for path in Path("out").iterdir()} == {
        "visible.json", "amodal.json", "overlay.mp4", "report.html"
    }  # fmt: skip
    found = json.loads(Path("out/visible.json").read_text())
    for category, number in {26: 1, 24: 2}.items():  # bright, dark
        (true,) = [t for t in CLIP.truth if t.track_id == number]
        own = [track["segmentations"] for track in found if track["category_id"] == category]
        together = [next(filter(None, frame), None) for frame in zip(*own, strict=True)]
        assert together == true.visible
    # Given back as a file, they lead to the same.
    words = ["predict", "frames", "--visible", "out/visible.json", "--model", "model", "--out", "again"]
    assert run(words) == 0
    assert Path("again/amodal.json").read_bytes() == Path("out/amodal.json").read_bytes()


def test_a_run_that_is_cut_off_looks_at_no_frame_twice(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run([*COMMAND, "--vis.model", "squares:stops"]) == 1
    assert not Path("out/visible.json").exists()
    squares = sys.modules["squares"]
    squares.calls = 10
    # Cut off once more, within the prediction.
    monkeypatch.setattr("samodal.predict.write_results", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert run([*COMMAND, "--vis.model", "squares:stops"]) == 1
    assert squares.calls == 13
    before = Path("out/visible.json").read_bytes()
    monkeypatch.undo()
    monkeypatch.chdir(folder)
    assert run([*COMMAND, "--vis.model", "squares:stops"]) == 0
    assert squares.calls == 13
    assert Path("out/visible.json").read_bytes() == before
    assert not list(Path("out").glob("*.part.jsonl"))


def test_what_is_missing_is_said(folder: Path, capsys: pytest.CaptureFixture) -> None:
    assert "--visible auto: say with --vis.model what finds the masks" in refused(capsys)
    assert "--vis.threshold 0.0" in refused(capsys, "--vis.model", "squares:find", "--vis.threshold", "0")
    assert "vis squares:absent: squares has no 'absent'" in refused(capsys, "--vis.model", "squares:absent")
    assert not Path("out").exists()
    assert "finds no instance in it" in refused(capsys, "--vis.model", "squares:nothing")
    assert "finds no instance" in refused(capsys, "--vis.model", "squares:find", "--vis.classes", "bus")
    assert not Path("out/visible.json").exists()


def test_a_file_called_auto(folder: Path, capsys: pytest.CaptureFixture) -> None:
    Path("auto").write_text("no masks")
    assert run(["predict", "frames", "--visible", "./auto", "--model", "model", "--out", "out"]) == 2
    assert "unknown format" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("def f(frame): return []", "first argument must be called image .* or video .*, but is frame"),
        ("def f(): return []", "but is missing"),
        ("def f(image): return 3", "returned a int, not a list"),
        ("def f(image): return [image[..., 0]]", "is expected for every instance"),
        ("def f(image): return [(image, 'car', 1.0)]", r"mask of shape \(48, 64, 3\)"),
        ("def f(image): return [(image[..., 0], 3, 1.0)]", "class 3 and score 1.0"),
        ("def f(image): return [(image[..., 0], 'car', float('nan'))]", "score nan"),
        ("def f(video): return []", "returned a list, not VideoTracks"),
        ("from samodal import VideoTracks\ndef f(video): return VideoTracks((2, 2), 6, [])", r"\(2, 2\)"),
        (
            "from samodal import Track, VideoTracks\n"
            "def f(video): return VideoTracks(video.size, 6, [Track(1, 1, 1.0, [None])])",
            "track 1 has 1 masks for 6 frames",
        ),
        (
            "from samodal import Track, VideoTracks\n"
            "def f(video): return VideoTracks(video.size, 6, [Track(1, 1, 1.0, [None] * 6)] * 2)",
            "a track id twice",
        ),
        (
            "from samodal import Track, VideoTracks\n"
            "def f(video):\n"
            "    track = Track(1, 1, 1.0, [None] * 6)\n"
            "    track.visible[2] = {'size': list(video.size), 'counts': 'x'}\n"
            "    return VideoTracks(video.size, 6, [track])",
            "track 1: broken RLE",
        ),
    ],
)  # fmt: skip
def test_functions_that_are_none(folder: Path, code: str, message: str) -> None:
    Path("own.py").write_text(code)
    with pytest.raises(InputError, match=message) as raised:
        open_vis(VisOptions("own:f"))(CLIP.video)
    assert "own:f" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_doubles_and_overlaps_go() -> None:
    a, b = np.zeros((10, 10), bool), np.zeros((10, 10), bool)
    a[:, :6], b[:, 4:] = True, True
    kept = without_overlaps([a, b, a | b, np.zeros_like(a), a], [0.5, 0.9, 0.1, 1.0, 0.4])
    assert list(kept) == [1, 0]
    assert (kept[1] == b).all()
    assert (kept[0] == a & ~b).all()


def test_what_is_in_the_log_is_not_looked_for(tmp_path: Path) -> None:
    log = FrameLog(tmp_path / "log", {})
    vis = FrameByFrame(lambda image: [(image[..., 0] > 100, "car", 0.9)], "own", {})
    whole = vis(CLIP.video, log=log)
    blind = FrameByFrame(lambda image: [], "own", {})
    assert blind(CLIP.video, log=FrameLog(tmp_path / "log", {})) == whole


def test_the_page_does_what_it_says(folder: Path) -> None:
    bright, own_vis, from_python = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    Path("bright.py").write_text(bright)
    Path("own_vis.py").write_text(own_vis)
    frames = []
    for index in range(4):
        frame = np.zeros((48, 64, 3), np.uint8)
        frame[10:20, 5 + 3 * index : 17 + 3 * index] = 255
        frame[30:40, 40:52] = 255
        frames.append(frame)
    write_video("clip.mp4", frames)
    both = open_vis(VisOptions("bright:find"))(Video.from_frames(frames))
    assert [len(list(filter(None, track.visible))) for track in both] == [4, 4]
    assert {track.category_id for track in both} == {101}
    (one,) = open_vis(VisOptions("own_vis:segment"))(Video.from_frames(frames))
    assert masks.area(one.visible[0]) == 240
    known: dict = {}
    exec(from_python, known)
    assert len(known["tracks"]) == 2
    commands = re.findall(r"^samodal (predict .*)", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 4
    for command in commands:
        assert _parse(shlex.split(command)).visible == "auto"  # type: ignore[union-attr]
    assert run([*commands[-1].split(), "--model", "model", "--out", "out"]) == 0
