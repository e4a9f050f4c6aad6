"""Features of video frames: each frame is encoded once, whoever asks for it, and the memory has a bound."""

from collections import OrderedDict
from collections.abc import Iterable
from typing import Protocol

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from samodal.track.interface import Frames


class Describer(Protocol):
    """A model that makes feature pyramids."""

    def describe(self, images: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W), RGB from 0 to 255, to levels (B, h, w, C)."""

    def parameters(self) -> Iterable[Tensor]:
        """The weights."""


class FeatureStore:
    """The feature pyramids of the frames used last.

    They lie in one tensor a level, so that a window only names its slots and no map is ever copied.

    Args:
        model: makes the features.
        size: (H, W) that frames are resized to.
        align_corners: how they are resized (`torch.nn.functional.interpolate`, bilinear).
        capacity: number of frames that are kept. One call that needs more makes room for them.

    Attributes:
        levels: the pyramid, (slots, h, w, C) and smaller.
        encoded: how many frames have been encoded so far.
    """

    BATCH = 4  # frames encoded at once

    def __init__(
        self, model: Describer, size: tuple[int, int], align_corners: bool, capacity: int = 32
    ) -> None:
        self.model, self.size, self.align_corners, self.capacity = model, size, align_corners, capacity
        self.levels: list[Tensor] = []
        self.encoded = 0
        self._frames: Frames | None = None
        self._slot_of: OrderedDict[int, int] = OrderedDict()  # frame -> slot; the one used last comes last

    def slots(self, frames: Frames, wanted: Iterable[int]) -> Tensor:
        """The slots (N,) int64 of the frames `wanted` (N numbers, also repeated), encoded now where need be.

        They hold until the next call. Another object `frames` is another video: what was known is forgotten.
        """
        if frames is not self._frames:
            self._slot_of.clear()
            self._frames = frames
        wanted = list(wanted)
        unique = dict.fromkeys(wanted)
        for frame in unique:
            if frame in self._slot_of:
                self._slot_of.move_to_end(frame)
        missing = [frame for frame in unique if frame not in self._slot_of]
        for start in range(0, len(missing), self.BATCH):
            self._encode(frames, missing[start : start + self.BATCH], len(unique))
        return torch.tensor([self._slot_of[frame] for frame in wanted], device=self.device)

    @property
    def device(self) -> torch.device:
        """Where the model is."""
        return next(iter(self.model.parameters())).device

    @torch.inference_mode()
    def _encode(self, frames: Frames, numbers: list[int], needed: int) -> None:
        images = []
        for number in numbers:
            image = torch.from_numpy(np.ascontiguousarray(frames[number])).to(self.device)
            image = image.permute(2, 0, 1)[None].float()
            images.append(F.interpolate(image, self.size, mode="bilinear", align_corners=self.align_corners))
        described = self.model.describe(torch.cat(images))
        self.encoded += len(numbers)
        slots = [self._free_slot(number, needed) for number in numbers]
        self._make_room(described, max(slots) + 1, needed)
        for level, maps in zip(self.levels, described, strict=True):
            level[torch.tensor(slots, device=level.device)] = maps

    def _free_slot(self, frame: int, needed: int) -> int:
        if len(self._slot_of) < max(self.capacity, needed):
            slot = len(self._slot_of)
        else:
            _, slot = self._slot_of.popitem(last=False)
        self._slot_of[frame] = slot
        return slot

    def _make_room(self, described: list[Tensor], slots: int, needed: int) -> None:
        have = len(self.levels[0]) if self.levels else 0
        if slots <= have:
            return
        room = max(min(2 * slots, self.capacity), slots, needed)
        grown = [maps.new_empty(room, *maps.shape[1:]) for maps in described]
        for old, new in zip(self.levels, grown, strict=False):
            new[:have] = old
        self.levels = grown
