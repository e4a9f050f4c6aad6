"""Chained flow, with flow that is known; and RAFT around a network that stands in for torchvision's."""

import sys
import types

import numpy as np
import pytest
import torch

from samodal.cli import run
from samodal.errors import InputError
from samodal.track import open_tracker, raft, testing
from samodal.track.chained_flow import ChainedFlow, sample, step
from samodal.track.interface import RecentFrames
from samodal.track.pairwise import is_inside
from samodal.track.raft import RaftFlow, network_size

H, W = 60, 100


def uniform(x: float, y: float, size: tuple[int, int] = (H, W)) -> np.ndarray:
    """Everything moves by (x, y)."""
    return np.broadcast_to(np.float32([x, y]), (*size, 2))


def numbered(frames: int) -> list[np.ndarray]:
    """Frames that know their number: a fake flow goes by it."""
    return [np.full((H, W, 3), index, np.uint8) for index in range(frames)]


def number(image: np.ndarray) -> int:
    return int(image[0, 0, 0])


def steady(image: np.ndarray, next_image: np.ndarray) -> np.ndarray:
    """A world that moves by 2.5 pixels right and 1.25 up a frame."""
    return uniform(2.5, -1.25) * (number(next_image) - number(image))


def test_steps_add_up_both_ways() -> None:
    queries = np.array([[0, 20, 50], [4, 60.5, 30.25], [8, 90, 20]])
    tracks = ChainedFlow(steady).track(numbered(9), queries)
    way = (np.arange(9)[:, None] - queries[:, 0])[..., None] * [2.5, -1.25]
    np.testing.assert_allclose(tracks.xy, queries[:, 1:] + way, atol=1e-4)
    np.testing.assert_allclose(tracks.visible_prob, 1)
    assert tracks.valid.all()


def test_frames_of_a_window_count_from_the_start_of_the_video() -> None:
    tracks = ChainedFlow(steady).track(numbered(9), np.array([[5, 20, 50]]), range(4, 8))
    np.testing.assert_allclose(tracks.xy[:, 0, 0], [17.5, 20, 22.5, 25], atol=1e-4)


def test_a_zoom_is_sampled_between_pixels() -> None:
    """Points run away from the middle by 3 % a frame; flow that is linear is sampled without error."""
    middle = np.array([50.2, 29.7])
    pixels = np.stack(np.meshgrid(np.arange(W), np.arange(H)), axis=-1) - middle

    def zoom(image: np.ndarray, next_image: np.ndarray) -> np.ndarray:
        factor = 1.03 if number(next_image) > number(image) else 1 / 1.03
        return (factor - 1) * pixels

    queries = np.array([[0, 61.3, 25.6], [0, 40.9, 33.1]])
    tracks = ChainedFlow(zoom).track(numbered(6), queries)
    truth = middle + (queries[:, 1:] - middle) * 1.03 ** np.arange(6)[:, None, None]
    np.testing.assert_allclose(tracks.xy, truth, atol=1e-3)
    assert tracks.visible_prob.min() > 0.99


def test_what_something_else_passes_over_is_lost_and_stays() -> None:
    """From frame 2 on the left half is covered by a thing that moves by 6 pixels; the rest stands still."""

    def covered(image: np.ndarray, next_image: np.ndarray) -> np.ndarray:
        flow = np.array(uniform(0, 0))
        way = number(next_image) - number(image)
        if number(image) >= 2:
            flow[:, :50, 0] = 6 * way
        return flow

    tracks = ChainedFlow(covered).track(numbered(5), np.array([[0, 20, 30], [0, 80, 30]]))
    # 1 -> 2 says that nothing moves, 2 -> 1 that the thing came from elsewhere
    assert (tracks.visible_prob[:, 0] == [1, 1, 0, 0, 0]).all()
    np.testing.assert_allclose(tracks.xy[:, 0], np.tile([20, 30], (5, 1)))
    assert (tracks.visible_prob[:, 1] == 1).all()


def test_a_point_that_leaves_the_image_is_lost_and_stays() -> None:
    tracks = ChainedFlow(steady).track(numbered(6), np.array([[0, 95, 40], [0, -3, 40]]))
    assert (tracks.visible_prob[:, 0] == [1, 1, 0, 0, 0, 0]).all()
    np.testing.assert_allclose(tracks.xy[-1, 0], [97.5, 38.75])
    assert (tracks.visible_prob[:, 1] == 0).all()
    assert tracks.valid.all()


def test_the_less_the_way_back_fits_the_less_sure() -> None:
    points = np.array([[30.0, 30.0]])
    sure = [step(uniform(3, 0), uniform(miss - 3, 0), points)[1][0] for miss in (0, 0.2, 0.4, 0.8)]
    assert sure[0] == 1
    assert sure == sorted(sure, reverse=True)
    assert sure[2] > 0
    assert sure[3] == 0
    fast = step(uniform(30, 0), uniform(0.8 - 30, 0), points)[1][0]  # of a fast point more is forgiven
    assert fast > 0.5


def test_samples_and_borders() -> None:
    field = np.zeros((2, 3, 2), np.float32)
    field[..., 0] = [[0, 1, 2], [10, 11, 12]]
    np.testing.assert_allclose(sample(field, np.array([[0.5, 0.5], [2, 1], [9, -9]]))[:, 0], [5.5, 12, 2])
    points = np.array([[-0.5, 0], [2.4, 1.4], [2.6, 0], [0, 1.5], [np.nan, 0]])
    assert is_inside(points, field.shape).tolist() == [True, True, False, False, False]


def test_flow_is_only_asked_for_where_points_are_followed() -> None:
    asked = []

    def noted(image: np.ndarray, next_image: np.ndarray) -> np.ndarray:
        asked.append((number(image), number(next_image)))
        return uniform(0, 0)

    ChainedFlow(noted).track(numbered(6), np.array([[3, 20, 20]]), range(3, 6))
    assert asked == [(3, 4), (4, 3), (4, 5), (5, 4)]


def test_frame_by_frame_the_flow_is_asked_for_once_for_all_points() -> None:
    asked = []

    def noted(image: np.ndarray, next_image: np.ndarray) -> np.ndarray:
        asked.append((number(image), number(next_image)))
        return steady(image, next_image)

    frames, queries = RecentFrames(), np.array([[1, 20, 50], [3, 60.5, 30.25], [1, 95, 20]])
    stream, found = ChainedFlow(noted).stream(frames), {}
    for count, image in enumerate(numbered(9)):
        if count == 4:
            clips = [stream.follow(int(query[0]), query[None, 1:]) for query in queries]
        frames.push(image)
        found = stream.step()
    pairs = [(k, k + 1) for k in range(1, 8)]
    assert asked == [pair for forth in pairs for pair in (forth, forth[::-1])]
    whole = ChainedFlow(steady).track(numbered(9), queries)
    for clip, xy, prob in zip(clips, whole.xy[-1], whole.visible_prob[-1], strict=True):
        np.testing.assert_array_equal(found[clip][0], xy[None])
        np.testing.assert_array_equal(found[clip][1], prob[None])


# ---- RAFT itself


class Standin(torch.nn.Module):
    """Takes and gives what torchvision's RAFT does; the flow is where bright spots of the images are."""

    def __init__(self, **weights: object) -> None:
        super().__init__()
        assert weights in ({}, {"weights": None})
        self.gain = torch.nn.Parameter(torch.ones(1))
        self.seen: list[tuple[torch.Tensor, torch.Tensor, int]] = []

    def forward(
        self, image1: torch.Tensor, image2: torch.Tensor, num_flow_updates: int
    ) -> list[torch.Tensor]:
        assert image1.shape == image2.shape
        self.seen.append((image1, image2, num_flow_updates))
        way = self.gain * (middle(image2) - middle(image1))
        flow = way.view(1, 2, 1, 1).expand(1, 2, *image1.shape[-2:])
        return [torch.zeros_like(flow), flow]


def middle(image: torch.Tensor) -> torch.Tensor:
    """(x, y) of what is bright."""
    bright = (image[0].mean(0) + 1) / 2
    rows, columns = torch.arange(bright.shape[0]), torch.arange(bright.shape[1])
    return torch.stack([(bright.sum(0) * columns).sum(), (bright.sum(1) * rows).sum()]) / bright.sum()


class StandinLarge(Standin):
    def __init__(self, **weights: object) -> None:
        super().__init__(**weights)
        self.mask_predictor = torch.nn.Linear(2, 2)


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    models = types.ModuleType("torchvision.models")
    models.optical_flow = types.SimpleNamespace(raft_small=Standin, raft_large=StandinLarge)
    monkeypatch.setitem(sys.modules, "torchvision", types.ModuleType("torchvision"))
    monkeypatch.setitem(sys.modules, "torchvision.models", models)


def test_images_are_resized_and_flow_is_in_their_own_pixels() -> None:
    images = np.zeros((2, 300, 1400, 3), np.uint8)
    images[0, 100:140, 600:640] = images[1, 90:130, 640:680] = 255
    network = Standin()
    flow = RaftFlow(network, updates=7)(*images)
    assert flow.shape == (300, 1400, 2)
    assert flow.dtype == np.float32
    np.testing.assert_allclose(flow[150, 700], [40, -10], atol=0.5)
    first, second, updates = network.seen[0]
    assert first.shape[-2:] == second.shape[-2:] == (208, 960)
    np.testing.assert_allclose([first.min(), first.max(), updates], [-1, 1, 7], atol=1e-5)


@pytest.mark.parametrize(
    ("height", "width"), [(96, 128), (128, 128), (1, 1), (375, 1242), (2160, 3840), (50, 2000)]
)
def test_sizes_that_the_network_can_take(height: int, width: int) -> None:
    h, w = network_size(height, width)
    assert h % 8 == w % 8 == 0
    assert min(h, w) >= 128
    assert max(h, w) <= 960 or min(h, w) == 128
    assert abs(h / w / (height / width) - 1) < 0.06


def test_small_and_large_are_told_by_their_weights(torchvision: None, tmp_path) -> None:
    for kind in (Standin, StandinLarge):
        torch.save(kind().state_dict(), tmp_path / "any name.pth")
        tracker = open_tracker("raft", weights=tmp_path / "any name.pth")
        assert type(tracker.flow.network) is kind
    assert tracker.needs_weights
    assert not tracker.through_occlusion
    torch.save({"other": torch.zeros(1)}, tmp_path / "other.pth")
    with pytest.raises(
        InputError, match=r"other\.pth: the weights do not fit.*1 missing: gain; 1 unexpected: other"
    ):
        open_tracker("raft", weights=tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(InputError, match=r"text\.pth"):
        open_tracker("raft", weights=tmp_path / "text.pth")


def test_a_tracker_around_a_network_follows_what_moves(torchvision: None, tmp_path) -> None:
    torch.save(Standin().state_dict(), tmp_path / "small.pth")
    tracker = open_tracker("raft", weights=tmp_path / "small.pth", device="cpu", updates=1)
    video = np.zeros((6, 96, 128, 3), np.uint8)
    for frame, image in enumerate(video):
        image[30 + 2 * frame : 50 + 2 * frame, 40 + 3 * frame : 60 + 3 * frame] = 255
    tracks = tracker.track(video, np.array([[0, 50, 40]]))
    np.testing.assert_allclose(tracks.xy[5, 0], [65, 50], atol=0.5)
    assert tracks.visible_prob.min() > 0.8


def shifting(image: np.ndarray, next_image: np.ndarray) -> np.ndarray:
    """The flow of `testing.moving_video`: what shift brings one image onto the next?"""
    known = [testing.SHIFT, (-testing.SHIFT[0], -testing.SHIFT[1]), (-2, 1), (2, -1), (0, 0)]
    size = image.shape[:2]
    inner = np.s_[8 : size[0] - 8, 8 : size[1] - 8]
    misses = [
        np.abs(np.roll(image, (y, x), (0, 1))[inner] - next_image[inner].astype(int)).mean() for x, y in known
    ]
    return uniform(*known[int(np.argmin(misses))], size)


@pytest.mark.parametrize("check", testing.CONTRACT + testing.ACCURACY, ids=lambda check: check.__name__)
def test_chained_flow_keeps_the_contract(check) -> None:
    check(ChainedFlow(shifting))


def test_without_torchvision(monkeypatch: pytest.MonkeyPatch, tmp_path) -> None:
    monkeypatch.setitem(sys.modules, "torchvision", None)
    torch.save({"gain": torch.ones(1)}, tmp_path / "raft.pth")
    with pytest.raises(InputError) as error:
        raft.open_raft(tmp_path / "raft.pth")
    assert str(error.value) == "the tracker raft needs the package 'torchvision': pip install 'samodal[raft]'"


def test_a_torchvision_for_another_torch_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture
) -> None:
    """transformers imports it, used or not."""

    def fail(_: object) -> None:
        raise RuntimeError("operator torchvision::nms does not exist")

    monkeypatch.setattr("samodal.commands.Download.run", fail)
    assert run(["download", "--list"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "torchvision does not fit torch" in line
