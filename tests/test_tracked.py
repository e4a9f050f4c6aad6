"""Gaps, a point tracker, and what comes of it: with a tracker that knows where the thing is."""

from dataclasses import dataclass, field

import numpy as np
import pytest

from samodal import masks
from samodal.motion.ego import FixedEgo
from samodal.motion.perspective import PerspectiveMotion
from samodal.point_shift import shift_by_point
from samodal.recover import recover_track
from samodal.track import Tracks
from samodal.tracked import Task, follow_all, follow_of, votes_of
from samodal.video import Track, Video

SIZE, LENGTH = (120, 200), 30
VIDEO = Video.from_frames([np.zeros((*SIZE, 3), np.uint8)] * LENGTH)


def place(frame: int) -> np.ndarray:
    """It brakes, turns and goes back while it is hidden, as no model of steady motion expects."""
    x = 60 + 3.0 * min(frame, 12) - 5.0 * max(0, frame - 12) * (frame < 18) - 30.0 * (frame >= 18)
    return np.array([x, 60.0])


def mask_at(frame: int) -> masks.Rle:
    whole = np.zeros(SIZE, bool)
    x, y = np.rint(place(frame)).astype(int)
    whole[y - 8 : y + 9, x - 12 : x + 13] = True
    return masks.encode(whole)


def track(hidden: range, track_id: int = 1) -> Track:
    seen = [None if frame in hidden else mask_at(frame) for frame in range(LENGTH)]
    points = [None if rle is None else np.rint(place(frame))[None] for frame, rle in enumerate(seen)]
    return Track(
        track_id, 26, 1.0, seen, list(seen), scores=[None if s is None else 0.9 for s in seen], points=points
    )


@dataclass
class Oracle:
    """Knows the way; says of every point what `visible_prob` says."""

    causal: bool = True
    visible_prob: float = 0.0
    max_window: int | None = None
    needs_weights: bool = False
    licence: str | None = None
    deterministic: bool = True
    through_occlusion: bool = True
    calls: list[tuple[int, range]] = field(default_factory=list)

    def track(self, frames, queries, window=None):
        window = range(len(frames)) if window is None else window
        self.calls.append((len(queries), window))
        ways = np.array([[place(frame) - place(int(q[0])) for q in queries] for frame in window])
        xy = (queries[None, :, 1:] + ways).astype(np.float32)
        return Tracks(xy, np.full(xy.shape[:2], self.visible_prob, np.float32), np.ones(xy.shape[:2], bool))


def mean_iou(found: Track, hidden: range) -> float:
    return float(np.mean([masks.iou(found.amodal[frame], mask_at(frame)) for frame in hidden]))


@pytest.mark.parametrize("mode", ["online", "two-sided"])
def test_votes_of_a_tracker_that_knows_help_the_motion(mode):
    hidden = range(10, 22)
    one = track(hidden)
    votes = votes_of([one], Oracle(), VIDEO, mode == "two-sided", seed=0)
    assert set(votes[1].votes) == set(votes[1].points) == set(hidden)
    alone = recover_track(one, PerspectiveMotion(), mode, ego=FixedEgo())
    helped = recover_track(one, PerspectiveMotion(), mode, ego=FixedEgo(), votes=votes[1].votes)
    assert mean_iou(helped, hidden) > mean_iou(alone, hidden) + 0.05


def test_points_that_are_seen_in_a_gap_have_no_vote():
    one = track(range(10, 16))
    heard = votes_of([one], Oracle(visible_prob=0.9), VIDEO, True, seed=0)[1]
    assert heard.votes == heard.points == {}
    tracker = Oracle(through_occlusion=False)
    assert votes_of([one], tracker, VIDEO, True, seed=0) == {}
    assert tracker.calls == []


def test_votes_do_not_depend_on_the_other_tracks():
    first, second = track(range(10, 16)), track(range(12, 18), track_id=2)
    for causal in (True, False):
        alone = votes_of([first], Oracle(causal), VIDEO, True, seed=3)[1]
        together = votes_of([second, first], Oracle(causal), VIDEO, True, seed=3)[1]
        assert together.votes == alone.votes
        np.testing.assert_equal(together.points, alone.points)


def test_points_that_vote_stand_in_the_track():
    hidden = range(10, 14)
    one = track(hidden)
    heard = votes_of([one], Oracle(), VIDEO, True, seed=0)[1]
    found = heard.marked(recover_track(one, PerspectiveMotion(), ego=FixedEgo(), votes=heard.votes))
    for frame in hidden:
        assert found.points[frame].shape == (24, 2)  # of both sides
        inside = masks.decode(mask_at(frame))[tuple(np.rint(found.points[frame]).astype(int).T[::-1])]
        assert inside.all()
    for frame in set(range(LENGTH)) - set(hidden):
        assert found.points[frame] is one.points[frame]


def test_overlapping_tasks_share_a_call_of_a_tracker_that_is_not_causal():
    tasks = [
        Task((number,), np.array([[window.start, 50.0, 50.0 + number]]), window)
        for number, window in enumerate((range(3, 8), range(20, 25), range(5, 12)))
    ]
    joint, single = Oracle(causal=False), Oracle(causal=True)
    together, apart = follow_all(tasks, joint, VIDEO), follow_all(tasks, single, VIDEO)
    assert joint.calls == [(2, range(3, 12)), (1, range(20, 25))]
    assert [window for _, window in single.calls] == [range(3, 8), range(5, 12), range(20, 25)]
    for key, path in apart.items():
        np.testing.assert_array_equal(together[key].xy, path.xy)
        assert together[key].window == path.window


def test_the_rule_of_the_original_goes_by_the_tracker():
    hidden, tracker = range(10, 14), Oracle()
    one = track(hidden)
    found = shift_by_point(one, follow_of([one], tracker, VIDEO)(one))
    assert tracker.calls == [(1, range(9, 14))]
    assert mean_iou(found, hidden) == 1.0
    np.testing.assert_allclose(found.points[11][0], place(11), atol=1e-4)
