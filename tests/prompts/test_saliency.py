import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toys import tiny_sam, toy_clip

from samodal.cli import run
from samodal.demo import only_visible
from samodal.errors import InputError
from samodal.pipeline import AmodalVideoSegmenter
from samodal.prompts import PromptOptions, load_saliency, saliency_map

PAGE = Path(__file__).parents[2] / "docs" / "saliency.md"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty current folder, whose modules are forgotten afterwards."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    yield tmp_path
    for name in ("own", "contrast", "network_saliency"):
        sys.modules.pop(name, None)


def texture(seed: int = 0, size: tuple[int, int] = (90, 160)) -> np.ndarray:
    return np.random.default_rng(seed).integers(90, 110, (*size, 3), dtype=np.uint8)


# ---- the built-in model -------------------------------------------------------------------------------------


@pytest.mark.parametrize("colour", [(220, 60, 60), (100, 100, 180), (20, 20, 20)])
@pytest.mark.parametrize("size", [(90, 160), (540, 960), (301, 187)])
def test_what_stands_out_is_salient(colour: tuple[int, int, int], size: tuple[int, int]) -> None:
    image = texture(size=size)
    rows, columns = (slice(int(0.6 * side), int(0.7 * side)) for side in size)
    image[rows, columns] = colour
    salient = saliency_map(image)
    y, x = np.unravel_index(salient.argmax(), size)
    margin = 0.03 * max(size)
    assert rows.start - margin <= y < rows.stop + margin
    assert columns.start - margin <= x < columns.stop + margin
    assert salient[rows, columns].mean() > 1.5 * salient.mean()


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 100), st.booleans())
def test_any_image_has_a_map(height: int, width: int, seed: int, plain: bool) -> None:
    image = texture(seed, (height, width))
    salient = saliency_map(np.full_like(image, seed) if plain else image)
    assert salient.shape == (height, width)
    assert (salient >= 0).all()


def test_mirrored() -> None:
    image = texture()
    image[20:40, 100:130] = 200
    there, back = saliency_map(image), saliency_map(image[:, ::-1])[:, ::-1]
    assert np.abs(there - back).max() < 0.02 * there.max()


# ---- models that are plugged in -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "code", "message"),
    [
        ("vst", "", "choose image-signature, or package.module:function"),
        ("own:", "", "choose image-signature"),
        ("nowhere:saliency", "", "no module 'nowhere'"),
        ("nowhere.deeper:saliency", "", "no module 'nowhere'"),
        ("own.deeper:saliency", "", "no module 'own.deeper'"),
        ("own:salience", "def saliency(image): return image", "own has no 'salience'"),
        ("own:saliency", "saliency = 3", "is a int, not a function"),
        ("own:saliency", "import absent_package", "importing own fails: ModuleNotFoundError.*absent_package"),
        ("own:saliency", "1 / 0", "importing own fails: ZeroDivisionError"),
        ("own:saliency", "def saliency(image): return image", r"returned shape \(90, 160, 3\).*\(90, 160\)"),
        ("own:saliency", "def saliency(image): return image[..., 0] / 0.", "not finite"),
        ("own:saliency", "def saliency(image): return None", "returned shape"),
        ("own:saliency", "def saliency(image): return ['a']", "returned a list, not a numpy array"),
    ],
)
@pytest.mark.filterwarnings("ignore:divide by zero", "ignore:invalid value")
def test_clear_errors(name: str, code: str, message: str, folder: Path) -> None:
    (folder / "own.py").write_text(code)
    with pytest.raises(InputError, match=message) as raised:
        saliency_map(texture(), name)
    assert name in str(raised.value)
    assert "\n" not in str(raised.value)


def test_errors_inside_a_model_are_its_own(folder: Path) -> None:
    (folder / "own.py").write_text("def saliency(image): return {}['absent']")
    with pytest.raises(KeyError, match="absent"):
        saliency_map(texture(), "own:saliency")


def test_attributes_of_objects_plug_in_too(folder: Path) -> None:
    (folder / "own.py").write_text(
        "class Model:\n    def run(self, image): return image[..., 0]\nmodel = Model()"
    )
    assert (saliency_map(texture(), "own:model.run") == texture()[..., 0]).all()


def test_an_unknown_model_is_refused_before_the_work() -> None:
    with pytest.raises(InputError, match="no module"):
        AmodalVideoSegmenter(tiny_sam(), prompt=PromptOptions("saliency", saliency="nowhere:saliency"))


# ---- the page --------------------------------------------------------------------------------------------------


def code_of_the_page() -> list[str]:
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_page_does_what_it_says(folder: Path) -> None:
    contrast, of_a_network, from_python = code_of_the_page()
    (folder / "contrast.py").write_text(contrast)
    (folder / "network_saliency.py").write_text(of_a_network)
    assert "`contrast.py`" in PAGE.read_text()
    assert "`network_saliency.py`" in PAGE.read_text()
    network = torch.export.export(torch.nn.Conv2d(3, 1, 3, stride=4), (torch.zeros(1, 3, 224, 224),))
    torch.export.save(network, "network.pt2")
    for name in ("contrast:saliency", "network_saliency:saliency"):
        assert callable(load_saliency(name))
        assert saliency_map(texture(), name).std() > 0
    found: dict = {}
    exec(from_python, found)
    assert found["points"].shape == (2, 2)
    assert found["visible"][found["points"][:, 1], found["points"][:, 0]].all()


def test_predict_with_a_model_of_ones_own(folder: Path, capsys: pytest.CaptureFixture) -> None:
    clip = toy_clip(frames=3)
    (folder / "frames").mkdir()
    for index, frame in enumerate(clip.video):
        cv2.imwrite(f"frames/{index}.png", frame[..., ::-1])
    only_visible(clip.truth).write(folder / "visible.json")
    tiny_sam().save_pretrained(folder / "model")
    (folder / "own.py").write_text(
        "import numpy as np\n"
        "def leftmost(image): return -np.tile(np.arange(image.shape[1]), (image.shape[0], 1))\n"
        "def wrong(image): return image\n"
    )
    command = "predict frames --visible visible.json --model model --prompt.strategy saliency --out out"
    assert run([*command.split(), "--prompt.saliency", "own:leftmost"]) == 0
    for track in json.loads(Path("out/amodal.json").read_text()):
        for points, visible in zip(track["points"], track["visible_segmentations"], strict=True):
            assert (points is None) == (visible is None)
    first = json.loads(Path("out/amodal.json").read_text())[0]
    assert first["points"][0][0][0] == 24, "the left side of the bright square"
    for name in ("own:wrong", "own:absent", "nowhere:saliency"):
        capsys.readouterr()
        assert run([*command.split(), "--prompt.saliency", name, "--out", "other"]) == 2
        lines = [x for x in capsys.readouterr().err.splitlines() if x.startswith("samodal: ")]
        assert len(lines) == 1
        assert name in lines[0]
