"""Tracks under two ids become one where the second is where the first is expected, and nowhere else."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from samodal import masks
from samodal.motion.ego import FixedEgo
from samodal.motion.perspective import PerspectiveMotion
from samodal.rejoin import parts_of, rejoin
from samodal.video import Track

SIZE, FRAMES = (60, 120), 20


def car(track_id: int, frames: range, start: float = 10, speed: float = 3, category: int = 26) -> Track:
    """A box that drives to the right, seen in some frames."""
    seen: list[masks.Rle | None] = []
    for frame in range(FRAMES):
        mask = np.zeros(SIZE, bool)
        left = round(start + speed * frame)
        mask[20:40, max(0, left) : max(0, left + 24)] = True
        seen.append(masks.encode(mask) if frame in frames and mask.any() else None)
    return Track(track_id, category, 0.5 + 0.1 * track_id, list(seen), list(seen))


def joined(*tracks: Track) -> list[Track]:
    return rejoin(tracks, PerspectiveMotion(), FixedEgo())


def test_the_same_motion_is_one_instance() -> None:
    whole = car(1, range(0, 20))
    first, second = car(1, range(0, 8)), car(2, range(12, 20))
    (found,) = joined(first, second)
    assert found.track_id == 1
    assert [rle for rle in found.visible if rle] == [
        rle for frame, rle in enumerate(whole.visible) if frame < 8 or frame >= 12
    ]
    assert np.isclose(found.score, 0.65)
    assert first.visible[12] is None, "what was given is not changed"


def test_across_the_border() -> None:
    """Partly outside of the image when it was last seen, and when it is seen again."""
    there, back = (
        car(k, frames, start=106, speed=-0.6) for k, frames in ((1, range(0, 6)), (2, range(9, 20)))
    )
    assert [track.track_id for track in joined(there, back)] == [1]


def test_others_stay_apart() -> None:
    first = car(1, range(0, 8))
    assert len(joined(first, car(2, range(12, 20), category=24))) == 2, "another category"
    assert len(joined(first, car(2, range(12, 20), start=60))) == 2, "another place"
    assert len(joined(first, car(2, range(6, 20)))) == 2, "both seen at once"
    assert len(joined(first, car(2, range(8, 20)))) == 2, "no gap: the segmentation has told them apart"


def test_what_a_track_is_made_of_is_known() -> None:
    tracks = [car(1, range(0, 5)), car(2, range(0, 20), start=70, speed=0), car(3, range(8, 20))]
    assert [parts_of(track, tracks) for track in joined(*tracks)] == [[1, 3], [2]]


def test_the_best_fit_wins_and_chains_join() -> None:
    parts = car(1, range(0, 5)), car(2, range(8, 12)), car(3, range(15, 20))
    near = car(4, range(8, 12), start=16)
    assert [track.track_id for track in joined(*parts, near)] == [1, 4]


@given(st.permutations(range(3)))
def test_the_order_does_not_matter(order: list[int]) -> None:
    parts = [car(1, range(0, 5)), car(2, range(8, 12)), car(3, range(15, 20))]
    (found,) = joined(*(parts[k] for k in order))
    assert sum(rle is not None for rle in found.visible) == 14
    assert found.track_id == 1
