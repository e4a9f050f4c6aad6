import json
from collections.abc import Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from toys import tiny_sam, toy_clip

from samodal import masks, pipeline
from samodal.demo import only_visible
from samodal.each_frame import Seen
from samodal.errors import InputError
from samodal.pipeline import AmodalVideoSegmenter
from samodal.prompts import STRATEGIES, PromptOptions
from samodal.score.compare import without_recovery
from samodal.video import Track, VideoTracks

CLIP = toy_clip(frames=12, hidden=True)
VISIBLE = only_visible(CLIP.truth)
MODEL = tiny_sam()


def segment(**options: object) -> VideoTracks:
    return AmodalVideoSegmenter(MODEL, **options)(CLIP.video, VISIBLE)  # type: ignore[arg-type]


def written(tracks: VideoTracks, folder: Path) -> bytes:
    tracks.write(folder / "amodal.json")
    return (folder / "amodal.json").read_bytes()


def test_same_seed_same_bytes_whatever_the_batch(tmp_path: Path) -> None:
    prompt = PromptOptions(count=2, kinds=("points", "mask"))
    first = written(segment(seed=5, batch=1, prompt=prompt), tmp_path)
    for batch in (3, 12, 100):
        assert written(segment(seed=5, batch=batch, prompt=prompt), tmp_path) == first
    assert written(segment(seed=6, prompt=prompt), tmp_path) != first


@pytest.mark.parametrize("strategy", STRATEGIES)
def test_no_strategy_depends_on_the_batch(strategy: str) -> None:
    options = {"prompt": PromptOptions(strategy, count=3), "recover": "none"}
    points = [
        [
            None if drawn is None else drawn.tolist()
            for track in segment(batch=batch, **options)
            for drawn in track.points
        ]
        for batch in (1, 5)
    ]
    assert points[0] == points[1]
    frames = list(AmodalVideoSegmenter(MODEL, **options).stream(CLIP.video, VISIBLE))
    streamed = [
        frame.instances[1].points.tolist() for frame in frames if frame.instances[1].points is not None
    ]
    assert streamed == [drawn for drawn in points[0][: len(frames)] if drawn is not None]


def test_same_bytes_whatever_the_queue(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = written(segment(), tmp_path)
    asked = pipeline.ask_sam
    for queue in (1, 50):

        def overlapping(*options: Any, queue: int = queue) -> Iterator[Seen]:
            return asked(*options[:-1], queue)

        monkeypatch.setattr(pipeline, "ask_sam", overlapping)
        assert written(segment(), tmp_path) == first


def test_every_seen_instance_gets_a_mask_that_holds_what_is_seen() -> None:
    for track, truth in zip(segment(), VISIBLE, strict=True):
        for amodal, visible, state in zip(track.amodal, truth.visible, track.states, strict=True):
            if visible:
                assert state == "visible"
                assert masks.union([amodal, visible]) == amodal


def test_sam_alone_when_not_united() -> None:
    united, alone = segment(), segment(unite_visible=False)
    assert any(a.amodal != b.amodal for a, b in zip(united, alone, strict=True))


def test_the_gap_is_filled_and_only_the_gap() -> None:
    gap = [frame for frame, mask in enumerate(VISIBLE.tracks[0].visible) if mask is None]
    assert gap
    track = segment(recover="two-sided").tracks[0]
    assert [frame for frame, state in enumerate(track.states) if state == "hidden"] == gap
    assert all(track.amodal[frame] for frame in gap)
    assert all(0 < track.scores[frame] <= 1 for frame in gap)
    online = segment(recover="online").tracks[0]
    assert [frame for frame, state in enumerate(online.states) if state in ("hidden", "gone")] == gap
    assert all(online.reasons[frame] for frame in gap)
    nothing = segment(recover="none").tracks[0]
    assert all(nothing.amodal[frame] is None for frame in gap)
    assert without_recovery(segment(refine=False).tracks[0]).amodal == nothing.amodal


def test_stream_is_online_frame_by_frame() -> None:
    whole = segment(recover="online")
    frames = list(AmodalVideoSegmenter(MODEL, recover="online").stream(CLIP.video, VISIBLE))
    assert [frame.index for frame in frames] == list(range(len(CLIP)))
    for track in whole:
        for index, frame in enumerate(frames):
            result = frame.instances.get(track.track_id)
            if result is None:
                assert track.states[index] == "absent"
                continue
            assert (result.amodal, result.state) == (track.amodal[index], track.states[index])
            assert result.score == track.scores[index]
            assert result.reason == track.reasons[index]


def test_stream_does_not_look_ahead() -> None:
    decoded: list[int] = []

    class Watched(list):
        def __getitem__(self, index: int) -> np.ndarray:  # type: ignore[override]
            decoded.append(index)
            return super().__getitem__(index)

    video = toy_clip(frames=12, hidden=True).video
    video.frames = Watched(video.frames)
    stream = AmodalVideoSegmenter(MODEL, batch=2).stream(video, VISIBLE)
    next(stream)
    assert max(decoded) <= 1


def test_frames_without_instances_are_not_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    nothing = VideoTracks(VISIBLE.size, len(CLIP), [], 1)
    monkeypatch.setattr(MODEL, "encode_pixels", lambda pixels: pytest.fail("encoded"))
    assert len(AmodalVideoSegmenter(MODEL)(CLIP.video, nothing)) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"tracker": "crystal-ball"},
        {"recover": "sideways"},
        {"prompt": PromptOptions("nearest")},
        {"batch": 0},
        {"seed": -1},
        {"prompt": PromptOptions(count=0)},
    ],
)
def test_bad_options_are_refused_at_once(options: dict) -> None:
    with pytest.raises(InputError):
        AmodalVideoSegmenter(MODEL, **options)


def test_masks_of_another_video_are_refused() -> None:
    for size, frames in (((10, 10), len(CLIP)), (VISIBLE.size, 3)):
        with pytest.raises(InputError, match="visible masks"):
            AmodalVideoSegmenter(MODEL)(CLIP.video, VideoTracks(size, frames))


def test_the_rule_of_the_original_moves_the_last_mask(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("samodal.point_shift.BORDER", -1)  # the toy is too narrow for 20 pixels
    tracks = segment(tracker="lucas-kanade", recover="reference")
    one = next(track for track in tracks if track.track_id == 1)
    online = next(track for track in segment(recover="online") if track.track_id == 1)
    assert "hidden" in one.states
    for frame, state in enumerate(one.states):
        if state == "hidden":
            last = max(k for k in range(frame) if one.states[k] == "visible")
            assert one.points[frame].shape == (1, 2)  # type: ignore[union-attr]
            assert one.scores[frame] == one.scores[last]
    assert online.scores != one.scores


def test_a_point_tracker_beside_the_motion() -> None:
    # Lucas-Kanade sees its points, on whatever hides the instance: it has no vote.
    assert [t.amodal for t in segment(tracker="lucas-kanade")] == [t.amodal for t in segment()]


def test_the_rule_of_the_original_needs_a_point_tracker() -> None:
    with pytest.raises(InputError, match="lucas-kanade"):
        AmodalVideoSegmenter(MODEL, recover="reference")


def test_the_rule_of_the_original_needs_a_point() -> None:
    with pytest.raises(InputError, match=r"prompt\.kinds"):
        AmodalVideoSegmenter(
            MODEL, tracker="lucas-kanade", recover="reference", prompt=PromptOptions(kinds=("box",))
        )


def test_what_is_written_can_be_read_again(tmp_path: Path) -> None:
    tracks = segment()
    first = written(tracks, tmp_path)
    again = VideoTracks.read(tmp_path / "amodal.json")
    assert written(again, tmp_path) == first
    entry = json.loads(first)[0]
    keys = "video_id track_id category_id score segmentations states scores visible_segmentations"
    assert {*keys.split(), "occlusion_rates", "points"} <= set(entry)
    assert {len(entry[key]) for key in ("segmentations", "states", "scores", "points")} == {len(CLIP)}


def test_an_instance_that_comes_back_under_another_id_is_put_together() -> None:
    whole, *others = sorted(VISIBLE, key=lambda track: track.track_id)
    seen = [frame for frame, rle in enumerate(whole.visible) if rle]
    gap = next(a for a, b in pairwise(seen) if b - a > 1)
    before = [rle if frame <= gap else None for frame, rle in enumerate(whole.visible)]
    behind = [rle if frame > gap else None for frame, rle in enumerate(whole.visible)]
    parts = [Track(1, whole.category_id, 1.0, before), Track(9, whole.category_id, 1.0, behind)]
    split = replace(VISIBLE, tracks=[*parts, *others])
    segmenter = AmodalVideoSegmenter(MODEL, rejoin=True)
    looked = segmenter.look(CLIP.video, split)
    for track in looked.tracks:  # as a trained model would answer: the bright square never moves
        full = next(t for t in CLIP.truth if t.track_id == (track.track_id if track.track_id == 2 else 1))
        track.amodal[:] = [full.amodal[k] if rle else None for k, rle in enumerate(track.visible)]
    found = segmenter.follow(looked)
    assert [track.track_id for track in found] == [1, *(track.track_id for track in others)]
    assert found.tracks[0].visible == whole.visible
    assert set(found.tracks[0].states[gap + 1 : seen[seen.index(gap) + 1]]) == {"hidden"}
    assert len(AmodalVideoSegmenter(MODEL).follow(looked)) == len(found) + 1
