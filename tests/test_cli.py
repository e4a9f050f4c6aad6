"""The command line as a whole, and commands that have no tests of their own."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from predicting import CLIP, assert_one_line
from toys import tiny_sam

from samodal.cli import run
from samodal.commands import parse_size
from samodal.errors import InputError
from samodal.show.report import write_report


def test_help_and_version(capsys: pytest.CaptureFixture) -> None:
    for command in (
        [],
        ["demo"],
        ["predict"],
        ["train"],
        ["synth"],
        ["score"],
        ["convert"],
        ["check"],
        ["show"],
    ):
        assert run([*command, "--help"]) == 0
    assert "--visible" in capsys.readouterr().out
    assert run(["--version"]) == 0
    assert run(["nonsense"]) == 2


@pytest.mark.parametrize(
    ("modules", "absent"),
    [
        ("samodal", {"torch", "cv2", "numpy"}),
        ("samodal.cli", {"torch", "transformers"}),
        ("samodal.data.visible, samodal.frames, samodal.data.asd, samodal.data.synthetic", {"torch"}),
    ],
)
def test_importing_is_quick_and_needs_no_torch(modules: str, absent: set[str]) -> None:
    code = f"import sys, {modules}; sys.exit(str({absent} & set(sys.modules)) if {absent} & set(sys.modules) else 0)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


@pytest.mark.parametrize("module", ["samodal.cli", "tyro"])
@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_interrupted_while_it_starts(module: str, stop: signal.Signals) -> None:
    code = f"""
import signal, sys

class Interrupter:
    def find_spec(self, name, *_):
        if name == "{module}":
            signal.raise_signal({int(stop)})

signal.signal(signal.SIGINT, signal.default_int_handler)  # it may be ignored, as in `test_interrupted`
sys.meta_path.insert(0, Interrupter())
sys.argv = ["samodal", "--help"]
from samodal.__main__ import main
main()
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr == "samodal: interrupted; nothing half-written was left\n"
    assert done.stdout == ""


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["nonsense"],
        ["predict"],
        ["predict", "clip.mp4"],
        ["predict", "clip.mp4", "--visible", "a.json", "--batch", "two"],
        ["demo", "--clips", "0"],
        ["demo", "--frames", "0"],
        ["synth", "folder", "--videos", "0"],
        ["synth", "folder", "--seed", "-5"],
        ["synth", "folder", "--preset", "impossible"],
    ],
)
def test_bad_usage_is_one_line(words: list[str], capsys: pytest.CaptureFixture) -> None:
    assert run(words) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["convert", "visible.json", "file/x.json", "--from", "youtube-vis-results", "--to", "genvis"],
            "x.json",
        ),
        (["convert", "visible.json", "file/x", "--from", "youtube-vis-results", "--to", "davis"], "file/x"),
        (["export", "model", "--original", "file/x.pth"], "file/x.pth"),
        (["synth", "file", "--videos", "1"], "file/train"),
    ],
)
def test_places_that_cannot_be_written_to(
    case: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(case)
    (case / "file").write_text("")
    assert run(words) == 2
    assert_one_line(capsys, f"{said}: cannot be written to (Not a directory); choose another place")


def test_synth_then_train(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    data, out = str(tmp_path / "data"), tmp_path / "run"
    size = ["--frames", "2", "--size", "72x128", "--workers", "1"]
    assert run(["synth", data, "--split", "train", "--videos", "1", *size]) == 0
    assert run(["synth", data, "--split", "val", "--videos", "1", "--seed", "100000", *size]) == 0
    tiny_sam("none").save_pretrained(tmp_path / "sam")
    training = ["train", "asd", "--root", data, "--model", str(tmp_path / "sam"), "--out", str(out)]
    training += ["--adapter", "sam-adapter", "--steps", "2", "--batch", "1", "--workers", "0"]
    assert run(training) == 0
    assert "sam-adapter" in (out / "best" / "config.json").read_text()
    assert run(training) == 2
    assert_one_line(capsys, "--resume")


@pytest.mark.parametrize("text", ["360", "360x", "0x10", "ax10", "-1x10"])
def test_sizes_that_are_none(text: str) -> None:
    with pytest.raises(InputError):
        parse_size(text)
    assert parse_size("360x640") == (360, 640)


def test_show_needs_a_report(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(["show", str(tmp_path)]) == 2
    assert_one_line(capsys, "report.html")


def test_show_takes_the_report_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    CLIP.truth.write(tmp_path / "amodal.json")
    report = tmp_path / "report.html"
    write_report(report, CLIP.video, CLIP.truth, {})
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: opened.append(address) or True)
    assert run(["show", str(report)]) == 0
    assert opened == [report.resolve().as_uri()]
    assert run(["show", str(report), "--figure", str(tmp_path / "a.png")]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--frames", "1", "2"], "--frames: only with --figure"),
        (["--tracks", "1", "--rerun", "a.rrd"], "--tracks: only with --figure"),
        (["--video", "clip.mp4"], "--video: only with --figure or --rerun"),
    ],
)
def test_show_refuses_what_it_would_not_heed(
    tmp_path: Path, words: list[str], said: str, capsys: pytest.CaptureFixture
) -> None:
    assert run(["show", str(tmp_path), *words]) == 2
    assert_one_line(capsys, said)
