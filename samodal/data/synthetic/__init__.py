"""The procedural driving world: clips with full truth, made from a seed (see `make_clip`)."""

from dataclasses import replace
from typing import Any

from samodal.data.clip import Clip, Instance
from samodal.data.synthetic.render import Seen, render_frame
from samodal.data.synthetic.town import STEP
from samodal.data.synthetic.world import PRESETS, World, build_world
from samodal.video import Video

__all__ = ["FPS", "PRESETS", "World", "build_world", "make_clip", "render_frame"]

FPS = 1 / STEP

FOLLOWED = 5
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
        it is first seen and ends at most 5 frames after it was last seen; what is too far away is scenery.
        `extra` holds per frame "camera" (see `Camera.to_json`), "depth_order" (track ids, near to far) and
        "occluders" (track id -> track id of what hides most of it, "scene", or None); "weather" and "preset".

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
    """Leave out what comes near only later, what has not been seen yet, and what is never seen again."""
    last: dict[int, int] = {}
    for frame, seen in enumerate(frames):
        last.update({one.instance.track_id: frame for one in seen if one.instance.visible is not None})
    known: set[int] = set()
    result = []
    for frame, seen in enumerate(frames):
        # A known one stays up to the limit, a new one must come a tenth nearer: no flicker at the limit.
        known |= {
            one.instance.track_id
            for one in seen
            if one.instance.visible is not None and one.distance < 0.9 * world.limits[one.instance.track_id]
        }
        rows = [
            one
            for one in seen
            if one.instance.track_id in known and frame <= last[one.instance.track_id] + FOLLOWED
        ]
        listed = {one.instance.track_id for one in rows}
        result.append(
            [one if one.occluder in {None, *listed} else replace(one, occluder="scene") for one in rows]
        )
    return result
