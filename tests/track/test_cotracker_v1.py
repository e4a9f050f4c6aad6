"""CoTracker v1 against numbers recorded from the original, and its parts against their plain definitions."""

import cotracker_golden as golden
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st

from samodal.track.cotracker import CoTracker, sampling
from samodal.track.cotracker.blocks import waves
from samodal.track.cotracker.features import FeatureStore
from samodal.track.cotracker.v1 import correlate, embed_displacement, embed_place, mix_status
from samodal.track.cotracker.windows import Clip, track_clip

PIXELS, PROBABILITY, INNER = {"atol": 2e-3}, {"atol": 1e-3}, {"atol": 1e-4, "rtol": 1e-4}


def _marked(cases):
    """Those that take seconds are slow."""
    found = []
    for case in cases:
        slow = "full" in case.name or golden.read(case)[0]["T"] > 12
        found.append(pytest.param(case, marks=pytest.mark.slow if slow else (), id=case.stem))
    return found


@pytest.mark.parametrize("case", _marked(golden.cases("v1_raw")))
@torch.inference_mode()
def test_network_is_that_of_the_original(case, v1):
    about, arrays = golden.read(case)
    video, queries = golden.video(about), arrays["queries"]
    store = FeatureStore(v1, (about["h"], about["w"]), align_corners=False)

    def clip():
        new = Clip(torch.device("cpu"))
        new.add(queries[:, 0].astype(int).tolist(), torch.from_numpy(queries[:, 1:]) / 4)
        return new

    def find_slots(frames):
        return store.slots(video, frames)

    maps = v1.fnet(torch.from_numpy(video[:8]).permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(maps[:, :, ::6, ::8], arrays["fmaps_first_window"], **INNER)

    first = clip().window(about["T"], store, find_slots)
    entered = [n for n in np.argsort(queries[:, 0], kind="stable") if queries[n, 0] < 8]
    looks = first.looks[None, None].expand(-1, 8, -1, -1)
    tokens = v1.tokens(store.levels, first.slots[None], looks, first.places[None], first.status[None])
    where = embed_place(first.places[0], maps.shape[-2:])[:, None]
    tokens = (tokens[0] + where + waves(torch.arange(8), 456))[entered]
    np.testing.assert_allclose(tokens, arrays["tok_in"], **INNER)
    np.testing.assert_allclose(v1.updateformer(tokens[None])[0], arrays["tok_out"], **INNER)

    places, seen, written = track_clip(v1, clip(), about["T"], store, find_slots, about["iters"])
    np.testing.assert_allclose(places * 4, arrays["traj"], **PIXELS)
    np.testing.assert_allclose(seen, arrays["vis"], **PROBABILITY)
    assert (written.numpy() == (arrays["traj"] != 0).any(-1)).all()


@pytest.mark.parametrize("case", _marked(golden.cases("v1_wrap")))
def test_a_call_is_that_of_the_paper(case, v1):
    about, arrays = golden.read(case)
    video, queries = golden.video(about), arrays["queries"].astype(np.float64)
    tracker = CoTracker(v1, "joint", tuple(about["interp"]), about["grid"], about["every"])
    places, seen, _ = tracker.whole_clip(video, queries, range(about["T"]))
    np.testing.assert_allclose(places, arrays["tracks_model_px"], **PIXELS)
    np.testing.assert_allclose(seen, arrays["vis_prob_all"], **PROBABILITY)
    count = len(queries)
    xy = places[:, :count].numpy() / tracker.store.scale(video, 0)
    np.testing.assert_allclose(xy, arrays["tracks"], **PIXELS)
    np.testing.assert_allclose(seen[:, :count], arrays["vis_prob"], **PROBABILITY)
    clear = np.abs(arrays["vis_prob"] - about["thr"]) > 1e-3
    assert ((seen[:, :count].numpy() > about["thr"]) == arrays["visible"])[clear].all()
    if count == 1:  # of one point there is no other order
        tracks = tracker.track(video, queries)
        np.testing.assert_allclose(tracks.xy, arrays["tracks"], **PIXELS)


def test_points_known_late_are_found_in_the_frames_before(v1):
    video = golden.make_video(1, 14, 64, 64)
    tracks = CoTracker(v1, "joint", (64, 64), iterations=1).track(
        video, np.array([[13, 30, 30], [2, 20, 40]])
    )
    assert tracks.valid.all()
    assert (tracks.xy[0] != 0).all()


# --- the parts ---


def test_displacement_is_told_at_32_frequencies():
    moved = torch.tensor([0.75, -1.5])
    expected = moved.tolist()
    for value in (0.75, -1.5):
        for k in range(0, 64, 2):
            expected += [np.sin(value * k * 1000 / 64), np.cos(value * k * 1000 / 64)]
    np.testing.assert_allclose(embed_displacement(moved), expected, atol=2e-4)


def test_place_is_told_as_by_a_sampled_table():
    height, width = 9, 14
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    table = torch.cat([waves(x, 228), waves(y, 228)], dim=-1)
    xy = torch.tensor([[3.25, 4.5], [13.0, 8.0], [-2.0, 3.0], [40.0, 11.5]])
    np.testing.assert_allclose(embed_place(xy, (height, width)), _grid_sample(table, xy, "border"), atol=1e-5)


def test_waves_are_sines_then_cosines():
    expected = [f(3 * 10_000 ** (-i / 4)) for f in (np.sin, np.cos) for i in range(4)]
    np.testing.assert_allclose(waves(torch.tensor(3), 8), expected, atol=1e-6)


def test_status_is_mixed_as_in_the_original():
    fresh, logits = torch.tensor([[1.0, 0], [2, 3]]), torch.tensor([[10.0, 30], [20, 40]])  # (S, N)
    assert mix_status(fresh, logits).tolist() == [[[1, 2], [0, 3]], [[10, 20], [30, 40]]]
    alone = mix_status(fresh[:, :1], logits[:, :1])
    assert alone.tolist() == [[[1, 2], [10, 20]]]


def _grid_sample(image, xy, padding):
    """Plain bilinear samples of an image (h, w, C) at (..., 2): (..., C)."""
    size = torch.tensor([image.shape[1], image.shape[0]])
    grid = 2 * xy.reshape(1, 1, -1, 2) / (size - 1).clamp(min=1) - 1
    out = F.grid_sample(image.permute(2, 0, 1)[None], grid, padding_mode=padding, align_corners=True)
    return out[0, :, 0].T.reshape(*xy.shape[:-1], -1)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 9), st.integers(2, 9), st.integers(0, 3), st.integers(0, 1000))
def test_patches_are_plain_bilinear_samples(height, width, radius, seed):
    generator = torch.Generator().manual_seed(seed)
    maps = torch.randn(3, height, width, 5, generator=generator)
    xy = 3 * torch.randn(4, 2, generator=generator) + 3
    patches = sampling.blend(sampling.neighbourhood(maps, torch.full((4,), 2), xy, radius), xy)
    steps = torch.arange(-radius, radius + 1)
    offsets = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), dim=-1)
    expected = _grid_sample(maps[2], xy[:, None, None] + offsets, "border")
    torch.testing.assert_close(patches, expected, atol=1e-4, rtol=1e-4)


def test_correlation_is_a_sampled_map_of_products():
    generator = torch.Generator().manual_seed(0)
    levels = [torch.randn(2, 8 // 2**k, 12 // 2**k, 128, generator=generator) for k in range(3)]
    features = torch.randn(1, 2, 3, 128, generator=generator)
    places = torch.tensor([[[5.3, 4.1], [0.2, 7.9], [-9.0, 3.0]], [[11.0, 0.0], [13.4, 2.2], [6.0, 30.0]]])[
        None
    ]
    found = correlate(levels, torch.tensor([[1, 0]]), features, places)
    assert found.shape == (1, 2, 3, 3 * 49)
    for s, slot in enumerate([1, 0]):
        for n in range(3):
            for level, maps in enumerate(levels):
                products = (maps[slot] @ features[0, s, n])[..., None] / 128**0.5
                steps = torch.arange(-3, 4)
                offsets = torch.stack(torch.meshgrid(steps, steps, indexing="ij"), dim=-1)  # x slowest
                expected = _grid_sample(products, places[0, s, n] / 2**level + offsets, "zeros")
                part = found[0, s, n, 49 * level : 49 * (level + 1)]
                torch.testing.assert_close(part, expected.flatten(), atol=1e-4, rtol=1e-4)
