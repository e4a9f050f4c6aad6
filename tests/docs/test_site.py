"""The documentation can be built, all its links and references lead somewhere, and it loads nothing from elsewhere."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_public_names_are_documented(site: Path) -> None:
    page = (site / "api" / "index.html").read_text()
    for name in (
        "AmodalVideoSegmenter",
        "AmodalSam",
        "from_original",
        "open_dataset",
        "pick_points",
        "video_ap",
    ):
        assert re.search(rf'id="[\w.]*{name}"', page), name


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        assert not re.findall(r'<(?:script|img|iframe)[^>]* src="(?:https?:)?//[^"]+', page.read_text()), page
        assert not re.findall(
            r'<link[^>]*rel="stylesheet"[^>]*href="(?:https?:)?//[^"]+', page.read_text()
        ), page
