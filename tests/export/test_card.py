import json
from dataclasses import replace
from pathlib import Path

import pytest
from toys import tiny_sam, toy_clip

from samodal.errors import InputError
from samodal.export.card import CardFacts, run_facts, write_card
from samodal.sam import AmodalSam
from samodal.train.loop import train
from samodal.train.options import TrainOptions


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_sam().save_pretrained(tmp_path / "run" / "best")
    return tmp_path / "run" / "best"


def test_a_card_says_what_is_known(folder: Path) -> None:
    facts = CardFacts(
        "someone/amodal",
        base="sam_vit_b_01ec64.pth",
        data="KINS",
        options={"lr": 0.0003, "target": "amodal"},
        step=400,
        scores={"iou_full": 0.8476},
        licence="Apache-2.0",
    )
    write_card(folder, facts)
    text = (folder / "README.md").read_text()
    for part in (
        *('license: "apache-2.0"', "# someone/amodal", "sam_vit_b_01ec64.pth", "KINS", "lr = 0.0003"),
        *("step 400", "| iou_full | 0.848 |", "SAM-Adapter (inner width 1)", "64 x 64 pixels", "0.1 million"),
        'AmodalSam.from_pretrained("someone/amodal")',
    ):
        assert part in text
    assert "None" not in text


def test_a_card_invents_nothing(folder: Path) -> None:
    write_card(folder, CardFacts('odd "name": {x}\n'.strip()))
    text = (folder / "README.md").read_text()
    assert "license:" not in text
    assert text.count("not said") == 2
    assert "scores" not in text


def test_use_in_a_card_runs(folder: Path) -> None:
    write_card(folder, CardFacts(str(folder)))
    code = (folder / "README.md").read_text().split("```python\n")[1].split("```")[0]
    names: dict = {}
    exec(code, names)
    assert isinstance(names["model"], AmodalSam)


def test_facts_of_a_run_are_read_from_its_files(tmp_path: Path) -> None:
    clips = [toy_clip(0)]
    options = TrainOptions(
        instances=2, steps=2, batch=1, warmup=1, validate_every=1, validation_frames=2, workers=0
    )
    best = train(tiny_sam(), clips, clips, tmp_path / "run", options)
    facts = run_facts(tmp_path / "run" / "best")
    assert facts.name == "run"
    assert facts.step == best["step"]
    assert facts.scores["iou"] == pytest.approx(best["iou"], abs=1e-6)
    assert facts.data == "1 clips, 1 validation clips"
    assert facts.options["steps"] == 2
    assert not any(name.startswith("model.") for name in facts.options)
    assert run_facts(tmp_path / "run" / "last").step == 2
    write_card(tmp_path / "run" / "best", replace(facts, data="toys"))
    assert "steps = 2" in (tmp_path / "run" / "best" / "README.md").read_text()


def test_options_that_are_none(folder: Path) -> None:
    (folder.parent / "options.json").write_text("[1]")
    (folder.parent / "log.jsonl").touch()
    with pytest.raises(InputError, match=r"options\.json: not the options"):
        run_facts(folder)


def test_a_log_that_was_cut_off(folder: Path) -> None:
    run = folder.parent
    (run / "options.json").write_text(json.dumps({"lr": 1}))
    (run / "log.jsonl").write_text('{"step": 5, "iou": 0.5}\n{"step": 6, "loss": 1}\n{"step": 10, "io')
    assert run_facts(folder).step == 5
