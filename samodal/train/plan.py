"""What a run is about to do: what learns, from how much, how long, and in how much memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd.graph import saved_tensors_hooks

from samodal.data.clip import Clip
from samodal.sam import AmodalSam
from samodal.sam.adapters import is_adapter
from samodal.sam.images import Size
from samodal.train.cache import is_frozen
from samodal.train.losses import batch_loss
from samodal.train.options import TrainOptions
from samodal.train.samples import seen_instances, usable_frames

PARTS = {
    "vision_encoder": "image encoder",
    "prompt_encoder": "prompt encoder",
    "mask_decoder": "mask decoder",
    "shared_image_embedding": "positions",
}
LOOKED_AT = 40
"""Frames of which the instances are counted; to read all of a large set would take minutes."""


def plan(
    model: AmodalSam,
    clips: Sequence[Clip],
    options: TrainOptions,
    step: int,
    processes: int,
    workers: int,
    notes: Sequence[str],
) -> str:
    """The plan of a run that begins at `step`, in a few lines."""
    frames = sum(len(known) for known in usable_frames(clips, options))
    samples = options.steps * options.batch
    epochs = options.steps / (options.epoch_steps or frames / options.batch)
    lines = [
        f"plan: {options.target} masks from {len(clips)} clips with {frames} frames, about "
        f"{instances_a_frame(clips, options):.1f} instances each",
        f"  steps {step} to {options.steps} of {options.batch} frames, at most {options.instances} prompts each: "
        f"{samples} samples, {epochs:.1f} epochs",
        *(f"  {line}" for line in what_learns(model)),
        f"  {options.optimiser}, learning rate {options.lr:g}, schedule {options.schedule}, {options.warmup} steps "
        "of warm-up",
        f"  {options.dtype}, seed {options.seed}, {processes} process{'es' * (processes > 1)}, "
        f"{workers} loader workers each, batch in {options.accumulate} parts",
        *(f"  {note}" for note in notes),
        f"  {memory(model, options, processes, clips[0].video.size)}",
    ]
    return "\n".join(lines)


def what_learns(model: AmodalSam) -> list[str]:
    """A line for each part of the model: how many of its parameters learn."""
    learning: dict[str, int] = {}
    total: dict[str, int] = {}
    for name, parameter in model.named_parameters():
        part = "adapter" if is_adapter(name) else PARTS[name.split(".")[0]]
        total[part] = total.get(part, 0) + parameter.numel()
        learning[part] = learning.get(part, 0) + parameter.numel() * parameter.requires_grad
    total["all"], learning["all"] = sum(total.values()), sum(learning.values())
    return [f"{part}: {learning[part]:,} of {total[part]:,} parameters learn" for part in total]


def instances_a_frame(clips: Sequence[Clip], options: TrainOptions) -> float:
    """Mean number of instances that are seen in a frame, from some frames, spread evenly."""
    places = [
        (clip, frame)
        for clip, known in zip(clips, usable_frames(clips, options), strict=True)
        for frame in known
    ]
    chosen = np.linspace(0, len(places) - 1, min(LOOKED_AT, len(places))).astype(int)
    return float(np.mean([len(seen_instances(*places[index])) for index in chosen]))


def memory(model: AmodalSam, options: TrainOptions, processes: int, size: Size) -> str:
    """Memory of a process and what it is made of, for frames of this size (H, W).

    Activations are counted, not guessed: a pass through the same model without numbers (torch's fake tensors) notes
    every tensor that the backward pass would need. On top comes what no one can count beforehand: the program itself,
    temporaries, and what the allocator holds back. Measured on a CPU with samodal-nano, batches of 4 frames: 0.2 to
    0.6 GB more than said, where 0.4 to 1.1 GB were said.
    """
    weights = sum(p.numel() * p.element_size() for p in model.parameters())
    gradients = sum(p.numel() * p.element_size() for p in model.parameters() if p.requires_grad)
    frames = options.batch // processes // options.accumulate
    activations = saved_bytes(model, frames, options, size)
    total = weights + 3 * gradients + activations
    return (
        f"memory: at least {total / 1e9:.2f} GB a process = weights {weights / 1e9:.2f} + gradients "
        f"{gradients / 1e9:.2f} + optimiser {2 * gradients / 1e9:.2f} + activations of {frames} frames "
        f"{activations / 1e9:.2f}, beside program and temporaries"
    )


def saved_bytes(model: AmodalSam, frames: int, options: TrainOptions, size: Size) -> int:
    """Bytes that the backward pass needs of a forward pass of `frames` frames with all their prompts.

    Of the prompts of a training the dearest, with masks, counts where it is ever shown. `size` is that of the frames,
    (H, W), which counts where masks are compared at it.
    """
    side, cells, count = model.image_size, model.image_size // 4, options.instances
    found: dict[int, torch.UntypedStorage] = {}

    def note(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()
        found[storage._cdata] = storage  # held on to, so that no other one gets its number
        return tensor

    with FakeTensorMode() as fake, torch.device(model.device):
        weights: dict[str, Any] = {
            name: fake.from_tensor(weight) for name, weight in model.named_parameters()
        }
        if is_frozen(model):
            vision = model.config.vision_config
            grid = side // vision.patch_size
            shown: dict[str, Any] = {"embeddings": torch.empty(frames, vision.output_channels, grid, grid)}
        else:
            shown = {"pixels": torch.empty(frames, 3, side, side)}
        shown["points"] = torch.empty(frames, count, options.max_points, 2)
        shown["labels"] = torch.ones(frames, count, options.max_points, dtype=torch.long)
        if options.mask_prompt:
            shown["mask_prompts"] = torch.empty(frames, count, cells, cells)
        compared = size if options.loss_size == "frame" else (cells, cells)
        masks = torch.empty(frames, count, *compared)
        batch = {"target": masks, "visible": masks, "valid": torch.ones(frames, count, dtype=torch.bool)}
        with saved_tensors_hooks(note, lambda tensor: tensor):
            with torch.autocast(model.device.type, torch.bfloat16, enabled=options.dtype == "bf16"):
                logits, iou = torch.func.functional_call(model, weights, (), shown, tie_weights=False)
            batch_loss(logits[:, :, 0], iou[:, :, 0], batch, side, options)
        for weight in weights.values():
            found.pop(weight.untyped_storage()._cdata, None)
    return sum(storage.nbytes() for storage in found.values())
