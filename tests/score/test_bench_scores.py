import importlib.util
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_scores.py"


@pytest.mark.skipif(not BENCHMARK.exists(), reason="benchmarks/ is only in the repository")
def test_as_the_plain_way_to_the_last_bit():
    spec = importlib.util.spec_from_file_location("bench_scores", BENCHMARK)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    rows = bench.compare(
        videos=3, frames=4, instances=9, size=(135, 240), rounds=1
    )  # raises where they differ
    assert [row["score"] for row in rows] == ["video AP", "image AP"]
    assert all(0.05 < row["ap"] < 0.95 for row in rows)
