"""The training loop, in the open: step, validate, save, and go on where a run was cut off."""

import contextlib
import math
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from accelerate import Accelerator
from torch import nn

from samodal.data.clip import Clip
from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.sam.adapters import is_adapter
from samodal.train import checkpoint
from samodal.train.cache import EmbeddingCache, embed, is_frozen, open_cache
from samodal.train.log import Averages, RunLog
from samodal.train.losses import batch_loss, prompt_counts
from samodal.train.optimisers import make_optimiser
from samodal.train.options import TrainOptions
from samodal.train.plan import plan
from samodal.train.processes import make_accelerator, make_loader, step_seed
from samodal.train.samples import FrameSamples, Sample, parts_of, seen_instances
from samodal.train.schedules import learning_rate
from samodal.train.stop import noting_signals, refuse_broken, refuse_to_go_on, told_to_stop
from samodal.train.validate import chosen_frames, mean_ious, pictures


def train(
    model: AmodalSam,
    clips: Sequence[Clip],
    validation: Sequence[Clip],
    out: str | Path,
    options: TrainOptions,
    resume: bool = False,
) -> dict[str, float]:
    """Train `model` in place; write `last/`, `best/` (model folders) and `log.jsonl` to `out`.

    A run that is cut off and resumed gives the same weights as one that was not, on a CPU to the last bit: samples,
    learning rate and random numbers follow from the step, and the optimiser's state is saved with the weights. Several
    processes (`accelerate launch`, `torchrun`) share each batch; the first one validates and writes.

    Returns:
        The best validation scores; empty in all processes but the first.

    Raises:
        InputError: `out` holds a run already and `resume` is False; or nothing to resume; or other options, model
            or clips than before; or nothing to see in the clips; or a batch that the processes cannot share.
        StoppedError: SIGTERM or SIGINT came, the state is saved; or a loss was not finite.
    """
    out, options = Path(out), options.fitted_to(model.config.prompt_kinds)
    if not clips:
        raise InputError("no clips to train on")
    if not any(seen_instances(clip, i) for _, clip, i in chosen_frames(validation, options)):
        raise InputError("validation clips: no instance is seen in any of the frames to validate on")
    accelerator = make_accelerator()
    if options.batch % (accelerator.num_processes * options.accumulate):
        raise InputError(
            f"batch {options.batch}: cannot be shared evenly by {accelerator.num_processes} processes"
            + (f" in {options.accumulate} parts each" if options.accumulate > 1 else "")
        )
    samples = FrameSamples(clips, model.image_size, options)
    options = samples.options
    _refuse_mixed_sizes(clips, options)
    choose_trainable(model, options)
    model.vision_encoder.checkpointing = options.checkpointing
    optimiser = make_optimiser(model, options)
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            made_of = checkpoint.identity(model, clips, validation, options)
            checkpoint.prepare(out, made_of, resume)
        state = checkpoint.load(out / "last", model, optimiser) if resume else {}
    step, best = state.get("step", 0), state.get("best", {})
    averages = Averages(accelerator)
    if state:
        averages.load(state["averages"])
    wrapped, optimiser = accelerator.prepare(model, optimiser)
    cache, about_cache = open_cache(model, options)
    samples.embeddings = cache
    loader = make_loader(accelerator, samples, step * options.batch)
    log = None
    if accelerator.is_main_process:
        log = RunLog(out, step, options.tensorboard)
        workers = loader.num_workers
        print(
            plan(model, clips, options, step, accelerator.num_processes, workers, [about_cache]), flush=True
        )

    def save_last() -> None:
        so_far = averages.state()  # of all processes
        if accelerator.is_main_process:
            rest = {"step": step, "best": best, "averages": so_far, "optimiser": optimiser.state_dict()}
            checkpoint.save(out / "last", model, rest)

    model.train()
    began, saved = time.monotonic(), step
    with noting_signals() as request:
        for batch in loader:
            for group in optimiser.param_groups:
                group["lr"] = learning_rate(step, options)
            learn_from(batch, step, accelerator, model, wrapped, options, cache, averages)
            limit = options.clip_norm or math.inf
            averages.end_step(step, accelerator.clip_grad_norm_(wrapped.parameters(), limit))
            optimiser.step()
            optimiser.zero_grad()
            step += 1

            stopped = told_to_stop(request, accelerator, step)
            logs = step % options.log_every == 0 or step == options.steps
            validates = step % options.validate_every == 0 or step == options.steps
            saves = validates or stopped or (options.save_every and step % options.save_every == 0)
            if logs or saves:
                refuse_broken(averages.broken_step(), samples, out, saved)
            if logs:
                means = averages.take()
                if log:
                    rate = learning_rate(step - 1, options)
                    log.write({"step": step, **means, "lr": rate, "seconds": time.monotonic() - began})
            if validates and log:
                scores = mean_ious(model, validation, options)
                log.write({"step": step, **scores})
                if options.tensorboard:
                    log.show(step, pictures(model, validation, options))
                if scores["iou"] > best.get("iou", -1):
                    best = {"step": step, **scores}
                    checkpoint.save(out / "best", model)
                model.train()
            if saves:
                save_last()
                saved = step
            if stopped and step < options.steps:
                refuse_to_go_on(stopped, out, step, options.steps)
    accelerator.wait_for_everyone()
    return best


def _refuse_mixed_sizes(clips: Sequence[Clip], options: TrainOptions) -> None:
    sizes = sorted({clip.video.size for clip in clips})
    if options.loss_size == "frame" and options.batch > 1 and len(sizes) > 1:
        raise InputError(
            f"loss_size frame: frames of different sizes ({sizes[0]} and {sizes[1]}) cannot be in one batch; "
            "choose batch 1 or loss_size low-res"
        )


def learn_from(
    batch: Sample,
    step: int,
    accelerator: Accelerator,
    model: AmodalSam,
    wrapped: nn.Module,
    options: TrainOptions,
    cache: EmbeddingCache | None,
    averages: Averages,
) -> None:
    """Forward and backward pass of a process's share of a batch, part by part: gradients are there afterwards.

    Args:
        wrapped: `model` as accelerate prepared it, which adds up the gradients of all processes.
        averages: gets the losses.
    """
    # Drawn anew in every step, so that there is no state of it to keep.
    torch.manual_seed(step_seed(options.seed, step, accelerator.process_index))
    counts = prompt_counts(batch["target"], batch["visible"], batch["valid"])
    counts = accelerator.reduce(counts, "mean")  # the mean over the processes, as of the gradients
    parts = parts_of(batch, options.accumulate)
    for part in parts:
        # Processes exchange their gradients once, with the last part.
        with contextlib.nullcontext() if part is parts[-1] else accelerator.no_sync(wrapped):
            with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=options.dtype == "bf16"):
                image = shown_image(model, part, cache)
                logits, predicted_iou = wrapped(**image, **prompt_of_step(part, step, options))
            losses = batch_loss(
                logits[:, :, 0], predicted_iou[:, :, 0], part, model.image_size, options, counts
            )
            accelerator.backward(losses["loss"])
        averages.add(losses)


def shown_image(model: AmodalSam, part: Sample, cache: EmbeddingCache | None) -> dict[str, torch.Tensor]:
    """What the model gets of the frames: their pixels, or embeddings where its encoder does not learn."""
    if is_frozen(model):
        return {"embeddings": embed(model, part, cache)}
    return {"pixels": torch.stack(part["pixels"])}


def prompt_of_step(batch: Sample, step: int, options: TrainOptions) -> dict[str, torch.Tensor]:
    """What the model is shown in a step: any of points (one or more), boxes and mask prompts, at least one of them."""
    rng = np.random.default_rng([options.seed, step])
    count = int(rng.integers(1, options.max_points + 1))
    use_box, use_mask = rng.random(2) < (options.box_prompt or 0, options.mask_prompt or 0)
    use_points = not use_box if options.point_prompt is None else rng.random() < options.point_prompt
    if not (use_points or use_box or use_mask):  # the likeliest of them
        shares = (options.point_prompt or 0, options.box_prompt or 0, options.mask_prompt or 0)
        use_points, use_box, use_mask = (place == int(np.argmax(shares)) for place in range(3))
    shown = {}
    if use_points:
        points = batch["points"][:, :, :count]
        shown = {"points": points, "labels": torch.ones_like(points[..., 0], dtype=torch.long)}
    if use_box:
        shown["boxes"] = batch["boxes"]
    if use_mask:
        shown["mask_prompts"] = batch["mask_prompts"]
    return shown


def choose_trainable(model: AmodalSam, options: TrainOptions) -> None:
    """Set `requires_grad`: everything; or only the decoder, the mask prompts and the adapters; or the decoder alone.

    The matrix that makes phases of positions is a constant and never learns.

    In the original the adapters are left out of the optimiser and never learn: that is "decoder".
    """
    for name, parameter in model.named_parameters():
        learns = name.startswith("mask_decoder.")
        if options.train == "adapter":
            learns = learns or is_adapter(name)
            learns = learns or (bool(options.mask_prompt) and name.startswith("prompt_encoder.mask_embed."))
        constant = name.startswith("shared_image_embedding.")
        parameter.requires_grad_((learns or options.train == "all") and not constant)
