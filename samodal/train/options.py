"""How a model is trained: the options of `samodal train`, with their defaults."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from samodal.errors import InputError
from samodal.prompts import STRATEGIES, load_saliency
from samodal.prompts.saliency import DEFAULT


@dataclass(frozen=True)
class TrainOptions:
    """How a model is trained. Every sample and every step follows from these, the data and the first weights."""

    target: Literal["amodal", "visible"] = "amodal"
    """Which masks are learnt; the visible ones make a SAM promptable in the first place."""
    train: Literal["adapter", "all"] = "adapter"
    """Which weights learn: adapter = mask decoder, mask prompts and adapters; all = everything."""

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
    workers: int = 1
    """Processes that make samples."""

    def __post_init__(self) -> None:
        at_least = dict.fromkeys(
            ("steps", "batch", "instances", "max_points", "validate_every", "validation_frames"), 1
        ) | dict.fromkeys(("workers", "seed", "warmup"), 0)
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise InputError(f"{name} {getattr(self, name)}: must be at least {least}")
        for name in ("mask_prompt", "box_prompt", "point_prompt", "crop"):
            share = getattr(self, name)
            if share is not None and not 0 <= share <= 1:
                raise InputError(f"{name} {share}: a share is between 0 and 1")
        if self.mask_prompt == self.box_prompt == self.point_prompt == 0:
            raise InputError("mask_prompt, box_prompt and point_prompt are 0: nothing is left to prompt with")
        if self.strategy not in STRATEGIES:
            raise InputError(f"strategy {self.strategy!r}: choose from {', '.join(STRATEGIES)}")
        if self.strategy == "saliency":
            load_saliency(self.saliency)
        if not self.lr > 0:
            raise InputError(f"lr {self.lr}: must be above 0")

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
