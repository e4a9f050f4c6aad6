from benchmark_modules import load_benchmark

bench = load_benchmark("bench_scores")


def test_as_the_plain_way_to_the_last_bit():
    rows = bench.compare(
        videos=3, frames=4, instances=9, size=(135, 240), rounds=1
    )  # raises where they differ
    assert [row["score"] for row in rows] == ["video AP", "image AP"]
    assert all(0.05 < row["ap"] < 0.95 for row in rows)
