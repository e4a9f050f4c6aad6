"""What `load_model` makes of the words of the command line."""

import pytest
import sam_golden
import torch

from samodal.errors import InputError
from samodal.sam.load import load_model


@pytest.fixture
def models(tmp_path):
    """A folder and a file, each without and with a trained sam-adapter of width 3."""
    paths = {}
    for adapter in ("none", "sam-adapter"):
        model = sam_golden.random_model(adapter=adapter, adapter_dim=3)
        model.save_pretrained(tmp_path / adapter)
        torch.save(model.to_original(), tmp_path / f"{adapter}.pth")
        paths[adapter] = (str(tmp_path / adapter), str(tmp_path / f"{adapter}.pth"))
    return paths


def last_layer(model):
    return model.vision_encoder.prompt_generator.shared_mlp.weight


def test_an_adapter_is_kept_and_only_added_where_there_is_none(models):
    for name in models["sam-adapter"]:
        for new in (False, True):
            model = load_model(name, "sam-adapter", new_adapter=new)
            assert model.config.adapter_width == 3
            assert last_layer(model).any()
        fresh = load_model(name, "sam-adapter", new_adapter=True, fresh_adapter=True)
        assert not last_layer(fresh).any()
        with pytest.raises(InputError, match="of width 3, not 7"):
            load_model(name, "sam-adapter", 7, new_adapter=True)
    for name in models["none"]:
        model = load_model(name, "sam-adapter", 7, new_adapter=True)
        assert model.config.adapter_width == 7
        assert not last_layer(model).any()
        with pytest.raises(InputError, match="has no"):
            load_model(name, "sam-adapter")
    assert load_model(models["sam-adapter"][0]).config.adapter == "sam-adapter"  # a folder says what it has


def test_random_weights_are_for_training_only():
    with pytest.raises(InputError, match="random weights"):
        load_model("scratch-nano")
    assert load_model("scratch-nano", "sam-adapter", 4, new_adapter=True).config.adapter_width == 4
