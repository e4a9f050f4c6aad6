import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from samodal import masks
from samodal.motion import Prediction
from samodal.motion.ego import FixedEgo
from samodal.motion.observation import Observation, observe
from samodal.motion.perspective import PerspectiveMotion
from samodal.motion.refine import fit, hide
from samodal.motion.scenery import Scenery
from samodal.motion.shape import Patch
from samodal.recover import recover_track
from samodal.video import Track

SIZE = (120, 200)
NOTHING = np.zeros(SIZE, bool)


def ellipse(x: float, y: float, a: int = 24, b: int = 14) -> np.ndarray:
    return cv2.ellipse(np.zeros(SIZE, np.uint8), (round(x), round(y)), (a, b), 0, 0, 360, 1, -1) > 0


def right_of(x: int) -> np.ndarray:
    """Another instance that covers all from column x on."""
    wall = np.zeros(SIZE, bool)
    wall[:, x:] = True
    return wall


def passing_behind(length: int = 24) -> tuple[Track, list[masks.Runs], list[masks.Rle]]:
    """An ellipse moves behind a wall; what SAM says of it is only what is seen. Track, scene, and the truth."""
    wall = right_of(120)
    truth = [ellipse(40 + 4 * k, 60) for k in range(length)]
    visible = [masks.encode(mask & ~wall) if (mask & ~wall).any() else None for mask in truth]
    track = Track(1, 1, 0.9, visible=visible, amodal=list(visible))
    scene = [masks.Runs(masks.union([masks.encode(wall), *([seen] if seen else [])])) for seen in visible]
    return track, scene, [masks.encode(mask) for mask in truth]


@pytest.mark.parametrize("mode", ["online", "two-sided"])
def test_what_was_seen_before_completes_what_is_partly_hidden(mode):
    track, scene, truth = passing_behind()
    partly = [k for k, seen in enumerate(track.visible) if seen and 0.1 < masks.iou(seen, truth[k]) < 0.9]
    found = recover_track(track, PerspectiveMotion(), mode, scene=scene)
    assert len(partly) >= 8
    assert min(masks.iou(found.amodal[k], truth[k]) for k in partly) > 0.85
    assert all(found.states[k] == "visible" for k in partly)


def test_what_is_seen_later_does_so_only_looking_both_ways():
    track, scene, truth = passing_behind()
    for masks_of_track in (track.visible, track.amodal, scene, truth):
        masks_of_track.reverse()
    first = next(k for k, seen in enumerate(track.visible) if seen)
    both, online = (
        recover_track(track, PerspectiveMotion(), mode, scene=scene) for mode in ("two-sided", "online")
    )
    assert masks.iou(both.amodal[first + 1], truth[first + 1]) > 0.8
    assert online.amodal[first] == track.amodal[first]


def test_what_the_image_border_cuts_and_little_hides_stays_as_it_is():
    # A wide view stretches what is near its border.
    truth = [ellipse(60 - 6 * k, 60, 24 + 2 * k) for k in range(9)]
    post = np.zeros(SIZE, bool)
    post[:, 22:30] = True
    visible = [masks.encode(mask & ~post) for mask in truth]
    track = Track(1, 1, 0.9, visible=visible, amodal=[masks.encode(mask) for mask in truth])
    scene = [masks.Runs(masks.union([masks.encode(post), seen])) for seen in visible]
    found = recover_track(track, PerspectiveMotion(), scene=scene)
    cut = [
        k for k, mask in enumerate(truth) if mask[:, 0].any() and not (mask & post).sum() > 0.3 * mask.sum()
    ]
    assert len(cut) >= 3
    assert [found.amodal[k] for k in cut] == [track.amodal[k] for k in cut]


def test_a_mask_too_small_to_be_whole_is_completed_though_it_seems_to_show_it_all():
    whole, truth = ellipse(80, 60), masks.encode(ellipse(80, 60))
    walls = [
        right_of(82 if k % 3 == 1 else 88) for k in range(12)
    ]  # something passes that hides more at times
    visible = [masks.encode(whole & ~wall) for wall in walls]
    # Then SAM says that what is seen is all there is, else it guesses well.
    amodal = [seen if k % 3 == 1 else truth for k, seen in enumerate(visible)]
    scene = [masks.Runs(masks.encode(whole | wall)) for wall in walls]
    found = recover_track(Track(1, 1, 0.9, visible=visible, amodal=amodal), PerspectiveMotion(), scene=scene)
    assert max(masks.iou(rle, truth) for rle in visible[1::3]) < 0.6
    assert min(masks.iou(rle, truth) for rle in found.amodal) > 0.8


@pytest.mark.parametrize(("mode", "known"), [("none", True), ("online", False), ("two-sided", False)])
def test_frames_stand_by_themselves_without_recovery_or_scene(mode, known):
    track, scene, _ = passing_behind()
    found = recover_track(track, PerspectiveMotion(), mode, scene=scene if known else None)
    seen = [k for k, mask in enumerate(track.visible) if mask]
    assert [found.amodal[k] for k in seen] == [track.amodal[k] for k in seen]


def test_a_completed_mask_contains_what_is_seen_and_nothing_bare_beside_it():
    track, scene, _ = passing_behind()
    found = recover_track(track, PerspectiveMotion(), scene=scene)
    for k, seen in enumerate(track.visible):
        if seen:
            amodal, visible = masks.decode(found.amodal[k]), masks.decode(seen)
            assert (amodal >= visible).all()
            assert not (amodal & masks.around(visible, 3) & ~visible & ~masks.decode(scene[k].rle)).any()


def scenery(visible: np.ndarray, others: np.ndarray) -> Scenery:
    return Scenery(masks.Runs(masks.encode(visible | others)), masks.Runs(masks.encode(visible)))


def observed(mask: np.ndarray, frame: int = 0) -> Observation:
    return observe(frame, masks.encode(mask), 1.0)


def patch(mask: np.ndarray) -> Patch:
    distance, corner = observed(mask).signed_distance
    return Patch((int(corner[0]), int(corner[1])), distance)


@given(
    st.integers(-5, 5),
    st.integers(-5, 5),
    st.integers(80, 100),
    st.sampled_from([(12, 8), (24, 14), (45, 30)]),
)
def test_a_shape_is_fitted_to_the_part_that_is_seen(dx, dy, wall, axes):
    whole, behind = ellipse(80, 60, *axes), right_of(wall)
    scale = float(np.sqrt(whole.sum()))
    off = patch(np.roll(whole, (dy, dx), (0, 1)))
    fitted = fit(off, scenery(whole & ~behind, behind), scale, 8).mask(SIZE)
    assert masks.iou(fitted, masks.encode(whole)) > 0.85


def test_with_nothing_to_go_by_a_shape_stays():
    everywhere = np.ones(SIZE, bool)
    start = patch(ellipse(80, 60))
    assert fit(start, scenery(NOTHING, everywhere), 32.0, 8).corner == start.corner


@pytest.mark.parametrize(("x", "y"), [(-40, 60), (230, 60), (80, -30), (80, 150), (-300, -300)])
def test_a_shape_outside_the_image_is_no_mask(x, y):
    shape = patch(ellipse(80, 60))
    moved = Patch((shape.corner[0] + x - 80, shape.corner[1] + y - 60), shape.distance)
    assert masks.area(fit(moved, scenery(NOTHING, NOTHING), 32.0, 4).mask(SIZE)) == 0


def at(x: float, y: float, like: Observation) -> Prediction:
    return Prediction((x, y), like.scale, 2.0, 0.05)


def test_what_is_hidden_is_hidden_behind_something():
    seen = observed(ellipse(60, 60))
    wall = right_of(100)
    found = hide([seen], [], 5, at(122, 60, seen), FixedEgo(), masks.Runs(masks.encode(wall)))
    assert not (masks.decode(found) & ~wall).any()
    assert masks.iou(found, masks.encode(ellipse(124, 60))) > 0.8


def test_behind_something_that_is_nobodys_mask_it_stays_where_it_is_believed():
    seen = observed(ellipse(60, 60))
    elsewhere = masks.Runs(masks.encode(right_of(150)))
    there = at(90, 60, seen)
    assert hide([seen], [], 5, there, FixedEgo(), elsewhere) == hide([seen], [], 5, there, FixedEgo())
