"""Devices, processes and loader workers: everything that the loop needs and that is not about learning."""

import os
from datetime import timedelta

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import (
    DataLoaderConfiguration,
    DistributedDataParallelKwargs,
    InitProcessGroupKwargs,
)
from torch.utils.data import DataLoader, Subset

from samodal.train.samples import FrameSamples, collate
from samodal.train.stop import leave_signals_to_the_parent


def make_accelerator() -> Accelerator:
    """What runs the loop on one device or many."""
    torch.backends.cudnn.allow_tf32 = False  # fp32 is meant where it is said
    return Accelerator(
        dataloader_config=DataLoaderConfiguration(split_batches=True, non_blocking=True),
        kwargs_handlers=[
            # A step shows some kinds of prompts and not others: some weights are not part of it.
            DistributedDataParallelKwargs(find_unused_parameters=True),
            # The others wait while the first process validates.
            InitProcessGroupKwargs(timeout=timedelta(hours=2)),
        ],
    )


def make_loader(accelerator: Accelerator, samples: FrameSamples, first: int) -> DataLoader:
    """The batches from the sample `first` on, of which every process gets its share."""
    workers = samples.options.workers
    if workers is None:
        workers = min(8, max(0, (os.cpu_count() or 1) // accelerator.num_processes - 1))
    loader: DataLoader = DataLoader(
        Subset(samples, range(first, len(samples))),
        samples.options.batch,
        num_workers=workers,
        collate_fn=collate,
        worker_init_fn=prepare_worker,
        pin_memory=accelerator.device.type == "cuda",
    )
    return accelerator.prepare(loader)


def prepare_worker(_: int) -> None:
    """A worker is one process among several: threads of its own would only wait for each other."""
    leave_signals_to_the_parent()
    cv2.setNumThreads(0)


def step_seed(seed: int, step: int, process: int) -> int:
    """Seed of the random numbers that are drawn on the device in a step, such as those of dropout."""
    return int(np.random.default_rng([seed, step, process]).integers(2**62))
