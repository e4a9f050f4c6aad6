import json
import sys
from pathlib import Path

import pytest
import torch
from toys import tiny_sam

from samodal.cli import run
from samodal.export import onnx_files
from samodal.sam import AmodalSam


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny_sam().save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def same(one: AmodalSam, other: AmodalSam) -> bool:
    return all(torch.equal(weight, other.get_parameter(name)) for name, weight in one.named_parameters())


def test_several_targets_at_once_and_again(
    folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture
) -> None:
    words = [str(folder), "--hf", str(tmp_path / "hf"), "--original", str(tmp_path / "sam.pth")]
    for _ in range(2):  # what is there is replaced
        assert run(["export", *words]) == 0
    assert "S-AModal's own code will not answer the same" in capfd.readouterr().out
    model = AmodalSam.from_pretrained(folder)
    assert same(model, AmodalSam.from_pretrained(tmp_path / "hf"))
    assert same(model, AmodalSam.from_original(tmp_path / "sam.pth"))
    assert {path.name for path in tmp_path.iterdir()} == {"model", "hf", "sam.pth"}


def test_a_checkpoint_becomes_a_folder_with_a_card(folder: Path, tmp_path: Path) -> None:
    assert run(["export", str(folder), "--original", str(tmp_path / "sam.safetensors")]) == 0
    hf = tmp_path / "hf"
    assert run(["export", str(tmp_path / "sam.safetensors"), "--hf", str(hf), "--licence", "mit"]) == 0
    text = (hf / "README.md").read_text()
    assert "Base: sam.safetensors." in text
    assert 'license: "mit"' in text
    assert json.loads((hf / "config.json").read_text())["adapter"] == "sam-adapter"


def test_a_card_that_is_there_is_kept_unless_more_is_said(folder: Path, tmp_path: Path) -> None:
    (folder / "README.md").write_text("my own card")
    assert run(["export", str(folder), "--hf", str(tmp_path / "hf")]) == 0
    assert (tmp_path / "hf" / "README.md").read_text() == "my own card"
    assert run(["export", str(folder), "--hf", str(folder), "--data", "KINS"]) == 0  # in place
    assert "Data: KINS." in (folder / "README.md").read_text()


def test_the_bundled_model_keeps_its_card_and_its_size(tmp_path: Path) -> None:
    assert run(["export", "samodal-nano", "--hf", str(tmp_path / "hf")]) == 0
    bundled = Path(sys.modules["samodal"].__file__ or "").parent / "weights" / "samodal-nano"
    assert (tmp_path / "hf" / "README.md").read_text() == (bundled / "README.md").read_text()
    sizes = [(place / "model.safetensors").stat().st_size for place in (tmp_path / "hf", bundled)]
    assert abs(sizes[0] - sizes[1]) < 1000


def test_onnx_files(folder: Path, tmp_path: Path, capfd: pytest.CaptureFixture, monkeypatch) -> None:
    found = {"encoder.onnx": 1.5e-6, "decoder.onnx": 2e-6}
    monkeypatch.setattr("samodal.export.write_onnx", lambda model, folder, opset: found)
    assert run(["export", str(folder), "--onnx", str(tmp_path / "onnx")]) == 0
    out = capfd.readouterr().out
    assert "encoder.onnx: differs from torch by 1.5e-06" in out
    assert "tolerance 0.0001" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "--hf DIR, --original FILE or --onnx DIR"),
        (["--original", "sam.ckpt"], "one of .pth, .pt, .bin, .safetensors is expected"),
        (["--original", "model.pth"], "is a folder"),
        (["--hf", "file.txt"], "is a file"),
        (["--onnx", "file.txt"], "is a file"),
        (["--onnx", "onnx", "--opset", "9"], "--opset 9"),
        (["--adapter", "medical-adapter", "--hf", "out"], "has no medical-adapter but a sam-adapter"),
    ],
)
def test_bad_words(words: list[str], message: str, folder: Path, monkeypatch, capfd) -> None:
    monkeypatch.chdir(folder.parent)
    Path("file.txt").touch()
    Path("model.pth").mkdir()
    before = sorted(Path().rglob("*"))
    assert run(["export", "model", *words]) == 2
    error = capfd.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert sorted(Path().rglob("*")) == before


def test_no_such_model(tmp_path: Path, capfd: pytest.CaptureFixture) -> None:
    assert run(["export", str(tmp_path / "sam.pth"), "--hf", str(tmp_path / "hf")]) == 2
    assert "no such file" in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


def test_a_missing_package_is_said_before_any_work(folder: Path, monkeypatch, capfd) -> None:
    monkeypatch.setattr(onnx_files, "find_spec", lambda package: None)
    words = ["--onnx", str(folder.parent / "onnx"), "--hf", str(folder.parent / "hf")]
    assert run(["export", str(folder), *words]) == 2
    assert "pip install 'samodal[onnx]'" in capfd.readouterr().err
    assert [path.name for path in folder.parent.iterdir()] == ["model"]
