"""The training loop, in the open: plan, step, validate, save, and go on where a run was cut off."""

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from accelerate.utils import (
    DataLoaderConfiguration,
    DistributedDataParallelKwargs,
    InitProcessGroupKwargs,
)
from torch import nn
from torch.utils.data import DataLoader, Subset
from transformers.models.sam.modeling_sam import SamAttention

from samodal import files
from samodal.data.clip import Clip
from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.sam.adapters import is_adapter
from samodal.train.losses import mask_loss
from samodal.train.options import TrainOptions
from samodal.train.samples import FrameSamples, seen_instances
from samodal.train.validate import chosen_frames, mean_ious


def train(
    model: AmodalSam,
    clips: Sequence[Clip],
    validation: Sequence[Clip],
    out: str | Path,
    options: TrainOptions,
    resume: bool = False,
) -> dict[str, float]:
    """Train `model` in place; write `last/`, `best/` (model folders) and `log.jsonl` to `out`.

    A run that is cut off and resumed gives the same weights as one that was not: samples and learning rate follow
    from the step, and the optimiser's state is saved with the weights. Several processes (`accelerate launch`)
    share each batch; the first one validates and writes.

    Returns:
        The best validation scores; empty in all processes but the first.

    Raises:
        InputError: `out` holds a run already and `resume` is False; or nothing to resume; or other options, model
            or clips than before; or nothing to see in the clips; or a batch that the processes cannot share.
    """
    out, options = Path(out), options.fitted_to(model.config.prompt_kinds)
    if not clips:
        raise InputError("no clips to train on")
    if not any(seen_instances(clip, i) for _, clip, i in chosen_frames(validation, options)):
        raise InputError("validation clips: no instance is seen in any of the frames to validate on")
    accelerator = make_accelerator()
    if options.batch % accelerator.num_processes:
        raise InputError(
            f"batch {options.batch}: cannot be shared evenly by {accelerator.num_processes} processes"
        )
    choose_trainable(model, options)
    optimiser = torch.optim.AdamW(_groups(model, options.weight_decay), lr=options.lr)
    with accelerator.main_process_first():
        if accelerator.is_main_process:
            _prepare(out, _identity(model, clips, validation, options), resume)
        step, best = _load(out / "last", model, optimiser) if resume else (0, {})
    if accelerator.is_main_process:
        _forget_after(out, step)
    samples = FrameSamples(clips, model.image_size, options)
    rest = Subset(samples, range(step * options.batch, len(samples)))
    loader = DataLoader(rest, options.batch, num_workers=options.workers, worker_init_fn=one_thread_a_worker)
    if accelerator.device.type == "cpu":
        plain_attention(model.mask_decoder)
    model, optimiser, loader = accelerator.prepare(model, optimiser, loader)
    if accelerator.is_main_process:
        print(plan(accelerator.unwrap_model(model), options, len(clips), step), flush=True)

    model.train()
    began, averages = time.monotonic(), _Averages()
    for batch in loader:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, options)
        with torch.autocast(accelerator.device.type, torch.bfloat16, enabled=options.dtype == "bf16"):
            logits, predicted_iou = model(batch["pixels"], **prompt_of_step(batch, step, options))
        parts = mask_loss(
            logits[:, :, 0],
            predicted_iou[:, :, 0],
            batch["target"],
            batch["visible"],
            batch["valid"],
            hidden_weight=options.hidden_weight,
        )
        accelerator.backward(parts["loss"])
        accelerator.clip_grad_norm_(model.parameters(), options.clip_norm)
        optimiser.step()
        optimiser.zero_grad()
        step += 1
        averages.add(parts)

        if not accelerator.is_main_process:
            continue
        if step % 50 == 0:
            seconds = time.monotonic() - began
            rate = learning_rate(step - 1, options)
            _log(out, {"step": step, **averages.take(), "lr": rate, "seconds": seconds})
        if step % options.validate_every == 0 or step == options.steps:
            plain = accelerator.unwrap_model(model)
            scores = mean_ious(plain, validation, options)
            _log(out, {"step": step, **scores})
            if scores["iou"] > best.get("iou", -1):
                best = {"step": step, **scores}
                _save(out / "best", plain)
            _save(out / "last", plain, {"step": step, "best": best, "optimiser": optimiser.state_dict()})
            model.train()
    accelerator.wait_for_everyone()
    return best


def make_accelerator() -> Accelerator:
    """What runs the loop on one device or many."""
    return Accelerator(
        dataloader_config=DataLoaderConfiguration(split_batches=True),
        kwargs_handlers=[
            # A step shows some kinds of prompts and not others: some weights are not part of it.
            DistributedDataParallelKwargs(find_unused_parameters=True),
            # The others wait while the first process validates.
            InitProcessGroupKwargs(timeout=timedelta(hours=2)),
        ],
    )


def one_thread_a_worker(_: int) -> None:
    """A worker is one process among several: threads of its own would only wait for each other."""
    cv2.setNumThreads(0)


def plain_attention(decoder: nn.Module) -> None:
    """Backwards, the fused attention of a CPU takes three times as long for a handful of prompt tokens."""
    for part in decoder.modules():
        if isinstance(part, SamAttention):
            part.config._attn_implementation = "eager"


def prompt_of_step(
    batch: dict[str, torch.Tensor], step: int, options: TrainOptions
) -> dict[str, torch.Tensor]:
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
    """Set `requires_grad`: everything, or only the decoder, the mask prompts and the adapters.

    The matrix that makes phases of positions is a constant and never learns.

    In the original the adapters are left out of the optimiser and never learn.
    """
    for name, parameter in model.named_parameters():
        learns = name.startswith("mask_decoder.") or is_adapter(name)
        if options.mask_prompt:
            learns = learns or name.startswith("prompt_encoder.mask_embed.")
        constant = name.startswith("shared_image_embedding.")
        parameter.requires_grad_((learns or options.train == "all") and not constant)


def learning_rate(step: int, options: TrainOptions) -> float:
    """The learning rate in force in a step (counted from 0): linear warm-up, then a cosine down to zero."""
    if step < options.warmup:
        return options.lr * (step + 1) / options.warmup
    done = (step - options.warmup) / max(1, options.steps - options.warmup)
    return options.lr * 0.5 * (1 + math.cos(math.pi * min(1.0, done)))


def plan(model: AmodalSam, options: TrainOptions, clips: int, step: int) -> str:
    """What a run is about to do, in a few lines."""
    learning = sum(p.numel() for p in model.parameters() if p.requires_grad)
    total = sum(p.numel() for p in model.parameters())
    return (
        f"training on {options.target} masks of {clips} clips: {learning / 1e6:.2f} of {total / 1e6:.2f} M "
        f"parameters learn ({options.train}, adapter {model.config.adapter})\n"
        f"steps {step} to {options.steps}, {options.batch} frames x {options.instances} prompts a step, "
        f"lr {options.lr:g}, {options.dtype}, seed {options.seed}"
    )


def _groups(model: AmodalSam, weight_decay: float) -> list[dict[str, Any]]:
    learning = [p for p in model.parameters() if p.requires_grad]
    return [
        {"params": [p for p in learning if p.ndim > 1], "weight_decay": weight_decay},
        {"params": [p for p in learning if p.ndim <= 1], "weight_decay": 0.0},
    ]


def _identity(
    model: AmodalSam, clips: Sequence[Clip], validation: Sequence[Clip], options: TrainOptions
) -> dict[str, Any]:
    """What a run is made of, and must be when it is resumed, as it comes out of JSON."""
    values = {
        **{f"model.{name}": value for name, value in model.config.to_dict().items()},
        **asdict(options),
        "clips": [clip.name for clip in clips],
        "validation clips": [clip.name for clip in validation],
    }
    for changes_nothing in ("workers", "model.transformers_version"):
        values.pop(changes_nothing, None)
    return json.loads(json.dumps(values))


def _prepare(out: Path, identity: dict[str, Any], resume: bool) -> None:
    """Begin a run in `out`, or make sure that the one in it is this one, and whole."""
    known = out / "options.json"
    if not resume:
        if (out / "log.jsonl").exists():
            raise InputError(
                f"{out}: holds a training run already; go on with --resume, or choose another --out"
            )
        files.write_json(known, identity, indent=1)
        return
    if not known.exists():
        raise InputError(f"{out}: no training run to resume; start one without --resume")
    saved = files.read_json(known)
    if different := sorted(name for name in {*saved, *identity} if saved.get(name) != identity.get(name)):
        raise InputError(
            f"{known}: other options than now ({', '.join(different)}); resume with the same ones"
        )
    for name in ("last", "best"):
        folder = out / name
        _, old = _beside(folder)
        if not folder.exists() and old.exists():  # cut off between the two renames of _save
            old.rename(folder)


def _load(last: Path, model: AmodalSam, optimiser: torch.optim.Optimizer) -> tuple[int, dict[str, float]]:
    """Step and best scores of the last checkpoint, whose state `model` and `optimiser` are given."""
    if not last.exists():  # cut off before the first one
        return 0, {}
    saved = torch.load(last / "training.pt", weights_only=True, map_location="cpu")
    model.load_state_dict(AmodalSam.from_pretrained(last).state_dict())
    optimiser.load_state_dict(saved["optimiser"])
    return saved["step"], saved["best"]


def _forget_after(out: Path, step: int) -> None:
    """Drop the log lines of steps that will be done again."""
    log = out / "log.jsonl"
    if log.exists():
        lines = [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= step]
        files.write_text(log, "".join(line + "\n" for line in lines))


def _save(folder: Path, model: AmodalSam, state: dict[str, Any] | None = None) -> None:
    """Write a model folder beside the old one, then take its place: a cut run always leaves a whole one."""
    temporary, old = _beside(folder)
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(temporary)
    if state is not None:
        torch.save(state, temporary / "training.pt")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


def _beside(folder: Path) -> tuple[Path, Path]:
    """Where the new and the old content of a folder are while they are exchanged."""
    return folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")


def _log(out: Path, entry: dict[str, float]) -> None:
    entry = {name: round(float(value), 6) for name, value in entry.items()}
    with (out / "log.jsonl").open("a") as log:
        log.write(json.dumps(entry) + "\n")
    print("  ".join(f"{name} {value:g}" for name, value in entry.items()), flush=True)


class _Averages:
    """Means of the loss parts since they were last taken; no device sync before that."""

    def __init__(self) -> None:
        self.sums: dict[str, torch.Tensor] = {}
        self.count = 0

    def add(self, parts: dict[str, torch.Tensor]) -> None:
        for name, value in parts.items():
            self.sums[name] = self.sums.get(name, torch.zeros_like(value)) + value.detach()
        self.count += 1

    def take(self) -> dict[str, float]:
        means = {name: float(total) / self.count for name, total in self.sums.items()}
        self.sums, self.count = {}, 0
        return means
