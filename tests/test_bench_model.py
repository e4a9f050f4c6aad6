import importlib.util
from pathlib import Path

import pytest

BENCHMARK = Path(__file__).parents[1] / "benchmarks" / "bench_model.py"


@pytest.mark.skipif(not BENCHMARK.exists(), reason="benchmarks/ is only in the repository")
def test_a_model_gets_a_row_for_each_mode(monkeypatch, capsys):
    spec = importlib.util.spec_from_file_location("bench_model", BENCHMARK)
    bench = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(bench)
    monkeypatch.setattr(bench, "FRAMES", 4)
    arguments = "samodal-nano --clips 1 --backend torch --dtype fp32"
    monkeypatch.setattr("sys.argv", ["bench_model.py", *arguments.split()])
    bench.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [row[:2] for row in rows] == [["samodal-nano", "none"], ["samodal-nano", "two-sided"]]
    full = [float(row[2]) for row in rows]
    assert 0.5 < full[0] <= 1
    assert full[1] > full[0] - 0.05
