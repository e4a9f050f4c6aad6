"""Does a point tracker keep to what `samodal` asks of one? For authors of plug-ins.

    import pytest
    from samodal.track.testing import ACCURACY, CONTRACT

    @pytest.mark.parametrize("check", CONTRACT + ACCURACY, ids=lambda check: check.__name__)
    def test_my_tracker(check):
        check(MyTracker())

Or `check_tracker(MyTracker())`, all at once. `CONTRACT` holds for any tracker, also with random weights; `ACCURACY`
asks that it follows what can be seen, and so needs trained ones. A check fails with an AssertionError that says
what is wrong. Nothing but numpy is used.
"""

import weakref
from collections.abc import Callable

import numpy as np

from samodal.errors import InputError
from samodal.track.interface import PointTracker, RecentFrames, Tracks, open_stream

Check = Callable[[PointTracker], None]
SHIFT = (3, 2)  # pixels a frame, of `moving_video`


def check_tracker(tracker: PointTracker, accuracy: bool = True) -> None:
    """Run all checks, or, without `accuracy`, those of `CONTRACT`.

    Raises:
        AssertionError: what the tracker does wrong.
    """
    for check in CONTRACT + ACCURACY if accuracy else CONTRACT:
        check(tracker)


def moving_video(
    frames: int, shift: tuple[int, int] = (0, 0), size: tuple[int, int] = (96, 128)
) -> np.ndarray:
    """uint8 (T, H, W, 3): a smooth random texture that moves by `shift` (x, y) pixels a frame."""
    height, width = size
    margin = 4 + frames * max(map(abs, shift))
    noise = np.random.default_rng(0).random((height + 2 * margin, width + 2 * margin, 3))
    for axis in (0, 1):
        for _ in range(3):  # three box blurs of 5 pixels are as good as a Gaussian
            noise = np.mean([np.roll(noise, step, axis) for step in range(-2, 3)], axis=0)
    noise = (noise - noise.min()) / np.ptp(noise)
    texture = (255 * noise).astype(np.uint8)
    corners = [(margin - t * shift[1], margin - t * shift[0]) for t in range(frames)]
    return np.stack([texture[y : y + height, x : x + width] for y, x in corners])


def has_attributes(tracker: PointTracker) -> None:
    """What is to be known of a tracker stands on it."""
    for name in ("causal", "needs_weights", "deterministic"):
        assert isinstance(getattr(tracker, name), bool), f"{name} must be True or False"
    assert tracker.max_window is None or tracker.max_window >= 1, "max_window must be None or at least 1"
    assert tracker.licence is None or isinstance(tracker.licence, str), "licence must be None or text"


def answers_have_the_right_shape(tracker: PointTracker) -> None:
    """Also for clips of one and two frames, windows within a video, and no points."""
    video = moving_video(10, SHIFT)
    for window, count in ((range(1), 1), (range(2), 3), (range(3, 9), 3), (range(10), 1), (range(4), 0)):
        queries = _queries(count, window)
        _check_form(tracker.track(video, queries, window), len(window), count)
    _check_form(tracker.track(video, _queries(2, range(10))), len(video), 2)


def a_point_is_valid_where_it_is_known(tracker: PointTracker) -> None:
    """In its query frame."""
    queries = _queries(3, range(10))
    tracks = tracker.track(moving_video(10, SHIFT), queries)
    assert tracks.valid[queries[:, 0].astype(int), range(3)].all(), "not valid in the query frame"


def the_order_of_queries_does_not_matter(tracker: PointTracker) -> None:
    """Points are followed the same, in whatever order they are asked for."""
    video, queries = moving_video(10, SHIFT), _queries(4, range(10))
    order = np.array([2, 0, 3, 1])
    here, there = tracker.track(video, queries), tracker.track(video, queries[order])
    _check_same(here, there, order, "in another order of the queries the answer is another")


def the_same_call_has_the_same_answer(tracker: PointTracker) -> None:
    """Where it is said to be deterministic; also for a video that it saw before."""
    if not tracker.deterministic:
        return
    video, other, queries = moving_video(9, SHIFT), moving_video(9, (-2, 1)), _queries(2, range(9))
    first = tracker.track(video, queries)
    again = tracker.track(video, queries)
    tracker.track(other, queries)
    afresh = tracker.track(video.copy(), queries)
    for second in (again, afresh):
        _check_same(first, second, np.arange(2), "the same call gives another answer", tolerance=1e-3)


def only_the_window_is_read(tracker: PointTracker) -> None:
    """Frames outside of the window are not looked at, and those in it not again and again."""
    video = _Watched(moving_video(12, SHIFT))
    window = range(4, 10)
    tracker.track(video, _queries(3, window), window)
    outside = sorted(set(video.reads) - set(window))
    assert not outside, f"reads frames {outside} outside of the window {window}"
    assert max(video.reads.values()) <= 4, "reads a frame more than four times in one call"


def a_causal_tracker_does_not_see_the_future(tracker: PointTracker) -> None:
    """Where it is said to be causal, a frame's answer stays the same when later ones are there."""
    if not tracker.causal:
        return
    video, queries = moving_video(14, SHIFT), np.array([[0, 40, 30], [2, 70.5, 50.25]], np.float32)
    for end in (5, 9, 12):
        part, whole = tracker.track(video, queries, range(end)), tracker.track(video, queries)
        cut = Tracks(whole.xy[:end], whole.visible_prob[:end], whole.valid[:end])
        _check_same(
            part, cut, np.arange(2), f"frames after {end - 1} change the answer before", tolerance=1e-2
        )


def bad_calls_are_refused(tracker: PointTracker) -> None:
    """With an InputError that says what is wrong."""
    video = moving_video(4)
    good = _queries(1, range(4))
    bad = [
        (good, range(0, 5)),
        (good, range(2, 2)),
        (good, range(0, 4, 2)),
        (good[:, :2], None),
        (np.array([[9.0, 20, 20]]), None),
        (np.array([[0.5, 20, 20]]), None),
        (np.array([[0, np.nan, 20]]), None),
    ]
    for queries, window in bad:
        try:
            tracker.track(video, queries, window)
        except InputError:
            continue
        raise AssertionError(f"no InputError for queries {queries.tolist()} in window {window}")


def points_far_outside_do_no_harm(tracker: PointTracker) -> None:
    """A query may lie outside of the frame, as instances do."""
    queries = np.array([[0, -50, 30], [3, 1e5, 40], [1, 40, -1e4]], np.float32)
    _check_form(tracker.track(moving_video(6), queries), 6, 3)


def a_stream_has_the_right_form(tracker: PointTracker) -> None:
    """If the tracker has a `stream`: clips may begin in one of the last five frames; each step says where all are."""
    frames, video = RecentFrames(), moving_video(12, SHIFT)
    if (stream := open_stream(tracker, frames)) is None:
        return
    points = _queries(3, range(1))[:, 1:]
    for number, image in enumerate(video):
        if number == 5:
            first, second = stream.follow(0, points), stream.follow(4, points[:1])
        if number == 9:
            stream.forget(first)
        frames.push(image)
        found = stream.step()
        wanted = {} if number < 5 else {first: 3, second: 1} if number < 9 else {second: 1}
        assert set(found) == set(wanted), f"a step answers for the clips {set(found)}, not for {set(wanted)}"
        for clip, (xy, prob) in found.items():
            shapes = (wanted[clip], 2), (wanted[clip],)
            assert (xy.shape, prob.shape) == shapes, f"a step gives {xy.shape} and {prob.shape}, not {shapes}"
            assert xy.dtype == prob.dtype == np.float32, f"a step gives {xy.dtype} and {prob.dtype}"
            assert ((prob >= 0) & (prob <= 1)).all(), "visible_prob of a stream is not from 0 to 1"


def bad_clips_of_a_stream_are_refused(tracker: PointTracker) -> None:
    """With an InputError: no points, and points of frames that have not come or cannot be read any more."""
    frames = RecentFrames()
    if (stream := open_stream(tracker, frames)) is None:
        return
    for image in moving_video(8):
        frames.push(image)
    good = np.array([[40.0, 30]])
    for frame, points in ((7, good[:0]), (7, good[0]), (7, good * np.nan), (8, good), (2, good)):
        try:
            stream.follow(frame, points)
        except InputError:
            continue
        raise AssertionError(f"no InputError for points {points.tolist()} of frame {frame} after 8 frames")


def clips_of_a_stream_do_not_influence_one_another(tracker: PointTracker) -> None:
    """What is said of points is the same, whatever else is followed."""
    here, there = RecentFrames(), RecentFrames()
    alone, beside = open_stream(tracker, here), open_stream(tracker, there)
    if alone is None or beside is None:
        return
    points = _queries(2, range(1))[:, 1:]
    for number, image in enumerate(moving_video(9, SHIFT)):
        if number == 2:
            extra = beside.follow(0, points + 7)
            one, other = alone.follow(1, points), beside.follow(1, points)
        if number == 7:
            beside.forget(extra)
        here.push(image)
        there.push(image)
        found, again = alone.step(), beside.step()
        if number >= 2:
            for a, b in zip(found[one], again[other], strict=True):
                off = np.nanmax(np.abs(a - b), initial=0)
                assert off <= 1e-2, f"another clip of a stream changes the answer by {off:.3g}"


def a_stream_says_what_a_causal_tracker_says(tracker: PointTracker) -> None:
    """Where it is said to be causal, a stream has the numbers of a call for the whole video."""
    frames, video = RecentFrames(), moving_video(20, SHIFT)
    stream = open_stream(tracker, frames)
    if stream is None or not tracker.causal:
        return
    queries = np.array([[2, 40, 30], [2, 70.5, 50.25]])
    whole = tracker.track(video, queries)
    for number, image in enumerate(video):
        if number == 5:
            clip = stream.follow(2, queries[:, 1:])
        frames.push(image)
        found = stream.step()
        if number >= 5:
            xy = np.where(whole.valid[number, :, None], whole.xy[number], found[clip][0])
            off = np.abs(found[clip][0] - xy).max()
            assert off <= 1e-2, f"a stream is off by {off:.3g} pixels from a call for the whole video"


def a_stream_lets_frames_go(tracker: PointTracker) -> None:
    """Of many frames, it keeps few, also while a clip goes on."""
    frames = RecentFrames()
    if (stream := open_stream(tracker, frames)) is None:
        return
    images = []
    for number, image in enumerate(moving_video(30, (1, 0), (64, 64))):
        if number == 1:
            stream.follow(0, np.array([[20.0, 20]]))
        frames.push(image)
        images.append(weakref.ref(frames[number]))
        stream.step()
    kept = sum(image() is not None for image in images)
    assert kept <= 20, f"a stream keeps {kept} of 30 frames"


def a_still_video_has_still_points(tracker: PointTracker) -> None:
    """Within half a pixel."""
    queries = _queries(3, range(8))
    tracks = tracker.track(moving_video(8), queries)
    off = np.abs(tracks.xy - queries[:, 1:].astype(np.float32)).max(-1)[tracks.valid].max()
    assert off < 0.5, f"points of a still video move by {off:.2f} pixels"


def a_moving_video_moves_its_points(tracker: PointTracker) -> None:
    """Within one pixel, and most of them are said to be seen."""
    queries = np.array([[0, 60, 40], [0, 50.5, 60.25], [3, 70, 50]])
    tracks = tracker.track(moving_video(8, SHIFT), queries)
    truth = queries[:, 1:] + (np.arange(8)[:, None] - queries[:, 0])[..., None] * SHIFT
    off = np.linalg.norm(tracks.xy - truth, axis=-1)[tracks.valid].max()
    assert off < 1, f"points are off by {off:.2f} pixels where all moves by {SHIFT} a frame"
    assert np.median(tracks.visible_prob[tracks.valid]) > 0.5, "points in full sight are said to be hidden"


CONTRACT: tuple[Check, ...] = (
    has_attributes,
    answers_have_the_right_shape,
    a_point_is_valid_where_it_is_known,
    the_order_of_queries_does_not_matter,
    the_same_call_has_the_same_answer,
    only_the_window_is_read,
    a_causal_tracker_does_not_see_the_future,
    bad_calls_are_refused,
    points_far_outside_do_no_harm,
    a_stream_has_the_right_form,
    bad_clips_of_a_stream_are_refused,
    clips_of_a_stream_do_not_influence_one_another,
    a_stream_says_what_a_causal_tracker_says,
    a_stream_lets_frames_go,
)
ACCURACY: tuple[Check, ...] = (a_still_video_has_still_points, a_moving_video_moves_its_points)


class _Watched:
    """A video that counts how often each frame is read."""

    def __init__(self, frames: np.ndarray) -> None:
        self.frames = frames
        self.reads: dict[int, int] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> np.ndarray:
        self.reads[index] = self.reads.get(index, 0) + 1
        return self.frames[index]


def _queries(count: int, window: range) -> np.ndarray:
    """Points in the middle of `moving_video`, known in various frames of the window."""
    rows = np.arange(count)
    frames = window.start + rows * 2 % len(window)
    return np.stack([frames, 45.25 + 11 * rows, 35.5 + 9 * rows], axis=1).astype(np.float32)


def _check_form(tracks: Tracks, frames: int, count: int) -> None:
    shape: tuple[int, ...] = (frames, count)
    arrays = [
        ("visible_prob", tracks.visible_prob, np.float32, shape),
        ("xy", tracks.xy, np.float32, (*shape, 2)),
    ]
    if tracks.confidence is not None:
        arrays.append(("confidence", tracks.confidence, np.float32, shape))
    arrays.append(("valid", tracks.valid, np.bool_, shape))  # type: ignore[arg-type]
    for name, array, dtype, wanted in arrays:
        assert isinstance(array, np.ndarray), f"{name} is no numpy array"
        assert array.shape == wanted, f"{name} has shape {array.shape}, not {wanted}"
        assert array.dtype == dtype, f"{name} is {array.dtype}, not {np.dtype(dtype)}"
        assert np.isfinite(array).all(), f"{name} is not finite everywhere"
    for name, array, _, _ in arrays:
        assert name == "xy" or ((array >= 0) & (array <= 1)).all(), f"{name} is not from 0 to 1"


def _check_same(
    first: Tracks, second: Tracks, order: np.ndarray, message: str, tolerance: float = 1e-2
) -> None:
    """The points `order` of the first are those of the second, to `tolerance` pixels."""
    valid = first.valid[:, order]
    assert (valid == second.valid).all(), f"{message} (valid)"
    off = np.abs(first.xy[:, order] - second.xy)[valid].max(initial=0)
    assert off <= tolerance, f"{message} (xy, by {off:.3g} pixels)"
    off = np.abs(first.visible_prob[:, order] - second.visible_prob)[valid].max(initial=0)
    assert off <= tolerance, f"{message} (visible_prob, by {off:.3g})"
