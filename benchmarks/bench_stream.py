"""A stream of ten minutes at 30 frames a second: memory and time per frame from its beginning to its end.

A clip of the procedural world runs in a loop; every time its instances have new ids, so that old ones vanish for ever.
SAM is replaced by the truth: what it costs does not matter here, what the rest keeps does.

    python benchmarks/bench_stream.py                          # 18,000 frames; minutes
    python benchmarks/bench_stream.py --look-ahead 10
    python benchmarks/bench_stream.py --tracker lucas-kanade                   # with the rule of the original
    python benchmarks/bench_stream.py --tracker cotracker --frames 1800        # a cut network with random weights
"""

import argparse
import gc
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch

from samodal import masks
from samodal.data.clip import Clip
from samodal.data.synthetic import make_clip
from samodal.each_frame import StreamFrame
from samodal.pipeline import AmodalVideoSegmenter, RecoverMode
from samodal.sam.answers import Decoded
from samodal.sam.config import sam_config
from samodal.track import PointTracker
from samodal.track.cotracker import CoTracker, CoTrackerV1
from samodal.track.lucas_kanade import LucasKanade

SEED = 700_004  # of the clip


def main() -> None:
    """Run, and print a line now and then."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=18_000)
    parser.add_argument("--clip", type=int, default=120, help="frames of the clip that runs in a loop")
    parser.add_argument("--size", type=int, nargs=2, default=(180, 320), help="height and width")
    parser.add_argument("--look-ahead", type=int, default=0)
    parser.add_argument("--tracker", choices=TRACKERS, default="motion")
    parser.add_argument("--lines", type=int, default=12)
    args = parser.parse_args()

    clip = make_clip(SEED, args.clip, tuple(args.size))
    model = Truth()
    tracker, recover = TRACKERS[args.tracker]
    segmenter = AmodalVideoSegmenter(model, tracker(), recover)  # type: ignore[arg-type]
    results = segmenter.stream(looped(clip, args.frames, model), look_ahead=args.look_ahead)
    times, every, hidden = [], max(1, args.frames // args.lines), 0
    print("   frame  RSS MB  ms/frame median  95 %    max  instances  hidden so far")
    start = time.perf_counter()
    for count, result in enumerate(results, 1):
        times.append(time.perf_counter() - start)
        states = [instance.state for instance in result.instances.values()]
        hidden += states.count("hidden")
        if count % every == 0 or count == 1:
            median, high, most = 1000 * np.quantile(times, [0.5, 0.95, 1.0])
            print(
                f"{count:8d} {resident():7.1f} {median:16.1f} {high:5.1f} {most:6.1f} {len(states):10d} {hidden:14d}",
                flush=True,
            )
            times.clear()
        start = time.perf_counter()


def cut_cotracker() -> CoTracker:
    """All that CoTracker v1 keeps but for the size of its features, at a fraction of the work."""
    torch.manual_seed(0)
    network = CoTrackerV1().requires_grad_(False)
    network.updateformer.time_blocks = network.updateformer.time_blocks[:1]
    network.updateformer.space_blocks = network.updateformer.space_blocks[:1]
    return CoTracker(network, size=(32, 48), grid=1, iterations=1)


TRACKERS: dict[str, tuple[Callable[[], str | PointTracker], RecoverMode]] = {
    "motion": (lambda: "motion", "two-sided"),
    "lucas-kanade": (LucasKanade, "reference"),
    "cotracker": (cut_cotracker, "two-sided"),
}


class Truth:
    """In the place of a SAM: knows the amodal masks of the frame that is being worked on."""

    device = torch.device("cpu")
    engine = None
    image_size = 64
    config = sam_config(64, 32, 2, 2, (1,), window=2, decoder_width=32, decoder_mlp=32)
    amodal = np.zeros((0, 1, 1), bool)

    def eval(self) -> "Truth":
        """As of a module."""
        return self

    def encode_batch(self, frames: list[np.ndarray], together: int) -> list[None]:
        """Nothing to encode."""
        return [None] * len(frames)

    def decode(self, *_: object, **__: object) -> Decoded:
        """The true masks, whatever was asked."""
        found = torch.from_numpy(self.amodal)
        return Decoded(found, torch.zeros(len(found), 1, 1, 1), torch.full((len(found), 1), 0.9))


def looped(clip: Clip, frames: int, model: Truth) -> Iterator[StreamFrame]:
    """The clip, again and again, with new ids every time; on the way the model is told the truth."""
    for count in range(frames):
        rounds, index = divmod(count, len(clip))
        shown = [one for one in clip.instances(index) if one.visible is not None and one.amodal is not None]
        model.amodal = np.array([masks.decode(one.amodal) for one in shown], bool)
        yield clip.video[index], {1000 * rounds + one.track_id: one.visible for one in shown}


def resident() -> float:
    """Memory of this process now, in MB; where the system does not say, the most so far."""
    gc.collect()
    statm = Path("/proc/self/statm")
    if statm.exists():
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (2**20 if sys.platform == "darwin" else 2**10)


if __name__ == "__main__":
    main()
