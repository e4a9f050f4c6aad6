import copy
import itertools

import numpy as np
import pytest

from samodal import masks
from samodal.errors import InputError
from samodal.masks import Runs
from samodal.motion import Motion
from samodal.motion.baselines import ConstantVelocity, HoldLast
from samodal.motion.ego import FixedEgo
from samodal.motion.observation import observe
from samodal.motion.perspective import PerspectiveMotion
from samodal.recover import Follower, recover_track
from samodal.video import Track

SIZE = (180, 320)


def rectangle(x: float, y: float, w: float, h: float) -> masks.Rle | None:
    mask = np.zeros(SIZE, bool)
    left, top, right, bottom = (max(round(v), 0) for v in (x, y, x + w, y + h))
    mask[top:bottom, left:right] = True
    return masks.encode(mask) if mask.any() else None


def moving_track(length: int, hidden, place) -> tuple[Track, list[masks.Rle | None]]:
    """A track whose amodal masks are known where it is not hidden, and the truth of all frames."""
    truth = [rectangle(*place(k)) for k in range(length)]
    seen = [None if k in hidden else mask for k, mask in enumerate(truth)]
    return Track(1, 1, 0.9, visible=list(seen), amodal=list(seen)), truth


class Turning:
    """A camera whose picture has moved to the right by `pan[k]` pixels in frame k: any object with `between`."""

    def __init__(self, pan: list[float]) -> None:
        self.pan = pan

    def between(self, i: int, j: int) -> Motion:
        matrix = np.eye(3)
        matrix[0, 2] = self.pan[j] - self.pan[i]
        return Motion(matrix, 100)


def approaching(k: int) -> tuple[float, float, float, float]:
    """A thing 1.5 wide and 1 high, 40 away to the left, coming nearer by 0.6 a frame."""
    depth, focal = 40 - 0.6 * k, 300
    w, h = focal * 1.5 / depth, focal / depth
    return 160 - focal * 4 / depth, 90, w, h


class Driving:
    """A camera at height 1 that drives straight ahead, with a focal length of 300."""

    def __init__(self, speed: float) -> None:
        self.speed = speed

    def between(self, i: int, j: int) -> Motion:
        return Motion(np.eye(3), 100, -self.speed * (j - i) / 300 * np.array([159.5, 89.5, 1.0]))


def drifting(k: int) -> tuple[float, float, float, float]:
    return 20 + 3 * k, 60 + k, 50, 30


def test_what_was_seen_once_stands_on_the_road_and_is_passed():
    track, truth = moving_track(8, range(1, 8), lambda k: approaching(3 * k))
    driving, standing = (
        recover_track(track, PerspectiveMotion(), ego=ego) for ego in (Driving(1.8), FixedEgo())
    )
    assert masks.iou(driving.amodal[4], truth[4]) > 0.7
    assert masks.iou(standing.amodal[4], truth[4]) < 0.5


def test_a_drive_that_adds_up_to_nothing_moves_nothing():
    """A standing camera: noise forth and back, whose sum points anywhere."""

    class Trembling:
        def between(self, i: int, j: int) -> Motion:
            return Motion(np.eye(3), 100, (j - i) * np.array([1e-12 * 159.5, -1e-4, 1e-12]))

    track, truth = moving_track(5, range(1, 5), lambda k: (150, 100, 30, 25))
    found = recover_track(track, PerspectiveMotion(), ego=Trembling())
    assert masks.iou(found.amodal[4], truth[4]) > 0.9


def test_what_moves_along_before_a_driving_camera_is_not_passed():
    """A car in front, at the same speed."""
    track, truth = moving_track(25, range(10, 25), lambda k: (150, 100, 30, 25))
    found = recover_track(track, PerspectiveMotion(), "online", ego=Driving(1.8))
    assert masks.iou(found.amodal[24], truth[24]) > 0.8


@pytest.mark.parametrize(("mode", "least"), [("online", 0.75), ("two-sided", 0.88)])
@pytest.mark.parametrize("place", [approaching, drifting])
def test_a_gap_is_filled(mode, least, place):
    gap = range(15, 25)
    track, truth = moving_track(32, gap, place)
    found = recover_track(track, PerspectiveMotion(), mode)
    assert min(masks.iou(found.amodal[k], truth[k]) for k in gap) > least
    assert all(found.states[k] == "hidden" and found.reasons[k] for k in gap)
    assert all(found.amodal[k] == track.amodal[k] and found.states[k] == "visible" for k in (14, 25))


def test_scores_decay_into_the_gap_and_rise_again():
    track, _ = moving_track(32, range(12, 22), drifting)
    track.scores[:12] = [0.9] * 6 + [
        0.8,
        0.7,
        0.6,
        0.5,
        0.4,
        0.3,
    ]  # less and less is seen; what is carried is the best
    online = recover_track(track, PerspectiveMotion(), "online").scores[12:22]
    both = recover_track(track, PerspectiveMotion(), "two-sided").scores[12:22]
    assert max(track.scores[:12]) > online[0] > online[4] > online[-1] > 0
    assert online[0] > 0.7 > track.scores[11]
    assert min(both[0], both[-1]) > both[5] > online[5]


def test_online_is_exactly_the_stream():
    track, _ = moving_track(60, {*range(12, 18), 30, *range(33, 44), *range(55, 60)}, drifting)
    whole = recover_track(track, PerspectiveMotion(), "online")
    follower = Follower(PerspectiveMotion(), FixedEgo())
    for k in range(60):
        if track.amodal[k] is None:
            found = follower.predict(k)
            assert (found.amodal, found.state, found.reason) == (
                whole.amodal[k],
                whole.states[k],
                whole.reasons[k],
            )
        else:
            follower.see(observe(k, track.amodal[k], 1.0), track.score)
    assert len(follower.history) <= 30


def test_the_input_is_untouched():
    track, _ = moving_track(30, range(10, 20), drifting)
    before = copy.deepcopy(track)
    recover_track(track, PerspectiveMotion())
    assert track == before


@pytest.mark.parametrize("velocity", [(-12, 0), (12, 0), (0, -8), (0, 8)])
@pytest.mark.parametrize("mode", ["online", "two-sided"])
def test_what_leaves_the_frame_is_gone_on_every_side(velocity, mode):
    def place(k):
        return 140 + velocity[0] * (k - 12), 75 + velocity[1] * (k - 12), 50, 40

    track, _ = moving_track(60, range(16, 60), place)
    found = recover_track(track, PerspectiveMotion(), mode)
    assert found.states[16] == "hidden"
    assert found.states[-1] == "gone"
    assert "left the frame" in found.reasons
    assert found.amodal[-1] is None
    assert found.scores[-1] is None


def test_what_has_nearly_left_is_still_followed():
    """Six hundredths of it are inside in frame 33, nothing in frame 34."""
    track, truth = moving_track(36, range(18, 36), lambda k: (85 - 4 * k, 75, 50, 40))
    found = recover_track(track, PerspectiveMotion(), "online")
    assert found.states[33] == "hidden"
    assert masks.iou(found.amodal[33], truth[33]) > 0.5
    assert found.states[34] == "gone"


def test_outside_the_frame_within_a_gap_and_back():
    """The camera turns away from a parked thing and back again."""
    pan = [14.0 * max(12 - abs(k - 24), 0) for k in range(41)]
    track, _ = moving_track(41, range(13, 36), lambda k: (230 + pan[k], 60, 40, 30))
    found = recover_track(track, PerspectiveMotion(), "two-sided", ego=Turning(pan))
    assert found.states[14] == found.states[34] == "hidden"
    assert found.states[24] == "gone"
    assert found.reasons[24] == "outside the frame"
    assert found.amodal[24] is None


def test_uncertainty_ends_a_track_that_stays_hidden_and_a_sighting_revives_it():
    track, _ = moving_track(400, {*range(10, 300), *range(301, 304)}, lambda k: (100, 60, 40, 30))
    found = recover_track(track, PerspectiveMotion(), "online")
    assert found.reasons[299] == "lost"
    assert found.states[300] == "visible"
    assert found.states[301] == "hidden"


@pytest.mark.parametrize("length", [1, 2, 3])
@pytest.mark.parametrize("mode", ["online", "two-sided"])
def test_a_track_of_few_frames_holds(length, mode):
    track, truth = moving_track(length + 2, range(length, length + 2), lambda k: (100, 60, 40, 30))
    found = recover_track(track, PerspectiveMotion(), mode)
    assert masks.iou(found.amodal[length], truth[length]) > 0.9


def test_frames_before_the_first_sighting_stay_absent():
    track, _ = moving_track(12, {0, 1, 2, 6}, drifting)
    found = recover_track(track, PerspectiveMotion())
    assert found.states[:4] == ["absent", "absent", "absent", "visible"]
    assert found.amodal[:3] == [None] * 3


def test_a_track_never_seen_stays_as_it_is():
    track = Track(1, 1, 1.0, visible=[None] * 5)
    assert recover_track(track, PerspectiveMotion()) == track


def test_a_visible_frame_without_amodal_mask_is_mended():
    track, truth = moving_track(20, (), drifting)
    track.amodal[10] = None
    track.amodal[11] = masks.empty(SIZE)
    track.visible[11] = masks.empty(SIZE)
    found = recover_track(track, PerspectiveMotion())
    assert found.states[10] == "visible"
    assert found.states[11] == "hidden"
    assert min(masks.iou(found.amodal[k], truth[k]) for k in (10, 11)) > 0.9


def test_a_sliver_is_not_carried():
    track, truth = moving_track(20, range(10, 15), drifting)
    x, y, _, h = drifting(9)
    track.visible[9] = rectangle(x, y, 6, h)
    found = recover_track(track, PerspectiveMotion(), "online")
    assert masks.iou(found.amodal[12], truth[12]) > 0.85


@pytest.mark.parametrize("mode", ["online", "two-sided"])
def test_what_vanishes_at_the_border_is_hidden_only_behind_others(mode):
    # Half of it is outside the image, and goes on to be: the question is whether anything is in front of it.
    track, truth = moving_track(12, range(6, 12), lambda k: (-10, 40, 40, 20))
    in_front, elsewhere = rectangle(0, 30, 60, 50), rectangle(120, 30, 60, 50)
    found = {}
    for name, other in (("in front", in_front), ("elsewhere", elsewhere)):
        scene = [Runs(masks.union([other, mask]) if mask else other) for mask in track.visible]
        found[name] = recover_track(track, PerspectiveMotion(), mode, scene=scene)
    assert found["in front"].states[6:] == ["hidden"] * 6
    assert min(masks.iou(found["in front"].amodal[k], truth[k]) for k in range(6, 12)) > 0.8
    assert found["elsewhere"].states[6:] == ["gone"] * 6
    assert found["elsewhere"].reasons[6] == "left the frame"


def test_a_sliver_at_the_border_does_not_say_how_large_a_thing_is():
    # Of what leaves the image, in the end the wheel is seen alone, which is lower than the whole.
    whole = [observe(k, rectangle(60 - 20 * k, 40, 40, 30), 1.0) for k in range(4)]
    sliver = observe(6, rectangle(0, 62, 5, 16), 1.0)
    before = PerspectiveMotion().predict(whole, 8, FixedEgo())
    after = PerspectiveMotion().predict([*whole, sliver], 8, FixedEgo())
    assert after.scale == pytest.approx(before.scale, rel=0.02)


def test_shape_is_interpolated_between_both_ends():
    track, _ = moving_track(30, range(10, 21), lambda k: (100, 60 - k / 2, 50, 20 + k))
    found = recover_track(track, PerspectiveMotion(), "two-sided")
    heights = [masks.box(found.amodal[k])[3] for k in range(9, 22)]
    assert all(b >= a - 1 for a, b in itertools.pairwise(heights))
    assert heights[0] < heights[6] < heights[-1]


def test_the_camera_turns_away_and_back():
    """Only the ego-motion can know where a parked thing went while nothing of it was seen."""
    pan = [5.0 * (k - 15) if k > 15 else 0.0 for k in range(40)]

    track, truth = moving_track(40, range(16, 26), lambda k: (80 + pan[k], 60, 50, 30))
    found = recover_track(track, PerspectiveMotion(), "online", ego=Turning(pan))
    assert min(masks.iou(found.amodal[k], truth[k]) for k in range(16, 26)) > 0.8
    assert masks.iou(recover_track(track, PerspectiveMotion(), "online").amodal[25], truth[25]) < 0.3


def test_a_long_turn_away_does_not_break():
    """More than a right angle: what was seen before is behind the camera."""

    class Turn:
        def between(self, i, j):
            angle, k = 0.15 * (j - i), np.array([[250.0, 0, 160], [0, 250, 90], [0, 0, 1]])
            sin, cos = np.sin(angle), np.cos(angle)
            turn = np.array([[cos, 0, sin], [0, 1, 0], [-sin, 0, cos]])
            return Motion(k @ turn @ np.linalg.inv(k), 100)

    track, _ = moving_track(40, range(12, 40), lambda k: (100, 60, 40, 30))
    found = recover_track(track, PerspectiveMotion(), "online", ego=Turn())
    assert found.states[-1] == "gone"


def test_mode_none_fills_nothing_and_other_modes_are_refused():
    track, _ = moving_track(20, range(10, 15), drifting)
    found = recover_track(track, HoldLast(), "none")
    assert found.amodal == track.amodal
    assert found.states[10:15] == ["gone"] * 5
    with pytest.raises(InputError, match="two-sided"):
        recover_track(track, HoldLast(), "best")  # type: ignore[arg-type]


def test_baselines():
    track, truth = moving_track(20, range(10, 15), drifting)
    held = recover_track(track, HoldLast(), "online")
    assert held.amodal[14] == truth[9]
    straight = recover_track(track, ConstantVelocity(), "online")
    assert masks.iou(straight.amodal[14], truth[14]) > 0.9


def test_what_vanishes_at_the_border_has_left_unless_it_comes_back():
    track, _ = moving_track(20, range(8, 20), lambda k: (0, 60, 30, 20))
    online = recover_track(track, PerspectiveMotion(), "online")
    assert online.states[8:] == ["gone"] * 12
    assert online.reasons[8] == "left the frame"
    back, _ = moving_track(20, range(8, 12), lambda k: (0, 60, 30, 20))
    assert recover_track(back, PerspectiveMotion(), "two-sided").states[8:12] == ["hidden"] * 4
