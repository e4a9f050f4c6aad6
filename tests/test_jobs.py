"""Several videos in one command, shared between machines, and scored where the truth is known."""

import json
import os
from collections import Counter
from pathlib import Path

import cv2
import pytest
from toys import tiny_sam, toy_clip

from samodal.cli import run
from samodal.commands import Predict
from samodal.data.labelled import LabelledVideo, frame_files
from samodal.data.write.youtube_vis import write_truth
from samodal.demo import only_visible
from samodal.errors import InputError
from samodal.frames import write_video
from samodal.jobs import jobs_of, names_of, several
from samodal.video import VideoTracks

CLIP = toy_clip(frames=4, hidden=True)


def touch(folder: Path, *names: str) -> list[Path]:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch() if path.suffix else path.mkdir()
    return [folder / name for name in names]


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["clips/a.mp4", "clips/b.mp4"], ["a", "b"]),
        (["a/rgb", "b/rgb"], ["a", "b"]),
        (["a/clip.mp4", "b/clip.mp4"], ["a", "b"]),
        (["a/front/1.mp4", "b/front/2.mp4"], ["a/front/1", "b/front/2"]),
        (["set/0001.old", "set/0002.old"], ["0001", "0002"]),
        (["only.mp4"], ["only"]),
        (["2023.07_rain", "2023.08_rain"], ["2023.07_rain", "2023.08_rain"]),
    ],
)
def test_videos_are_named_by_what_tells_them_apart(
    tmp_path: Path, paths: list[str], names: list[str]
) -> None:
    folders = [tmp_path / path for path in paths if "rain" in path]
    for folder in folders:
        folder.mkdir()
    assert names_of(folders or touch(tmp_path, *paths)) == names


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="2 videos are called 'a'"):
        names_of(touch(tmp_path, "a.mp4", "a.mkv", "b.mp4"))


def test_a_pattern_names_frames_or_videos(tmp_path: Path) -> None:
    touch(tmp_path, "frames/0.png", "frames/1.png", "clips/10.mp4", "clips/9.mp4", "clips/.hidden.mp4")
    assert several(str(tmp_path / "frames/*")) == []
    assert several(str(tmp_path / "frames")) == []
    assert [path.name for path in several(str(tmp_path / "clips/*"))] == ["9.mp4", "10.mp4"]
    assert [path.name for path in several(str(tmp_path / "*"))] == ["clips", "frames"]


def test_shards_have_every_video_once(tmp_path: Path) -> None:
    touch(tmp_path, *(f"{k}.mp4" for k in range(7)))
    pattern, masks = str(tmp_path / "*.mp4"), str(tmp_path / "*.json")
    everything = [job.name for job in jobs_of(Predict(pattern, masks))]
    for count in range(1, 10):
        shards = [jobs_of(Predict(pattern, masks, shard=f"{k}/{count}")) for k in range(1, count + 1)]
        assert sorted(job.name for shard in shards for job in shard) == everything
        assert max(map(len, shards)) - min(map(len, shards)) <= 1
    (third,) = jobs_of(Predict(pattern, masks, truth=Path("true/*.json"), out=Path("o"), shard="3/7"))
    assert (third.visible, str(third.truth)) == (str(tmp_path / "2.json"), os.path.join("true", "2.json"))
    assert third.out == Path("o/2")


@pytest.mark.parametrize("shard", ["0/2", "3/2", "1", "a/b", "1/0", "-1/2"])
def test_shards_that_are_none(shard: str) -> None:
    with pytest.raises(InputError, match="i/n is expected, from 1/n to n/n"):
        jobs_of(Predict("clip.mp4", "masks.json", shard=shard))


def test_one_file_of_masks_for_several_videos_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a.mp4", "b.mp4")
    with pytest.raises(InputError, match=r"2 videos, but one --visible all.json; write \*"):
        jobs_of(Predict(str(tmp_path / "*.mp4"), "all.json"))
    with pytest.raises(InputError, match=r"2 videos, but one --ego"):
        jobs_of(Predict(str(tmp_path / "*.mp4"), "*.json", ego=Path("ego.npy")))


def test_one_file_for_several_videos_where_the_truth_has_their_names(videos: Path) -> None:
    first, second = json.loads(Path("a.json").read_text()), json.loads(Path("b.json").read_text())[:1]
    everything = first + [{**entry, "video_id": 2} for entry in second]
    Path("all.json").write_text(json.dumps(everything))
    command = ["predict", "clips/[ab].mp4", "--visible", "all.json", "--truth", "truth.json"]
    assert run([*command, "--model", "model", "--out", "out"]) == 0
    for name, number, count in (("a", 1, len(first)), ("b", 2, 1)):
        entries = json.loads(Path(f"out/{name}/amodal.json").read_text())
        assert [entry["video_id"] for entry in entries] == [number] * count
    assert run(["score", "videos", "truth.json", "out/a", "out/b", "--out", "all_scores.json"]) == 0


@pytest.fixture
def videos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Three clips, the last of which has no masks, with their truth."""
    monkeypatch.chdir(tmp_path)
    tiny_sam().save_pretrained("model")
    seen = [
        {"video_id": 1, "category_id": t.category_id, "segmentations": list(t.visible)}
        for t in only_visible(CLIP.truth)
    ]
    for name in ("a", "b", "c"):
        Path("clips").mkdir(exist_ok=True)
        write_video(f"clips/{name}.mp4", CLIP.video)
        if name != "c":
            Path(f"{name}.json").write_text(json.dumps(seen))
    truth = LabelledVideo("a", CLIP.video, CLIP.truth, frame_files("a", CLIP.video))
    other = LabelledVideo(
        "b", CLIP.video, VideoTracks(CLIP.truth.size, 4, CLIP.truth.tracks, 2), frame_files("b", CLIP.video)
    )
    write_truth(Path("truth.json"), [truth, other], {26: "car"}, Counter())
    return tmp_path


def of_first(truth: dict) -> dict:
    annotations = [entry for entry in truth["annotations"] if entry["video_id"] == 1]
    return {**truth, "videos": truth["videos"][:1], "annotations": annotations}


def test_several_videos_in_one_command(videos: Path, capfd: pytest.CaptureFixture) -> None:
    command = ["predict", "clips/*.mp4", "--visible", "*.json", "--model", "model", "--out", "out"]
    assert run([*command, "--shard", "2/3"]) == 0
    assert [path.name for path in Path("out").iterdir()] == ["b"]
    assert run([*command, "--shard", "4/4"]) == 0
    assert "none is left" in capfd.readouterr().out
    before = Path("out/b/overlay.mp4").stat().st_mtime_ns
    assert run(command) == 2  # c has no masks; the others are done all the same
    said = capfd.readouterr().err
    assert "2/3 b: is there already" in said
    assert "c.json: no such file" in said
    assert "1 of 3 videos failed, see above: c" in said
    assert sorted(path.name for path in Path("out").iterdir()) == ["a", "b"]
    assert Path("out/b/overlay.mp4").stat().st_mtime_ns == before
    assert Path("out/a/amodal.json").read_bytes() == Path("out/b/amodal.json").read_bytes()


def test_scores_where_the_truth_is_known(videos: Path, capsys: pytest.CaptureFixture) -> None:
    command = ["predict", "clips/b.mp4", "--visible", "b.json", "--model", "model", "--out", "out"]
    assert run([*command, "--truth", "truth.json"]) == 0
    assert "IoU" in capsys.readouterr().out
    scores = json.loads(Path("out/scores.json").read_text())
    assert {"protocol", "command", "versions", "rows"} <= set(scores)
    rows = {row["method"]: row for row in scores["rows"] if row["subset"] == "all"}
    assert {"samodal", "frame by frame", "visible", "convex-hull", "hold-last", "constant-velocity"} <= set(
        rows
    )
    assert 0 < rows["samodal"]["iou_full"] <= 1
    Path("only.json").write_text(
        json.dumps(of_first(json.loads(Path("truth.json").read_text())))
    )  # the same clip
    assert run(["score", "videos", "only.json", "out/amodal.json", "--out", "again.json"]) == 0
    again = json.loads(Path("again.json").read_text())["rows"]
    assert next(row for row in again if row["method"] == "samodal")["iou_full"] == rows["samodal"]["iou_full"]
    capsys.readouterr()
    command = ["predict", "clips/c.mp4", *command[2:]]
    assert run([*command, "--truth", "truth.json"]) == 2
    assert "which of its 2 videos is c" in capsys.readouterr().err


@pytest.mark.parametrize(("change", "said"), [("visible", "no visible masks"), ("length", "4 frames of")])
def test_truth_that_does_not_fit(videos: Path, change: str, said: str, capsys: pytest.CaptureFixture) -> None:
    truth = of_first(json.loads(Path("truth.json").read_text()))
    if change == "visible":
        for entry in truth["annotations"]:
            del entry["visible_segmentations"]
        frames = 4
    else:
        frames = 3
    Path("part").mkdir()
    for index, frame in zip(range(frames), CLIP.video, strict=False):
        cv2.imwrite(f"part/{index}.png", frame[..., ::-1])
    seen = [
        {**e, "segmentations": e["segmentations"][:frames]} for e in json.loads(Path("a.json").read_text())
    ]
    Path("part.json").write_text(json.dumps(seen))
    Path("bad.json").write_text(json.dumps(truth))
    command = ["predict", "part", "--visible", "part.json", "--model", "model", "--truth", "bad.json"]
    assert run([*command, "--out", "out"]) == 2
    assert said in capsys.readouterr().err
    assert not Path("out").exists()
