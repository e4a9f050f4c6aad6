import csv
import io
import json

import pytest
from rich.console import Console

from samodal.errors import InputError
from samodal.score import print_table, spread, write_scores
from samodal.score.gaps import AGES
from samodal.score.video_scores import SUBSETS


def rows(method, **numbers):
    fields = {"iou_full": 0.81234, "iou_hidden": None, "n": 12, "n_hidden_part": 0}
    everything = {"gap_iou": 0.5, "between_iou": 0.75, "ghosts": 3}
    everything |= {"video_ap": 0.25, "video_ap_before": 0.125, "video_ap50": 1.0}
    return [
        {"method": method, "subset": subset, **fields, **(everything if subset == "all" else {}), **numbers}
        for subset in SUBSETS
    ]


def gap_rows(method):
    ages = [
        {"method": method, "subset": age, "n": 4, "iou": 0.5, "found": 1.0, "center_error": 0.25}
        for age in AGES
    ]
    gaps = {"found": 0.9, "center_error": 0.1, "survival": 0.8, "ghost_share": None, "score_error": 0.2}
    return [*ages, {"method": method, "subset": "gaps", "calibration_error": 0.05, **gaps}]


def printed(what):
    out = io.StringIO()
    print_table(what, "strict", Console(file=out, width=80))
    return out.getvalue()


def line_of(text, method):
    return next(line for line in text.splitlines() if line.lstrip().startswith(method)).split()


def test_table_fits_80_columns_and_names_the_protocol():
    text = printed(rows("constant-velocity") + gap_rows("constant-velocity") + rows("samodal"))
    assert "protocol: strict" in text
    assert "…" not in text
    assert max(map(len, text.splitlines())) <= 80
    assert line_of(text, "samodal") == [
        "samodal",
        "0.812",
        "-",
        "0.500",
        "0.750",
        "0.125",
        "0.250",
        "1.000",
        "3",
    ]
    assert "0.50/0.25" in text


def test_only_tables_with_content_are_shown():
    text = printed(rows("samodal"))
    assert "since last seen" not in text
    assert "TrackEval" not in text
    identity = {"method": "samodal", "subset": "identity", "hota": 0.5, "idf1": 0.75}
    assert line_of(printed([identity]), "samodal") == ["samodal", "0.500", "-", "-", "0.750", "-", "-"]


def test_images_have_no_video_scores():
    row = {
        "method": "samodal",
        "subset": "all",
        "image_ap": 0.5,
        "iou_full": 0.75,
        "iou_hidden": 0.25,
        "ghosts": 0,
    }
    text = printed([row])
    assert "Image scores" in text
    assert "Video scores" not in text
    assert "ghosts" not in text
    assert "0.750   0.250" in text


def test_several_seeds_give_means_and_deviations():
    (row, *_) = spread([rows("samodal", iou_full=value) for value in (0.5, 0.75, 1.0)])
    assert (row["iou_full"], row["iou_full_std"]) == (0.75, 0.25)
    assert "gap_iou_std" not in row, "what does not vary needs no deviation"
    assert line_of(printed([row]), "samodal")[1:3] == ["0.750", "±0.250"]
    one, two = spread([rows("samodal"), [*rows("samodal"), {"method": "samodal", "subset": "bin", "n": 3}]])[
        -2:
    ]
    assert (one["subset"], two) == ("hidden", {"method": "samodal", "subset": "bin", "n": 3})
    with pytest.raises(InputError, match="same methods"):
        spread([rows("samodal"), rows("visible")])


def test_what_some_seeds_do_not_have_is_the_mean_over_the_others():
    rows_of_seeds = [[{"method": "a", "subset": "x", "n": 2} | more] for more in
                     ({"iou": None}, {"iou": 0.25, "found": 1.0}, {"iou": 0.75})]  # fmt: skip
    (row,) = spread(rows_of_seeds)
    assert (row["iou"], row["found"], row["n"]) == (0.5, 1.0, 2)
    assert spread(rows_of_seeds[:1] * 2)[0]["iou"] is None


def test_scores_file_holds_everything_that_made_it(tmp_path):
    path = tmp_path / "scores.json"
    write_scores(path, rows("visible"), "strict", "samodal demo --seed 1", {"samodal": "0.1.0"}, seeds=[0, 1])
    content = json.loads(path.read_text())
    assert list(content) == ["protocol", "command", "versions", "seeds", "rows"]
    assert content["rows"][0]["iou_hidden"] is None
    assert {row["subset"] for row in content["rows"]} == set(SUBSETS)


def test_csv_has_all_numbers_in_full(tmp_path):
    path = tmp_path / "scores.csv"
    write_scores(path, rows("a, b") + gap_rows("c"), "strict", "samodal score a\nb", {"numpy": "2.4"})
    head, *lines = path.read_text().splitlines()
    assert head == "# protocol strict; samodal score a b; numpy 2.4"
    found = list(csv.DictReader(lines))
    assert found[0]["method"] == "a, b"
    assert float(found[0]["iou_full"]) == 0.81234
    assert found[0]["center_error"] == ""


def test_latex_has_a_line_for_every_method(tmp_path):
    path = tmp_path / "scores.tex"
    write_scores(path, rows("hold_last") + rows("samodal"), "strict", "samodal score", {})
    text = path.read_text()
    assert r"hold\_last & 0.812 & - & 0.500 & 0.750 & 0.125 & 0.250 & 1.000 & 3 \\" in text
    assert text.count(r"\begin{tabular}{lrrrrrrrr}") == 1
    assert text.count(r"\end{tabular}") == 2


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"\.json, \.csv or \.tex"):
        write_scores(tmp_path / "scores.xls", [], "strict", "", {})
    assert not list(tmp_path.iterdir())
