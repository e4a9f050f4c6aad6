import json
import os
import pickle
import re

import pytest
import sam_golden
import torch
from safetensors.torch import save_file

from samodal.errors import InputError
from samodal.sam import AmodalSam, nano_config, vit_config
from samodal.sam.checkpoints import recognise

DEAD = {"image_encoder.prompt_generator.shared_mlp.weight": torch.zeros(64, 2)}


@pytest.fixture(scope="module")
def state():
    return sam_golden.random_model().to_original()


def shapes_of(config):
    with torch.device("meta"):
        model = AmodalSam(config, seed=None)
    return {name: weight.to("meta") for name, weight in original_weights(model).items()}


def original_weights(model):
    from samodal.sam.checkpoints import original_name

    return {original_name(name, model.config): weight for name, weight in model.named_parameters()}


# --- names ---


@pytest.mark.parametrize("case", sam_golden.cases("02_sam_forward"), ids=lambda case: case.stem)
def test_names_of_the_original_go_in_and_come_out_again(case):
    about, _ = sam_golden.read(case)
    state = sam_golden.weights(case, 0.15)
    adapter = sam_golden.ADAPTERS[about["mode"]]
    model = AmodalSam.from_original(state, adapter)
    back = model.to_original()
    assert all(torch.equal(back[name], state[name]) for name in back)
    dead = {name for name in state if "Depth_Adapter" in name}
    if adapter != "sam-adapter":
        dead |= {name for name in state if "prompt_generator" in name}
    assert back.keys() == state.keys() - dead


@pytest.mark.parametrize("adapter", ["none", "sam-adapter", "medical-adapter"])
def test_round_trip_loses_nothing(adapter):
    model = sam_golden.random_model(adapter=adapter, adapter_dim=3)
    again = AmodalSam.from_original(model.to_original(), config=model.config)
    assert again.config.to_dict() == model.config.to_dict()
    for name, weight in again.named_parameters():
        assert torch.equal(weight, model.get_parameter(name))


# --- sizes ---


@pytest.mark.parametrize(
    "config",
    [nano_config(), *map(vit_config, ("vit_b", "vit_l", "vit_h"))],
    ids=["nano", "vit_b", "vit_l", "vit_h"],
)
def test_configuration_is_recognised_from_the_shapes(config):
    found = recognise(shapes_of(config)).to_dict()
    wanted = config.to_dict()
    for part in ("vision_config", "prompt_encoder_config", "mask_decoder_config"):
        found_part, wanted_part = dict(found[part]), dict(wanted[part])
        for values in (found_part, wanted_part):
            values.pop("mlp_ratio", None)  # mlp_dim says the same
        assert found_part == wanted_part


def test_position_tables_under_either_name(state):
    renamed = {name.replace(".rel_pos_", ".rel_"): weight for name, weight in state.items()}
    model = AmodalSam.from_original(renamed)
    assert torch.equal(
        model.vision_encoder.layers[1].attn.rel_pos_h, state["image_encoder.blocks.1.attn.rel_pos_h"]
    )
    with pytest.raises(InputError, match="two names of one weight"):
        AmodalSam.from_original(renamed | state)


def test_dead_weights_of_the_original_are_accepted(state):
    AmodalSam.from_original(
        state | DEAD | {"image_encoder.blocks.0.Depth_Adapter.D_fc1.bias": torch.zeros(16)}
    )


# --- errors ---


def test_all_that_does_not_fit_is_listed_at_once(state):
    broken = dict(state)
    del broken["mask_decoder.iou_token.weight"], broken["image_encoder.blocks.1.norm1.bias"]
    broken["image_encoder.extra"] = torch.zeros(1)
    broken["image_encoder.neck.3.bias"] = torch.zeros(7)
    with pytest.raises(InputError) as caught:
        AmodalSam.from_original(broken)
    message = str(caught.value)
    for part in (
        *("mask_decoder.iou_token.weight", "image_encoder.blocks.1.norm1.bias", "image_encoder.extra"),
        *("2 missing", "1 unexpected", "image_encoder.neck.3.bias (7,) instead of (32,)"),
    ):
        assert part in message
    assert "\n" not in message


@pytest.mark.parametrize("number", [torch.nan, torch.inf, -torch.inf])
def test_weights_that_are_not_finite_are_named(state, number, tmp_path):
    name = "image_encoder.neck.3.bias"
    broken = dict(state) | {name: state[name].index_fill(0, torch.tensor([2]), number)}
    with pytest.raises(InputError, match=rf"1 weights that are not finite: {name}; take"):
        AmodalSam.from_original(broken)
    model = sam_golden.random_model()
    for weight in model.parameters():
        weight.data.flatten()[-1] = number
    model.save_pretrained(tmp_path / "nan")
    with pytest.raises(
        InputError, match=r"nan: \d\d+ weights that are not finite: ([\w.]+, ){3}\.\.\.; take"
    ):
        AmodalSam.from_pretrained(tmp_path / "nan")


def test_trained_adapters_are_not_dropped_in_silence():
    state = sam_golden.random_model(adapter="medical-adapter").to_original()
    with pytest.raises(InputError, match="unexpected"):
        AmodalSam.from_original(state)


@pytest.mark.parametrize("adapter", ["sam-adapter", "medical-adapter"])
def test_a_new_adapter_is_started_only_when_asked_for(state, adapter):
    with pytest.raises(InputError, match=f"no weights of a {adapter}; leave the adapter out"):
        AmodalSam.from_original(state, adapter)
    model = AmodalSam.from_original(state, adapter, new_adapter=True)
    plain = AmodalSam.from_original(state)
    pixels = torch.randn(1, 3, 128, 128)
    with torch.no_grad():
        assert torch.equal(model.encode_pixels(pixels), plain.encode_pixels(pixels))
    assert not model.config.mixed_embedding


@pytest.mark.parametrize("adapter", ["sam-adapter", "medical-adapter"])
def test_a_trained_adapter_is_used_unless_a_fresh_one_is_asked_for(adapter):
    state = sam_golden.random_model(adapter=adapter, adapter_dim=3).to_original()
    part = {"sam-adapter": "prompt_generator.shared_mlp", "medical-adapter": "MLP_Adapter.D_fc2"}[adapter]
    (name,) = [key for key in state if key.endswith(f"{part}.weight") and "blocks.1." not in key]
    kept = AmodalSam.from_original(state, adapter, new_adapter=True, adapter_dim=5)
    assert torch.equal(kept.to_original()[name], state[name])
    fresh = AmodalSam.from_original(state, adapter, fresh_adapter=True, adapter_dim=5)
    assert fresh.config.adapter_width == 5
    assert not fresh.to_original()[name].any()


def test_a_prompt_generator_that_is_left_out_is_told_of(state, caplog):
    AmodalSam.from_original(state | DEAD)
    assert len(caplog.records) == 1
    assert "sam-adapter" in caplog.text


def test_half_an_adapter_is_an_error():
    state = sam_golden.random_model(adapter="sam-adapter").to_original()
    del state["image_encoder.prompt_generator.shared_mlp.bias"]
    with pytest.raises(InputError, match=r"shared_mlp\.bias"):
        AmodalSam.from_original(state, "sam-adapter")


def test_unknown_adapter(state):
    with pytest.raises(InputError, match="choose one of none, sam-adapter, medical-adapter"):
        AmodalSam.from_original(state, "samadpt")


@pytest.mark.parametrize(
    "content",
    [{}, {"model": {}}, {"epoch": 3}, {"weights": [1, 2]}, {"a": torch.zeros(2)}],
    ids=["empty", "empty model", "no weights", "lists", "not a SAM"],
)
def test_what_holds_no_sam_is_refused(content, tmp_path):
    torch.save(content, tmp_path / "some.pth")
    with pytest.raises(InputError, match=r"some\.pth"):
        AmodalSam.from_original(tmp_path / "some.pth")


def test_names_of_transformers_are_pointed_to_the_right_door():
    state = dict(sam_golden.random_model().named_parameters())
    with pytest.raises(InputError, match="from_pretrained"):
        AmodalSam.from_original({name: weight.detach() for name, weight in state.items()})


# --- files ---


def test_training_checkpoints_of_the_original_are_unwrapped(state, tmp_path):
    weight = torch.nn.Parameter(torch.zeros(2))
    optimizer = torch.optim.AdamW([weight])
    weight.grad = torch.ones(2)
    optimizer.step()
    checkpoint = {
        "model": {"state_dict": {"module.module." + name: value for name, value in state.items()}},
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": torch.optim.lr_scheduler.StepLR(optimizer, 10),  # pickled whole, as the original does
        "epoch": 3,
    }
    torch.save(checkpoint, tmp_path / "training.pth")
    model = AmodalSam.from_original(tmp_path / "training.pth")
    assert all(torch.equal(value, state[name]) for name, value in model.to_original().items())


def test_old_and_new_file_formats(state, tmp_path):
    torch.save(state, tmp_path / "old.pth", _use_new_zipfile_serialization=False)
    save_file(state, tmp_path / "new.safetensors")
    for name in ("old.pth", "new.safetensors"):
        assert torch.equal(
            AmodalSam.from_original(tmp_path / name).mask_decoder.iou_token.weight,
            state["mask_decoder.iou_token.weight"],
        )


class Evil:
    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_plain_pickle_is_refused_without_a_warning(tmp_path, recwarn):
    (tmp_path / "model.pth").write_bytes(pickle.dumps({"a": 1}))
    with pytest.raises(InputError, match=r"model\.pth: cannot be read as a checkpoint"):
        AmodalSam.from_original(tmp_path / "model.pth")
    assert not recwarn.list


def test_a_checkpoint_cannot_run_code(state, tmp_path):
    trace = tmp_path / "trace"
    torch.save({"model": state, "args": Evil(f"touch {trace}")}, tmp_path / "evil.pth")
    with pytest.raises(InputError, match=r"evil\.pth"):
        AmodalSam.from_original(tmp_path / "evil.pth")
    assert not trace.exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
@pytest.mark.parametrize("damage", ["truncated", "text", "empty", "missing"])
def test_damaged_files_are_named(state, tmp_path, suffix, damage):
    path = tmp_path / f"weights{suffix}"
    if damage == "truncated":
        (torch.save if suffix == ".pth" else save_file)(state, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    elif damage != "missing":
        path.write_text("hello, this is no checkpoint" if damage == "text" else "")
    with pytest.raises(InputError, match=re.escape(f"weights{suffix}")):
        AmodalSam.from_original(path)


# --- folders ---


@pytest.fixture
def folder(tmp_path):
    sam_golden.random_model(adapter="sam-adapter").save_pretrained(tmp_path / "model")
    return tmp_path / "model"


def edit_config(folder, **changes):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def test_an_adapter_is_not_exchanged(folder):
    for other in ("none", "medical-adapter"):
        with pytest.raises(InputError, match="has a trained sam-adapter"):
            AmodalSam.from_pretrained(folder, adapter=other)


def test_folders_that_hold_no_model(folder, tmp_path):
    cases = [
        (lambda: edit_config(folder, adapter="none"), "unexpected: vision_encoder.prompt_generator"),
        (lambda: edit_config(folder, adapter="other"), "config.json: adapter 'other'"),
        (
            lambda: edit_config(folder, vision_config={"hidden_size": "wide"}),
            "config.json: not the configuration",
        ),
        (lambda: edit_config(folder, model_type="bert"), "config.json: not the configuration of a SAM"),
        (lambda: (folder / "config.json").write_text("{"), "config.json: not valid JSON"),
        (lambda: (folder / "config.json").unlink(), "config.json: no such file"),
    ]
    for damage, message in cases:
        damage()
        with pytest.raises(InputError, match=message):
            AmodalSam.from_pretrained(folder)


def test_weights_that_are_missing_or_damaged(folder):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"model\.safetensors: cannot be read"):
        AmodalSam.from_pretrained(folder)
    weights.unlink()
    with pytest.raises(InputError, match=r"has no model\.safetensors"):
        AmodalSam.from_pretrained(folder)


def test_names_of_no_model(tmp_path, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("samodal.sam.reading.BUNDLED", ("samodal-missing",))
    file = tmp_path / "sam.pth"
    file.touch()
    for name, message in (
        ("samodal-missing", "bundled"),
        ("nobody/no-such-model", "no such folder"),
        (tmp_path / "nowhere", "no such folder"),
        (file, "from_original"),
    ):
        with pytest.raises(InputError, match=message):
            AmodalSam.from_pretrained(name)
