"""Checkpoints that samodal export --original writes: the original's names, and back without a word."""

import json

import pytest
import sam_golden
import torch
from safetensors.torch import load_file, save_file

from samodal.check.checkpoints import check_checkpoint
from samodal.errors import InputError
from samodal.export.original import differences, merged, original_state, write_original
from samodal.sam import AmodalSam
from samodal.sam.config import ADAPTERS
from samodal.sam.reading import NOTE


def same_weights(model, other):
    names = dict(model.named_parameters())
    return names.keys() == dict(other.named_parameters()).keys() and all(
        torch.equal(weight, other.get_parameter(name)) for name, weight in names.items()
    )


@pytest.mark.parametrize("case", sam_golden.cases("02_sam_forward"), ids=lambda case: case.stem)
def test_names_and_shapes_are_those_of_the_original(case):
    about, _ = sam_golden.read(case)
    state = sam_golden.weights(case, 0.15)
    model = AmodalSam.from_original(state, sam_golden.ADAPTERS[about["mode"]])
    exported = original_state(model)
    assert {name: weight.shape for name, weight in exported.items()} == {
        name: weight.shape for name, weight in state.items()
    }
    used = model.to_original()
    assert all(torch.equal(exported[name], state[name]) for name in used)


@pytest.mark.parametrize(
    "file",
    sorted(
        {
            c.parent / f"state_dict_keys_{c.stem.rsplit('_s', 1)[0]}.json"
            for c in sam_golden.cases("01_image_encoder")
        }
    ),
    ids=lambda file: file.stem,
)
def test_names_of_the_encoder_alone(file):
    shapes = json.loads(file.read_text())
    about = json.loads(
        next(file.parent.glob(f"{file.stem.removeprefix('state_dict_keys_')}_s*.json")).read_text()
    )
    sizes = about["config"]
    config = sam_golden.small_config(
        sizes["img_size"], sizes["embed_dim"], adapter=sam_golden.ADAPTERS[about["mode"]]
    )
    vision = config.vision_config
    vision.num_hidden_layers, vision.num_attention_heads = sizes["depth"], sizes["num_heads"]
    vision.window_size, vision.global_attn_indexes = sizes["window_size"], sizes["global_attn_indexes"]
    vision.mlp_dim, vision.output_channels = sizes["embed_dim"] * sizes["mlp_ratio"], sizes["out_chans"]
    exported = original_state(AmodalSam(config))
    prefix = "image_encoder."
    assert shapes == {
        name.removeprefix(prefix): list(weight.shape)
        for name, weight in exported.items()
        if name.startswith(prefix)
    }


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("adapter", ADAPTERS)
def test_a_file_gives_back_the_model_whole(adapter, suffix, tmp_path, caplog):
    width = None if adapter == "none" else 3
    whole = sam_golden.random_model(adapter=adapter, adapter_dim=width, prompt_kinds=["points", "mask"])
    file = tmp_path / f"model{suffix}"
    write_original(whole, file)
    model = merged(whole)
    for again in (AmodalSam.from_original(file), AmodalSam.from_original(file, model.config.adapter)):
        assert again.config.to_dict() == model.config.to_dict()
        assert same_weights(model, again)
    assert not caplog.records
    assert not [finding for finding in check_checkpoint(file) if finding.severity == "error"]
    frame = torch.randint(0, 255, (60, 90, 3), dtype=torch.uint8).numpy()
    answers = [m.decode(m.encode(frame), [[[30, 20]]]).low_res for m in (model, again, whole)]
    assert torch.equal(answers[0], answers[1])
    torch.testing.assert_close(answers[0], answers[2], rtol=1e-4, atol=1e-4)  # merging rounds
    assert [path.name for path in tmp_path.iterdir()] == [file.name]


def test_a_pth_is_a_plain_state_dict(tmp_path):
    model = sam_golden.random_model(adapter="medical-adapter")
    for name in ("a.pth", "b.pth"):
        write_original(model, tmp_path / name)
    state = torch.load(tmp_path / "a.pth", weights_only=True)
    assert all(isinstance(value, torch.Tensor) for value in state.values())
    assert state.keys() == original_state(model).keys()
    assert (tmp_path / "a.pth").read_bytes() == (tmp_path / "b.pth").read_bytes()


def test_what_the_original_never_uses_changes_nothing_even_in_use():
    model = sam_golden.random_model()
    exported = original_state(model)
    with_generator = AmodalSam.from_original(exported, "sam-adapter")
    pixels = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(model.encode_pixels(pixels), with_generator.encode_pixels(pixels))
    assert exported["image_encoder.prompt_generator.embedding_generator.weight"].any()  # can be trained


def test_an_adapter_for_the_original_only_is_not_taken_for_a_trained_one(tmp_path):
    write_original(sam_golden.random_model(), tmp_path / "model.pth")
    with pytest.raises(InputError, match="no weights of a sam-adapter"):
        AmodalSam.from_original(tmp_path / "model.pth", "sam-adapter")
    model = AmodalSam.from_original(tmp_path / "model.pth", "sam-adapter", new_adapter=True, adapter_dim=5)
    assert model.config.adapter_width == 5


@pytest.mark.parametrize(
    "note", ["{", "[]", '{"model_type": "bert"}', '{"model_type": "sam", "adapter": "other"}']
)
def test_a_damaged_note_is_an_error(note, tmp_path):
    file = tmp_path / "model.safetensors"
    write_original(sam_golden.random_model(), file)
    save_file(load_file(file), file, metadata={NOTE: note})
    with pytest.raises(InputError, match=r"model\.safetensors, the noted configuration"):
        AmodalSam.from_original(file)


def test_where_the_original_answers_otherwise_is_said():
    config = sam_golden.small_config
    assert differences(config()) == []
    assert differences(config(adapter="sam-adapter", mixed_embedding=True)) == []
    assert differences(config(adapter="medical-adapter", pad_before_norm=True)) == []
    assert len(differences(config(adapter="sam-adapter", adapter_dim=7))) == 2
    assert len(differences(config(adapter="medical-adapter"))) == 1
