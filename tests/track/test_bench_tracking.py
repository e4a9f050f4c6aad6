import cotracker_golden as golden
from benchmark_modules import load_benchmark

tracking = load_benchmark("bench_tracking")


def test_work_of_all_ways_of_tracking():
    bench = tracking.Bench((32, 32), gap=10, bf16=False)
    golden.shallow(bench.model)
    way = {"reference": bench.reference(10, 5, every_call=False)}
    way |= {"exact": bench.exact(10, 5), "joint": bench.joint(10, 5)}
    work = {name: (cost.frames, cost.windows) for name, cost in way.items()}
    assert work == {"reference": (920, 130), "exact": (11, 50), "joint": (11, 2)}
