"""What does it cost to follow hidden instances with CoTracker v1: samodal against the original's way of calling it.

The original (S-AModal) calls the tracker anew for every hidden frame of every instance, with a clip of all frames from
the last sighting up to that frame, forwards and then backwards, and encodes all frames each time. Both ways run the
same network here, with random weights, one instance being one point and its support grid:

- reference: clips of 2, 3, ... G + 1 frames, times the instances. The original fills clips up to 8, 12, 16, ...
  frames and encodes what it fills them with, so that clips between have the same cost: each such length is run once
  and counted as often as it comes up (`--all` runs every call instead, which takes hours).
- exact: one stream; the same numbers (tests/track/test_cotracker_streaming.py).
- joint: one call for all instances.

Time is the processor time of one thread; with other work on the machine it is steadier than the clock's.

    python benchmarks/bench_tracking.py                       # 384 x 512, as in the paper; about 8 minutes
    python benchmarks/bench_tracking.py --size 96x128
"""

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from samodal.track.cotracker import CoTracker, CoTrackerV1
from samodal.track.cotracker.v1 import WINDOW
from samodal.track.cotracker.windows import STEP
from samodal.track.interface import RecentFrames
from samodal.track.testing import moving_video

REQUIRED = {(10, 1): 10, (20, 1): 15, (10, 5): 20, (20, 5): 30}  # times cheaper, of exact
REQUIRED_JOINT = 70  # with 5 instances


@dataclass
class Cost:
    """Frames encoded, windows computed (one an instance), seconds of processor time."""

    frames: int = 0
    windows: int = 0
    seconds: float = 0.0

    def __add__(self, other: "Cost") -> "Cost":
        return Cost(self.frames + other.frames, self.windows + other.windows, self.seconds + other.seconds)

    def __mul__(self, times: int) -> "Cost":
        return Cost(times * self.frames, times * self.windows, times * self.seconds)


class Bench:
    """All ways of tracking, with one network and one video."""

    def __init__(self, size: tuple[int, int], gap: int, bf16: bool) -> None:
        torch.manual_seed(0)
        self.model = CoTrackerV1().eval().requires_grad_(False)
        if bf16:
            self.model.fnet.to(torch.bfloat16)
        self.size = size
        self.video = list(moving_video(gap + WINDOW, (2, 1), size))
        self._calls: dict[int, Cost] = {}

    def reference(self, gap: int, instances: int, every_call: bool) -> Cost:
        """All calls of the original for one gap."""
        total = Cost()
        for length in range(2, gap + 2):
            filled = max(WINDOW, -(-length // STEP) * STEP)
            if every_call:
                for _ in range(instances):
                    total += self._call(filled)
            else:
                if filled not in self._calls:
                    self._calls[filled] = self._call(filled)
                total += self._calls[filled] * instances
        return total

    def _call(self, length: int) -> Cost:
        """Forwards and backwards, nothing shared."""
        query, clip = np.array([[0.0, *self._points(1)[0]]]), self.video[:length]
        cost = self._forwards(clip, query)
        query[0, 0] = length - 1
        return cost + self._forwards(clip[::-1], query)

    def _forwards(self, clip: list[np.ndarray], query: np.ndarray) -> Cost:
        tracker = CoTracker(self.model, "joint", self.size)
        return measure(tracker, lambda: tracker.whole_clip(clip, query, range(len(clip)), backward=False))

    def exact(self, gap: int, instances: int) -> Cost:
        """One stream, in which all instances get hidden at once."""
        tracker = CoTracker(self.model, "exact", self.size)
        frames = RecentFrames()
        stream = tracker.stream(frames)

        def run() -> None:
            frames.push(self.video[0])
            for point in self._points(instances):
                stream.follow(0, point[None])
            for frame in self.video[1 : gap + 1]:
                frames.push(frame)
                stream.step()

        cost = measure(tracker, run)
        cost.frames = stream.encoded
        return cost

    def joint(self, gap: int, instances: int) -> Cost:
        """One call for all instances."""
        tracker = CoTracker(self.model, "joint", self.size)
        points = self._points(instances)
        queries = np.column_stack([np.zeros(instances), points])
        return measure(tracker, lambda: tracker.track(self.video[: gap + 1], queries))

    def _points(self, count: int) -> np.ndarray:
        return np.random.default_rng(1).uniform(0.1, 0.9, (count, 2)) * self.size[::-1]


def measure(tracker: CoTracker, run: Callable[[], object]) -> Cost:
    """What a run costs."""
    start = time.process_time()
    run()
    return Cost(tracker.store.encoded, tracker.windows, time.process_time() - start)


def main() -> None:
    """Measure, print a table, and fail if something costs more than it may."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--size", default="384x512", help="height x width that frames are resized to")
    parser.add_argument("--gaps", type=int, nargs="+", default=[10, 20], help="hidden frames")
    parser.add_argument("--instances", type=int, nargs="+", default=[1, 5])
    parser.add_argument("--bf16", action="store_true", help="the encoder in bfloat16, in all ways of calling")
    parser.add_argument("--all", action="store_true", help="run every single call of the reference")
    options = parser.parse_args()
    torch.set_num_threads(1)
    height, width = map(int, options.size.split("x"))
    bench = Bench((height, width), max(options.gaps), options.bf16)
    bench.joint(1, 1)  # warm up

    print(f"CoTracker v1, {height} x {width}, one thread; processor seconds (frames encoded / windows)")
    print("| gap | instances | reference | exact streaming | times cheaper | joint | times cheaper |")
    print("|---|---|---|---|---|---|---|")
    missed = []
    for instances in options.instances:
        for gap in options.gaps:
            costs = [bench.reference(gap, instances, options.all), bench.exact(gap, instances)]
            costs.append(bench.joint(gap, instances))
            told = [f"{cost.seconds:.1f} ({cost.frames} / {cost.windows})" for cost in costs]
            exact, joint = (costs[0].seconds / cost.seconds for cost in costs[1:])
            print(
                f"| {gap} | {instances} | {told[0]} | {told[1]} | {exact:.1f} | {told[2]} | {joint:.1f} |",
                flush=True,
            )
            if exact < REQUIRED.get((gap, instances), 0):
                missed.append(f"exact, gap {gap}, instances {instances}: {exact:.1f}")
            if instances >= 5 and gap >= 10 and joint < REQUIRED_JOINT:
                missed.append(f"joint, gap {gap}, instances {instances}: {joint:.1f}")
    if missed and (height, width) == (384, 512) and not options.bf16:
        raise SystemExit("less than required: " + "; ".join(missed))


if __name__ == "__main__":
    main()
