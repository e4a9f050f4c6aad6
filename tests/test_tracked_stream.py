"""Point trackers in a stream: the numbers of whole videos, from the past alone, in bounded memory."""

import gc
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from toys import rows, tiny_sam, told

from samodal import masks
from samodal.each_frame import StreamFrame
from samodal.errors import InputError
from samodal.motion.ego import FixedEgo
from samodal.pipeline import AmodalVideoSegmenter
from samodal.prompts import pick_points
from samodal.sam.ask import Answer, Prompts
from samodal.track import Tracks
from samodal.track.interface import RECENT, RecentFrames, check_call, check_follow
from samodal.track.lucas_kanade import LucasKanade
from samodal.track.testing import moving_video
from samodal.tracked import LONGEST
from samodal.tracked_stream import AskedPoints
from samodal.video import Track, Video, VideoTracks

SIZE = (48, 64)


class Model:
    """In the place of a SAM; see `instances_are_what_is_seen`."""

    device = torch.device("cpu")
    engine = None
    config = tiny_sam().config

    def eval(self) -> "Model":
        return self

    def encode_batch(self, frames, together):
        return [None] * len(frames)

    def decode(self, embedding, **prompts):
        return "an answer"


@pytest.fixture(autouse=True)
def instances_are_what_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The amodal mask of an instance is the visible one, its point a random one in it."""

    def prompts(arrays, model, rngs, *_) -> Prompts:
        points = [pick_points(array, "random", 1, rng) for array, rng in zip(arrays, rngs, strict=True)]
        return Prompts(np.array(points), None, None)

    def answers(decoded, arrays, model, shown, unite_visible) -> list[Answer]:
        return [Answer(array, 0.9, point) for array, point in zip(arrays, shown.points, strict=True)]

    monkeypatch.setattr("samodal.each_frame.prompts_of", prompts)
    monkeypatch.setattr("samodal.each_frame.answers_of", answers)


class Told:
    """Says of each point that it goes where the frames say (their first two pixels), and is hidden.

    So what it says of a frame depends on that frame and the one of the query, on nothing else.
    """

    needs_weights = False
    licence = None
    deterministic = True
    max_window: int | None = None

    def __init__(self, causal: bool = True, through_occlusion: bool = True) -> None:
        self.causal, self.through_occlusion = causal, through_occlusion
        self.calls: list[range] = []

    def track(self, frames, queries, window=None):
        queries, window = check_call(frames, queries, window, self.max_window)
        self.calls.append(window)
        ways = np.array([way(frames[k]) for k in window])
        xy = queries[None, :, 1:] + ways[:, None] - ways[queries[:, 0].astype(int) - window.start]
        valid = np.ones(xy.shape[:2], bool)
        if self.causal:
            valid = np.array(window)[:, None] >= queries[:, 0]
        return Tracks(xy.astype(np.float32), np.zeros(xy.shape[:2], np.float32), valid)


class ToldFrameByFrame(Told):
    """The same with a stream of its own."""

    def stream(self, frames):
        self.opened = ToldStream(frames)
        return self.opened


class ToldStream:
    def __init__(self, frames: RecentFrames) -> None:
        self.frames, self.clips, self.count, self.most = frames, {}, 0, 0

    def follow(self, frame, points):
        points = check_follow(self.frames, frame, points)
        self.count += 1
        self.clips[self.count] = points - way(self.frames[frame])
        self.most = max(self.most, len(self.clips))
        return self.count

    def step(self):
        now = way(self.frames[len(self.frames) - 1])
        return {
            clip: ((xy + now).astype(np.float32), np.zeros(len(xy), np.float32))
            for clip, xy in self.clips.items()
        }

    def forget(self, clip):
        del self.clips[clip]


def way(image: np.ndarray) -> np.ndarray:
    return image[0, :2, 0].astype(float) / 4


def scene(seed: int, frames: int) -> tuple[Video, VideoTracks]:
    """Three squares that are seen now and then; one leaves for long, and one for ever."""
    rng = np.random.default_rng(seed)
    images = moving_video(frames, (0, 0), SIZE)
    images[:, 0, :2, 0] = rng.integers(0, 16, (frames, 2)).cumsum(0) % 60
    tracks = []
    for track_id in (1, 2, 5):
        seen = np.repeat(rng.random(frames) < 0.6, rng.integers(1, 7, frames))[:frames]
        seen[12 : 12 + LONGEST + 15] &= track_id != 2
        seen[20:] &= track_id != 5
        visible: list = [None] * frames
        for k in np.flatnonzero(seen):
            x, w = 8 + (k // 2 + 9 * track_id) % 30, int(rng.integers(6, 13))
            mask = np.zeros(SIZE, bool)
            mask[16:30, x : x + w] = True
            visible[k] = masks.encode(mask)
        tracks.append(Track(track_id, 1, 0.9, visible))
    return Video.from_frames(images), VideoTracks(SIZE, frames, tracks)


def segmenter(tracker, **options) -> AmodalVideoSegmenter:
    return AmodalVideoSegmenter(Model(), tracker, ego=FixedEgo, **options)


def pairs(video: Video, visible: VideoTracks) -> Iterator[StreamFrame]:
    for index, image in enumerate(video):
        yield image, {track.track_id: track.visible[index] for track in visible}


TRACKERS = [
    pytest.param(lambda: ToldFrameByFrame(), id="stream of its own"),
    pytest.param(lambda: Told(), id="asked"),
    pytest.param(lambda: Told(causal=False), id="asked, both ways"),
]


# ---- The same as of a whole video ------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", TRACKERS)
def test_without_look_ahead_it_is_online(make) -> None:
    video, visible = scene(0, 92)
    online = rows(segmenter(make(), recover="online", refine=False)(video, visible))
    voted = [xy for frame in online for _, state, *_, xy in frame.values() if state == "hidden" and xy]
    assert len(voted) > 20
    for batch in (1, 7):
        options = {"recover": "online", "refine": False, "batch": batch}
        assert told(list(segmenter(make(), **options).stream(video, visible))) == online
    endless = told(list(segmenter(make(), recover="online", refine=False).stream(pairs(video, visible))))
    assert endless == online


@pytest.mark.parametrize("make", TRACKERS)
@pytest.mark.parametrize("refine", [True, False])
def test_with_all_frames_ahead_it_is_two_sided(make, refine: bool) -> None:
    video, visible = scene(2, 40)
    both = rows(segmenter(make(), refine=refine)(video, visible))
    for look_ahead in (len(video) - 1, 1000):
        assert told(list(segmenter(make(), refine=refine).stream(video, visible, look_ahead))) == both


@pytest.mark.parametrize("make", TRACKERS)
def test_a_look_ahead_hears_points_from_behind_a_gap(make) -> None:
    """If the tracker goes back. Those of a causal one come from before the gap alone."""
    video, _ = scene(0, 30)
    seen = [None if 8 <= k < 14 else masks.encode(square(20)) for k in range(30)]
    visible = VideoTracks(SIZE, 30, [Track(1, 1, 0.9, seen)])
    found = list(segmenter(make(), refine=False).stream(video, visible, look_ahead=6))
    counts = [len(result.instances[1].points) for result in found[8:14]]
    assert counts == [12 if make().causal else 24] * 6


def test_points_of_a_tracker_that_follows_what_is_seen_have_no_vote() -> None:
    video, visible = scene(0, 30)
    tracker = ToldFrameByFrame(through_occlusion=False)
    assert told(list(segmenter(tracker).stream(video, visible))) == told(
        list(segmenter("motion").stream(video, visible))
    )
    assert not hasattr(tracker, "opened")


@pytest.mark.parametrize("make", [LucasKanade, ToldFrameByFrame])
def test_the_rule_of_the_original(make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samodal.point_shift.BORDER", 4)  # the frames are too narrow for 20 pixels
    video, visible = scene(1, 60)
    whole = rows(segmenter(make(), recover="reference")(video, visible))
    assert sum(one[1] == "hidden" for row in whole for one in row.values()) > 20
    for batch in (1, 7):
        assert told(list(segmenter(make(), recover="reference", batch=batch).stream(video, visible))) == whole
    endless = told(list(segmenter(make(), recover="reference").stream(pairs(video, visible))))
    assert endless == whole


def test_the_rule_of_the_original_needs_a_tracker_that_goes_frame_by_frame() -> None:
    video, visible = scene(0, 3)
    with pytest.raises(InputError, match="recover reference in a stream: Told takes whole clips only"):
        segmenter(Told(), recover="reference").stream(video, visible)


@pytest.mark.parametrize("make", [ToldFrameByFrame, lambda: Told(causal=False)])
def test_a_camera_may_use_its_array_again(make) -> None:
    video, visible = scene(0, 40)
    array = np.zeros((*SIZE, 3), np.uint8)

    def camera() -> Iterator[StreamFrame]:
        for image, shown in pairs(video, visible):
            array[:] = image
            yield array, shown

    results = told(list(segmenter(make()).stream(pairs(video, visible))))
    assert told(list(segmenter(make()).stream(camera()))) == results


# ---- Memory and work -------------------------------------------------------------------------------------------------


def square(x: int) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[16:30, x : x + 12] = True
    return mask


def looped(period: int = 12) -> Iterator[StreamFrame]:
    """Without end: every period two new instances; one is hidden at times, and both vanish for ever."""
    images = moving_video(period, (1, 0), SIZE)
    for k in itertools.count():
        rounds, at = divmod(k, period)
        shown = {2 * rounds: square(20)} if at % 6 < 3 else {}
        if at < 5:
            shown[2 * rounds + 1] = square(40)
        yield images[at].copy(), shown


def alive(kind: type) -> list:
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is kind]


@pytest.mark.usefixtures("new_objects")
@pytest.mark.parametrize(
    ("make", "recover", "look_ahead"),
    [
        (ToldFrameByFrame, "two-sided", 0),
        (ToldFrameByFrame, "two-sided", 4),
        (lambda: Told(causal=False), "two-sided", 0),
        (lambda: Told(causal=False), "two-sided", 4),
        (LucasKanade, "reference", 0),
    ],
    ids=["stream", "stream ahead", "asked", "asked ahead", "reference"],
)
def test_what_is_kept_does_not_grow(
    make, recover: str, look_ahead: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget = 60
    monkeypatch.setattr("samodal.pipeline.FORGET", forget)
    tracker = make()
    stream = segmenter(tracker, recover=recover, refine=False).stream(looped(), look_ahead=look_ahead)
    kept, sizes = [], []
    for result in itertools.islice(stream, forget + 60):
        assert len(result.instances) <= 2 * (forget // 12 + 2)
        if result.index in (forget + 20, forget + 32, forget + 56):
            frames = alive(RecentFrames)
            kept.append([len(one._kept) for one in frames])
            points = [one for one in alive(AskedPoints) if one.tracker is tracker]
            sizes.append(
                [(sum(map(len, p._shown.values())), len(p._paths), len(p._given_up)) for p in points]
            )
    (count,) = kept[0]
    assert kept[0] == kept[1] == kept[2]
    assert count <= (
        LONGEST + look_ahead if isinstance(tracker, Told) and not hasattr(tracker, "opened") else RECENT
    )
    assert sizes[0] == sizes[1] == sizes[2]
    if hasattr(tracker, "opened"):
        assert tracker.opened.most <= 2 * (LONGEST // 12 + 2)
        assert tracker.opened.count > 20


@pytest.mark.parametrize("make", [ToldFrameByFrame, Told])
def test_who_is_gone_costs_nothing(make) -> None:
    """What is cut by the border when it vanishes has left."""
    tracker, at_border = make(), np.zeros(SIZE, bool)
    at_border[16:30, :9] = True
    frames = [
        (image, {1: at_border} if k < 4 else {}) for k, image in enumerate(moving_video(20, (0, 0), SIZE))
    ]
    found = list(segmenter(tracker).stream(frames))
    assert found[-1].instances[1].state == "gone"
    if make is Told:
        assert len(tracker.calls) <= 1
    else:
        assert not tracker.opened.clips


def test_a_tracker_that_takes_few_frames_is_asked_for_no_more() -> None:
    tracker = Told()
    tracker.max_window = 5
    video, visible = scene(0, 40)
    list(segmenter(tracker, recover="online").stream(video, visible))
    segmenter(tracker, recover="two-sided")(video, visible)
    assert max(map(len, tracker.calls)) == 5
