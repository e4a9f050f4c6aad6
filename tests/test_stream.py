"""Results while the frames are still coming: the same as of a whole video, in bounded memory."""

import gc
import itertools
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import rows, tiny_sam, told, toy_clip

from samodal import masks
from samodal.data.synthetic import make_clip
from samodal.demo import only_visible
from samodal.each_frame import Seen, StreamFrame
from samodal.errors import InputError
from samodal.motion.ego import FixedEgo
from samodal.motion.observation import Observation
from samodal.motion.perspective import PerspectiveMotion
from samodal.pipeline import AmodalVideoSegmenter
from samodal.recover import Recovery, Sighting, recover_track
from samodal.sam.ask import Answer
from samodal.stream import FORGET, follow_stream
from samodal.video import Track

MODEL = tiny_sam()
TOY = toy_clip(frames=12, hidden=True)
WORLD = make_clip(700_004, 16, (60, 108))
SIZE = (48, 64)


def segmenter(**options: object) -> AmodalVideoSegmenter:
    return AmodalVideoSegmenter(MODEL, **options)  # type: ignore[arg-type]


def pairs(clip) -> Iterator[StreamFrame]:
    """Masks as arrays and as RLE in turn, some of them empty."""
    for index, image in enumerate(clip.video):
        seen = {one.track_id: one.visible for one in clip.instances(index)}
        if index % 2:
            seen = {
                k: np.zeros(clip.video.size, bool) if v is None else masks.decode(v) for k, v in seen.items()
            }
        yield image, seen


def square(x: int = 20, width: int = 12) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[16:30, x : x + width] = True
    return mask


def grey() -> np.ndarray:
    return np.full((*SIZE, 3), 90, np.uint8)


# ---- The same as of a whole video ------------------------------------------------------------------------------------


@pytest.mark.parametrize("clip", [TOY, WORLD], ids=["toy", "world"])
@pytest.mark.parametrize("look_ahead", [0, 4])
def test_pairs_are_as_good_as_a_video(clip, look_ahead: int) -> None:
    whole = segmenter().stream(clip.video, only_visible(clip.truth), look_ahead)
    assert told(list(segmenter().stream(pairs(clip), look_ahead=look_ahead))) == told(list(whole))


class OnAGpu:
    """In place of a model on a device that is no CPU: notes in what company frames are encoded."""

    device, engine = torch.device("meta"), None
    config, image_size = MODEL.config, MODEL.image_size

    def __init__(self) -> None:
        self.batches: list[tuple[int, int]] = []

    def eval(self) -> "OnAGpu":
        return self

    def encode_batch(self, frames: list, together: int) -> list:
        self.batches.append((len(frames), together))
        return frames

    def decode(self, embedding: np.ndarray, **prompts: np.ndarray) -> int:
        return len(prompts["points"])


def test_live_frames_are_encoded_without_company(monkeypatch: pytest.MonkeyPatch) -> None:
    answer = Answer(np.ones(SIZE, bool), 1.0, None)
    monkeypatch.setattr("samodal.each_frame.answers_of", lambda count, *_: [answer] * count)
    model = OnAGpu()
    list(AmodalVideoSegmenter(model).stream(pairs(TOY)))  # type: ignore[arg-type]
    assert model.batches == [(1, 1)] * 12
    model = OnAGpu()
    list(AmodalVideoSegmenter(model).stream(TOY.video, only_visible(TOY.truth)))  # type: ignore[arg-type]
    assert model.batches == [(4, 4)] * 3


@pytest.mark.parametrize("clip", [TOY, WORLD], ids=["toy", "world"])
@pytest.mark.parametrize("refine", [True, False])
def test_without_look_ahead_it_is_online(clip, refine: bool) -> None:
    visible = only_visible(clip.truth)
    online = segmenter(recover="online", refine=refine)(clip.video, visible)
    assert told(list(segmenter(refine=refine).stream(clip.video, visible))) == rows(online)


@pytest.mark.parametrize("clip", [TOY, WORLD], ids=["toy", "world"])
@pytest.mark.parametrize("refine", [True, False])
def test_with_all_frames_ahead_it_is_two_sided(clip, refine: bool) -> None:
    visible = only_visible(clip.truth)
    both = rows(segmenter(refine=refine)(clip.video, visible))
    assert any(state == "hidden" for frame in both for _, state, *_ in frame.values())
    for look_ahead in (len(clip) - 1, 1000):
        assert told(list(segmenter(refine=refine).stream(clip.video, visible, look_ahead))) == both


@settings(max_examples=12, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=1, max_size=25), st.integers(0, 6))
def test_any_pattern_of_gaps(pattern: list[int], ahead: int) -> None:
    """0 hidden, 1 and 2 partly hidden, 3 and 4 fully seen."""
    visible, amodal = [], []
    for k, kind in enumerate(pattern):
        full = square(10 + k)
        part = full.copy()
        part[:, : 10 + k + 12 - 6 * min(kind, 2)] = False
        visible.append(None if kind == 0 else masks.encode(full if kind > 2 else part))
        amodal.append(None if kind == 0 else masks.encode(full))
    scene = [masks.Runs(masks.encode(square(0, 60)))] * len(pattern)
    track = Track(1, 1, 0.9, visible, amodal)

    def run(look_ahead: int, mode: str) -> list:
        recovery, found = Recovery(PerspectiveMotion(), FixedEgo(), mode), []  # type: ignore[arg-type]
        for k in range(len(pattern) + look_ahead):
            if k < len(pattern) and visible[k]:
                recovery.add(Sighting.of(k, visible[k], amodal[k], 0.9, scene[k]))
            if k >= look_ahead:
                found.append(recovery.at(k - look_ahead, scene[0]))
        return [(None, "absent") if one is None else (one.amodal, one.state) for one in found]

    def whole(mode: str) -> list:
        done = recover_track(track, PerspectiveMotion(), mode, scene=scene)  # type: ignore[arg-type]
        return list(zip(done.amodal, done.states, strict=True))

    assert run(0, "online") == whole("online")
    assert run(len(pattern), "two-sided") == whole("two-sided")
    part = run(ahead, "two-sided")
    assert [s == "visible" for _, s in part] == [v is not None for v in visible]


def test_gaps_that_end_within_the_look_ahead_are_bridged() -> None:
    def frames() -> Iterator[StreamFrame]:
        for k in range(30):
            yield grey(), {} if 10 <= k < 16 else {1: square(10 + k)}

    def bridged(look_ahead: int) -> list[bool]:
        found = list(segmenter().stream(frames(), look_ahead=look_ahead))
        return [frame.instances[1].reason == "between two sightings" for frame in found[10:16]]

    assert [bridged(k) for k in (9, 6)] == [[True] * 6] * 2
    assert bridged(4) == [False] * 2 + [True] * 4
    assert bridged(0) == [False] * 6


# ---- Delay and memory ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("look_ahead", [0, 1, 5])
def test_a_result_comes_so_many_frames_later(look_ahead: int) -> None:
    taken = 0

    def frames() -> Iterator[StreamFrame]:
        nonlocal taken
        for _ in itertools.count():
            taken += 1
            yield grey(), {1: square()}

    for result in itertools.islice(segmenter(batch=4).stream(frames(), look_ahead=look_ahead), 8):
        assert taken == result.index + 1 + look_ahead


@pytest.mark.usefixtures("new_objects")
@pytest.mark.parametrize(("mode", "look_ahead"), [("online", 0), ("two-sided", 3)])
def test_what_is_kept_does_not_grow(mode, look_ahead: int) -> None:
    """Instances come, are seen for some frames, and vanish for ever."""
    forget = 60

    def frames() -> Iterator[Seen]:
        for k in itertools.count():
            full, half = square(20 + k % 5), square(20 + k % 5, 6)
            answers = {
                k // 5: Answer(full, 0.9, None),
                **({k // 5 - 1: Answer(half, 0.8, None)} if k % 5 == 0 else {}),
            }
            visible = {track_id: masks.encode(half) for track_id in answers}
            yield Seen(k, grey(), visible, masks.encode(square(20, 40)), answers)

    def kept() -> list[int]:
        gc.collect()
        kinds = [type(one) for one in gc.get_objects()]
        return [kinds.count(kind) for kind in (Observation, Recovery, Sighting)]

    stream = follow_stream(frames(), PerspectiveMotion(), FixedEgo(), mode, look_ahead, True, forget)
    counts = []
    for result in itertools.islice(stream, forget + 45):
        assert len(result.instances) <= forget // 5 + 2
        if result.index in (forget + 24, forget + 34, forget + 44):
            counts.append(kept())
    assert counts[0] == counts[1] == counts[2]
    assert 0 < counts[0][0] <= 7 * (forget // 5 + 3)


def test_who_is_forgotten_begins_anew() -> None:
    """Before, the memory would have said that it moves to the right."""
    away = FORGET + 5

    def frames() -> Iterator[StreamFrame]:
        for k in range(away + 14):
            seen = k < 6 or k == away + 6
            yield grey(), {7: square(10 + 3 * k if k < 6 else 20)} if seen else {}

    found = list(segmenter(refine=False).stream(frames()))
    gone = [frame.instances.get(7) for frame in found]
    assert gone[30] is not None
    assert gone[30].state == "gone"
    assert [one is None for one in gone[5 + FORGET :][:3]] == [False, True, True]
    assert gone[away + 6] is not None
    fresh = list(segmenter(refine=False).stream((pair for k, pair in enumerate(frames()) if k >= away + 6)))
    assert [one.instances[7].state for one in fresh] == [
        frame.instances[7].state for frame in found[away + 6 :]
    ]


# ---- Bad input -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("pair", "said"),
    [
        (grey(), "a pair"),
        ((grey(),), "a pair"),
        ((grey(), [square()]), "a pair"),
        ((grey().astype(float), {}), "uint8"),
        ((grey()[..., 0], {}), "uint8"),
        ((np.zeros((0, 64, 3), np.uint8), {}), "pixels"),
        ((grey()[:20], {}), "in a stream of"),
        ((grey(), {1: square()[:20]}), "mask of"),
        ((grey(), {1: masks.encode(square()[:20])}), "size"),
        ((grey(), {1: {"size": list(SIZE), "counts": "?!"}}), "broken RLE"),
        ((grey(), {1: 3}), "neither an RLE"),
        ((grey(), {"car": square()}), "track id 'car'"),
    ],
)
def test_what_is_no_frame_is_refused_when_it_comes(pair, said: str) -> None:
    stream = segmenter().stream([(grey(), {1: square()}), pair])
    assert next(stream).instances[1].state == "visible"
    with pytest.raises(InputError, match=f"frame 1.*{said}"):
        next(stream)


def test_a_stream_that_cannot_be_is_refused_at_once() -> None:
    visible = only_visible(TOY.truth)
    with pytest.raises(InputError, match="look_ahead -1"):
        segmenter().stream(TOY.video, visible, -1)
    with pytest.raises(InputError, match="two-sided"):
        segmenter(recover="online").stream(TOY.video, visible, 3)
    with pytest.raises(InputError, match="visible masks"):
        segmenter().stream(TOY.video)
    with pytest.raises(InputError, match="visible masks"):
        segmenter().stream(pairs(TOY), visible)
    with pytest.raises(InputError, match="a function"):
        segmenter(ego=[np.eye(3)] * 12).stream(pairs(TOY))
    assert list(segmenter().stream([])) == []
