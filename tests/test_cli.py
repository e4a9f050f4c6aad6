import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.cli import run
from samodal.commands import parse_size
from samodal.demo import only_visible
from samodal.errors import InputError
from samodal.frames import write_video
from samodal.prompts import STRATEGIES
from samodal.sam import AmodalSam
from samodal.sam.answers import FrameEmbedding
from samodal.show.report import write_report

FRAMES = 6
CLIP = toy_clip(frames=FRAMES, hidden=True)


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with frames/, clip.mp4, visible.json and model/: everything that a prediction needs."""
    folder = tmp_path_factory.mktemp("case")
    (folder / "frames").mkdir()
    for index, frame in enumerate(CLIP.video):
        cv2.imwrite(str(folder / "frames" / f"{index:03d}.png"), frame[..., ::-1])
    write_video(folder / "clip.mp4", CLIP.video, fps=10)
    (folder / "visible.json").write_text(json.dumps(results()))
    tiny_sam().save_pretrained(folder / "model")
    return folder


def results() -> list[dict[str, Any]]:
    return [
        {"video_id": 1, "category_id": t.category_id, "score": 0.9, "segmentations": list(t.visible)}
        for t in only_visible(CLIP.truth)
    ]


def predict(
    case: Path, out: Path, *more: str, video: str = "frames", visible: str | Path = "visible.json"
) -> int:
    words = [str(case / video), "--visible", str(case / visible), "--model", str(case / "model")]
    return run(["predict", *words, "--out", str(out), *more])


def test_predict_writes_its_three_files(case: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    assert predict(case, tmp_path / "out") == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {
        "amodal.json",
        "overlay.mp4",
        "report.html",
    }
    tracks = json.loads((tmp_path / "out" / "amodal.json").read_text())
    assert [len(track["segmentations"]) for track in tracks] == [FRAMES, FRAMES]
    assert "hidden" in tracks[0]["states"]
    captured = capfd.readouterr()
    assert "tracks: 2" in captured.out
    assert f"predicting: {FRAMES}/{FRAMES}" in captured.err


def test_predict_with_a_known_ego_motion(case: Path, tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    still = np.repeat(np.eye(3)[None], FRAMES, 0)
    np.save(tmp_path / "still.npy", still)
    (tmp_path / "moving.json").write_text(json.dumps([[[1, 0, 2], [0, 1, 0], [0, 0, 1]]] * (FRAMES - 1)))
    answers = {}
    for name in ("still.npy", "moving.json"):
        assert predict(case, tmp_path / name[:-5], "--ego", str(tmp_path / name)) == 0
        answers[name] = (tmp_path / name[:-5] / "amodal.json").read_bytes()
    assert answers["still.npy"] != answers["moving.json"]
    still[3, 0, 0] = np.nan
    np.save(tmp_path / "nan.npy", still)
    np.save(tmp_path / "short.npy", still[:2])
    for name, said in (("nan", "homography 3"), ("short", f"2 homographies for a video of {FRAMES}")):
        capfd.readouterr()
        assert predict(case, tmp_path / "none", "--ego", str(tmp_path / f"{name}.npy")) == 2
        error = capfd.readouterr().err
        assert said in error
        assert f"{name}.npy" in error
        assert error.count("\n") == 1
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_predict_with_every_strategy(case: Path, tmp_path: Path, strategy: str) -> None:
    assert predict(case, tmp_path / "out", "--prompt.strategy", strategy, "--prompt.count", "2") == 0
    for track in json.loads((tmp_path / "out" / "amodal.json").read_text()):
        for points, visible in zip(track["points"], track["visible_segmentations"], strict=True):
            assert (points is None) == (visible is None)
            assert points is None or all(masks.decode(visible)[y, x] for x, y in points)


def test_same_seed_same_bytes(case: Path, tmp_path: Path) -> None:
    for name, words in {"a": ["--batch", "1"], "b": ["--batch", "5"], "c": ["--seed", "1"]}.items():
        assert predict(case, tmp_path / name, "--prompt.count", "2", *words) == 0
    a, b, c = ((tmp_path / name / "amodal.json").read_bytes() for name in "abc")
    assert a == b
    assert a != c


def test_a_video_file_and_a_glob_do_as_well(case: Path, tmp_path: Path) -> None:
    assert predict(case, tmp_path / "file", video="clip.mp4") == 0
    assert predict(case, tmp_path / "glob", video="frames/*.png") == 0
    assert predict(case, tmp_path / "folder") == 0
    assert (tmp_path / "glob" / "amodal.json").read_bytes() == (
        tmp_path / "folder" / "amodal.json"
    ).read_bytes()


def shorter(entries: list[dict]) -> None:
    entries[0]["segmentations"].pop()


def other_size(entries: list[dict]) -> None:
    entries[0]["segmentations"][0] = masks.encode(np.ones((10, 10), bool))


def broken_rle(entries: list[dict]) -> None:
    rle = entries[0]["segmentations"][0]
    entries[0]["segmentations"][0] = {"size": rle["size"], "counts": rle["counts"] + "5"}


def same_id_twice(entries: list[dict]) -> None:
    for entry in entries:
        entry["track_id"] = 7


def nothing_seen(entries: list[dict]) -> None:
    for entry in entries:
        entry["segmentations"] = [None] * FRAMES


def no_tracks(entries: list[dict]) -> None:
    entries.clear()


def not_a_number(entries: list[dict]) -> None:
    entries[0]["score"] = float("nan")


def too_sure(entries: list[dict]) -> None:
    entries[0]["score"] = 7


@pytest.mark.parametrize(
    "spoil",
    [shorter, other_size, broken_rle, same_id_twice, nothing_seen, no_tracks, not_a_number, too_sure],
)
def test_masks_that_do_not_fit(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture, spoil: Callable[[list[dict]], None]
) -> None:
    entries = results()
    spoil(entries)
    (tmp_path / "bad.json").write_text(json.dumps(entries))
    assert predict(case, tmp_path / "out", visible=tmp_path / "bad.json") == 2
    assert_one_line(capsys, "bad.json")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("name", "content"), [("a.json", "[{"), ("b.json", "{}"), ("c.txt", "what?\n"), ("d.bin", "\0\1")]
)
def test_masks_of_no_known_format(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture, name: str, content: str
) -> None:
    (tmp_path / name).write_text(content)
    assert predict(case, tmp_path / "out", visible=tmp_path / name) == 2
    assert_one_line(capsys, name)


def test_videos_that_cannot_be_read(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    whole = (case / "clip.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 2])
    gap = tmp_path / "gap"
    gap.mkdir()
    for path in sorted((case / "frames").iterdir()):
        if path.stem != "003":
            (gap / path.name).write_bytes(path.read_bytes())
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "000.png").write_bytes((case / "frames" / "000.png").read_bytes()[:90])
    for video in (tmp_path / "cut.mp4", gap, broken, tmp_path / "nowhere.mp4", tmp_path / "*.jpg"):
        assert predict(case, tmp_path / "out", video=str(video)) == 2
        assert_one_line(capsys, video.name.removesuffix(".jpg"))
    assert not (tmp_path / "out").exists()


def test_checkpoints_that_do_not_fit(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    state = tiny_sam("none").to_original()
    name = "image_encoder.blocks.0.attn.qkv.weight"
    state[name] = state[name][:-1]
    torch.save(state, tmp_path / "wrong.pth")
    torch.save(tiny_sam("none").to_original() | {name: torch.nan * torch.ones(96, 32)}, tmp_path / "nan.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    (tmp_path / "empty").mkdir()
    for model in ("wrong.pth", "nan.pth", "text.pth", "empty", "nowhere.pth"):
        assert predict(case, tmp_path / "out", "--model", str(tmp_path / model)) == 2
        assert_one_line(capsys, model)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["--tracker", "crystal-ball"],
        ["--prompt.count", "0"],
        ["--vis.model", "facebook/mask2former"],
        ["--prompt.strategy", "nearest"],
        ["--recover", "sideways"],
        ["--device", "toaster"],
        ["--no-such-option"],
    ],
)
def test_bad_options(case: Path, tmp_path: Path, words: list[str]) -> None:
    assert predict(case, tmp_path / "out", *words) == 2
    assert not (tmp_path / "out").exists()


def test_a_disk_that_is_full_leaves_nothing_half_written(case: Path, tmp_path: Path) -> None:
    def small_disk() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))

    command = words(case, tmp_path / "out", case / "clip.mp4", case / "visible.json")
    done = subprocess.run(command, capture_output=True, text=True, preexec_fn=small_disk)
    assert done.returncode == 1
    assert done.stderr.strip().splitlines()[-1].startswith("samodal: ")
    assert "Traceback" not in done.stderr
    assert [path.name for path in (tmp_path / "out").iterdir() if path.stat().st_size >= 3000] == []
    assert not [path for path in (tmp_path / "out").iterdir() if path.name.startswith(".")]


@pytest.fixture
def long(tmp_path: Path) -> tuple[Path, Path]:
    """A clip, and its masks."""
    clip = toy_clip(frames=100)
    write_video(tmp_path / "long.mp4", clip.video)
    only_visible(clip.truth).write(tmp_path / "long.json")
    return tmp_path / "long.mp4", tmp_path / "long.json"


def test_told_to_stop(case: Path, tmp_path: Path, long: tuple[Path, Path]) -> None:
    command = words(case, tmp_path / "out", *long)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        assert process.stderr.readline().startswith("predicting")
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert_goes_on(errors, command, tmp_path)


def test_interrupted(
    case: Path,
    tmp_path: Path,
    long: tuple[Path, Path],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture,
) -> None:
    encode, encoded = AmodalSam.encode, []

    def press_ctrl_c(model: AmodalSam, frame: np.ndarray) -> FrameEmbedding:
        encoded.append(encode(model, frame))
        if len(encoded) == 40:
            signal.raise_signal(signal.SIGINT)
        return encoded[-1]

    command = words(case, tmp_path / "out", *long)
    # A shell has background jobs ignore SIGINT, and they hand that on.
    heard = signal.signal(signal.SIGINT, signal.default_int_handler)
    with monkeypatch.context() as patch:
        patch.setattr(AmodalSam, "encode", press_ctrl_c)
        assert run(command[3:]) == 1
    signal.signal(signal.SIGINT, heard)
    assert_goes_on(capsys.readouterr().err, command, tmp_path)


def assert_goes_on(errors: str, command: list[str], folder: Path) -> None:
    """Nothing is half-written; started again, it goes on where it was, and then the answers are no longer needed."""
    assert errors.strip().splitlines()[-1].startswith("samodal: interrupted")
    assert "Traceback" not in errors
    assert not list(folder.rglob(".*"))
    assert {path.name for path in (folder / "out").iterdir()} == {"answers.part.jsonl"}
    assert run(command[3:]) == 0
    assert {path.name for path in (folder / "out").iterdir()} == {"amodal.json", "overlay.mp4", "report.html"}


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


def words(case: Path, out: Path, video: Path, visible: Path) -> list[str]:
    command = [sys.executable, "-m", "samodal", "predict", str(video), "--visible", str(visible)]
    return [*command, "--model", str(case / "model"), "--out", str(out)]


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


def test_a_model_is_refused_that_would_not_be_asked(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert predict(case, tmp_path / "out", "--vis.classes", "car") == 2
    assert_one_line(capsys, "--vis.classes: only with --visible auto")


@pytest.mark.parametrize("word", ["batch 0", "prompt.count -2", "seed -1"])
def test_a_number_that_is_too_small_is_named(
    case: Path, tmp_path: Path, word: str, capsys: pytest.CaptureFixture
) -> None:
    assert predict(case, tmp_path / "out", *f"--{word}".split()) == 2
    assert_one_line(capsys, f"{word}: at least")


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


def assert_one_line(capsys: pytest.CaptureFixture, name: str) -> None:
    """The error is one line that names what is wrong (progress may stand before it)."""
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("samodal: ")]
    assert len(lines) == 1
    assert name in lines[0]


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


def test_bad_usage_names_the_help_and_the_cure(
    case: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.chdir(case)
    frames = sorted(f"frames/{path.name}" for path in (case / "frames").iterdir())
    assert run(["predict", *frames, "--visible", "visible.json"]) == 2  # as the shell fills in frames/*.png
    assert "frames/001.png: one file too many; put a pattern in quotes" in capsys.readouterr().err
    assert run(["predict", "clip.mp4", "--masks", "visible.json"]) == 2
    assert "see samodal predict --help" in capsys.readouterr().err
    words = ["--visible", "auto", "--vis.model", "own.py:find"]
    assert run(["predict", "clip.mp4", *words, "--out", str(tmp_path)]) == 2
    assert "without .py: own:find" in capsys.readouterr().err
    assert run(["check", "clip.mp4"]) == 2
    assert "clip.mp4: a picture; masks are checked" in capsys.readouterr().err


def test_negative_ids_and_a_byte_order_mark_are_fine(case: Path, tmp_path: Path) -> None:
    entries = [{**entry, "track_id": -1 - place} for place, entry in enumerate(results())]
    (tmp_path / "ids.json").write_text(json.dumps(entries), encoding="utf-8-sig")
    assert predict(case, tmp_path / "out", visible=tmp_path / "ids.json") == 0


def test_a_folder_that_cannot_be_written_to_is_refused_before_the_work(
    case: Path, tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    assert predict(case, tmp_path / "file" / "out") == 2
    errors = capsys.readouterr().err
    assert "choose another --out" in errors
    assert "predicting" not in errors


def test_points_are_written_only_where_sam_was_shown_them(case: Path, tmp_path: Path) -> None:
    assert predict(case, tmp_path / "out", "--prompt.kinds", "box") == 0
    tracks = json.loads((tmp_path / "out" / "amodal.json").read_text())
    assert all(points is None for track in tracks for points in track["points"])


def test_video_and_masks_swapped(case: Path, tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "masks.txt").write_text("0 1001 1 48 64 abc\n")
    assert predict(case, tmp_path / "out", video=str(tmp_path / "masks.txt")) == 2
    assert_one_line(capsys, "swapped")
