"""The training loop, in the open: plan, step, validate, save, and go on where a run was cut off."""

import json
import math
import shutil
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, Subset

from samodal.data.clip import Clip
from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.sam.adapters import is_adapter
from samodal.train.losses import mask_loss
from samodal.train.options import TrainOptions
from samodal.train.samples import FrameSamples
from samodal.train.validate import mean_ious


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
    from the step, and the optimiser's state is saved with the weights.

    Returns:
        The best validation scores.

    Raises:
        InputError: `out` holds a run already and `resume` is False; or nothing to resume; or other options.
    """
    out = Path(out)
    accelerator = Accelerator(mixed_precision="bf16" if options.dtype == "bf16" else "no")
    choose_trainable(model, options)
    optimiser = torch.optim.AdamW(_groups(model, options.weight_decay), lr=options.lr)
    step, best = _resume(out, model, optimiser, options) if resume else _start(out, options)
    samples = FrameSamples(clips, model.image_size, options)
    rest = Subset(samples, range(step * options.batch, len(samples)))
    # A worker is one process among several: threads of its own would only wait for each other.
    loader = DataLoader(
        rest, options.batch, num_workers=options.workers, worker_init_fn=lambda _: cv2.setNumThreads(0)
    )
    model, optimiser, loader = accelerator.prepare(model, optimiser, loader)
    if accelerator.is_main_process:
        print(plan(accelerator.unwrap_model(model), options, len(clips), step), flush=True)

    model.train()
    began, averages = time.monotonic(), _Averages()
    for batch in loader:
        for group in optimiser.param_groups:
            group["lr"] = learning_rate(step, options)
        logits, predicted_iou = model(batch["pixels"], **prompt_of_step(batch, step, options))
        parts = mask_loss(
            logits[:, :, 0].float(),
            predicted_iou[:, :, 0].float(),
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
            _log(
                out, {"step": step, **averages.take(), "lr": learning_rate(step, options), "seconds": seconds}
            )
        if step % options.validate_every == 0 or step == options.steps:
            plain = accelerator.unwrap_model(model)
            scores = mean_ious(plain, validation, options)
            _log(out, {"step": step, **scores})
            if scores["iou"] > best.get("iou", -1):
                best = {"step": step, **scores}
                _save(out / "best", plain)
            _save(out / "last", plain, {"step": step, "best": best, "optimiser": optimiser.state_dict()})
            model.train()
    return best


def prompt_of_step(
    batch: dict[str, torch.Tensor], step: int, options: TrainOptions
) -> dict[str, torch.Tensor]:
    """What the model is shown in a step: points (one or more) or boxes, and the mask prompts or not."""
    rng = np.random.default_rng([options.seed, step])
    count = int(rng.integers(1, options.max_points + 1))
    use_box, use_mask = rng.random(2) < (options.box_prompt, options.mask_prompt)
    if use_box:
        shown = {"boxes": batch["boxes"]}
    else:
        points = batch["points"][:, :, :count]
        shown = {"points": points, "labels": torch.ones_like(points[..., 0], dtype=torch.long)}
    if use_mask:
        shown["mask_prompts"] = batch["mask_prompts"]
    return shown


def choose_trainable(model: AmodalSam, options: TrainOptions) -> None:
    """Set `requires_grad`: everything, or only the decoder, the mask prompts and the adapters.

    In the original the adapters are left out of the optimiser and never learn.
    """
    for name, parameter in model.named_parameters():
        learns = name.startswith("mask_decoder.") or is_adapter(name)
        if options.mask_prompt > 0:
            learns = learns or name.startswith("prompt_encoder.mask_embed.")
        parameter.requires_grad_(learns or options.train == "all")


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


def _start(out: Path, options: TrainOptions) -> tuple[int, dict[str, float]]:
    if (out / "log.jsonl").exists():
        raise InputError(f"{out}: holds a training run already; go on with --resume, or choose another --out")
    out.mkdir(parents=True, exist_ok=True)
    (out / "options.json").write_text(json.dumps(asdict(options), indent=1) + "\n")
    return 0, {}


def _resume(
    out: Path, model: AmodalSam, optimiser: torch.optim.Optimizer, options: TrainOptions
) -> tuple[int, dict[str, float]]:
    try:
        saved_options = json.loads((out / "options.json").read_text())
    except FileNotFoundError:
        raise InputError(f"{out}: no training run to resume; start one without --resume") from None
    if saved_options != json.loads(json.dumps(asdict(options))):
        raise InputError(f"{out}/options.json: other options than now; resume with the same ones")
    last, old = out / "last", out / ".last.old"
    if not last.exists() and old.exists():  # cut off between the two renames of _save
        old.rename(last)
    if not last.exists():  # cut off before the first checkpoint
        _forget_after(out, 0)
        return 0, {}
    saved = torch.load(last / "training.pt", weights_only=True, map_location="cpu")
    model.load_state_dict(AmodalSam.from_pretrained(last).state_dict())
    optimiser.load_state_dict(saved["optimiser"])
    _forget_after(out, saved["step"])
    return saved["step"], saved["best"]


def _forget_after(out: Path, step: int) -> None:
    """Drop the log lines of steps that will be done again."""
    log = out / "log.jsonl"
    if log.exists():
        lines = [line for line in log.read_text().splitlines() if json.loads(line)["step"] <= step]
        log.write_text("".join(line + "\n" for line in lines))


def _save(folder: Path, model: AmodalSam, state: dict[str, Any] | None = None) -> None:
    """Write a model folder beside the old one, then take its place: a cut run always leaves a whole one."""
    temporary, old = folder.with_name(f".{folder.name}.new"), folder.with_name(f".{folder.name}.old")
    for leftover in (temporary, old):
        shutil.rmtree(leftover, ignore_errors=True)
    model.save_pretrained(temporary)
    if state is not None:
        torch.save(state, temporary / "training.pt")
    if folder.exists():
        folder.rename(old)
    temporary.rename(folder)
    shutil.rmtree(old, ignore_errors=True)


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
