"""What a training costs: with and without the cache of embeddings, and all instances of a frame together or one by one.

Seconds are of the CPU, on one thread and without loader workers, so that nothing else on the machine counts; medians.
Equal losses and gradients, or an error.

    python benchmarks/bench_train.py                    # samodal-nano's size and SAM ViT-B's, about 3 minutes
    python benchmarks/bench_train.py --sizes nano
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from samodal.data import open_dataset
from samodal.data.clip import Clip
from samodal.data.synth import write_synthetic
from samodal.sam import AmodalSam
from samodal.sam.config import nano_config, vit_config
from samodal.train.cache import EmbeddingCache, encoder_name
from samodal.train.log import Averages
from samodal.train.loop import choose_trainable, learn_from
from samodal.train.optimisers import make_optimiser
from samodal.train.options import TrainOptions
from samodal.train.processes import make_accelerator
from samodal.train.samples import FrameSamples, Sample, collate

SIZES = {"nano": (nano_config, 20), "vit_b": (lambda: vit_config("vit_b"), 1)}
"""Name -> configuration (random weights: they cost the same), and steps of two frames in an epoch."""


def main() -> None:
    """Parse, make the data, compare."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    arguments.add_argument("--instances", type=int, default=8)
    arguments.add_argument("--rounds", type=int, default=3, help="of what takes seconds only")
    chosen = arguments.parse_args()
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as folder:
        write_synthetic(folder, {"train": range(4)}, frames=10, size=(360, 640), preset="easy")
        clips = list(open_dataset("asd", folder, "train"))
        for size in chosen.sizes:
            config, steps = SIZES[size]
            options = TrainOptions(
                instances=chosen.instances, crop=0, light=0, steps=steps, batch=2, dtype="fp32", warmup=1
            ).fitted_to(("points",))
            compare_cache(size, AmodalSam(config()), clips, options, Path(folder) / "cache", chosen.rounds)
        options = replace(options, steps=1, batch=1)
        compare_instances(AmodalSam(nano_config(adapter="sam-adapter")), clips, options, chosen.rounds)


# ---- The cache: an epoch with a frozen encoder --------------------------------------------------------------------


def compare_cache(
    name: str, first: AmodalSam, clips: Sequence[Clip], options: TrainOptions, folder: Path, rounds: int
) -> None:
    """Print the seconds of an epoch without a cache, while it is filled, and with it."""
    cache = EmbeddingCache(folder, encoder_name(first, "fp32"), 1e10)
    weights = {key: weight.clone() for key, weight in first.state_dict().items()}
    samples, plain = (
        FrameSamples(clips, first.image_size, options, cache),
        FrameSamples(clips, first.image_size, options),
    )

    def an_epoch(drawn: FrameSamples) -> tuple[float, list[float]]:
        first.load_state_dict(weights)
        return epoch(first, drawn, options)

    filling, losses = an_epoch(samples)
    without, with_it = [], []
    for _ in range(rounds if options.steps > 1 else 1):
        for drawn, seconds in ((plain, without), (samples, with_it)):
            taken, same = an_epoch(drawn)
            seconds.append(taken)
            assert same == losses, "the cache changed a loss"
    before, after = statistics.median(without), statistics.median(with_it)
    print(
        f"{name}: an epoch of {options.steps * options.batch} frames, at most {options.instances} instances each: "
        f"{before:.2f} s without a cache, {filling:.2f} s filling it, {after:.2f} s with it: "
        f"{before / after:.1f} times faster, same losses",
        flush=True,
    )


def epoch(model: AmodalSam, samples: FrameSamples, options: TrainOptions) -> tuple[float, list[float]]:
    """CPU seconds and losses of all steps of the options."""
    accelerator = make_accelerator()
    choose_trainable(model, options)
    optimiser = make_optimiser(model, options)
    model.train()
    losses = []
    began = time.process_time()
    for step in range(options.steps):
        batch = collate([samples[step * options.batch + number] for number in range(options.batch)])
        averages = Averages(accelerator)
        learn_from(batch, step, accelerator, model, model, options, samples.embeddings, averages)
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(averages.sums["loss"]))
    return time.process_time() - began, losses


# ---- All instances of a frame together, or one after the other ----------------------------------------------------


def compare_instances(model: AmodalSam, clips: Sequence[Clip], options: TrainOptions, rounds: int) -> None:
    """Print the seconds of a step on one frame, its instances together and one by one, encoder included."""
    samples = FrameSamples(clips, model.image_size, options)
    drawn = (collate([samples.draw(number)[2]]) for number in range(20))
    batch = max(drawn, key=lambda one: int(one["valid"].sum()))
    count = int(batch["valid"].sum())
    alone = apart(batch)
    choose_trainable(model, options)
    model.train()
    ways: dict[str, Callable[[], dict[str, torch.Tensor]]] = {
        "together": lambda: gradients(model, batch, options),
        "one by one": lambda: gradients(model, alone, replace(options, batch=count, accumulate=count)),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found = {}
    for _ in range(rounds):
        for name, way in ways.items():
            began = time.process_time()
            found[name] = way()
            seconds[name].append(time.process_time() - began)
    for key, gradient in found["together"].items():
        torch.testing.assert_close(found["one by one"][key], gradient, atol=1e-4, rtol=1e-3)
    together, single = (statistics.median(taken) for taken in seconds.values())
    print(
        f"nano with sam-adapter, a frame with {count} instances: {together:.2f} s together, {single:.2f} s one by one: "
        f"{single / together:.1f} times faster, same gradients"
    )


def gradients(model: AmodalSam, batch: Sample, options: TrainOptions) -> dict[str, torch.Tensor]:
    """The gradients of one step."""
    model.zero_grad()
    accelerator = make_accelerator()
    learn_from(batch, 0, accelerator, model, model, options, None, Averages(accelerator))
    return {name: weight.grad.clone() for name, weight in model.named_parameters() if weight.grad is not None}


def apart(batch: Sample) -> Sample:
    """A batch of one frame as a batch with that frame once for every instance."""
    chosen = np.flatnonzero(batch["valid"][0])
    return {
        name: value * len(chosen) if isinstance(value, list) else value[0, chosen][:, None]
        for name, value in batch.items()
    }


if __name__ == "__main__":
    main()
