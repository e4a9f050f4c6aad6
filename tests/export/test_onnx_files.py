import re
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from PIL import Image
from toys import tiny_sam

from samodal.errors import InputError
from samodal.export import onnx_files
from samodal.export.onnx_files import write_onnx
from samodal.sam import AmodalSam, AmodalSamConfig

DOCS = Path(__file__).parents[2] / "docs" / "export.md"


def random_sam(adapter: str, **changes: bool) -> AmodalSam:
    """The smallest SAM, with adapters that do something."""
    model = AmodalSam(AmodalSamConfig.from_sam(tiny_sam(adapter, decoder_layers=2).config, **changes))
    generator = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if weight.ndim > 1 and "positional" not in name:
                weight.normal_(std=0.15, generator=generator)
    return model.eval()


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> tuple[AmodalSam, Path, dict[str, float]]:
    """By torch's exporter, which takes half a minute for any decoder: an encoder is among the quick tests."""
    model, folder = random_sam("sam-adapter", mixed_embedding=True), tmp_path_factory.mktemp("exported")
    (folder / "onnx").mkdir()
    (folder / "onnx" / "encoder.onnx").write_text("an old one, which is replaced")
    return model, folder, write_onnx(model, folder / "onnx")


def session(path: Path) -> onnxruntime.InferenceSession:
    return onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])


@pytest.mark.slow
def test_both_files_are_written_and_answer_as_torch(exported: tuple) -> None:
    _, folder, found = exported
    assert sorted(path.name for path in (folder / "onnx").iterdir()) == ["decoder.onnx", "encoder.onnx"]
    assert sorted(path.name for path in folder.iterdir()) == ["onnx"]
    assert all(0 < difference < 1e-5 for difference in found.values())
    for name in found:
        onnx.checker.check_model(folder / "onnx" / name)


@pytest.mark.slow
@pytest.mark.parametrize("batch", [1, 3])
def test_the_encoder_takes_any_number_of_frames(exported: tuple, batch: int) -> None:
    model, folder, _ = exported
    pixels = torch.randn(batch, 3, 64, 64)
    (embedding,) = session(folder / "onnx" / "encoder.onnx").run(None, {"pixels": pixels.numpy()})
    with torch.no_grad():
        np.testing.assert_allclose(embedding, model.encode_pixels(pixels), atol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize(("prompts", "count"), [(1, 1), (5, 4), (2, 0)])
def test_the_decoder_takes_any_number_of_prompts_and_points(
    exported: tuple, prompts: int, count: int
) -> None:
    model, folder, _ = exported
    embedding, masks = torch.randn(1, 32, 4, 4), torch.randn(prompts, 1, 16, 16)
    points, labels = torch.rand(prompts, count, 2) * 64, torch.ones(prompts, count, dtype=torch.int64)
    use_mask = torch.arange(prompts) % 2 == 0  # in one call with and without
    given = {"embedding": embedding, "points": points, "labels": labels, "masks": masks, "use_mask": use_mask}
    if count:
        given["points"], given["labels"] = onnx_files.box_points(points, labels, None)
    logits, scores = session(folder / "onnx" / "decoder.onnx").run(
        None, {k: v.numpy() for k, v in given.items()}
    )
    for index in range(prompts):
        some = slice(index, index + 1)
        shown = {"points": points[None, some], "labels": labels[None, some]} if count else {}
        if use_mask[index]:
            shown["mask_prompts"] = masks[None, some, 0]
        if not shown:
            continue
        with torch.no_grad():
            want, score = model.low_res_logits(embedding, **shown)
        np.testing.assert_allclose(logits[some], want[0], atol=1e-4)
        np.testing.assert_allclose(scores[some], score[0], atol=1e-4)


def test_large_models_have_their_weights_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_files, "_ONE_FILE", 0)
    monkeypatch.setattr(onnx_files, "_export_decoder", lambda model, path, opset: None)
    monkeypatch.setattr(onnx_files, "_compare_decoder", lambda model, path: 0.0)
    model = random_sam("medical-adapter", pad_before_norm=True)
    write_onnx(model, tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"encoder.onnx", "encoder.onnx.data"}
    assert onnx_files._compare_encoder(model, tmp_path / "encoder.onnx") < 1e-5  # found in the new place, too


def test_files_that_answer_otherwise_are_not_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for part in ("_export_encoder", "_export_decoder"):
        monkeypatch.setattr(onnx_files, part, lambda model, path, opset: path.write_text("x"))
    monkeypatch.setattr(onnx_files, "_compare_encoder", lambda model, path: 1e-6)
    monkeypatch.setattr(onnx_files, "_compare_decoder", lambda model, path: float("nan"))
    with pytest.raises(InputError, match=r"decoder\.onnx: not written"):
        write_onnx(tiny_sam(), tmp_path / "onnx")
    assert not list(tmp_path.iterdir())


def test_a_missing_package_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_files, "find_spec", lambda package: None)
    with pytest.raises(InputError, match=re.escape("pip install 'samodal[onnx]'")):
        write_onnx(tiny_sam(), tmp_path / "onnx")


def test_an_opset_that_is_too_old(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--opset 17"):
        write_onnx(tiny_sam("none"), tmp_path / "onnx", opset=17)
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
def test_the_example_in_the_docs(exported: tuple, monkeypatch: pytest.MonkeyPatch) -> None:
    model, folder, _ = exported
    frame = np.random.default_rng(0).integers(0, 255, (360, 640, 3), dtype=np.uint8)
    Image.fromarray(frame).save(folder / "frame.png")
    monkeypatch.chdir(folder)
    code = DOCS.read_text().split("```python\n")[1].split("```")[0]
    assert len(code.splitlines()) <= 25
    names: dict = {}
    exec(code, names)
    answer = model.decode(model.encode(frame), [[[320, 180]]])
    np.testing.assert_allclose(names["logits"][0], answer.low_res[0], atol=1e-3)
    assert (names["mask"] == answer.masks[0].numpy()).mean() > 0.999
    (folder / "frame.png").unlink()
