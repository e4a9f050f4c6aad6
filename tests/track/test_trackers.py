"""All trackers keep to the contract; they are found by name, those of other packages too."""

import subprocess
import sys
from importlib.metadata import EntryPoint

import cotracker_golden as golden
import numpy as np
import pytest

from samodal.errors import InputError
from samodal.track import Tracks, open_tracker, registry, testing, tracker_names
from samodal.track.cotracker import CoTracker, CoTracker3, load_cotracker
from samodal.track.interface import RecentFrames, check_follow
from samodal.track.lucas_kanade import LucasKanade

SMALL = {"size": (32, 48), "grid": 1, "iterations": 1}


@pytest.fixture(scope="module")
def cotrackers(shallow_v1):
    """With random weights."""
    return {
        "v1 exact": CoTracker(shallow_v1, "exact", **SMALL),
        "v1 joint": CoTracker(shallow_v1, "joint", **SMALL),
        "v3 offline": CoTracker3(golden.shallow(load_cotracker(golden.weights("v3_offline"))), **SMALL),
        "v3 online": CoTracker3(golden.shallow(load_cotracker(golden.weights("v3_online"))), **SMALL),
    }


def _name(check):
    return check.__name__


@pytest.mark.parametrize("check", testing.CONTRACT + testing.ACCURACY, ids=_name)
def test_lucas_kanade_keeps_the_contract(check):
    check(open_tracker("lucas-kanade"))


@pytest.mark.parametrize("check", testing.CONTRACT, ids=_name)
@pytest.mark.parametrize("name", ["v1 exact", "v1 joint", "v3 offline", "v3 online"])
def test_cotrackers_keep_the_contract(cotrackers, name, check):
    check(cotrackers[name])


class BadStream:
    """Points that stay where they are; breaks one rule, by name."""

    def __init__(self, rule, frames):
        self.rule, self.frames, self.clips, self.kept = rule, frames, {}, []

    def follow(self, frame, points):
        if self.rule != "bad_clips_of_a_stream_are_refused":
            check_follow(self.frames, frame, points)
        self.clips[len(self.clips)] = np.float32(points)
        return len(self.clips) - 1

    def step(self):
        if self.rule == "a_stream_lets_frames_go":
            self.kept.append(self.frames[len(self.frames) - 1])
        if self.rule == "clips_of_a_stream_do_not_influence_one_another":
            return {
                clip: (xy + len(self.clips), np.ones(len(xy), np.float32)) for clip, xy in self.clips.items()
            }
        return {clip: (xy, np.ones(len(xy), np.float32)) for clip, xy in self.clips.items()}

    def forget(self, clip):
        if self.rule != "a_stream_has_the_right_form":
            del self.clips[clip]


class Bad(LucasKanade):
    """Breaks one rule, by name."""

    def __init__(self, rule):
        self.rule = rule
        if rule == "has_attributes":
            self.licence = 3
        if rule == "a_causal_tracker_does_not_see_the_future":
            self.causal = True

        if rule == "a_stream_says_what_a_causal_tracker_says":
            self.causal = True

    def stream(self, frames):
        return BadStream(self.rule, frames)

    def track(self, frames, queries, window=None):
        window = window or range(len(frames))
        if self.rule == "only_the_window_is_read":
            frames[0]
        if self.rule == "bad_calls_are_refused":
            queries = np.nan_to_num(np.resize(queries, (len(queries), 3)))
            queries[:, 0] = queries[:, 0].round().clip(window.start, max(window.stop - 1, window.start))
            window = range(window.start, max(min(window.stop, len(frames)), window.start + 1))
        tracks = super().track(frames, queries, window)
        xy, prob, valid = tracks.xy, tracks.visible_prob, tracks.valid
        if self.rule == "answers_have_the_right_shape":
            return Tracks(xy.astype(float), prob, valid)
        if self.rule == "points_far_outside_do_no_harm":
            xy[np.abs(xy) > 1e3] = np.nan
        if self.rule == "a_point_is_valid_where_it_is_known":
            valid[:] = False
        if self.rule == "the_order_of_queries_does_not_matter":
            xy += np.arange(xy.shape[1])[:, None].astype(np.float32)
        if self.rule == "the_same_call_has_the_same_answer":
            xy += np.random.default_rng().random()
        if self.rule == "a_causal_tracker_does_not_see_the_future":
            xy += len(window)
        if self.rule in ("a_still_video_has_still_points", "a_moving_video_moves_its_points"):
            xy += np.arange(len(window), dtype=np.float32)[:, None, None]
        return Tracks(xy, prob, valid)


@pytest.mark.parametrize("check", testing.CONTRACT + testing.ACCURACY, ids=_name)
def test_each_check_finds_a_tracker_that_breaks_it(check):
    with pytest.raises(AssertionError):
        check(Bad(check.__name__))
    with pytest.raises(AssertionError):
        testing.check_tracker(Bad(check.__name__))


def test_lucas_kanade_says_when_it_lost_a_point():
    video = testing.moving_video(6, (2, 1))
    video[3:] = 128  # the world ends
    tracks = LucasKanade().track(video, np.array([[0, 60, 40]]))
    assert (tracks.visible_prob[:3] > 0.8).all()
    assert (tracks.visible_prob[3:] == 0).all()
    np.testing.assert_allclose(tracks.xy[5], tracks.xy[2])


def test_lucas_kanade_says_the_same_frame_by_frame():
    video = testing.moving_video(16, (2, 1))
    video[9:] = 255 - video[9:]  # some points get lost
    points, frames, found = np.array([[60, 40], [30.25, 50], [-3, 20]]), RecentFrames(), []
    stream = LucasKanade().stream(frames)
    for number, image in enumerate(video):
        if number == 6:
            clip = stream.follow(3, points)
        frames.push(image)
        found.append(stream.step())
    whole = LucasKanade().track(video, np.column_stack([[3] * 3, points]))
    for number in range(6, 16):
        np.testing.assert_array_equal(found[number][clip][0], whole.xy[number])
        np.testing.assert_array_equal(found[number][clip][1], whole.visible_prob[number])


def test_trackers_are_found_by_name(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))  # where nothing was downloaded
    assert tracker_names()[:4] == ["lucas-kanade", "cotracker", "cotracker3", "raft"]
    with pytest.raises(InputError, match="'kalman': not known; these are: lucas-kanade, cotracker"):
        open_tracker("kalman")
    with pytest.raises(InputError, match=r"cotracker.*weights"):
        open_tracker("cotracker")
    with pytest.raises(InputError, match="colour"):
        open_tracker("lucas-kanade", colour="red")


def test_other_packages_plug_in(monkeypatch):
    entries = {
        "mine": EntryPoint("mine", "samodal.track.lucas_kanade:LucasKanade", registry.GROUP),
        "broken": EntryPoint("broken", "no_such_package:Tracker", registry.GROUP),
    }
    monkeypatch.setattr(registry, "_plug_ins", lambda: entries)
    assert tracker_names() == ["lucas-kanade", "cotracker", "cotracker3", "raft", "broken", "mine"]
    assert isinstance(open_tracker("mine"), LucasKanade)
    with pytest.raises(
        InputError, match=r"'broken': no_such_package:Tracker cannot be imported .*No module named"
    ):
        open_tracker("broken")


def test_neither_names_nor_lucas_kanade_need_torch_or_a_network():
    code = """
import socket, sys
def refuse(*_): raise RuntimeError("network")
socket.socket.connect = refuse
from samodal.track import open_tracker, tracker_names, testing
tracker_names(), open_tracker("lucas-kanade")
assert "torch" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", code], check=True)
