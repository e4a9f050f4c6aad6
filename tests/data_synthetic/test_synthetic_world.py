import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from samodal import masks
from samodal.data.clip import Clip
from samodal.data.synthetic import build_world, make_clip, render_frame
from samodal.data.synthetic.camera import NEAR, Camera, cut_near
from samodal.data.synthetic.order import overlap, rectangles, sort_footprints
from samodal.data.synthetic.paint import Window
from samodal.data.synthetic.render import encode_window
from samodal.data.synthetic.solids import Sculptor
from samodal.data.synthetic.traffic import Solid
from samodal.data.synthetic.vehicles import CAR, Model
from samodal.data.synthetic.world import World, number_instances

SMALL = (180, 320)


@pytest.fixture(scope="module")
def clips() -> list[Clip]:
    return [make_clip(seed, 25, SMALL) for seed in (100, 101, 102)]


def box_model(length: float, width: float, height: float) -> Model:
    sculptor = Sculptor()
    sculptor.box((-length / 2, length / 2), (-width / 2, width / 2), (0, height), np.array([200.0, 30, 30]))
    return Model([sculptor.finish()], (CAR,), length, width, height)


def empty_world(things: list[tuple[Model, tuple[float, float, float]]]) -> World:
    """A camera at the origin, 1.4 m high, looking along x, and nothing but these models."""
    world = build_world(0, 1)
    world.solids = [Solid(model, np.array([pose]), np.zeros(1, int)) for model, pose in things]
    world.categories = number_instances(world.solids)
    world.limits = dict.fromkeys(world.categories, 100.0)
    world.cameras = np.array([[0, 0, 1.4, 0, 0, 0]], float)
    world.fov = float(np.radians(75))
    return world


def test_same_seed_gives_the_same_clip_bit_by_bit():
    first, second, other = make_clip(7, 3, SMALL), make_clip(7, 3, SMALL), make_clip(8, 3, SMALL)
    for frame in range(3):
        assert np.array_equal(first.video[frame], second.video[frame])
        assert first.instances(frame) == second.instances(frame)
        assert not np.array_equal(first.video[frame], other.video[frame])
    assert first.extra == second.extra
    assert not np.array_equal(make_clip(7, 1, SMALL, "hard").video[0], first.video[0])


def test_masks_of_a_clip_obey_the_contract(clips: list[Clip]):
    for clip in clips:
        for frame in range(len(clip)):
            instances = clip.instances(frame)
            assert len({one.track_id for one in instances}) == len(instances)
            seen = np.zeros(SMALL, int)
            for one in instances:
                amodal = masks.decode(one.amodal)
                assert amodal.shape == SMALL
                assert amodal.any()
                if one.visible is not None:
                    visible = masks.decode(one.visible)
                    assert visible.any()
                    assert not (visible & ~amodal).any()
                    seen += visible
            assert seen.max(initial=0) <= 1
            assert clip.extra["depth_order"][frame] == [one.track_id for one in instances]


def test_occluder_is_named_exactly_where_something_is_hidden(clips: list[Clip]):
    for clip in clips:
        for frame in range(len(clip)):
            for one in clip.instances(frame):
                hidden = masks.area(one.amodal) - masks.area(one.visible)
                occluder = clip.extra["occluders"][frame][one.track_id]
                assert (occluder is None) == (hidden == 0)
                assert occluder != one.track_id


def test_tracks_keep_their_category_and_begin_when_first_seen(clips: list[Clip]):
    for clip in clips:
        categories: dict[int, int] = {}
        for frame in range(len(clip)):
            for one in clip.instances(frame):
                if one.track_id not in categories:
                    assert one.visible is not None
                assert categories.setdefault(one.track_id, one.category_id) == one.category_id


def test_boxes_move_without_jumps(clips: list[Clip]):
    width = SMALL[1]
    for clip in clips:
        for track in clip.truth:
            for before, after in zip(track.amodal[:-1], track.amodal[1:], strict=True):
                if before is None or after is None:
                    continue
                a, b = np.array(masks.box(before), float), np.array(masks.box(after), float)
                if a[0] > 0 and b[0] > 0 and a[0] + a[2] < width and b[0] + b[2] < width:
                    size = max(a[2], a[3])
                    assert np.abs((a[:2] + a[2:] / 2) - (b[:2] + b[2:] / 2)).max() < 12 + 0.8 * size


def test_things_vanish_and_come_back(clips: list[Clip]):
    gaps = 0
    rates: list[float] = []
    per_frame: list[int] = []
    for clip in clips:
        for track in clip.truth:
            seen = np.flatnonzero([rle is not None for rle in track.visible])
            inside = [track.amodal[k] is not None for k in range(seen[0], seen[-1])]
            hidden = [track.visible[k] is None for k in range(seen[0], seen[-1])]
            gaps += int(np.sum(np.diff(np.array([False, *hidden], int)) == 1) if any(inside) else 0)
            rates += [rate for rate in track.occlusion_rates if rate is not None]
        per_frame += [len(clip.instances(frame)) for frame in range(len(clip))]
    share = np.mean(np.array(rates) > 0.05)
    assert gaps >= len(clips)
    assert 0.2 < share < 0.8
    assert 0.005 < np.mean(np.array(rates) == 1) < 0.2
    assert 4 < np.mean(per_frame) < 25


def test_nothing_hides_a_lonely_car():
    world = empty_world([(box_model(4, 1.8, 1.5), (12.0, 1.0, 0.5))])
    _, (seen,) = render_frame(world, 0, SMALL)
    assert seen.instance.visible == seen.instance.amodal
    assert seen.occluder is None


def test_mask_lies_where_the_camera_equation_says():
    world = empty_world([(box_model(2.0, 2.0, 1.6), (11.0, -2.0, 0.0))])
    _, (seen,) = render_frame(world, 0, (360, 640))
    focal = 320 / np.tan(np.radians(75) / 2)
    x, y, width, height = masks.box(seen.instance.amodal)
    # The near face is 10 m away, from 3 m to 1 m to the right, from the ground to 0.2 m above the camera.
    # The far face, 12 m away, shows its left edge, which is nearer to the middle.
    assert x == pytest.approx(319.5 + focal * 1 / 12, abs=1.5)
    assert x + width - 1 == pytest.approx(319.5 + focal * 3 / 10, abs=1.5)
    assert y == pytest.approx(179.5 - focal * 0.2 / 10, abs=1.5)
    assert y + height - 1 == pytest.approx(179.5 + focal * 1.4 / 10, abs=1.5)


def test_a_near_lorry_hides_a_far_car_and_not_the_other_way_round():
    car, lorry = (box_model(4, 1.8, 1.5), (25.0, 0.0, 0.0)), (box_model(8, 2.5, 3.5), (12.0, 0.0, 0.0))
    for things in ([car, lorry], [lorry, car]):
        world = empty_world(things)
        _, seen = render_frame(world, 0, SMALL)
        near, far = seen
        assert near.instance.visible == near.instance.amodal
        assert far.instance.visible is None
        assert far.occluder == near.instance.track_id


def test_a_long_bus_beside_a_car_is_sorted_by_a_line_between_them_not_by_the_middles():
    # The middle of the bus is nearer than the car's, but its side runs along behind the car.
    bus, car = (box_model(12, 2.5, 3.0), (9.0, 4.0, 0.0)), (box_model(4, 1.8, 1.5), (13.0, 1.6, 0.0))
    _, seen = render_frame(empty_world([bus, car]), 0, SMALL)
    masks_by_id = {one.instance.track_id: one.instance for one in seen}
    assert masks_by_id[2].visible == masks_by_id[2].amodal
    assert masks.area(masks_by_id[1].visible) < masks.area(masks_by_id[1].amodal)


@pytest.mark.parametrize("x", [0.0, 0.5, 1.0, 2.0])
def test_a_car_that_reaches_behind_the_camera_does_not_explode(x: float):
    world = empty_world([(box_model(4, 1.8, 1.5), (x, 2.2, 0.0))])
    _, seen = render_frame(world, 0, (360, 640))
    for one in seen:
        left, _, width, _ = masks.box(one.instance.amodal)
        assert left + width < 320  # it stands to the left of the line of sight


@pytest.mark.parametrize("size", [(361, 641), (97, 131), (200, 90)])
def test_any_size_and_a_single_frame(size: tuple[int, int]):
    clip = make_clip(3, 1, size)
    assert clip.video[0].shape == (*size, 3)
    assert clip.video[0].dtype == np.uint8
    assert all(one.amodal["size"] == list(size) for one in clip.instances(0))


def test_bad_arguments_are_named():
    with pytest.raises(ValueError, match="preset"):
        make_clip(0, 1, SMALL, "medium")
    with pytest.raises(ValueError, match="at least 1"):
        make_clip(0, 0, SMALL)


def test_camera_poses_give_back_the_projection(clips: list[Clip]):
    entry = clips[0].extra["camera"][0]
    camera = Camera(
        np.array(entry["position"]),
        entry["yaw"],
        entry["pitch"],
        entry["roll"],
        build_world(100, 25).fov,
        SMALL,
    )
    point = camera.position + 10 * camera.rotation[2] + camera.rotation[0]
    u, v, w = np.array(entry["intrinsics"]) @ np.array(entry["rotation"]) @ (point - entry["position"])
    assert camera.project(point[None])[0] == pytest.approx([u / w, v / w])
    assert u / w == pytest.approx((SMALL[1] - 1) / 2 + camera.focal / 10)


@given(
    arrays(np.uint8, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(0, 1)), st.data()
)
def test_window_encoding_is_the_coco_encoding(window: np.ndarray, data: st.DataObject):
    left, top = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    right, bottom = data.draw(st.integers(0, 3)), data.draw(st.integers(0, 3))
    whole = np.pad(window, ((left, right), (top, bottom)))
    assert encode_window(Window(window, (left, top)), whole.shape) == masks.encode(whole.T)


@settings(max_examples=40, deadline=None)
@given(st.integers(0, 10_000))
def test_sorted_footprints_never_paint_a_near_one_first(seed: int):
    rng = np.random.default_rng(seed)
    poses = np.column_stack([rng.uniform(4, 40, 12), rng.uniform(-15, 15, 12), rng.uniform(0, 6, 12)])
    corners = rectangles(poses, rng.uniform(0.3, 12, 12), rng.uniform(0.3, 3, 12))
    kept: list[int] = []
    for i in range(12):
        if corners[i, :, 0].min() > 0.5 and not overlap(corners[i], corners[kept]).any():
            kept.append(i)
    corners = corners[kept]
    angles = corners[..., 1] / corners[..., 0]
    spans = np.column_stack([angles.min(1), angles.max(1)])
    place = np.argsort(sort_footprints(corners, np.zeros(2), spans))
    for slope in np.linspace(-1, 1, 41):
        hits = [(_entry(c, slope), k) for k, c in enumerate(corners) if _entry(c, slope) is not None]
        order = [place[k] for _, k in sorted(hits)]
        assert order == sorted(order, reverse=True)


def _entry(corners: np.ndarray, slope: float) -> float | None:
    """Where the ray y = slope * x from the origin enters a convex polygon."""
    height = corners[:, 1] - slope * corners[:, 0]
    if height.min() > -0.05 or height.max() < 0.05:
        return None
    crossings = []
    for k in range(4):
        a, b = height[k], height[(k + 1) % 4]
        if (a > 0) != (b > 0):
            crossings.append(corners[k, 0] + (corners[(k + 1) % 4, 0] - corners[k, 0]) * a / (a - b))
    return float(min(crossings))


@given(arrays(np.float64, (3, 3), elements=st.floats(-5, 5)))
def test_cut_polygons_stay_in_front_of_the_camera(triangle: np.ndarray):
    cut = cut_near(triangle)
    assert (cut[:, 2] >= NEAR - 1e-9).all()
    if (triangle[:, 2] > NEAR).all():
        assert np.array_equal(cut, triangle)
    if (triangle[:, 2] < NEAR).all():
        assert len(cut) == 0


def test_threads_of_opencv_are_left_alone():
    before = cv2.getNumThreads()
    make_clip(0, 1, (36, 64))
    assert cv2.getNumThreads() == before
