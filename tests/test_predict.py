"""`samodal predict`: what it writes, what it refuses, and how it stops."""

import json
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from predicting import FRAMES, assert_one_line, results
from toys import tiny_sam, toy_clip

from samodal import masks
from samodal.cli import run
from samodal.demo import only_visible
from samodal.frames import write_video
from samodal.prompts import STRATEGIES
from samodal.sam import AmodalSam
from samodal.sam.answers import FrameEmbedding


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


def words(case: Path, out: Path, video: Path, visible: Path) -> list[str]:
    command = [sys.executable, "-m", "samodal", "predict", str(video), "--visible", str(visible)]
    return [*command, "--model", str(case / "model"), "--out", str(out)]


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
