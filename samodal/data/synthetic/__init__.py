"""The procedural driving world: clips with full truth, made from a seed (see `make_clip`)."""

from typing import Any

import numpy as np

from samodal.data.clip import Clip, Instance
from samodal.data.synthetic.render import Seen, render_frame
from samodal.data.synthetic.world import FPS, PRESETS, World, build_world
from samodal.video import Video

__all__ = ["FPS", "PRESETS", "World", "build_world", "make_clip", "render_frame"]

SMALL = 240.0
"""Pixels, at 640 x 360, that an instance must be worth at the far limit of its class and size."""


FOLLOWED = 10
"""Frames after it was last seen for which a hidden instance stays in the truth."""


def make_clip(seed: int, frames: int = 40, size: tuple[int, int] = (360, 640), preset: str = "easy") -> Clip:
    """Make a clip of the procedural driving world.

    Args:
        seed: everything in the clip follows from it; other seeds are other places, things, lights and ways.
        frames: length, at 10 frames a second.
        size: (H, W); the horizontal field of view does not depend on it.
        preset: "easy", or "hard" (other looks, denser traffic, longer gaps; kept for testing).

    Returns:
        The clip. Categories are those of Cityscapes (24 person, 25 rider, 26 car, 27 truck, 28 bus,
        32 motorcycle, 33 bicycle). Amodal masks end at the image border. A track begins in the frame in which
        it is first seen and ends at most 10 frames after it was last seen; what is too far away is scenery.
        `extra` holds per frame "camera" (see `Camera.to_json`), "depth_order" (track ids, near to far) and
        "occluders" (track id -> track id of what hides most of it, "scene", or None); and "weather", "preset".

    Raises:
        ValueError: unknown preset, no frames or no pixels.
    """
    if frames < 1 or min(size) < 1:
        raise ValueError(f"a clip of {frames} frames of {size[0]} x {size[1]} pixels: all must be at least 1")
    world = build_world(seed, frames, preset)
    rendered = [render_frame(world, frame, size) for frame in range(frames)]
    kept = _listed(world, [seen for _, seen in rendered])
    truth: list[list[Instance]] = [[one.instance for one in seen] for seen in kept]
    extra: dict[str, Any] = {
        "camera": [world.camera(frame, size).to_json() for frame in range(frames)],
        "depth_order": [[one.instance.track_id for one in seen] for seen in kept],
        "occluders": [{one.instance.track_id: one.occluder for one in seen} for seen in kept],
        "weather": world.weather.name,
        "preset": preset,
    }
    name = f"{preset}-{seed:06d}"
    video = Video.from_frames([image for image, _ in rendered], FPS, name)
    return Clip(name, video, truth.__getitem__, extra)


def _listed(world: World, frames: list[list[Seen]]) -> list[list[Seen]]:
    """Leave out what is too far, what has not been seen yet, and what is never seen again."""
    limits = _far_limits(world)
    last: dict[int, int] = {}
    for frame, seen in enumerate(frames):
        last.update({one.instance.track_id: frame for one in seen if one.instance.visible is not None})
    known: set[int] = set()
    result = []
    for frame, seen in enumerate(frames):
        rows = []
        for one in seen:
            number = one.instance.track_id
            # Once known, it has to be a tenth farther away to be left out again: no flicker at the limit.
            if one.distance > limits[number] * (1.1 if number in known else 1.0):
                continue
            if one.instance.visible is not None:
                known.add(number)
            if number in known and frame <= last[number] + FOLLOWED:
                rows.append(one)
        result.append(rows)
    return result


def _far_limits(world: World) -> dict[int, float]:
    """Distance in metres at which each track would cover `SMALL` pixels in an image 640 pixels wide."""
    focal = 320 / np.tan(world.fov / 2)
    limits = {}
    for solid in world.solids:
        model = solid.model
        area = 0.7 * model.height * np.sqrt(model.length * model.width)
        limits.update(dict.fromkeys(solid.track_ids, float(focal * np.sqrt(area / SMALL))))
    return limits
