"""Checkpoints are told apart by what is in them; whatever does not fit is listed."""

import json
import logging

import cotracker_golden as golden
import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from samodal.errors import InputError
from samodal.track import open_tracker
from samodal.track.cotracker import CoTracker, CoTracker3, CoTrackerV1, CoTrackerV3, load_cotracker, loading


@pytest.fixture(scope="module")
def states():
    """Names and shapes of the published checkpoints; every weight is one number, repeated."""
    return {
        kind: {name: torch.ones(()).expand(shape) for name, shape in golden.shapes(kind).items()}
        for kind in ("v1", "v3_offline", "v3_online")
    }


@pytest.mark.parametrize("kind", ["v1", "v3_offline", "v3_online"])
def test_names_and_shapes_are_the_published_ones(states, kind):
    model = load_cotracker(states[kind])
    assert {name: list(value.shape) for name, value in model.state_dict().items()} == golden.shapes(kind)
    assert isinstance(model, CoTrackerV1 if kind == "v1" else CoTrackerV3)
    assert getattr(model, "online", None) == {"v1": None, "v3_offline": False, "v3_online": True}[kind]
    assert not model.training
    assert not any(weight.requires_grad for weight in model.parameters())


@pytest.mark.parametrize("kind", ["v1", "v3_offline", "v3_online"])
@pytest.mark.skipif(not golden.SHARED.exists(), reason="needs ../shared/golden")
def test_weights_of_the_goldens_are_those_they_were_recorded_with(kind):
    expected = json.loads((golden.SHARED / f"weights_sha256_{kind}.json").read_text())
    assert {name: golden.sha256(value.numpy()) for name, value in golden.weights(kind).items()} == expected


def test_files_are_told_apart_by_their_weights(states, tmp_path):
    path = tmp_path / "scaled_offline.pth"  # which it is not
    torch.save({"model": {f"model.{name}": value.half() for name, value in states["v1"].items()}}, path)
    tracker = open_tracker("cotracker", weights=path, mode="joint", size=(48, 64))
    assert isinstance(tracker, CoTracker)
    assert tracker.mode == "joint"
    assert {weight.dtype for weight in tracker.model.parameters()} == {torch.float32}
    with pytest.raises(
        InputError, match=r"scaled_offline\.pth: weights for the tracker 'cotracker', not for CoTracker v3"
    ):
        open_tracker("cotracker3", weights=path)
    other = tmp_path / "cotracker_stride_4_wind_8.safetensors"
    save_file({f"module.{name}": value.contiguous() for name, value in states["v3_online"].items()}, other)
    tracker = open_tracker("cotracker3", weights=other, bf16=True)
    assert isinstance(tracker, CoTracker3)
    assert tracker.model.fnet.conv1.weight.dtype == torch.bfloat16
    assert tracker.model.corr_mlp.fc1.weight.dtype == torch.float32


def test_what_does_not_fit_is_listed(states):
    state = {**states["v1"], "extra.weight": torch.zeros(1), "norm.bias": torch.zeros(7)}
    del state["fnet.conv3.bias"]
    with pytest.raises(InputError) as error:
        load_cotracker(state)
    for part in (
        "1 missing: fnet.conv3.bias",
        "1 unexpected: extra.weight",
        "norm.bias (7,) instead of (128,)",
    ):
        assert part in str(error.value)
    state = dict(states["v3_offline"])
    del state["time_emb"]
    with pytest.raises(InputError, match="1 missing: time_emb"):
        load_cotracker(state)
    state["time_emb"] = torch.zeros(16)
    with pytest.raises(InputError, match="of another shape: time_emb"):
        load_cotracker(state)


def test_what_is_no_cotracker_is_refused(tmp_path):
    with pytest.raises(InputError, match="v2, which v3 replaces"):
        load_cotracker({"track_feat_updater.0.weight": torch.zeros(1)})
    with pytest.raises(InputError, match="not recognised as a CoTracker"):
        load_cotracker({"image_encoder.weight": torch.zeros(1)})
    with pytest.raises(InputError, match="no such file"):
        load_cotracker(tmp_path / "none.pth")
    broken = tmp_path / "broken.pth"
    broken.write_bytes(b"PK\x03\x04 not a checkpoint")
    with pytest.raises(InputError, match=r"broken\.pth: cannot be read"):
        load_cotracker(broken)


def test_the_licence_is_told_once_and_only_of_files(states, tmp_path, caplog):
    loading._tell_licence.cache_clear()
    path = tmp_path / "weights.pth"
    torch.save(states["v1"], path)
    with caplog.at_level(logging.WARNING, "samodal"):
        load_cotracker(states["v1"])
        assert not caplog.records
        load_cotracker(path)
        load_cotracker(path)
    assert [record.message for record in caplog.records] == [
        "The weights of CoTracker are under CC-BY-NC 4.0 (non-commercial use only)."
    ]


def test_loading_does_not_depend_on_the_callers_arrays(states):
    state = {name: value.clone() for name, value in states["v1"].items()}
    model = load_cotracker(state)
    state["norm.bias"].fill_(9)
    assert np.unique(model.norm.bias.detach()).tolist() == [1]
