"""Training samples: one frame, some of its instances, their prompts and target masks.

A sample is a function of (seed, index) alone. Nothing has to be stored to go on where a run was cut off, and the
number of loader workers changes nothing.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

import numpy as np
import torch
from torch.utils.data import Dataset

from samodal import masks
from samodal.data.clip import Clip, Instance, amodal_frames
from samodal.errors import InputError
from samodal.prompts import corners, mask_prompts, points_of_frame
from samodal.sam.images import Size, coverage, resize_frame, resized_size, to_pixels
from samodal.train.cache import EmbeddingCache, key_of
from samodal.train.options import TrainOptions

MIN_VISIBLE_PIXELS = 12
BLIND_STRATEGIES = ("eroded-random", "random", "max-distance")
"""Ways to draw points that look at the mask alone; for all others the frame is read."""

Sample = dict[str, Any]


class FrameSamples(Dataset[Sample]):
    """Samples 0, 1, 2, ... drawn from the frames of some clips.

    Each is a dict, with S the model's image size, h = S / 4 and N = `options.instances`: "pixels" (3, S, S)
    normalised, and with a cache "key", the frame's name there, and "embedding" (C, g, g) in place of the pixels
    where the cache has it; "points" (N, P, 2) xy and "boxes" (N, 4) x0, y0, x1, y1 of the visible masks, in input
    pixels; "mask_prompts" (N, h, h) logits; "target" and "visible" (N, h, h) in [0, 1], with `loss_size` frame
    (N, H, W) in pixels of the frame; "valid" (N,) bool, False for padding. `options` know how many steps there are
    (`TrainOptions.in_steps`).
    """

    def __init__(
        self,
        clips: Sequence[Clip],
        image_size: int,
        options: TrainOptions,
        embeddings: EmbeddingCache | None = None,
    ):
        self.clips, self.image_size, self.embeddings = clips, image_size, embeddings
        self.frames = usable_frames(clips, options)
        self.usable = [index for index, frames in enumerate(self.frames) if len(frames)]
        self.every = every_instance(clips, self.frames) if options.order == "epochs" else []
        self.options = options.in_steps(len(self.every) or sum(map(len, self.frames)))
        self.keys: dict[tuple[int, int, bool], str] = {}

    def __len__(self) -> int:
        return self.options.steps * self.options.batch

    def __getitem__(self, index: int) -> Sample:
        return self.draw(index)[2]

    def draw(self, index: int) -> tuple[Clip, int, Sample]:
        """Clip, frame and content of a sample."""
        rng = np.random.default_rng([self.options.seed, index])
        for _ in range(1000):  # a frame in which nothing is seen teaches nothing: draw another
            place, frame, seen = self.shuffled(index) if self.every else self.drawn(rng)
            if seen:
                clip = self.clips[place]
                view = View.draw(clip.video.size, self.options, rng)
                image = cache(lambda clip=clip, frame=frame, view=view: view.of_image(clip.video[frame]))
                prompts = draw_prompts(image, seen, view, self.image_size, self.options, rng)
                if prompts is not None:
                    return clip, frame, prompts | self._input((place, frame, view.mirrored), image)
        raise InputError("training clips: no instance is seen in any of 1000 frames that were drawn")

    def drawn(self, rng: np.random.Generator) -> tuple[int, int, list[Instance]]:
        """Number of the clip and frame, any of all, and the instances that are seen in it."""
        place = self.usable[int(rng.integers(len(self.usable)))]
        clip, frames = self.clips[place], self.frames[place]
        frame = frames[int(rng.integers(len(frames)))]
        return place, frame, seen_instances(clip, frame)

    def shuffled(self, index: int) -> tuple[int, int, list[Instance]]:
        """One instance, such that an epoch has each once; what does not fill its last batch is left out."""
        batch = self.options.batch
        epoch, number = divmod(index, len(self.every) // batch * batch)
        order = epoch_order(self.options.seed, epoch, len(self.every))
        place, frame, track_id = self.every[order[number]]
        return place, frame, [one for one in self.clips[place].instances(frame) if one.track_id == track_id]

    def _input(self, place: tuple[int, int, bool], image: Callable[[], np.ndarray]) -> Sample:
        """What the model is shown: the frame, or what its frozen encoder once made of it.

        A frame whose key is known from before is not even read.
        """

        def resized() -> np.ndarray:
            return resize_frame(image(), self.image_size)

        if self.embeddings is None:
            return {"pixels": to_pixels(resized(), self.image_size)}
        if place not in self.keys:
            self.keys[place] = key_of(resized())
        key = self.keys[place]
        embedding = self.embeddings.get(key)
        if embedding is None:
            return {"key": key, "pixels": to_pixels(resized(), self.image_size)}
        return {"key": key, "embedding": embedding}


@lru_cache(maxsize=2)  # the epoch that is drawn from, and the one before while batches overlap
def epoch_order(seed: int, epoch: int, count: int) -> np.ndarray:
    """In which order an epoch shows `count` instances."""
    return np.random.default_rng([seed, epoch]).permutation(count)


def every_instance(clips: Sequence[Clip], frames: Sequence[Sequence[int]]) -> list[tuple[int, int, int]]:
    """Every instance of which enough is seen: number of the clip, frame, track id."""
    return [
        (place, frame, instance.track_id)
        for place, clip in enumerate(clips)
        for frame in frames[place]
        for instance in seen_instances(clip, frame)
        if masks.area(instance.visible) >= MIN_VISIBLE_PIXELS
    ]


def collate(samples: Sequence[Sample]) -> Sample:
    """Put samples together: lists of what the model is shown, and stacked prompts without needless padding."""
    shown = {name: [sample.get(name) for sample in samples] for name in ("pixels", "embedding", "key")}
    most = max(int(sample["valid"].sum()) for sample in samples)
    prompts = [name for name in samples[0] if name not in shown]
    return shown | {name: torch.stack([sample[name][:most] for sample in samples]) for name in prompts}


def parts_of(batch: Sample, count: int) -> list[Sample]:
    """Cut a batch into `count` parts of the same number of frames."""
    size = len(batch["key"]) // count
    return [
        {name: value[part * size : (part + 1) * size] for name, value in batch.items()}
        for part in range(count)
    ]


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


def draw_prompts(
    image: Callable[[], np.ndarray],
    seen: list[Instance],
    view: "View",
    image_size: int,
    options: TrainOptions,
    rng: np.random.Generator,
) -> Sample | None:
    """Prompts and targets of a sample, or None if the part of the frame that was drawn shows no instance.

    Args:
        image: gives the frame, uint8 (H, W, 3), as `view` shows it.
        seen: the instances that are seen in it.
        view: the part of the frame that is shown.
        image_size: of the model.
        options: of the training.
        rng: where the randomness comes from.
    """
    visible = np.stack([masks.decode(instance.visible) for instance in seen if instance.visible])
    target = view.of_masks(target_masks(seen, visible, options))
    visible = view.of_masks(visible)
    shown = visible.sum((1, 2)) >= MIN_VISIBLE_PIXELS
    if not shown.any():
        return None
    visible, target = visible[shown], target[shown]

    occluded = (target & ~visible).sum((1, 2)) > 0.05 * target.sum((1, 2))
    weight = np.where(occluded, options.occluded_share, 1.0)
    count = min(options.instances, len(visible))
    chosen = rng.choice(len(visible), size=count, replace=False, p=weight / weight.sum())

    size = visible.shape[1:]
    scale = np.array(resized_size(size, image_size))[::-1] / np.array(size[::-1])
    frame = None if options.strategy in BLIND_STRATEGIES else image()
    points = points_of_frame(
        visible[chosen], options.strategy, options.max_points, [rng] * count, frame, options.saliency
    )
    boxes = [corners(visible[i]) * np.tile(scale, 2) for i in chosen]
    cells = coverage(visible, image_size)

    def padded(values: Sequence[np.ndarray] | np.ndarray) -> torch.Tensor:
        array = np.asarray(values, np.float32)
        rest = np.zeros((options.instances - count, *array.shape[1:]), np.float32)
        return torch.from_numpy(np.concatenate([array, rest]))

    def at_loss_size(chosen: np.ndarray) -> np.ndarray:
        return chosen if options.loss_size == "frame" else coverage(chosen, image_size)

    return {
        "points": padded(points * scale),
        "boxes": padded(boxes),
        "mask_prompts": padded(mask_prompts(cells)[chosen]),
        "target": padded(at_loss_size(target[chosen])),
        "visible": padded(at_loss_size(visible[chosen])),
        "valid": torch.arange(options.instances) < count,
    }


@dataclass(frozen=True)
class View:
    """How a frame is shown in a sample: a part of it, mirrored or not, brighter or darker."""

    rows: slice
    columns: slice
    mirrored: bool
    gain: float
    offset: float

    @staticmethod
    def draw(size: Size, options: TrainOptions, rng: np.random.Generator) -> "View":
        """A view of a frame of this size (H, W)."""
        rows, columns = slice(0, size[0]), slice(0, size[1])
        if not options.augment:
            return View(rows, columns, False, 1, 0)
        if rng.random() < options.crop:
            height, width = size
            h = int(height * rng.uniform(0.5, 1))
            w = int(np.clip(h * rng.uniform(1, 1.8), 1, width))
            top, left = int(rng.integers(height - h + 1)), int(rng.integers(width - w + 1))
            rows, columns = slice(top, top + h), slice(left, left + w)
        mirrored = bool(rng.random() < options.mirror)
        gain, offset = rng.uniform(0.8, 1.25) ** options.light, rng.uniform(-20, 20) * options.light
        return View(rows, columns, mirrored, gain, offset)

    def of_masks(self, found: np.ndarray) -> np.ndarray:
        """Masks (N, H, W) of the whole frame as they are in the view."""
        found = found[:, self.rows, self.columns]
        return found[..., ::-1] if self.mirrored else found

    def of_image(self, image: np.ndarray) -> np.ndarray:
        """The view of a frame, uint8 (H, W, 3)."""
        image = image[self.rows, self.columns]
        image = image[:, ::-1] if self.mirrored else image
        if (self.gain, self.offset) != (1, 0):
            image = image * np.float32(self.gain) + np.float32(self.offset)
            image = np.clip(image, 0, 255).astype(np.uint8)
        return np.ascontiguousarray(image)
