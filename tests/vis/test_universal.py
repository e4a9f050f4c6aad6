"""Models that look at single images, random and tiny, or replaced by one whose answer is known."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from toys import tiny_sam
from transformers import (
    EomtConfig,
    EomtForUniversalSegmentation,
    EomtImageProcessorPil,
    Mask2FormerConfig,
    Mask2FormerForUniversalSegmentation,
    Mask2FormerImageProcessorPil,
    MaskFormerConfig,
    MaskFormerForInstanceSegmentation,
    MaskFormerImageProcessorPil,
    SwinConfig,
)

from samodal.cli import run
from samodal.errors import InputError
from samodal.frames import write_video
from samodal.vis import VisOptions, open_vis
from samodal.vis.universal import UniversalSegmenter, wanted_classes

CPU = torch.device("cpu")
LABELS = {0: "person", 1: "car", 2: "sky"}
KINDS = ("mask2former", "maskformer", "eomt")


def swin() -> SwinConfig:
    return SwinConfig(
        image_size=64, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 2, 2], window_size=2,
        out_features=["stage1", "stage2", "stage3", "stage4"],
    )  # fmt: skip


def tiny(kind: str, folder: Path) -> Path:
    """A model with random weights and its processor, in a folder."""
    torch.manual_seed(0)
    labels = {"id2label": LABELS, "label2id": {name: number for number, name in LABELS.items()}}
    sizes = {"shortest_edge": 64, "longest_edge": 96}
    if kind == "mask2former":
        config = Mask2FormerConfig(
            backbone_config=swin(), feature_size=32, mask_feature_size=32, hidden_dim=32, encoder_feedforward_dim=16,
            encoder_layers=1, decoder_layers=2, num_attention_heads=2, dim_feedforward=16, num_queries=6, **labels,
        )  # fmt: skip
        model, processor = (
            Mask2FormerForUniversalSegmentation(config),
            Mask2FormerImageProcessorPil(size=sizes),
        )
    elif kind == "maskformer":
        from transformers import DetrConfig

        decoder = DetrConfig(
            d_model=32, decoder_layers=1, encoder_layers=1, decoder_ffn_dim=16, encoder_ffn_dim=16,
            decoder_attention_heads=2, encoder_attention_heads=2, num_queries=6,
        )  # fmt: skip
        config = MaskFormerConfig(
            backbone_config=swin(),
            decoder_config=decoder,
            fpn_feature_size=32,
            mask_feature_size=32,
            **labels,
        )
        model, processor = MaskFormerForInstanceSegmentation(config), MaskFormerImageProcessorPil(size=sizes)
    else:
        config = EomtConfig(
            hidden_size=16, num_hidden_layers=2, num_attention_heads=2, image_size=64, num_blocks=1, num_queries=6,
            num_upscale_blocks=2, **labels,
        )  # fmt: skip
        model = EomtForUniversalSegmentation(config)
        processor = EomtImageProcessorPil(size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module", params=KINDS)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny(request.param, tmp_path_factory.mktemp(request.param))


def textured(size: tuple[int, int] = (50, 90), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)


def test_a_model_gives_masks_names_and_scores(folder: Path) -> None:
    segmenter = UniversalSegmenter(str(folder), ["car", "Sky"], 0.0, CPU)
    found = segmenter(textured())
    assert found == [] or {name for _, name, _ in found} <= {"car", "sky"}
    every = UniversalSegmenter(str(folder), list(LABELS.values()), 0.0, CPU)(textured())
    assert len(every) == 6, "one a query"
    for mask, _, score in every:
        assert (mask.shape, mask.dtype) == ((50, 90), bool)
        assert 0 <= score <= 1
    strict = UniversalSegmenter(str(folder), list(LABELS.values()), 1.0, CPU)(textured())
    assert strict == []


@pytest.mark.parametrize("size", [(60, 180), (97, 41), (64, 64)])
def test_masks_lie_where_the_image_shows_them(folder: Path, size: tuple[int, int]) -> None:
    """A model that calls bright pixels a car: what comes out is where they were, in spite of resizing and padding."""
    segmenter = UniversalSegmenter(str(folder), ["car"], 0.5, CPU)
    colours = segmenter.processor.image_mean, segmenter.processor.image_std
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in colours)

    def bright(pixel_values: torch.Tensor, **_: torch.Tensor) -> SimpleNamespace:
        shown = (pixel_values * std + mean).mean(1, keepdim=True)
        logits = 40 * (F.avg_pool2d(shown, 2) - 0.5)
        return SimpleNamespace(
            class_queries_logits=torch.tensor([[[0.0, 20, 0, 0]]]), masks_queries_logits=logits
        )

    segmenter.model = bright  # type: ignore[assignment]
    image = np.full((*size, 3), 20, np.uint8)
    expected = np.zeros(size, bool)
    expected[size[0] // 2 : -3, size[1] // 3 : -2] = (
        True  # near the lower right corner, where padding would show
    )
    image[expected] = 240
    ((mask, name, score),) = segmenter(image)
    assert (name, round(score, 1)) == ("car", 1.0)
    assert (mask & expected).sum() / (mask | expected).sum() > 0.85


def test_road_users_are_the_default() -> None:
    assert wanted_classes(LABELS, (), "model") == {0: "person", 1: "car"}
    with pytest.raises(
        InputError, match=r"--vis.classes: model does not know lorry; choose from: person, car, sky"
    ):
        wanted_classes(LABELS, ["car", "lorry"], "model")
    with pytest.raises(InputError, match="knows no road users; choose from: cat"):
        wanted_classes({0: "cat"}, (), "model")


def test_models_that_cannot_be_used(tmp_path: Path) -> None:
    folder = tiny("eomt", tmp_path / "eomt")
    (folder / "preprocessor_config.json").unlink()
    with pytest.raises(InputError, match=r"no usable preprocessor_config.json"):
        open_vis(VisOptions(str(folder)))
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match=f"--vis.model {folder}: .*model.safetensors"):
        open_vis(VisOptions(str(folder)))
    (folder / "config.json").write_text('{"model_type": "vit"}')
    with pytest.raises(InputError, match=r"is a vit; known are mask2former, .*sam3_video"):
        open_vis(VisOptions(str(folder)))
    (folder / "config.json").unlink()
    with pytest.raises(InputError, match=f"--vis.model {folder}: "):
        open_vis(VisOptions(str(folder)))


def test_weights_that_are_missing_are_not_made_up(tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    folder = tiny("eomt", tmp_path)
    weights = load_file(folder / "model.safetensors")
    weights.pop(next(name for name in weights if "class_predictor" in name))
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match="1 weights are missing in it, such as class_predictor"):
        open_vis(VisOptions(str(folder)))


def test_raw_video_in(tmp_path: Path) -> None:
    """The whole command with a model: random, and therefore told to believe in almost anything."""
    tiny("eomt", tmp_path / "eomt")
    tiny_sam().save_pretrained(tmp_path / "model")
    write_video(tmp_path / "clip.mp4", [textured((48, 64), 0)] * 3)
    words = [
        "--vis.model",
        str(tmp_path / "eomt"),
        "--vis.threshold",
        "0.001",
        "--vis.classes",
        *LABELS.values(),
    ]
    command = ["predict", str(tmp_path / "clip.mp4"), "--visible", "auto", "--model", str(tmp_path / "model")]
    assert run([*command, "--out", str(tmp_path / "out"), *words]) == 0
    found = json.loads((tmp_path / "out" / "visible.json").read_text())
    assert found
    assert {len(track["segmentations"]) for track in found} == {3}


def test_without_a_network_the_cure_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(
        InputError, match=r"without a network, fetch it .*hf download nobody/nothing "
    ) as error:
        open_vis(VisOptions("nobody/nothing"))
    assert "\n" not in str(error.value)
