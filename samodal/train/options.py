"""How a model is trained: the options of `samodal train`, with their defaults."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from samodal.errors import InputError
from samodal.prompts import STRATEGIES, PromptKind, load_saliency
from samodal.prompts.saliency import DEFAULT

LossForm = Literal["per-mask", "reference"]


@dataclass(frozen=True)
class ModelOptions:
    """What becomes of the model before it is trained."""

    adapter: Literal["none", "sam-adapter", "medical-adapter", "lora"] = "none"
    """What is added to the image encoder; fresh, it changes no answer. lora needs pip install 'samodal[lora]'."""
    adapter_dim: int | None = None
    """Inner width of a fresh adapter; of lora the rank."""
    lora_alpha: float | None = None
    """Scale of a fresh lora, times 1 / rank; twice the rank if not said."""
    lora_mlp: bool = False
    """A fresh lora is put on the MLPs of the encoder, too, not on its attention only."""
    fresh_adapter: bool = False
    """Start a fresh adapter even where the checkpoint file holds weights of one."""
    prompt_kinds: tuple[PromptKind, ...] = ()
    """What the model is to be prompted with by default from now on; as before if not said."""

    def __post_init__(self) -> None:
        if self.adapter_dim is not None and self.adapter_dim < 1:
            raise InputError(f"adapter_dim {self.adapter_dim}: a width of at least 1 is expected")
        if self.lora_alpha is not None and not 0 < self.lora_alpha < math.inf:
            raise InputError(f"lora_alpha {self.lora_alpha}: a finite number above 0 is expected")


@dataclass(frozen=True)
class TrainOptions:
    """How a model is trained. Every sample and every step follows from these, the data and the first weights."""

    target: Literal["amodal", "visible"] = "amodal"
    """Which masks are learnt; the visible ones make a SAM promptable in the first place."""
    train: Literal["decoder", "adapter", "all"] = "adapter"
    """Which weights learn: decoder = mask decoder only; adapter = also mask prompts and adapters; all = everything."""

    strategy: str = "eroded-random"
    """How points are chosen in the visible mask: eroded-random, random, max-distance, max-entropy or saliency."""
    saliency: str = DEFAULT
    """Of strategy saliency: the built-in model, or package.module:function of your own (docs/saliency.md)."""
    max_points: int = 3
    """Points a prompt; a step shows the model the first one or more of them."""
    instances: int = 8
    """Prompts a frame."""
    occluded_share: float = 3.0
    """How much likelier a partly hidden instance is chosen than one that is seen whole."""
    mask_prompt: float | None = None
    """Share of the steps that show the visible masks as mask prompts; if not said, 0.7 where the model is prompted
    with masks and something else, 1 with masks alone, else 0."""
    box_prompt: float | None = None
    """Share of the steps that show the box of the visible mask; if not said, 0.5 where the model is prompted with
    boxes and points, 1 with boxes and no points, else 0."""
    point_prompt: float | None = None
    """Share of the steps that show points; if not said, 0.8 where the model is prompted with points and boxes, 0 with
    no points, else all that show no box. Each kind is drawn by itself: a step shows any of them together."""
    crop: float = 0.6
    """Share of the frames of which only a part is shown, enlarged."""
    augment: bool = True
    """Crop, mirror, change brightness and contrast; if not, frames are shown as they are."""
    order: Literal["random", "epochs"] = "random"
    """random: each sample is a frame drawn anew; epochs: each instance comes once an epoch, alone (--instances 1)."""

    steps: int = 5000
    """Optimiser steps, where the length of the run is not said in epochs."""
    epochs: int | None = None
    """Epochs, instead of --steps."""
    epoch_steps: int | None = None
    """Steps of an epoch; if not said, as many as show each frame (order epochs: each instance) once."""
    batch: int = 2
    """Frames a step, of all processes together."""

    optimiser: Literal["adamw", "adam", "galore"] = "adamw"
    """galore needs pip install 'samodal[galore]'."""
    lr: float = 3e-4
    """Highest learning rate."""
    schedule: Literal["cosine", "poly", "step", "reference"] = "cosine"
    """How the learning rate falls: cosine; poly, (1 - share done) ^ 0.9; step, cut after every few epochs; or
    reference, poly as the original's code sets it, one step late."""
    warmup: int = 200
    """Steps in which the learning rate rises linearly."""
    drop_every: int = 10
    """Epochs between cuts of the learning rate (step, reference)."""
    drop_factor: float = 0.1
    """What is left of the learning rate by a cut."""
    beta1: float = 0.9
    """How slowly the optimiser's mean of gradients changes."""
    beta2: float = 0.999
    """How slowly its mean of squared gradients changes."""
    weight_decay: float = 0.01
    """How much weights are pulled to zero."""
    decay: Literal["matrices", "all"] = "matrices"
    """Which weights decay: matrices, but not norms and biases; or all."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm; 0: they are left as they are."""
    galore_rank: int = 128
    """Directions of a gradient that GaLore keeps."""
    galore_every: int = 200
    """Steps after which GaLore chooses them anew."""
    galore_scale: float = 0.25
    """Share of the learning rate for weights with projected gradients."""

    loss: LossForm = "per-mask"
    """Focal loss of every pixel and dice of every mask; or as in the original's code, both over the whole batch."""
    loss_size: Literal["low-res", "frame"] = "low-res"
    """Where masks are compared: on the decoder's grid, or, as in the original's code, in the pixels of the frame."""
    focal_weight: float = 5.0
    """Weight of the focal loss beside the dice loss."""
    hidden_weight: float = 1.0
    """Weight of the dice loss on the hidden part."""
    iou_weight: float = 1.0
    """Weight of the loss that makes the predicted IoU, by which masks are ranked, true; 0: it does not learn."""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the forward and backward pass; weights stay in fp32."""

    seed: int = 0
    """Of fresh weights, samples and validation prompts."""
    validate_every: int = 500
    """Steps between validations, each with a checkpoint."""
    validation_frames: int = 60
    """Frames of a validation, spread evenly."""
    validation_points: int = 1
    """Points a prompt in a validation."""
    workers: int | None = None
    """Processes that make samples, 0 for none but this one; if not said, as many as there are free CPUs, at most 8."""

    mirror: float = 0.5
    """Share of the frames that are mirrored."""
    light: float = 1.0
    """How much brightness and contrast are changed: 0 not at all, 1 by up to a quarter."""
    cache: str = "auto"
    """Where embeddings of a frozen image encoder are kept: auto, off, or a folder. Needs crop 0 and light 0."""
    cache_gb: float = 20
    """Size of that folder; what was not used for longest is deleted first."""
    accumulate: int = 1
    """Parts in which a batch is worked on, one after the other: less memory, the same weights."""
    checkpointing: bool = False
    """Compute the blocks of the image encoder anew in the backward pass: less memory, more time."""
    log_every: int = 50
    """Steps between two lines of the log; only then, without stalls before, is it known whether a loss was finite."""
    save_every: int | None = None
    """Steps between checkpoints besides those of the validations."""
    tensorboard: bool = False
    """Write TensorBoard's files, with pictures, too; needs pip install 'samodal[tensorboard]'."""

    def __post_init__(self) -> None:
        for name, number in vars(self).items():
            if isinstance(number, float) and not math.isfinite(number):
                raise InputError(f"{name} {number}: a finite number is expected")
        at_least = dict.fromkeys(
            (
                *("steps", "epochs", "epoch_steps", "batch", "instances", "max_points", "drop_every"),
                *("galore_rank", "galore_every", "accumulate", "log_every", "save_every"),
                *("validate_every", "validation_frames", "validation_points"),
            ),
            1,
        ) | dict.fromkeys(
            (
                *("seed", "warmup", "weight_decay", "clip_norm", "workers", "light", "cache_gb"),
                *("focal_weight", "hidden_weight", "iou_weight"),
            ),
            0,
        )
        for name, least in at_least.items():
            number = getattr(self, name)
            if number is not None and not number >= least:
                raise InputError(f"{name} {number}: must be at least {least}")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise InputError(f"{name} {getattr(self, name)}: must be at least 0 and below 1")
        for name in ("mask_prompt", "box_prompt", "point_prompt", "crop", "mirror"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise InputError(f"{name} {share}: a share is between 0 and 1")
        if self.mask_prompt == self.box_prompt == self.point_prompt == 0:
            raise InputError("mask_prompt, box_prompt and point_prompt are 0: nothing is left to prompt with")
        if self.strategy not in STRATEGIES:
            raise InputError(f"strategy {self.strategy!r}: choose from {', '.join(STRATEGIES)}")
        if self.strategy == "saliency":
            load_saliency(self.saliency)
        for name in ("lr", "drop_factor", "galore_scale"):
            if not getattr(self, name) > 0:
                raise InputError(f"{name} {getattr(self, name)}: must be above 0")
        if self.order == "epochs" and self.instances != 1:
            raise InputError(
                f"order epochs shows instances one by one: instances must be 1, not {self.instances}"
            )
        if self.loss_size == "frame" and self.batch > 1 and self.augment and self.crop:
            raise InputError(
                "loss_size frame: cropped frames have different sizes and cannot be in one batch; "
                "choose batch 1, crop 0 or loss_size low-res"
            )
        if self.batch % self.accumulate:
            raise InputError(
                f"batch {self.batch}: cannot be cut into {self.accumulate} equal parts (accumulate)"
            )
        if self.accumulate > 1 and self.loss == "reference":
            raise InputError(
                "loss reference: is of the whole batch, not the sum over its parts; accumulate must be 1"
            )

    def fitted_to(self, prompt_kinds: Sequence[str]) -> "TrainOptions":
        """These options, with the shares that were not said so that the model learns what it will be prompted with."""
        points, box, mask = (kind in prompt_kinds for kind in ("points", "box", "mask"))
        mask_share = 0.0 if not mask else 0.7 if points or box else 1.0
        box_share = 0.0 if not box else 0.5 if points else 1.0
        point_share = 0.0 if not points else 0.8 if box else None
        return replace(
            self,
            mask_prompt=mask_share if self.mask_prompt is None else self.mask_prompt,
            box_prompt=box_share if self.box_prompt is None else self.box_prompt,
            point_prompt=point_share if self.point_prompt is None else self.point_prompt,
        )

    def in_steps(self, samples: int) -> "TrainOptions":
        """These options with `epoch_steps` and `steps` known, where an epoch has so many samples.

        As in the original, what is left over by the last whole batch of an epoch is not shown.

        Raises:
            InputError: an epoch has fewer samples than a batch.
        """
        counts = self.order == "epochs" or (self.epochs is not None and self.epoch_steps is None)
        if counts and 0 < samples < self.batch:
            raise InputError(f"batch {self.batch}: more than the {samples} samples of an epoch")
        epoch = self.epoch_steps or max(1, samples // self.batch)
        return replace(
            self, epoch_steps=epoch, steps=self.steps if self.epochs is None else self.epochs * epoch
        )
