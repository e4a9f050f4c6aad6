"""How a model is trained: the options of `samodal train`, with their defaults."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from samodal.errors import InputError


@dataclass(frozen=True)
class TrainOptions:
    """How a model is trained. Every sample and every step follows from these, the data and the first weights."""

    target: Literal["amodal", "visible"] = "amodal"
    """Which masks are learnt; the visible ones make a SAM promptable in the first place."""
    train: Literal["adapter", "all"] = "adapter"
    """Which weights learn: adapter = mask decoder, mask prompts and adapters; all = everything."""

    strategy: str = "eroded-random"
    """How points are drawn from the visible mask."""
    max_points: int = 3
    """Points a prompt; a step shows the model the first one or more of them."""
    instances: int = 8
    """Prompts a frame."""
    occluded_share: float = 3.0
    """How much likelier a partly hidden instance is chosen than one that is seen whole."""
    mask_prompt: float | None = None
    """Share of the steps that show the visible masks as mask prompts beside the points; if not said, 0.7 where the
    model is prompted with masks, else 0."""
    box_prompt: float | None = None
    """Share of the steps that show the box of the visible mask instead of the points; if not said, 0.2 where the
    model is prompted with boxes, else 0."""
    crop: float = 0.6
    """Share of the frames of which only a part is shown, enlarged."""

    steps: int = 5000
    """Optimiser steps."""
    batch: int = 2
    """Frames a step, of all processes together."""
    lr: float = 3e-4
    """Highest learning rate: it rises linearly for some steps, then falls to zero along a cosine."""
    warmup: int = 200
    """Steps in which the learning rate rises."""
    weight_decay: float = 0.01
    """Of AdamW, on matrices only."""
    clip_norm: float = 1.0
    """Gradients are scaled down to this norm."""
    hidden_weight: float = 1.0
    """Weight of the loss on the hidden part."""
    dtype: Literal["fp32", "bf16"] = "fp32"
    """Arithmetic of the forward and backward pass; weights stay in fp32."""

    seed: int = 0
    """Of fresh weights, samples and validation prompts."""
    validate_every: int = 500
    """Steps between validations, each with a checkpoint."""
    validation_frames: int = 60
    """Frames of a validation, spread evenly."""
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
    save_every: int | None = None
    """Steps between checkpoints besides those of the validations."""
    tensorboard: bool = False
    """Write TensorBoard's files, with pictures, too; needs pip install 'samodal[tensorboard]'."""

    def __post_init__(self) -> None:
        at_least = dict.fromkeys(
            ("steps", "batch", "instances", "max_points", "validate_every", "validation_frames"), 1
        ) | dict.fromkeys(("seed", "warmup"), 0)
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} {getattr(self, name)}: must be at least {least}")
        for name in ("mask_prompt", "box_prompt", "crop", "mirror"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise InputError(f"{name} {share}: a share is between 0 and 1")
        if not self.lr > 0:
            raise InputError(f"lr {self.lr}: must be above 0")
        if self.accumulate < 1 or self.batch % self.accumulate:
            raise InputError(
                f"batch {self.batch}: cannot be cut into {self.accumulate} equal parts (accumulate)"
            )
        if self.workers is not None and self.workers < 0:
            raise InputError(f"workers {self.workers}: must be at least 0")
        if self.save_every is not None and self.save_every < 1:
            raise InputError(f"save_every {self.save_every}: must be at least 1")
        for name in ("light", "cache_gb"):
            if getattr(self, name) < 0:
                raise InputError(f"{name} {getattr(self, name):g}: must not be negative")

    def fitted_to(self, prompt_kinds: Sequence[str]) -> "TrainOptions":
        """These options, with the shares that were not said so that the model learns what it will be prompted with."""
        mask = 0.7 if "mask" in prompt_kinds else 0.0
        box = 0.2 if "box" in prompt_kinds else 0.0
        return replace(
            self,
            mask_prompt=mask if self.mask_prompt is None else self.mask_prompt,
            box_prompt=box if self.box_prompt is None else self.box_prompt,
        )
