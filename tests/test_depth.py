"""Who hides whom, and who is nearer."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from samodal import masks
from samodal.data.synthetic import make_clip
from samodal.depth import with_depth
from samodal.video import Track, VideoTracks

SIZE = (60, 90)


def drawn(boxes: list[tuple[int, int, int, int]]) -> VideoTracks:
    """Boxes x, y, w, h of one frame, the nearest first; what is behind another is hidden by it."""
    free, tracks = np.ones(SIZE, bool), []
    for number, (x, y, w, h) in enumerate(boxes, 1):
        full = np.zeros(SIZE, bool)
        full[y : y + h, x : x + w] = True
        seen = full & free
        free &= ~full
        visible = masks.encode(seen) if seen.any() else None
        tracks.append(Track(number, 26, 1.0, [visible], [masks.encode(full)]))
    return VideoTracks(SIZE, 1, tracks)


def test_what_lies_on_a_hidden_part_is_its_occluder() -> None:
    far, near, hidden, alone = with_depth(
        drawn([(10, 10, 30, 40), (25, 5, 30, 25), (12, 20, 10, 10), (70, 50, 9, 9)])
    )
    assert [t.occluders[0] for t in (far, near, hidden, alone)] == [None, 1, 1, None]
    assert far.depths[0] < near.depths[0]
    assert far.depths[0] < hidden.depths[0]
    assert alone.depths[0] == 0  # it touches nothing and reaches lowest


@settings(deadline=None, max_examples=60)
@given(
    st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 40), st.integers(3, 30), st.integers(3, 20)), max_size=6
    )
)
def test_the_order_never_contradicts_what_is_seen(boxes: list[tuple[int, int, int, int]]) -> None:
    tracks = with_depth(drawn(boxes)).tracks
    assert sorted(t.depths[0] for t in tracks) == list(range(len(tracks)))
    by_id = {t.track_id: t for t in tracks}
    for track in tracks:
        if track.occluders[0] is not None:
            assert by_id[track.occluders[0]].depths[0] < track.depths[0]
            assert track.occluders[0] < track.track_id  # boxes were drawn from near to far


def test_a_circle_of_occluders_ends() -> None:
    def at(*boxes: tuple[int, int, int, int]) -> masks.Rle:
        whole = np.zeros(SIZE, bool)
        for x, y, w, h in boxes:
            whole[y : y + h, x : x + w] = True
        return masks.encode(whole)

    # Each lies on one end of the next.
    a = Track(1, 26, 1.0, [at((0, 0, 20, 10))], [at((0, 0, 30, 10))])
    b = Track(2, 26, 1.0, [at((20, 0, 10, 30))], [at((20, 0, 10, 40))])
    c = Track(3, 26, 1.0, [at((5, 30, 25, 10))], [at((0, 30, 30, 10), (0, 0, 10, 40))])
    assert sorted(t.depths[0] for t in with_depth(VideoTracks(SIZE, 1, [a, b, c]))) == [0, 1, 2]


def test_truth_of_the_world_is_found() -> None:
    clip = make_clip(150_003, 12)
    found = {t.track_id: t for t in with_depth(clip.truth)}
    right = total = pairs = wrong = 0
    for frame in range(12):
        occluders = clip.extra["occluders"][frame]
        for track_id, occluder in occluders.items():
            if isinstance(occluder, int):
                total += 1
                right += found[track_id].occluders[frame] == occluder
                if occluders[occluder] != track_id:  # a rider and his bicycle hide one another
                    pairs += 1
                    wrong += found[occluder].depths[frame] >= found[track_id].depths[frame]
    assert pairs > 10
    assert total > 30
    assert right / total > 0.85
    assert wrong / pairs < 0.05
