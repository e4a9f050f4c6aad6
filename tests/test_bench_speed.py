from pathlib import Path

import pytest
import torch
from benchmark_modules import load_benchmark

from samodal import masks

DOCUMENT = Path(__file__).parents[1] / "docs" / "speed.md"

bench = load_benchmark("bench_speed")


def test_a_table_takes_the_place_of_its_own_and_of_no_other(tmp_path: Path):
    document = tmp_path / "speed.md"
    document.write_text("before\n<!-- frame -->\nold\n<!-- end of frame -->\nbetween\n<!-- clip -->\nkept\n")
    bench.write(document, "frame", "default", "new")
    bench.write(document, "frame", "tuned", "has no place here")
    assert document.read_text() == (
        "before\n<!-- frame -->\nnew\n<!-- end of frame -->\nbetween\n<!-- clip -->\nkept\n"
    )


def test_every_table_of_the_document_can_be_made_anew():
    text = DOCUMENT.read_text()
    for name in bench.TABLES:
        first, last = bench.marked(name, "default")
        assert text.count(first) == text.count(last) == 1, name


def test_the_picture_shows_what_the_table_says(tmp_path: Path):
    head = ["backend", "height", "instances", "frames", "frames/s", "ms a frame"]
    cases = [(360, 10, 40, 30), (360, 1, 40, 12), (360, 20, 40, 50), (360, 10, 80, 30), (720, 10, 40, 57.648)]
    rows = [["torch fp32", 360, 10, 40, 1, 999]]
    rows += [["openvino bf16", *case, 1, ms] for *case, ms in cases]
    bench.plot(tmp_path / "cost.svg", bench.markdown([head, *rows]).splitlines())
    picture = (tmp_path / "cost.svg").read_text()
    for law in ("10 + 2 x instances", "0.03 x frames", "20.8 + 40 x megapixels"):
        assert law in picture


def test_instances_of_a_larger_clip_are_as_much_larger():
    (small, seen), (large, seen_large) = bench.clip_of(3, 2), bench.clip_of(3, 2, 720)
    assert (small.size, large.size) == ((360, 640), (720, 1280))
    for one, other in zip(seen, seen_large, strict=True):
        assert masks.area(other.visible[1]) == pytest.approx(4 * masks.area(one.visible[1]), rel=0.02)


def test_openvino_makes_the_product_that_the_peak_is_measured_by():
    pytest.importorskip("openvino", reason="needs pip install 'samodal[openvino]'")
    x, w = torch.randn(8, 16), torch.randn(4, 16)
    torch.testing.assert_close(torch.from_numpy(bench.openvino_product(x, w)()[0].copy()), x @ w.T)
