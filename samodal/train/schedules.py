"""The learning rate in force in every step: pure functions of the step.

A schedule gives the share of `TrainOptions.lr` in a step, counted from 0. The rate is set *before* the step; the
original sets it after, so that the first step takes the full rate and every later one the rate of the step before
(`reference`).
"""

import math

from samodal.train.options import TrainOptions


def learning_rate(step: int, options: TrainOptions) -> float:
    """The learning rate in force in a step. `options` know their steps: see `TrainOptions.in_steps`."""
    schedules = {"cosine": cosine, "poly": poly, "step": stepwise, "reference": reference}
    return options.lr * schedules[options.schedule](step, options)


def cosine(step: int, options: TrainOptions) -> float:
    """Linear warm-up, then half a cosine down to zero."""
    if step < options.warmup:
        return (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def poly(step: int, options: TrainOptions) -> float:
    """Linear warm-up, then (1 - steps since / all steps) ^ 0.9, as in AutoSAM and S-AModal: never quite zero."""
    if step < options.warmup:
        return (step + 1) / options.warmup
    return max(0.0, 1 - (step - options.warmup) / options.steps) ** 0.9


def stepwise(step: int, options: TrainOptions) -> float:
    """Linear warm-up, then constant, cut by `drop_factor` after every `drop_every` epochs."""
    if step < options.warmup:
        return (step + 1) / options.warmup
    return options.drop_factor ** (step // _steps_between_drops(options))


def reference(step: int, options: TrainOptions) -> float:
    """What the original's code does (sam_finetune.py), with its faults.

    Without warm-up: `stepwise`. With it: the first step takes the full rate, every other one what `poly` gives for
    the step before; the cut after `drop_every` epochs lasts for one step, then `poly` overwrites it.
    """
    if options.warmup == 0:
        return stepwise(step, options)
    if step == 0:
        return 1.0
    cut = options.drop_factor if step % _steps_between_drops(options) == 0 else 1.0
    return cut * poly(step - 1, options)


def _steps_between_drops(options: TrainOptions) -> int:
    return options.drop_every * (options.epoch_steps or options.steps)
