"""Exact streaming gives the numbers of the original's growing clips, for far less work."""

import cotracker_golden as golden
import numpy as np
import pytest
import torch

from samodal.errors import InputError
from samodal.track.cotracker import CoTracker
from samodal.track.interface import RecentFrames


def growing(model, video, first, points, frames, **options):
    """What the original does: a new call for every frame, forwards and backwards, from `first` up to that frame."""
    found = []
    tracker = CoTracker(model, "joint", **options)
    for frame in frames:
        queries = np.column_stack([np.full(len(points), first), points])
        places, seen, _ = tracker.whole_clip(video, queries, range(first, frame + 1))
        xy = places[-1, : len(points)].numpy() / tracker.store.scale(video, 0)
        found.append((xy, seen[-1, : len(points)].numpy()))
    return [np.stack(part) for part in zip(*found, strict=True)]


def run(tracker, video, starts):
    """Step through a video; {frame: (first frame, points)} says before which frame a clip is begun. By that: rows."""
    frames, found, begun = RecentFrames(), {}, {}
    stream = tracker.stream(frames)
    for number, image in enumerate(video):
        if number in starts:
            begun[number] = stream.follow(*starts[number])
        frames.push(image)
        for clip, located in stream.step().items():
            found.setdefault(clip, []).append(located)
    return stream, {
        number: [np.stack(part) for part in zip(*found[clip], strict=True)] for number, clip in begun.items()
    }


@pytest.mark.parametrize(("grid", "every"), [(2, 12), (1, 5), pytest.param(3, 4, marks=pytest.mark.slow)])
def test_streaming_is_growing_clips(shallow_v1, grid, every):
    video = golden.make_video(7, 19, 40, 60)
    options = {"size": (32, 48), "grid": grid, "every": every, "iterations": 1}
    starts = {  # also of points that were known some frames before
        1: (0, np.array([[20.25, 30]])),
        6: (3, np.array([[50, 20.0], [30, 35]])),
        14: (9, np.array([[40.0, 11.5]])),
    }
    stream, found = run(CoTracker(shallow_v1, **options), video, starts)
    assert stream.encoded == len(video)
    for begin, (first, points) in starts.items():
        xy, seen = found[begin]
        assert len(xy) == len(video) - begin
        frames = [frame for frame in first + np.array([5, 8, 9, 12, 13, 16, 19]) - 1 if begin <= frame < 19]
        which = np.array(frames) - begin
        for n, point in enumerate(points):
            expected = growing(shallow_v1, video, first, point[None], frames, **options)
            np.testing.assert_allclose(xy[which, n], expected[0][:, 0], atol=2e-3)
            np.testing.assert_allclose(seen[which, n], expected[1][:, 0], atol=1e-3)


@pytest.mark.slow
def test_streaming_is_growing_clips_of_the_whole_network(v1):
    video, options = golden.make_video(3, 18, 96, 128), {"size": (96, 128)}
    tracks = CoTracker(v1, "exact", **options).track(video, np.array([[1, 45.5, 34.25]]), range(1, 18))
    expected = growing(v1, video, 1, np.array([[45.5, 34.25]]), range(2, 18), **options)
    np.testing.assert_allclose(tracks.xy[1:], expected[0], atol=2e-3)
    np.testing.assert_allclose(tracks.visible_prob[1:], expected[1], atol=1e-3)


def test_exact_mode_follows_each_point_by_itself(shallow_v1):
    video = golden.make_video(2, 12, 48, 64)
    queries = np.array([[6, 30, 20], [0, 20, 30.5], [2, 40, 20]])
    tracker = CoTracker(shallow_v1, "exact", (48, 64), iterations=1)
    together = tracker.track(video, queries)
    assert (tracker.store.encoded, tracker.windows) == (12, 5 + 11 + 9)
    np.testing.assert_array_equal(together.valid, np.arange(12)[:, None] >= queries[:, 0])
    np.testing.assert_allclose(together.xy[queries[:, 0].astype(int), range(3)], queries[:, 1:])
    for n, query in enumerate(queries):
        alone = tracker.track(video, query[None], range(int(query[0]), 12))
        np.testing.assert_allclose(together.xy[int(query[0]) :, n], alone.xy[:, 0], atol=1e-4)
    assert tracker.store.encoded == 12  # features are shared by all calls for a video


def test_joint_mode_is_one_call(shallow_v1):
    video = golden.make_video(2, 20, 48, 64)
    tracker = CoTracker(shallow_v1, "joint", (48, 64), iterations=1)
    tracker.track(video, np.array([[0, 30, 20], [0, 20, 30.5], [7, 40, 20]]))
    assert (tracker.store.encoded, tracker.windows) == (20, 4)


def test_a_stream_is_the_exact_mode(shallow_v1):
    video, points = golden.make_video(2, 22, 48, 64), np.array([[30.0, 20], [20, 30.5]])
    tracker = CoTracker(shallow_v1, "joint", (48, 64), iterations=1)
    _, found = run(tracker, video, {5: (2, points)})
    queries = np.column_stack([[2, 2], points])
    tracks = CoTracker(shallow_v1, "exact", (48, 64), iterations=1).track(video, queries)
    np.testing.assert_allclose(found[5][0], tracks.xy[5:], atol=1e-3)
    np.testing.assert_allclose(found[5][1], tracks.visible_prob[5:], atol=1e-4)


def test_a_stream_keeps_little_and_costs_nothing_where_nothing_is_hidden(shallow_v1):
    frames = RecentFrames()
    stream = CoTracker(shallow_v1, size=(32, 32), iterations=1).stream(frames)
    image = golden.make_video(0, 1, 32, 32)[0]
    for _ in range(30):
        frames.push(image)
        assert stream.step() == {}
    assert stream.encoded == 0
    sizes = []
    for _ in range(3):
        clips = [stream.follow(len(frames) - 1, np.array([[20.0, 20]])) for _ in range(3)]
        for _ in range(10):
            frames.push(image)
            assert sorted(stream.step()) == clips
        for clip in clips:
            stream.forget(clip)
        sizes.append([len(level) for level in stream._clips.store.levels])
        assert not stream._clips._clips
    assert sizes[1] == sizes[2]
    assert max(sizes[2]) <= 16
    assert stream.encoded == 3 * 10 + 1  # the frame in which the next clips begin is known already


def test_wrong_use_of_a_stream_is_told(shallow_v1):
    frames = RecentFrames()
    stream = CoTracker(shallow_v1, size=(48, 64)).stream(frames)
    frames.push(np.zeros((48, 64, 3), np.uint8))
    stream.follow(0, np.array([[1.0, 2]]))
    frames.push(np.zeros((40, 64, 3), np.uint8))
    with pytest.raises(InputError, match=r"of size \(40, 64\) after frames of size \(48, 64\)"):
        stream.step()
    with pytest.raises(InputError, match=r"size \(48, 30\): .* multiples of 4, at least 32"):
        CoTracker(shallow_v1, size=(48, 30))
    with pytest.raises(InputError, match="exact or joint"):
        CoTracker(shallow_v1, "reference")


def test_the_encoder_may_work_in_bfloat16():
    from samodal.track.cotracker import load_cotracker

    model = golden.shallow(load_cotracker(golden.weights("v1"), encoder_dtype=torch.bfloat16))
    full = golden.shallow(load_cotracker(golden.weights("v1")))
    video, query = golden.make_video(4, 10, 48, 64), np.array([[0, 30.5, 20]])
    coarse, fine = (CoTracker(net, "exact", (48, 64), iterations=2) for net in (model, full))
    a, b = coarse.track(video, query), fine.track(video, query)
    assert coarse.store.levels[0].dtype == torch.bfloat16
    assert 0 < np.abs(a.xy - b.xy).max() < 0.5
