import importlib.util
import sys
from pathlib import Path

import cotracker_golden as golden
import pytest

BENCHMARK = Path(__file__).parents[2] / "benchmarks" / "bench_tracking.py"


@pytest.mark.skipif(not BENCHMARK.exists(), reason="benchmarks/ is only in the repository")
def test_work_of_all_ways_of_tracking():
    spec = importlib.util.spec_from_file_location("bench_tracking", BENCHMARK)
    module = sys.modules["bench_tracking"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    bench = module.Bench((32, 32), gap=10, bf16=False)
    golden.shallow(bench.model)
    way = {"reference": bench.reference(10, 5, every_call=False)}
    way |= {"exact": bench.exact(10, 5), "joint": bench.joint(10, 5)}
    work = {name: (cost.frames, cost.windows) for name, cost in way.items()}
    assert work == {"reference": (920, 130), "exact": (11, 50), "joint": (11, 2)}
