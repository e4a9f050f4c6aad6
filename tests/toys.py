"""Small things that several tests share: a toy clip with a true occlusion, and the smallest SAM."""

import numpy as np

from samodal import masks
from samodal.data.clip import Clip, Instance
from samodal.video import Video


def toy_clip(seed: int = 0, frames: int = 6, size: tuple[int, int] = (48, 64), name: str = "toy") -> Clip:
    """A dark square (id 2) passes in front of a bright one (id 1) on a textured ground."""
    rng = np.random.default_rng(seed)
    ground = rng.integers(60, 120, (*size, 3), dtype=np.uint8)
    images, truth = [], []
    for index in range(frames):
        back, front = np.zeros(size, bool), np.zeros(size, bool)
        back[15:33, 20:40] = True
        left = 4 + 7 * index
        front[10:40, left : left + 16] = True
        image = ground.copy()
        image[back], image[front] = (220, 200, 60), (20, 20, 90)
        images.append(image)
        seen = back & ~front
        truth.append(
            [
                Instance(1, 26, masks.encode(back), masks.encode(seen) if seen.any() else None),
                *([Instance(2, 27, masks.encode(front), masks.encode(front))] if front.any() else []),
            ]
        )
    return Clip(name, Video.from_frames(images, name=name), truth.__getitem__)
