"""Videos at the edge of sense, in every mode: results are valid, and nothing appears where nothing was seen."""

import numpy as np
import pytest
from toys import tiny_sam

from samodal import masks
from samodal.pipeline import AmodalVideoSegmenter
from samodal.video import Track, Video, VideoTracks

MODEL = tiny_sam()
SIZE = (48, 64)
MODES = ["two-sided", "online", "none", "reference", "stream", "stream ahead"]


def box(x: int, y: int = 16, w: int = 14, h: int = 12) -> np.ndarray:
    mask = np.zeros(SIZE, bool)
    mask[max(y, 0) : y + h, max(x, 0) : x + w] = True
    return mask


def picture(seed: int = 0, shift: int = 0) -> np.ndarray:
    wide = np.random.default_rng(seed).integers(40, 200, (SIZE[0] // 4, 40, 3), dtype=np.uint8)
    return np.kron(wide, np.ones((4, 4, 1), np.uint8))[:, shift : shift + SIZE[1]]


def case(length: int, seen: dict[int, dict[int, np.ndarray]], images=None) -> tuple[Video, VideoTracks]:
    """Track id -> frame -> visible mask."""
    tracks = [
        Track(track_id, 1, 0.9, [masks.encode(at[k]) if k in at else None for k in range(length)])
        for track_id, at in seen.items()
    ]
    frames = images or [picture(shift=k) for k in range(length)]
    return Video.from_frames(frames), VideoTracks(SIZE, length, tracks)


def moving(frames) -> dict[int, np.ndarray]:
    return {k: box(5 + 3 * k) for k in frames}


def crowd() -> tuple[Video, VideoTracks]:
    """200 instances in a grid, each hidden in another frame."""
    places = [(4 * (k % 16), 3 * (k // 16)) for k in range(200)]
    return case(
        3, {k + 1: {t: box(x, y, 3, 2) for t in range(3) if t != k % 4} for k, (x, y) in enumerate(places)}
    )


def cut() -> tuple[Video, VideoTracks]:
    """The content changes wholly; one id is used again for something else, at another place and of another size."""
    images = [picture(1, k) for k in range(6)] + [255 - picture(2, k) for k in range(8)]
    after = {k: box(40, 2, 20, 40) for k in range(8, 14)}
    return case(14, {1: moving(range(6)), 2: {**moving(range(5)), **after}, 3: after}, images)


CASES = {
    "gap at the first frame": case(10, {1: moving(range(3, 10)), 2: moving(range(10))}),
    "gap at the last frame": case(10, {1: moving(range(7)), 2: moving(range(10))}),
    "gap but for the middle": case(10, {1: moving([5]), 2: moving([4, 5])}),
    "a gap every other frame": case(11, {1: moving(range(0, 11, 2)), 2: moving(range(1, 11, 2))}),
    "tracks of one frame": case(6, {1: moving([0]), 2: moving([3]), 3: moving([5])}),
    "tracks of one pixel": case(6, {1: {k: box(30, 20, 1, 1) for k in (0, 1, 4)}, 2: {2: box(0, 0, 1, 1)}}),
    "masks of the whole frame": case(6, {1: {k: box(0, 0, *SIZE[::-1]) for k in (0, 1, 4)}}),
    "at every border": case(
        8,
        {
            k: {t: box(x, y) for t in (0, 1, 2, 6)}
            for k, (x, y) in enumerate([(0, 9), (50, 9), (20, 0), (20, 36)])
        },
    ),
    "one frame": case(1, {1: moving([0])}),
    "one frame, nothing": case(1, {1: {}}),
    "two frames": case(2, {1: moving([0, 1]), 2: moving([0]), 3: moving([1])}),
    "never seen": case(5, {1: {}, 2: moving(range(5))}),
    "no tracks": case(3, {}),
    "cut": cut(),
    "no texture": case(9, {1: moving([0, 1, 2, 6, 7])}, [np.full((*SIZE, 3), 128, np.uint8)] * 9),
    "black": case(9, {1: moving([0, 1, 2, 6, 7])}, [np.zeros((*SIZE, 3), np.uint8)] * 9),
    "200 instances": crowd(),
}


def run(mode: str, video: Video, visible: VideoTracks) -> VideoTracks:
    """Results of any mode as tracks."""
    if not mode.startswith("stream"):
        tracker = "lucas-kanade" if mode == "reference" else "motion"
        return AmodalVideoSegmenter(MODEL, tracker, mode)(video, visible)  # type: ignore[arg-type]
    found = [Track(track.track_id, 1, 0.9, list(track.visible)) for track in visible]
    results = AmodalVideoSegmenter(MODEL).stream(video, visible, look_ahead=3 if "ahead" in mode else 0)
    for index, result in enumerate(results):
        assert result.index == index
        assert set(result.instances) <= {track.track_id for track in visible}
        for track in found:
            if one := result.instances.get(track.track_id):
                track.amodal[index], track.states[index] = one.amodal, one.state
                track.scores[index], track.reasons[index] = one.score, one.reason
                track.points[index] = one.points
    assert index == len(video) - 1
    return VideoTracks(visible.size, len(video), found)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("name", CASES)
def test_results_are_valid(name: str, mode: str) -> None:
    video, visible = CASES[name]
    tracks = run(mode, video, visible)
    assert [track.track_id for track in tracks] == [track.track_id for track in visible]
    for track, given in zip(tracks, visible, strict=True):
        assert 0 <= track.score <= 1
        known = False
        for k in range(len(video)):
            amodal, state, score, reason = track.amodal[k], track.states[k], track.scores[k], track.reasons[k]
            known |= given.visible[k] is not None
            if amodal is not None:
                assert amodal["size"] == list(SIZE)
                assert masks.area(amodal) > 0
                assert score is not None
                assert 0 <= score <= 1  # and so no nan
            if not known:
                assert (amodal, state, score, reason) == (None, "absent", None, None)
            elif given.visible[k] is not None:
                assert state == "visible"
                assert masks.union([amodal, given.visible[k]]) == amodal
            else:
                assert state in ("hidden", "gone")
                assert (amodal is None) == (state == "gone")
                assert reason
                assert state == "hidden" or score is None
        if mode == "none":
            assert "hidden" not in track.states
        for listed in ("amodal", "states", "scores", "points", "reasons"):
            assert len(getattr(track, listed)) == len(video)


@pytest.mark.parametrize("mode", ["two-sided", "online", "stream", "stream ahead"])
def test_a_cut_leaves_no_ghost_for_long(mode: str) -> None:
    """What was moving before the cut may be believed for some frames, and is given up or off the frame at last."""
    video, visible = cut()
    longer = [*video, *[255 - picture(2, 8)] * 40]
    tracks = [Track(t.track_id, 1, 0.9, [*t.visible, *[None] * 40]) for t in visible]
    found = run(mode, Video.from_frames(longer), VideoTracks(SIZE, len(longer), tracks))
    assert [track.states[-1] for track in found] == ["gone"] * 3


@pytest.mark.parametrize("mode", MODES)
def test_the_order_of_the_tracks_does_not_matter(mode: str) -> None:
    video, visible = CASES["a gap every other frame"]
    turned = VideoTracks(SIZE, len(video), visible.tracks[::-1])
    first, second = run(mode, video, visible), run(mode, video, turned)
    assert [t.amodal for t in first] == [t.amodal for t in second][::-1]
