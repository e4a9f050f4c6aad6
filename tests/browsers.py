"""A headless Chromium for tests of pages; they are skipped where there is none."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# None of them reaches the network by itself, and a container needs no sandbox of its own.
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
NAMES = ("chromium", "chromium-browser", "google-chrome", "chrome")


@contextmanager
def chromium() -> Iterator:
    playwright = pytest.importorskip("playwright.sync_api", reason="needs pip install 'samodal[browser]'")
    system = next((found for name in NAMES if (found := shutil.which(name))), None)
    with playwright.sync_playwright() as runner:
        if system is None and not Path(runner.chromium.executable_path).exists():
            pytest.skip("no Chromium here; `playwright install chromium` brings one")
        browser = runner.chromium.launch(executable_path=system, args=FLAGS)
        yield browser
        browser.close()
