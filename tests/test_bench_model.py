from benchmark_modules import load_benchmark

bench = load_benchmark("bench_model")


def test_a_model_gets_a_row_for_each_mode(monkeypatch, capsys):
    monkeypatch.setattr(bench, "FRAMES", 4)
    arguments = "samodal-nano --clips 1 --backend torch --dtype fp32"
    monkeypatch.setattr("sys.argv", ["bench_model.py", *arguments.split()])
    bench.main()
    rows = [line.strip("| ").split(" | ") for line in capsys.readouterr().out.splitlines()[-2:]]
    assert [row[:2] for row in rows] == [["samodal-nano", "none"], ["samodal-nano", "two-sided"]]
    full = [float(row[2]) for row in rows]
    assert 0.5 < full[0] <= 1
    assert full[1] > full[0] - 0.05
