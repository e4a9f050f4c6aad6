import json
from pathlib import Path

import pytest

from samodal.cli import run
from samodal.sam import AmodalSam

WEIGHTS = Path(__file__).parents[1] / "samodal" / "weights" / "samodal-nano"


def scores(out: Path) -> dict[tuple[str, str], dict]:
    content = json.loads((out / "scores.json").read_text())
    assert content["protocol"] == "strict"
    return {(row["method"], row["subset"]): row for row in content["rows"]}


def test_the_bundled_model_is_small_and_whole() -> None:
    assert sum(path.stat().st_size for path in WEIGHTS.iterdir()) < 16e6
    model = AmodalSam.from_pretrained("samodal-nano")
    assert model.config.adapter == "sam-adapter"
    assert model.image_size == 512


def test_the_demo_writes_everything(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    assert run(["demo", "--out", str(tmp_path), "--frames", "4", "--clips", "1"]) == 0
    assert {path.name for path in tmp_path.iterdir()} == {
        "amodal.json",
        "overlay.mp4",
        "report.html",
        "scores.json",
    }
    rows = scores(tmp_path)
    assert {method for method, _ in rows} == {
        "samodal",
        "frame by frame",
        "reference-rule",
        "visible",
        "convex-hull",
        "hold-last",
        "constant-velocity",
    }
    assert rows["visible", "all"]["iou_hidden"] == 0
    printed = capsys.readouterr().out
    assert "convex-hull" in printed
    assert "report.html" in printed


@pytest.mark.slow
def test_what_the_bundled_model_promises(tmp_path: Path) -> None:
    """The figures of the model card: 20 clips from seeds that training never saw."""
    assert run(["demo", "--clips", "20", "--seed", "1", "--out", str(tmp_path)]) == 0
    rows = scores(tmp_path)
    ours = rows["samodal", "all"]
    for baseline in ("visible", "convex-hull"):
        assert ours["iou_full"] > rows[baseline, "all"]["iou_full"]
        assert ours["iou_hidden"] > rows[baseline, "all"]["iou_hidden"]
    assert ours["iou_hidden"] >= 0.40
    assert ours["between_iou"] >= 0.70
    assert ours["gap_iou"] >= 0.70
    assert ours["gap_iou"] > rows["hold-last", "all"]["gap_iou"]
    assert ours["video_ap"] > ours["video_ap_before"]
