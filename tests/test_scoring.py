import csv
import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from toys import toy_clip

from samodal.cli import run
from samodal.data.labelled import LabelledVideo, frame_files
from samodal.data.write.youtube_vis import write_truth
from samodal.demo import only_visible
from samodal.motion.perspective import PerspectiveMotion
from samodal.recover import recover_track
from samodal.video import VideoTracks

CLIPS = [toy_clip(seed, frames=9, hidden=True, name=f"clip{seed}") for seed in (0, 1)]


def truth_file(folder: Path) -> Path:
    videos = []
    for number, clip in enumerate(CLIPS, 1):
        tracks = VideoTracks(clip.video.size, len(clip), clip.truth.tracks, number)
        videos.append(LabelledVideo(clip.name, clip.video, tracks, frame_files(clip.name, clip.video)))
    write_truth(folder / "truth.json", videos, {26: "car", 27: "truck"}, Counter())
    return folder / "truth.json"


def prediction_file(folder: Path, number: int, score: float = 0.9) -> Path:
    """Visible masks as amodal ones, gaps filled by the motion model."""
    clip = CLIPS[number - 1]
    visible = only_visible(clip.truth)
    for track in visible:
        track.amodal, track.score = list(track.visible), score
    tracks = [recover_track(track, PerspectiveMotion()) for track in visible]
    path = folder / f"clip{number}-{score}.json"
    VideoTracks(visible.size, visible.num_frames, tracks, number).write(path)
    return path


def rows(path: Path) -> dict[tuple[str, str], dict]:
    return {(row["method"], row["subset"]): row for row in json.loads(path.read_text())["rows"]}


def score(*words: object) -> int:
    return run(["score", "videos", *map(str, words)])


def test_tracks_are_scored_beside_the_trivial_answers(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    truth, parts = truth_file(tmp_path), [prediction_file(tmp_path, number) for number in (1, 2)]
    outs = [tmp_path / f"scores.{ending}" for ending in ("json", "csv", "tex")]
    assert score(truth, *parts, "--out", *outs) == 0
    printed = capsys.readouterr().out
    assert "strict, class-agnostic" in printed
    found = rows(outs[0])
    ours, empty = found["samodal", "all"], found["visible", "all"]
    assert ours["n_gap"] >= 4
    # Masks before and behind the gap lack a side here, so what is brought into it does, too: it is not made higher.
    assert ours["gap_iou"] > 0.8
    assert ours["gap_iou"] > max(found[name, "all"]["gap_iou"] for name in ("hold-last", "constant-velocity"))
    assert empty["gap_iou"] == 0
    assert ours["video_ap"] > ours["video_ap_before"] == empty["video_ap"]
    assert {method for method, _ in found} == {
        "samodal",
        "visible",
        "convex-hull",
        "hold-last",
        "constant-velocity",
    }
    assert json.loads(outs[0].read_text())["repeats"] == [[str(part) for part in parts]]
    assert len(list(csv.DictReader(outs[1].read_text().splitlines()[1:]))) == len(found)
    assert r"\begin{tabular}" in outs[2].read_text()


def test_files_of_the_same_videos_are_repeats(tmp_path: Path) -> None:
    truth = truth_file(tmp_path)
    files = [prediction_file(tmp_path, number, value) for value in (0.25, 0.75) for number in (1, 2)]
    out = tmp_path / "scores.json"
    assert score(truth, *files, "--out", out) == 0
    assert json.loads(out.read_text())["repeats"] == [list(map(str, files[:2])), list(map(str, files[2:]))]
    gaps = rows(out)["samodal", "gaps"]
    assert gaps["score_error_std"] > 0, gaps
    assert "iou_std" not in gaps, "the masks are the same"


def test_the_protocol_of_the_original_sees_the_files_as_they_are(tmp_path: Path) -> None:
    from samodal.score import video_ap

    truth, part = truth_file(tmp_path), prediction_file(tmp_path, 1)
    out = tmp_path / "scores.json"
    assert score(truth, part, "--protocol", "reference", "--out", out) == 0
    expected = video_ap(json.loads(truth.read_text()), json.loads(part.read_text()), "reference")
    assert rows(out)["samodal", "all"]["video_ap"] == expected["ap"]
    assert json.loads(out.read_text())["protocol"] == "reference"


def test_masks_alone_give_average_precision_alone(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    truth, part = truth_file(tmp_path), prediction_file(tmp_path, 1)
    plain = [
        {key: entry[key] for key in ("video_id", "category_id", "score", "segmentations")}
        for entry in json.loads(part.read_text())
    ]
    part.write_text(json.dumps(plain))
    assert score(truth, part, "--out", tmp_path / "scores.json") == 0
    assert list(rows(tmp_path / "scores.json")) == [("samodal", "all")]


def test_masks_of_single_images(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    truth, part = truth_file(tmp_path), prediction_file(tmp_path, 1)
    images, found, out = tmp_path / "images.json", tmp_path / "found.json", tmp_path / "scores.json"
    assert run(["convert", str(truth), str(images), "--from", "youtube-vis", "--to", "coco"]) == 0
    words = ["--from", "youtube-vis-results", "--to", "coco-results", "--like", str(images)]
    assert run(["convert", str(part), str(found), *words]) == 0
    assert run(["score", "images", str(images), str(found), "--out", str(out)]) == 0
    row = rows(out)["samodal", "all"]
    assert 0 < row["image_ap"] < 1
    assert (row["ap"], row["ap50"]) == (row["image_ap"], row["image_ap50"])
    assert 0 < row["pooled_iou"] < 1, "one of two clips has predictions"
    assert rows(out)["samodal", "hidden"]["n"] == 4
    assert rows(out)["samodal", "unoccluded"]["iou_full"] == pytest.approx(0.5)
    assert "AP50" in capsys.readouterr().out
    hull = rows(out)["convex-hull", "all"]
    assert rows(out)["visible", "all"]["iou_hidden"] == 0
    assert row["image_ap"] > rows(out)["visible", "all"]["image_ap"] >= hull["image_ap"] > 0
    assert row["pooled_iou"] > rows(out)["visible", "all"]["pooled_iou"]


def test_classes_that_differ_are_said_before_the_scores(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    truth, part = truth_file(tmp_path), prediction_file(tmp_path, 1)
    part.write_text(json.dumps([{**entry, "category_id": 3} for entry in json.loads(part.read_text())]))
    assert score(truth, part, "--by-class") == 0
    assert "classes of results that the truth does not list" in capsys.readouterr().err


def test_errors_in_entries_name_the_file(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    truth, found = tmp_path / "truth.json", tmp_path / "found.json"
    truth.write_text(json.dumps({"images": [{"id": 1}], "categories": [{"id": 1}], "annotations": []}))
    found.write_text(json.dumps([{"image_id": 7, "category_id": 1, "score": 0.5}]))
    assert run(["score", "images", str(truth), str(found)]) == 2
    assert "found.json: prediction" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda entries: {"annotations": entries}, "a list"),
        (lambda entries: [{**entry, "video_id": 7} for entry in entries], "no video 7"),
        (lambda entries: [{**entry, "score": float("nan")} for entry in entries], "score"),
        (
            lambda entries: [{**entry, "segmentations": entry["segmentations"][:3]} for entry in entries],
            "3 frames",
        ),
    ],
)
def test_predictions_that_do_not_fit(tmp_path: Path, capsys: pytest.CaptureFixture, change, message) -> None:
    truth, part = truth_file(tmp_path), prediction_file(tmp_path, 1)
    part.write_text(json.dumps(change(json.loads(part.read_text()))))
    assert score(truth, part, "--out", tmp_path / "scores.json") == 2
    *noticed, error = capsys.readouterr().err.strip().splitlines()
    assert message in error
    assert all(line.startswith(("samodal: error: ", "samodal: warning: ")) for line in noticed)
    assert not (tmp_path / "scores.json").exists()


def test_where_nothing_could_be_written_nothing_is_computed(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    assert score(tmp_path / "nowhere.json", tmp_path / "nowhere.json", "--out", tmp_path / "scores.xls") == 2
    assert ".csv" in capsys.readouterr().err
    assert np.all([not path.exists() for path in tmp_path.iterdir()])


def test_no_predictions_at_all_score_zero(tmp_path: Path) -> None:
    truth, nothing = truth_file(tmp_path), tmp_path / "nothing.json"
    nothing.write_text("[]")
    assert score(truth, nothing, "--out", tmp_path / "scores.json") == 0
    ours = rows(tmp_path / "scores.json")["samodal", "all"]
    assert (ours["iou_full"], ours["video_ap"]) == (0, 0)


@pytest.mark.parametrize(("key", "value"), [("video_id", [1]), ("video_id", {}), ("score", 10**400)])
@pytest.mark.parametrize("protocol", ["strict", "reference"])
def test_ids_and_scores_that_are_none_are_named(
    tmp_path: Path, key: str, value: object, protocol: str, capsys: pytest.CaptureFixture
) -> None:
    truth, path = truth_file(tmp_path), prediction_file(tmp_path, 1)
    entries = json.loads(path.read_text())
    entries[0][key] = value
    path.write_text(json.dumps(entries))
    assert score(truth, path, "--protocol", protocol) == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert path.name in last
    assert key in last


def test_places_for_the_scores_are_tried_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    def too_late(*_: object) -> None:
        raise AssertionError

    monkeypatch.setattr("samodal.scoring.video_rows", too_late)
    truth, part = truth_file(tmp_path), prediction_file(tmp_path, 1)
    (tmp_path / "folder.json").mkdir()
    for out, said in (
        (part / "scores.json", "cannot be written to"),
        (tmp_path / "folder.json", "is a folder"),
    ):
        assert score(truth, part, "--out", out) == 2
        assert said in capsys.readouterr().err


def test_a_folder_of_results_stands_for_what_is_in_it(tmp_path: Path) -> None:
    truth, out = truth_file(tmp_path), tmp_path / "scores.json"
    (tmp_path / "run").mkdir()
    part = prediction_file(tmp_path, 1).rename(tmp_path / "run" / "amodal.json")
    assert score(truth, tmp_path / "run", "--out", out) == 0
    assert json.loads(out.read_text())["repeats"] == [[str(part)]]
