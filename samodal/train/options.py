"""How a model is trained: the options of `samodal train`, with their defaults."""

from dataclasses import dataclass
from typing import Literal


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
    mask_prompt: float = 0.0
    """Share of the steps that show the visible masks as mask prompts beside the points."""
    box_prompt: float = 0.0
    """Share of the steps that show the box of the visible mask instead of the points."""
    crop: float = 0.6
    """Share of the frames of which only a part is shown, enlarged."""

    steps: int = 5000
    """Optimiser steps."""
    batch: int = 2
    """Frames a step."""
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
