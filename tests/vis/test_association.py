from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from samodal import masks
from samodal.data import open_dataset
from samodal.data.synthetic import make_clip
from samodal.score import score_identity
from samodal.video import Track, VideoTracks
from samodal.vis import Found, associate

MOTS = Path(__file__).parents[3] / "shared" / "real_data" / "kitti_mots" / "instances_txt"
SIZE = (60, 100)


def block(left: float, top: float = 20, width: int = 12, height: int = 10) -> masks.Rle:
    mask = np.zeros(SIZE, bool)
    mask[round(top) : round(top) + height, max(0, round(left)) : round(left) + width] = True
    return masks.encode(mask)


def found(left: float, score: float = 0.9, category: str = "car", top: float = 20) -> Found:
    return Found(block(left, top), category, score)


def frames_of(tracks: VideoTracks) -> list[list[int]]:
    """Of every track the frames in which it has a mask."""
    return [[frame for frame, mask in enumerate(track.visible) if mask] for track in tracks]


# ---- ids taken away from the truth are found again ---------------------------------------------------------------


def without_ids(truth: VideoTracks, rng: np.random.Generator, lost: float = 0.0) -> list[list[Found]]:
    """What an image-wise model would give that finds everything but a share `lost` of the masks."""
    frames: list[list[Found]] = [[] for _ in range(truth.num_frames)]
    for track in truth:
        for frame, mask in enumerate(track.visible):
            if masks.area(mask) and rng.random() >= lost:
                frames[frame].append(Found(mask, str(track.category_id), float(rng.uniform(0.5, 1))))  # type: ignore[arg-type]
    return [[one[n] for n in rng.permutation(len(one))] for one in frames]


def visible_as_amodal(tracks: VideoTracks) -> VideoTracks:
    """For `score_identity`, which looks at amodal masks."""
    shown = [
        Track(t.track_id, t.category_id, 1.0, t.visible, amodal=t.visible) for t in tracks if any(t.visible)
    ]
    return VideoTracks(tracks.size, tracks.num_frames, shown)


def identity(truths: list[VideoTracks], lost: float = 0.0) -> dict[str, float]:
    rng = np.random.default_rng(0)
    pairs = [
        (visible_as_amodal(truth), visible_as_amodal(associate(without_ids(truth, rng, lost), truth.size)))
        for truth in truths
    ]
    return score_identity(pairs, "associate")


def test_ids_of_the_procedural_world_are_found_again() -> None:
    truths = [make_clip(50_012, 24, (180, 320)).truth]
    row = identity(truths)
    assert row["hota"] > 0.9
    assert row["idf1"] > 0.9
    assert identity(truths, lost=0.1)["idf1"] > 0.8


@pytest.mark.skipif(not MOTS.is_dir(), reason="needs the folder ../shared with KITTI MOTS")
def test_ids_of_kitti_mots_are_found_again() -> None:
    truths = [open_dataset("mots", MOTS / f"{name}.txt")[0].truth for name in ("0002", "0003", "0012")]
    row = identity(truths)
    assert row["hota"] > 0.9
    assert row["idf1"] > 0.9


# ---- what it does ------------------------------------------------------------------------------------------------


def test_things_that_cross_keep_their_ids() -> None:
    frames = [[found(5 + 4 * t, top=20), found(85 - 4 * t, top=34)] for t in range(20)]
    tracks = associate(frames, SIZE)
    assert frames_of(tracks) == [list(range(20))] * 2
    assert masks.box(tracks.tracks[0].visible[19])[0] == 81  # type: ignore[arg-type]


def test_a_thing_that_was_missed_is_expected_where_it_goes() -> None:
    frames = [[found(2 + 5 * t)] if t < 5 or t > 12 else [] for t in range(18)]
    assert len(associate(frames, SIZE)) == 1


def test_after_a_long_time_it_is_another_one() -> None:
    frames = [[found(10)] if t < 5 or t > 40 else [] for t in range(46)]
    assert frames_of(associate(frames, SIZE)) == [list(range(5)), list(range(41, 46))]


def test_unsure_masks_go_on_with_a_track_but_begin_none() -> None:
    frames = [[found(10 + t, 0.3 if t % 2 else 0.9), found(60, 0.3)] for t in range(8)]
    tracks = associate(frames, SIZE, threshold=0.5)
    assert frames_of(tracks) == [list(range(8))]
    assert tracks.tracks[0].score == pytest.approx(0.6)


def test_what_is_seen_once_is_nothing() -> None:
    frames = [[found(10), *([found(60)] if t == 4 else [])] for t in range(8)]
    assert frames_of(associate(frames, SIZE)) == [list(range(8))]
    assert len(associate([[found(10), found(60)]], SIZE)) == 2, "in a video of one frame it is all there is"


def test_a_thing_that_jumps_is_the_same_if_its_class_is() -> None:
    jump = [[found(10)]] * 4 + [[found(25)]] * 4  # no pixel in common
    assert len(associate(jump, SIZE)) == 1
    other = [[found(10)]] * 4 + [[found(25, category="person")]] * 4
    assert len(associate(other, SIZE)) == 2


def test_a_thing_that_comes_near_is_followed_by_its_growth() -> None:
    frames = [
        [Found(block(50 - 3 * t, 30 - 2 * t, 6 + 6 * t, 4 + 4 * t), "car", 0.9), found(2, top=2)]
        for t in range(8)
    ]
    assert frames_of(associate(frames, SIZE)) == [list(range(8))] * 2


def test_the_class_with_most_votes_wins_and_ids_are_those_of_cityscapes() -> None:
    names = ["truck", "car", "car", "truck", "car", "lorry"]
    frames = [[found(10, category=name), found(60, category="tram")] for name in names]
    assert [track.category_id for track in associate(frames, SIZE)] == [26, 102]
    assert [track.category_id for track in associate(frames, SIZE, classes=["tram"])] == [26, 101]


def test_nothing_found() -> None:
    assert len(associate([[], [], []], SIZE)) == 0


@settings(deadline=None, max_examples=25)
@given(st.integers(0, 2**32 - 1))
@example(265965602)  # two of its masks suit a track equally well
def test_every_mask_belongs_to_one_track_at_most_and_order_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    frames = []
    for _ in range(8):
        places = rng.choice(8, rng.integers(0, 5), replace=False)
        frames.append(
            [found(12 * place, float(rng.uniform(0.2, 1)), top=rng.integers(0, 40)) for place in places]
        )
    tracks = associate(frames, SIZE)
    for index, given_masks in enumerate(frames):
        used = [track.visible[index]["counts"] for track in tracks if track.visible[index]]  # type: ignore[index]
        assert len(used) == len(set(used))
        assert set(used) <= {one.mask["counts"] for one in given_masks}
    mixed = associate([[one[n] for n in rng.permutation(len(one))] for one in frames], SIZE)
    assert sorted(map(str, (t.visible for t in tracks))) == sorted(map(str, (t.visible for t in mixed)))
