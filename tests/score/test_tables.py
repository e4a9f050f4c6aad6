import io
import json

from rich.console import Console

from samodal.score import print_table, write_scores
from samodal.score.video_scores import SUBSETS


def rows(method, **numbers):
    fields = {"iou_full": 0.81234, "iou_hidden": None, "n": 12, "n_hidden_part": 0}
    everything = {"gap_iou": 0.5, "between_iou": 0.75, "ghosts": 3}
    everything |= {"video_ap": 0.25, "video_ap_before": 0.125, "video_ap50": 1.0}
    return [
        {"method": method, "subset": subset, **fields, **(everything if subset == "all" else {}), **numbers}
        for subset in SUBSETS
    ]


def test_table_fits_80_columns_and_names_the_protocol():
    out = io.StringIO()
    print_table(rows("constant-velocity") + rows("samodal"), "strict", Console(file=out, width=80))
    text = out.getvalue()
    assert "protocol: strict" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    line = next(line for line in text.splitlines() if line.lstrip().startswith("samodal"))
    assert line.split() == ["samodal", "0.812", "-", "0.500", "0.750", "0.125", "0.250", "1.000", "3"]


def test_scores_file_holds_everything_that_made_it(tmp_path):
    path = tmp_path / "scores.json"
    write_scores(path, rows("visible"), "strict", "samodal demo --seed 1", {"samodal": "0.1.0"})
    content = json.loads(path.read_text())
    assert list(content) == ["protocol", "command", "versions", "rows"]
    assert content["rows"][0]["iou_hidden"] is None
    assert {row["subset"] for row in content["rows"]} == set(SUBSETS)
