"""The app as a browser shows it. Skipped where there is no gradio or no browser."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from browsers import chromium

from samodal.data.synthetic import make_clip
from samodal.demo import FIRST_SEED, only_visible
from samodal.frames import open_video, write_video
from samodal.pipeline import AmodalVideoSegmenter
from samodal.sam import AmodalSam

gradio = pytest.importorskip("gradio", reason="needs pip install 'samodal[app]'")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning:gradio")  # its own, of pandas

FRAMES, SIZE = 4, (180, 320)
EVIL = "<img src=x onerror=alert(1)>.json"


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """clip.mp4 and visible.json, in the format of YouTube-VIS results."""
    folder = tmp_path_factory.mktemp("case")
    clip = make_clip(FIRST_SEED, FRAMES, SIZE)
    write_video(folder / "clip.mp4", clip.video, fps=10)
    entries = [
        {"video_id": 1, "category_id": t.category_id, "score": 1.0, "segmentations": list(t.visible)}
        for t in only_visible(clip.truth)
    ]
    (folder / "visible.json").write_text(json.dumps(entries))
    (folder / EVIL).write_text("[{")
    return folder


@pytest.fixture(scope="module")
def segmenter() -> AmodalVideoSegmenter:
    return AmodalVideoSegmenter(AmodalSam.from_pretrained("samodal-nano"))


@pytest.fixture(scope="module")
def addresses(
    segmenter: AmodalVideoSegmenter, case: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[list[str]]:
    """Of a page without clips to pick, and of one with a clip."""
    from samodal.app import page

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GRADIO_TEMP_DIR", str(tmp_path_factory.mktemp("gradio")))
        folder, facts = tmp_path_factory.mktemp("results"), {"model": "samodal-nano"}
        pages = [page.build(segmenter, facts, folder, clips) for clips in ((), (str(case / "clip.mp4"),))]
        yield [page.serve(built, "127.0.0.1", None, open_browser=False) for built in pages]
        for built in pages:
            built.close()


@pytest.fixture(scope="module")
def address(addresses: list[str]) -> str:
    return addresses[0]


@pytest.fixture(scope="module")
def browser(
    address: str,
) -> Iterator:  # after the server, which does not start beside playwright's event loop
    with chromium() as browser:
        yield browser


@pytest.fixture
def page(browser, address: str) -> Iterator:
    """The page, opened; at the end of each test it asked nobody but the server, and nothing is in the console."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.set_default_timeout(60_000)  # a busy machine takes its time
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("dialog", lambda dialog: said.append(dialog.message))
    page.goto(address)
    page.locator("#clip input[type=file]").wait_for(state="attached")
    yield page
    page.close()
    assert [url for url in asked if not url.startswith((address, "data:", "blob:"))] == []
    assert said == []


def upload(page, place: str, path: Path) -> None:
    page.locator(f"{place} input[type=file]").set_input_files(str(path))


def open_clip(page, case: Path) -> None:
    upload(page, "#clip", case / "clip.mp4")
    page.locator("#picture img").wait_for()
    says(page, f"Frame 0 of 0 to {FRAMES - 1}")


def says(page, text: str) -> None:
    """Until the notes hold this text."""
    page.locator("#notes", has_text=re.compile(text)).wait_for()


def click(page, x: float, y: float, button: str = "left") -> None:
    """On the pixel x, y of the frame."""
    page.wait_for_function("document.querySelector('#picture img').naturalWidth > 0")
    box = page.locator("#picture img").bounding_box()
    place = {"x": (x + 0.5) / SIZE[1] * box["width"], "y": (y + 0.5) / SIZE[0] * box["height"]}
    page.locator("#picture img").click(position=place, button=button)


def picture(page) -> np.ndarray:
    """What is shown, in the size of the frame: int (H, W, 3)."""
    body = page.request.get(page.locator("#picture img").get_attribute("src")).body()
    shown = cv2.imdecode(np.frombuffer(body, np.uint8), cv2.IMREAD_COLOR)
    return cv2.resize(shown, SIZE[::-1], interpolation=cv2.INTER_AREA).astype(int)


def until_other(page, before: np.ndarray) -> np.ndarray:
    """The picture when it is another one."""
    for _ in range(100):
        if (now := picture(page)).shape != before.shape or (now != before).any():
            return now
        page.wait_for_timeout(100)
    raise AssertionError("the picture stays the same")


def test_clicks_show_a_mask(page, case: Path) -> None:
    open_clip(page, case)
    plain = picture(page)
    click(page, 160, 100)
    says(page, "clicked")
    first = picture(page)
    assert (np.abs(first - plain).max(2) > 30).sum() > 50
    assert (np.abs(first - plain).max(2) > 30)[97:104, 157:164].any(), "the click is where it was made"
    click(page, 40, 30, button="right")
    changed = np.abs(until_other(page, first) - first).max(2) > 60
    assert changed[26:35, 36:45].any(), "a minus, by the right button"
    page.locator("#clear").click()
    page.locator("#notes table").wait_for(state="detached")
    page.get_by_label("box").check()
    click(page, 100, 60)
    says(page, "second corner")
    click(page, 200, 140)
    says(page, "clicked")
    page.locator("#undo").click()
    says(page, "second corner")


def test_a_clip_with_masks_runs_and_is_downloaded(
    page, case: Path, segmenter: AmodalVideoSegmenter, tmp_path: Path
) -> None:
    open_clip(page, case)
    assert page.locator("#run").is_disabled()
    upload(page, "#masks", case / "visible.json")
    page.locator("#notes table").wait_for()
    slider = page.locator("#slider input[type=range]")
    slider.focus()
    page.keyboard.press("ArrowRight")
    says(page, "Frame 1 of")
    page.locator("#run").click()
    page.locator("#news", has_text="Done").wait_for()
    for name in ("amodal.json", "overlay.mp4", "report.html"):
        with page.expect_download() as download:
            page.get_by_role("button", name=name).click()
        assert download.value.suggested_filename == name
        download.value.save_as(tmp_path / name)
    wanted = segmenter(case / "clip.mp4", case / "visible.json")
    wanted.write(tmp_path / "wanted.json")
    assert (tmp_path / "amodal.json").read_bytes() == (tmp_path / "wanted.json").read_bytes()
    assert len(open_video(tmp_path / "overlay.mp4")) == FRAMES
    assert "samodal-nano" in (tmp_path / "report.html").read_text()


def test_what_is_wrong_is_said_and_nothing_is_lost(page, case: Path) -> None:
    open_clip(page, case)
    upload(page, "#masks", case / EVIL)
    toast = page.get_by_test_id("toast-body")
    toast.wait_for()
    assert "not valid JSON" in toast.inner_text()
    assert "Traceback" not in toast.inner_text()
    click(page, 160, 100)
    says(page, "clicked")


def test_a_clip_of_the_command_line_is_shown_at_once_also_on_a_narrow_screen(
    browser, addresses: list[str], case: Path
) -> None:
    page = browser.new_page(viewport={"width": 400, "height": 800})
    page.set_default_timeout(60_000)
    page.goto(addresses[1])
    says(page, f"Frame 0 of 0 to {FRAMES - 1}")
    assert page.locator("#pick input").input_value() == str(case / "clip.mp4")
    click(page, 160, 100)
    says(page, "clicked")
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    page.close()
