"""What SAM 2 and SAM 3 have in common: a session that is shown a video frame by frame and says who is who itself."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.models.auto.image_processing_auto import get_image_processor_config

from samodal import masks
from samodal.masks import Rle
from samodal.video import Track, Video, VideoTracks
from samodal.vis.by_image import OWN, without_overlaps
from samodal.vis.categories import category_ids


@dataclass
class Followed:
    """One instance: the name of its class, its score, and its visible masks by frame."""

    category: str
    score: float
    masks: dict[int, Rle] = field(default_factory=dict)


class Pixels:
    """What a SAM is shown of an image: squeezed to a square and normalised as its checkpoint says.

    Args:
        name: the checkpoint, a Hugging Face id or folder.
        side: of the square.
        mean: of the colours, where the checkpoint does not say; (R, G, B) in [0, 1].
        std: likewise.
    """

    def __init__(self, name: str, side: int, mean: Sequence[float], std: Sequence[float]) -> None:
        said = get_image_processor_config(name)
        self.side = side
        self.mean = torch.tensor(said.get("image_mean") or list(mean)).view(3, 1, 1)
        self.std = torch.tensor(said.get("image_std") or list(std)).view(3, 1, 1)

    def __call__(self, image: np.ndarray, device: torch.device) -> Tensor:
        """Uint8 (H, W, 3) RGB -> float (3, side, side)."""
        colours = torch.from_numpy(image).to(device).permute(2, 0, 1).float() / 255
        small = F.interpolate(colours[None], (self.side, self.side), mode="bilinear", antialias=True)[0]
        return (small - self.mean.to(device)) / self.std.to(device)


def begin_session(session_class: Any, video: Video, device: torch.device) -> Any:
    """A session without frames that knows how many will come, as it would if it had been given all of them."""
    height, width = video.size
    devices = dict.fromkeys(("inference_device", "inference_state_device", "video_storage_device"), device)
    session = session_class(video_height=height, video_width=width, dtype=torch.float32, **devices)
    session.processed_frames = dict.fromkeys(range(len(video)))
    return session


def end_frame(session: Any, frame: int, config: Any) -> None:
    """Forget what no later frame looks at, so that memory grows with the instances, not with the video.

    Args:
        session: of SAM 2, or of SAM 3.
        frame: that has been worked on; frames come in order.
        config: of the model that follows.
    """
    session.processed_frames[frame] = None
    oldest = frame - max(config.num_maskmem, config.max_object_pointers_in_encoder)
    for known in session.output_dict_per_obj.values():
        known["non_cond_frame_outputs"].pop(oldest, None)
        for outputs in known.values():
            if frame in outputs:
                outputs[frame].pop("high_res_masks", None)


def to_image(logits: Tensor, size: tuple[int, int]) -> np.ndarray:
    """Mask logits (N, h, w) of the square -> bool (N, H, W) of the image."""
    return (F.interpolate(logits[:, None].float(), size, mode="bilinear")[:, 0] > 0).cpu().numpy()


def to_tracks(followed: Sequence[Followed], video: Video, classes: Sequence[str]) -> VideoTracks:
    """Tracks without overlaps, in order of their first frame; an instance that was followed twice is one."""
    once: list[Followed] = []
    for one in sorted(followed, key=lambda one: -one.score):
        if one.masks and not any(_same(one, better) for better in once):
            once.append(one)
    visible: list[list[Rle | None]] = [[None] * len(video) for _ in once]
    for frame in range(len(video)):
        shown = [n for n, one in enumerate(once) if frame in one.masks]
        arrays = [masks.decode(once[n].masks[frame]) for n in shown]
        for place, own in without_overlaps(arrays, [once[n].score for n in shown]).items():
            visible[shown[place]][frame] = masks.encode(own)
    ids = category_ids([*classes, *(one.category for one in once)])
    order = sorted((n for n in range(len(once)) if any(visible[n])), key=lambda n: min(once[n].masks))
    return VideoTracks(
        video.size,
        len(video),
        [
            Track(number, ids[once[n].category], once[n].score, visible[n])
            for number, n in enumerate(order, 1)
        ],
    )


def _same(one: Followed, other: Followed) -> bool:
    """Most of one lies in the other, over all frames."""
    shared = one.masks.keys() & other.masks.keys()
    common = sum(masks.area(masks.intersection([one.masks[f], other.masks[f]])) for f in shared)
    return common > OWN * sum(map(masks.area, one.masks.values()))
