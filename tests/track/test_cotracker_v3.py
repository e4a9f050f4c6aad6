"""CoTracker3 against numbers recorded from the original."""

import cotracker_golden as golden
import numpy as np
import pytest
import torch

from samodal.errors import InputError
from samodal.track.cotracker import CoTracker3, load_cotracker
from samodal.track.cotracker.features import FeatureStore
from samodal.track.cotracker.v3 import correlate
from samodal.track.interface import RecentFrames

PIXELS, PROBABILITY, INNER = {"atol": 2e-3}, {"atol": 1e-3}, {"atol": 1e-4, "rtol": 1e-4}


@pytest.fixture(scope="module")
def models():
    return {kind: load_cotracker(golden.weights(f"v3_{kind}")) for kind in ("offline", "online")}


def _cases(prefix):
    """Of the online model and the offline one; those that take seconds are slow."""
    found = []
    for case in [*golden.cases(f"v3off_{prefix}"), *golden.cases(f"v3on_{prefix}")]:
        about, _ = golden.read(case)
        seconds = about["T"] * about.get("iters", 6) > 30 or "v3on_T" in case.name
        slow = "full" in case.name or seconds
        found.append(pytest.param(case, marks=pytest.mark.slow if slow else (), id=case.stem))
    return found


def _model(case, models):
    return models["online" if case.name.startswith("v3on") else "offline"]


@pytest.mark.parametrize("case", _cases("raw"))
@torch.inference_mode()
def test_network_is_that_of_the_original(case, models):
    model = _model(case, models)
    about, arrays = golden.read(case)
    video, queries = golden.video(about), arrays["queries"]
    store = FeatureStore(model, (about["h"], about["w"]), align_corners=True)
    slots = store.slots(video, range(about["T"]))
    maps = model.fnet(torch.from_numpy(video).permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(maps[:, :, ::6, ::8], arrays["fmaps"][: about["T"]], **INNER)

    length = 16 if model.online else about["T"]
    places = torch.from_numpy(queries[:, 1:]) / 4
    templates = model.templates(store.levels, slots[queries[:, 0].astype(int)], places)
    known = torch.from_numpy(queries[:, 0] < length)[:, None, None]
    templates = [template * known for template in templates]
    window = slots[:length], templates, places.expand(length, -1, -1)
    first = correlate(store.levels, *window)[0].flatten(0, 1)[:4]
    np.testing.assert_allclose(first, arrays["corr_level0"], **INNER)
    tokens = model.tokens(store.levels, *window, torch.zeros(length, len(queries), 2))
    np.testing.assert_allclose(tokens, arrays["tok_in"], **INNER)
    np.testing.assert_allclose(model.updateformer(tokens), arrays["tok_out"], **INNER)

    tracker = CoTracker3(model, (about["h"], about["w"]), grid=0, iterations=about["iters"])
    found, seen = tracker.run(video, queries.astype(np.float64), range(about["T"]))
    np.testing.assert_allclose(found, arrays["coords"], **PIXELS)
    np.testing.assert_allclose(seen[..., 0], arrays["vis"], **PROBABILITY)
    np.testing.assert_allclose(seen[..., 1], arrays["conf"], **PROBABILITY)


@pytest.mark.parametrize("case", _cases("T"))
def test_a_call_is_that_of_the_original(case, models):
    model = _model(case, models)
    about, arrays = golden.read(case)
    video, queries = golden.video(about), arrays["queries"].astype(np.float64)
    tracker = CoTracker3(model, tuple(about["interp"]), about["support_grid"], about.get("iters", 6))
    places, seen = tracker.run(video, queries, range(about["T"]))
    np.testing.assert_allclose(places, arrays["model_coords"], **PIXELS)
    np.testing.assert_allclose(seen[..., 0], arrays["model_vis"], **PROBABILITY)
    np.testing.assert_allclose(seen[..., 1], arrays["model_conf"], **PROBABILITY)

    tracker.backward = about.get("backward", False)
    tracks = tracker.track(video, queries)
    np.testing.assert_allclose(tracks.xy, arrays["tracks"], **PIXELS)
    sure, limit = tracks.visible_prob, 0.9
    if model.online:
        sure, limit = sure * tracks.confidence, 0.6
    clear = np.abs(sure - limit) > 1e-3
    assert ((sure > limit) == arrays["visible"])[clear].all()


def test_online_says_from_where_on_a_point_is_followed(models):
    tracker = CoTracker3(golden.shallow(models["online"]), (48, 64), grid=0, iterations=1)
    video = golden.make_video(0, 26, 48, 64)
    tracks = tracker.track(video, np.array([[3, 20, 20], [15, 20, 20], [17, 20, 20], [25, 20, 20]]))
    assert tracks.valid.argmax(0).tolist() == [0, 0, 8, 16]
    assert tracks.valid[-1].all()
    assert tracker.store.encoded == 26
    tracker.track(video, np.array([[20, 30, 30]]), range(18, 24))
    assert tracker.store.encoded == 26  # features of a video are shared by all calls


def test_a_window_stands_for_itself(models):
    tracker = CoTracker3(golden.shallow(models["offline"]), (48, 64), grid=1, iterations=1)
    video = golden.make_video(0, 12, 48, 64)
    query = np.array([[5.0, 20, 20]])
    part = tracker.track(video, query, range(4, 9))
    cut = tracker.track(video[4:9], query - [4, 0, 0])
    np.testing.assert_array_equal(part.xy, cut.xy)
    np.testing.assert_array_equal(part.xy[1, 0], [20, 20])
    with pytest.raises(InputError, match="frame 3 is not one of the frames 4 to 8"):
        tracker.track(video, query - [2, 0, 0], range(4, 9))


def test_online_while_frames_are_still_coming(models):
    """What is said of a frame is what a call says that ends there."""
    tracker = CoTracker3(golden.shallow(models["online"]), (32, 48), grid=0, iterations=1)
    video, points = golden.make_video(3, 19, 48, 64), np.array([[20.0, 20], [40.5, 30]])
    frames = RecentFrames()
    stream, found = tracker.stream(frames), {}
    for number, image in enumerate(video):
        if number == 6:
            clip = stream.follow(2, points)
        frames.push(image)
        found[number] = stream.step()
    assert stream.encoded == 19 - 2
    assert max(len(level) for level in stream._store.levels) <= 32
    for number in (6, 17, 18):
        whole = tracker.track(video, np.column_stack([[2, 2], points]), range(2, number + 1))
        np.testing.assert_allclose(found[number][clip][0], whole.xy[-1], atol=1e-3)
        np.testing.assert_allclose(found[number][clip][1], whole.visible_prob[-1], atol=1e-4)
    assert CoTracker3(golden.shallow(models["offline"])).stream(frames) is None
