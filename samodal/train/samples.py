"""Training samples: one frame, some of its instances, their prompts and target masks.

A sample is a function of (seed, index) alone. Nothing has to be stored to go on where a run was cut off, and the
number of loader workers changes nothing.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from samodal import masks
from samodal.data.clip import Clip, Instance, amodal_frames
from samodal.errors import InputError
from samodal.prompts import corners, mask_prompts, points_of_frame
from samodal.sam.images import coverage, resize_frame, resized_size, to_pixels
from samodal.train.options import TrainOptions


class FrameSamples(Dataset[dict[str, torch.Tensor]]):
    """Samples 0, 1, 2, ... drawn from the frames of some clips.

    Each is a dict of tensors, with S the model's image size, h = S / 4 and N = `options.instances`:
    "pixels" (3, S, S) normalised; "points" (N, P, 2) xy and "boxes" (N, 4) x0, y0, x1, y1 of the visible masks, in
    input pixels; "mask_prompts" (N, h, h) logits; "target" and "visible" (N, h, h) in [0, 1]; "valid" (N,) bool,
    False for padding.
    """

    def __init__(self, clips: Sequence[Clip], image_size: int, options: TrainOptions):
        self.clips, self.image_size, self.options = clips, image_size, options
        self.frames = usable_frames(clips, options)
        self.usable = [index for index, frames in enumerate(self.frames) if len(frames)]

    def __len__(self) -> int:
        return self.options.steps * self.options.batch

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        rng = np.random.default_rng([self.options.seed, index])
        for _ in range(1000):  # a frame in which nothing is seen teaches nothing: draw another
            place = self.usable[int(rng.integers(len(self.usable)))]
            clip, frames = self.clips[place], self.frames[place]
            frame = frames[int(rng.integers(len(frames)))]
            if seen := seen_instances(clip, frame):
                sample = make_sample(clip.video[frame], seen, self.image_size, self.options, rng)
                if sample is not None:
                    return sample
        raise InputError("training clips: no instance is seen in any of 1000 frames that were drawn")


def usable_frames(clips: Sequence[Clip], options: TrainOptions) -> list[Sequence[int]]:
    """For every clip the frames whose target masks are known.

    Raises:
        InputError: full masks are wanted and the data set has none.
    """
    return amodal_frames(clips) if options.target == "amodal" else [range(len(clip)) for clip in clips]


def seen_instances(clip: Clip, frame: int) -> list[Instance]:
    """The instances of which at least a pixel is seen."""
    return [instance for instance in clip.instances(frame) if masks.area(instance.visible) > 0]


def target_masks(seen: Sequence[Instance], visible: np.ndarray, options: TrainOptions) -> np.ndarray:
    """What is to be learnt, bool (N, H, W): the full masks of instances of a usable frame, or their visible ones."""
    if options.target != "amodal":
        return visible
    return np.stack([masks.decode(instance.amodal) for instance in seen if instance.amodal])


def make_sample(
    image: np.ndarray, seen: list[Instance], image_size: int, options: TrainOptions, rng: np.random.Generator
) -> dict[str, torch.Tensor] | None:
    """One sample from a frame, or None if the part of the frame that was drawn shows no instance."""
    visible = np.stack([masks.decode(instance.visible) for instance in seen if instance.visible])
    target = target_masks(seen, visible, options)
    image, visible, target = _augment(image, visible, target, options.crop, rng)
    shown = visible.sum((1, 2)) >= MIN_VISIBLE_PIXELS
    if not shown.any():
        return None
    visible, target = visible[shown], target[shown]

    occluded = (target & ~visible).sum((1, 2)) > 0.05 * target.sum((1, 2))
    weight = np.where(occluded, options.occluded_share, 1.0)
    count = min(options.instances, len(visible))
    chosen = rng.choice(len(visible), size=count, replace=False, p=weight / weight.sum())

    scale = np.array(resized_size(image.shape[:2], image_size))[::-1] / np.array(image.shape[1::-1])
    points = points_of_frame(
        visible[chosen], options.strategy, options.max_points, [rng] * count, image, options.saliency
    )
    boxes = [corners(visible[i]) * np.tile(scale, 2) for i in chosen]
    cells = coverage(visible, image_size)

    def padded(values: Sequence[np.ndarray] | np.ndarray) -> torch.Tensor:
        array = np.asarray(values, np.float32)
        rest = np.zeros((options.instances - count, *array.shape[1:]), np.float32)
        return torch.from_numpy(np.concatenate([array, rest]))

    return {
        "pixels": to_pixels(resize_frame(image, image_size), image_size),
        "points": padded(points * scale),
        "boxes": padded(boxes),
        "mask_prompts": padded(mask_prompts(cells)[chosen]),
        "target": padded(coverage(target[chosen], image_size)),
        "visible": padded(cells[chosen]),
        "valid": torch.arange(options.instances) < count,
    }


MIN_VISIBLE_PIXELS = 12


def _augment(
    image: np.ndarray, visible: np.ndarray, target: np.ndarray, crop: float, rng: np.random.Generator
) -> Any:
    """Mirror, cut out a part, change brightness and contrast. All arrays keep a common height and width."""
    if rng.random() < crop:
        height, width = image.shape[:2]
        h = int(height * rng.uniform(0.5, 1))
        w = int(np.clip(h * rng.uniform(1, 1.8), 1, width))
        top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
        rows, columns = slice(top, top + h), slice(left, left + w)
        image, visible, target = image[rows, columns], visible[:, rows, columns], target[:, rows, columns]
    if rng.random() < 0.5:
        image, visible, target = image[:, ::-1], visible[..., ::-1], target[..., ::-1]
    gain, offset = rng.uniform(0.8, 1.25), rng.uniform(-20, 20)
    image = np.clip(image * np.float32(gain) + np.float32(offset), 0, 255).astype(np.uint8)
    return np.ascontiguousarray(image), visible, target
