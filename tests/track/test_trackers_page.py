"""docs/trackers.md: its code is run, with a network that stands in for TAPIR's."""

import re
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from samodal import masks
from samodal.track import open_tracker, registry, testing
from samodal.tracked import Shown
from samodal.tracked_stream import AskedPoints, follow_points

PAGE = (Path(__file__).parents[2] / "docs/trackers.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


class Standin(torch.nn.Module):
    """Takes and gives what tapnet's torch TAPIR does. All of its world moves alike, and it says how."""

    def __init__(self, pyramid_level: int) -> None:
        super().__init__()
        assert pyramid_level == 1
        self.doubt = torch.nn.Parameter(torch.tensor(-4.0))

    def forward(self, video: torch.Tensor, query_points: torch.Tensor) -> dict[str, torch.Tensor]:
        _, frames, height, width, _ = video.shape
        assert (height, width, video.dtype, query_points.dtype) == (256, 256, torch.float32, torch.float32)
        assert -1 <= video.min() <= video.max() <= 1
        grey = video[0].mean(-1).numpy()
        t, y, x = query_points[0].unbind(1)  # in pixels whose corners are at whole numbers
        assert ((t >= 0) & (t < frames) & (t == t.round())).all()
        tracks = torch.stack([x, y], 1)[:, None].repeat(1, frames, 1)
        for point, start in enumerate(t.long().tolist()):
            for frame in range(frames):
                tracks[point, frame] += torch.tensor(shift(grey[start], grey[frame]))
        logits = self.doubt.expand(1, len(t), frames)
        return {"tracks": tracks[None], "occlusion": logits, "expected_dist": logits}


def shift(image: np.ndarray, other: np.ndarray) -> tuple[float, float]:
    window = cv2.createHanningWindow(image.shape[::-1], cv2.CV_32F)
    return cv2.phaseCorrelate(image.copy(), other.copy(), window)[0]  # it writes into what it is given


@pytest.fixture
def tapir(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """The example, as a user of the page would have it installed, with a file of weights."""
    model = types.ModuleType("tapnet.torch.tapir_model")
    model.TAPIR = Standin
    for name in ("tapnet", "tapnet.torch"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, model.__name__, model)
    module = types.ModuleType("my_tapir")
    exec(BLOCKS[0], module.__dict__)
    monkeypatch.setitem(sys.modules, "my_tapir", module)
    (plug_in,) = re.findall(r'^(\w+) = "(my_tapir:\w+)"$', PAGE, re.MULTILINE)
    entry = registry.EntryPoint(*plug_in, registry.GROUP)
    monkeypatch.setattr(registry, "_plug_ins", lambda: {entry.name: entry})
    torch.save(Standin(1).state_dict(), tmp_path / "bootstapir_checkpoint_v2.pt")
    monkeypatch.chdir(tmp_path)
    return open_tracker("tapir", weights="bootstapir_checkpoint_v2.pt", device="cpu")


def test_the_check_of_the_page_passes(tapir) -> None:
    page: dict = {}
    exec(BLOCKS[1], page)
    (marks,) = page["test_tapir"].pytestmark
    assert marks.args[1] == testing.CONTRACT + testing.ACCURACY
    for check in marks.args[1]:
        page["test_tapir"](check)


def test_logits_become_probabilities(tapir) -> None:
    tracks = tapir.track(testing.moving_video(2), np.array([[0, 20, 30]]))
    near = 1 - 1 / (1 + np.exp(4))
    np.testing.assert_allclose(tracks.visible_prob, near**2, rtol=1e-5)
    np.testing.assert_allclose(tracks.confidence, near, rtol=1e-5)


def test_in_a_stream_it_is_asked_about_what_has_come(tapir) -> None:
    points = follow_points(tapir, look_ahead=0, seed=0)
    assert isinstance(points, AskedPoints)
    mask = np.zeros((96, 128), bool)
    mask[30:60, 40:80] = True
    calls, track = [], tapir.track
    tapir.track = lambda frames, queries, window: (
        calls.append((len(queries), window)) or track(frames, queries, window)
    )
    for frame, image in enumerate(testing.moving_video(6, testing.SHIFT)):
        seen = {7: Shown(frame, masks.encode(mask), masks.encode(mask))} if frame < 3 else {}
        points.push(image, seen)
        assert set(points.at(frame)) == ({7} if frame > 2 else set())
    assert calls == [(12, range(end)) for end in (4, 5, 6)]


def test_the_page_names_all_trackers() -> None:
    for name in registry.BUILT_IN:
        assert f"| `{name}` |" in PAGE
    assert len(BLOCKS) == 2
