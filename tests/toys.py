"""Small things that several tests share: a toy clip with a true occlusion, and the smallest SAM."""

import zlib

import numpy as np
import torch

from samodal import masks
from samodal.data.clip import Clip, Instance
from samodal.sam import AmodalSam
from samodal.sam.config import sam_config
from samodal.stream import FrameResult
from samodal.video import Video, VideoTracks


def toy_clip(seed: int = 0, frames: int = 6, hidden: bool = False, name: str = "toy") -> Clip:
    """A dark square (id 2) passes in front of a bright one (id 1) on a textured ground, 48 x 64.

    With `hidden` it is large enough to hide the bright one completely for some frames.
    """
    size, width = (48, 64), 28 if hidden else 16
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 120, (*size, 3), dtype=np.uint8)
    images, truth = [], []
    for index in range(frames):
        back, front = np.zeros(size, bool), np.zeros(size, bool)
        back[15:33, 24:40] = True
        left = round(-20 + 84 * index / max(1, frames - 1)) if hidden else 4 + 7 * index
        front[10:40, max(0, left) : max(0, left + width)] = True
        image = ground.copy()
        image[back], image[front] = (220, 200, 60), (20, 20, 90)
        images.append(image)
        seen = back & ~front
        instances = [Instance(1, 26, masks.encode(back), masks.encode(seen) if seen.any() else None)]
        if front.any():
            instances.append(Instance(2, 27, masks.encode(front), masks.encode(front)))
        truth.append(instances)
    return Clip(name, Video.from_frames(images, name=name), truth.__getitem__)


def tiny_sam(adapter: str = "sam-adapter", decoder_layers: int = 1) -> AmodalSam:
    """One block of each kind; published decoders have two layers, of which the first is the simpler one."""
    config = sam_config(64, 32, 2, 2, (1,), window=2, decoder_width=32, decoder_mlp=32, adapter=adapter)
    config.mask_decoder_config.num_hidden_layers = decoder_layers
    return AmodalSam(config, seed=0)


def golden_weight(name: str, shape: tuple[int, ...] | list[int], scale: float) -> torch.Tensor:
    """The weight recipe of the goldens (shared/golden/README.md)."""
    noise = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape).astype(np.float32)
    if name.endswith("positional_encoding_gaussian_matrix"):
        value = noise
    elif name.endswith("weight") and len(shape) == 1:
        value = 1 + np.float32(0.1) * noise
    else:
        value = noise * np.float32(scale)
    return torch.from_numpy(np.asarray(value))


def told(results: list[FrameResult]) -> list[dict]:
    """What a stream says of every frame, comparable."""
    return [
        {
            track_id: (i.amodal, i.state, i.score, i.reason, None if i.points is None else i.points.tolist())
            for track_id, i in result.instances.items()
        }
        for result in results
    ]


def rows(tracks: VideoTracks) -> list[dict]:
    """The same of tracks."""
    return [
        {
            t.track_id: (
                t.amodal[k],
                t.states[k],
                t.scores[k],
                t.reasons[k],
                None if t.points[k] is None else t.points[k].tolist(),  # type: ignore[union-attr]
            )
            for t in tracks
            if t.states[k] != "absent"
        }
        for k in range(tracks.num_frames)
    ]
