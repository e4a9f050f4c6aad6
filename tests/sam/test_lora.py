import json
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from toys import tiny_sam

from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.sam.load import load_model
from samodal.sam.lora import LoraOptions
from samodal.train.loop import choose_trainable
from samodal.train.options import TrainOptions

PIXELS = torch.randn(1, 3, 64, 64, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    tiny_sam("none").save_pretrained(tmp_path / "plain")
    return tmp_path / "plain"


def with_lora(folder: Path, trained: bool = True, mlp: bool = False) -> AmodalSam:
    lora = LoraOptions(alpha=6.0, mlp=mlp)
    model = AmodalSam.from_pretrained(folder, "lora", adapter_dim=3, lora=lora)
    if trained:
        with torch.no_grad():
            for name, weight in model.named_parameters():
                if "lora_B" in name:
                    weight.normal_(generator=torch.Generator().manual_seed(1))
    return model


@torch.no_grad()
def embedding(model: AmodalSam) -> torch.Tensor:
    return model.encode_pixels(PIXELS)


def test_a_fresh_one_changes_nothing(plain: Path) -> None:
    before = AmodalSam.from_pretrained(plain)
    fresh = with_lora(plain, trained=False)
    assert torch.equal(embedding(fresh), embedding(before))
    assert not torch.equal(embedding(with_lora(plain)), embedding(before))
    again = with_lora(plain, trained=False)
    for name, weight in fresh.named_parameters():
        assert torch.equal(weight, dict(again.named_parameters())[name]), name


def test_only_lora_and_decoder_learn(plain: Path) -> None:
    model = with_lora(plain, mlp=True)
    choose_trainable(model, TrainOptions(mask_prompt=0.5))
    learning = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert {name.split(".")[0] for name in learning} == {"vision_encoder", "mask_decoder", "prompt_encoder"}
    encoder = {name for name in learning if name.startswith("vision_encoder.")}
    assert len(encoder) == 2 * 4 * 2  # A and B, of four matrices, in two blocks
    assert all(".lora_" in name for name in encoder)
    assert all("mask_embed" in name for name in learning if name.startswith("prompt_encoder."))


@pytest.mark.parametrize("mlp", [False, True])
def test_saved_and_loaded_again(plain: Path, tmp_path: Path, mlp: bool) -> None:
    model = with_lora(plain, mlp=mlp)
    model.save_pretrained(tmp_path / "lora")
    for loaded in (AmodalSam.from_pretrained(tmp_path / "lora"), load_model(str(tmp_path / "lora"), "lora")):
        assert (loaded.config.adapter, loaded.config.adapter_width, loaded.config.lora_mlp) == (
            "lora",
            3,
            mlp,
        )
        assert torch.equal(embedding(loaded), embedding(model))
    names = load_file(tmp_path / "lora/model.safetensors").keys()
    assert "vision_encoder.layers.0.attn.qkv.weight" in names  # as in a plain SAM
    assert "vision_encoder.layers.0.attn.qkv.lora_A.weight" in names


def test_merged_it_is_a_plain_sam(plain: Path, tmp_path: Path) -> None:
    model = with_lora(plain, mlp=True)
    model.save_pretrained(tmp_path / "merged", merged=True)
    merged = AmodalSam.from_pretrained(tmp_path / "merged")
    assert merged.config.adapter == "none"
    assert {name for name, _ in merged.named_parameters()} == {
        name for name, _ in tiny_sam("none").named_parameters()
    }
    torch.testing.assert_close(embedding(merged), embedding(model), atol=1e-5, rtol=1e-4)
    original = AmodalSam.from_original(model.to_original(), config=merged.config)
    torch.testing.assert_close(embedding(original), embedding(model), atol=1e-5, rtol=1e-4)


def test_weights_must_fit(plain: Path, tmp_path: Path) -> None:
    with_lora(plain).save_pretrained(tmp_path / "lora")
    path, config = tmp_path / "lora/model.safetensors", tmp_path / "lora/config.json"
    right, name = load_file(path), "vision_encoder.layers.0.attn.qkv.lora_A.weight"
    for wrong, message in (
        ({key: value for key, value in right.items() if key != name}, f"1 missing: {name}"),
        (right | {"vision_encoder.other": torch.ones(1)}, "1 unexpected: vision_encoder.other"),
        (right | {name: torch.ones(2, 32)}, f"1 of another shape: {name} "),
    ):
        save_file(wrong, path)
        with pytest.raises(InputError, match=message):
            AmodalSam.from_pretrained(tmp_path / "lora")
    save_file(right, path)
    config.write_text(json.dumps({**json.loads(config.read_text()), "adapter_dim": 5}))
    with pytest.raises(InputError, match="of another shape"):
        AmodalSam.from_pretrained(tmp_path / "lora")
    with pytest.raises(InputError, match="has a trained lora"):
        AmodalSam.from_pretrained(tmp_path / "lora", "sam-adapter")


def test_a_trained_one_is_not_exchanged_in_silence(plain: Path, tmp_path: Path) -> None:
    with_lora(plain).save_pretrained(tmp_path / "lora")

    def load(**wanted) -> AmodalSam:
        return load_model(str(tmp_path / "lora"), "lora", new_adapter=True, lora=LoraOptions(**wanted))

    for right in ({}, {"alpha": 6.0}):
        assert load(**right).config.lora_alpha == 6
    for wrong in ({"alpha": 3.0}, {"mlp": True}):
        with pytest.raises(InputError, match="has a lora already, of alpha 6, on attention only"):
            load(**wrong)
    with pytest.raises(InputError, match="not of none"):
        load_model(str(plain), new_adapter=True, lora=LoraOptions(mlp=True))


@pytest.mark.parametrize("wrong", [{"lora_alpha": "much"}, {"adapter_dim": -3}, {"lora_mlp": "x"}])
def test_a_damaged_configuration(plain: Path, tmp_path: Path, wrong: dict) -> None:
    with_lora(plain).save_pretrained(tmp_path / "lora")
    config = tmp_path / "lora/config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **wrong}))
    with pytest.raises(InputError, match=f"config.json.*{next(iter(wrong))}"):
        AmodalSam.from_pretrained(tmp_path / "lora")


def test_in_16_bits(plain: Path, tmp_path: Path) -> None:
    with_lora(plain).save_pretrained(tmp_path / "lora")
    exact = embedding(AmodalSam.from_pretrained(tmp_path / "lora"))
    half = AmodalSam.from_pretrained(tmp_path / "lora", dtype=torch.bfloat16)
    assert embedding(half).dtype == torch.bfloat16
    torch.testing.assert_close(embedding(half).float(), exact, atol=0.2, rtol=0.1)


def test_on_an_original_checkpoint(plain: Path) -> None:
    model = AmodalSam.from_pretrained(plain)
    state = model.to_original()
    with pytest.raises(InputError, match="has no weights of a lora"):
        AmodalSam.from_original(state, "lora", model.config)
    fresh = AmodalSam.from_original(state, "lora", model.config, new_adapter=True, adapter_dim=2)
    assert (fresh.config.adapter, fresh.config.adapter_width) == ("lora", 2)
    assert torch.equal(embedding(fresh), embedding(model))


def test_without_peft_it_says_what_to_install(plain: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(InputError, match=r"samodal\[lora\]"):
        with_lora(plain)
