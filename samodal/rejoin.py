"""What left under one track id and came back under another, put together again.

A segmentation that loses sight of an instance often takes it for a new one when it comes back. Then the old track goes
on as a hidden instance that is nowhere, and the new one knows nothing of what was seen before.
"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from samodal import masks
from samodal.motion import EgoMotion, HiddenInstanceModel
from samodal.motion.observation import Observation, observe
from samodal.motion.shape import carry
from samodal.recover import HISTORY, HORIZON
from samodal.video import Track

SAME = 0.5
"""IoU from which on the mask that comes back is the one that was expected there."""


def rejoin(tracks: Sequence[Track], motion: HiddenInstanceModel, ego: EgoMotion) -> list[Track]:
    """Join tracks of which one ends and another begins where and when the first is expected.

    The first is carried on by its motion to the frame in which the second is first seen, at most 60 frames later, also
    across the border of the image. Both must be of one category. The shortest gaps come first, and of equal ones those
    that fit best; each track has one successor at most, and a chain of them becomes one track.

    Args:
        tracks: with visible and amodal masks in the frames that show something; not changed.
        motion: says where an unseen instance is.
        ego: the camera's motion.

    Returns:
        The tracks in the same order, without those that were joined to earlier ones. A joined track has the id of its
        first part, and the mean of the scores, weighted by the frames that show each.
    """
    seen = [_seen(track) for track in tracks]
    fits = sorted(
        (
            (later[0] - earlier[-1], -fit, first, second)
            for first, earlier in enumerate(seen)
            for second, later in enumerate(seen)
            if earlier and later and tracks[first].category_id == tracks[second].category_id
            if 1 < later[0] - earlier[-1] <= HORIZON
            if (fit := _fit(tracks[first], tracks[second], earlier, later[0], motion, ego)) >= SAME
        )
    )
    after: dict[int, int] = {}
    for _, _, first, second in fits:
        if first not in after and second not in after.values():
            after[first] = second
    joined = []
    for index, track in enumerate(tracks):
        if index not in after.values():
            while index in after:
                index = after[index]
                track = _join(track, tracks[index])
            joined.append(track)
    return joined


def parts_of(joined: Track, tracks: Sequence[Track]) -> list[int]:
    """Ids of the tracks that a track of `rejoin` is made of."""
    return [
        track.track_id
        for track in tracks
        if any(a is b is not None for a, b in zip(track.visible, joined.visible, strict=True))
    ]


def _seen(track: Track) -> list[int]:
    """The frames that show an instance and have its mask."""
    pairs = enumerate(zip(track.visible, track.amodal, strict=True))
    return [frame for frame, (visible, amodal) in pairs if masks.area(visible) and masks.area(amodal)]


def _fit(
    first: Track, second: Track, frames: list[int], frame: int, motion: HiddenInstanceModel, ego: EgoMotion
) -> float:
    """IoU of the second's first mask with what is expected of the first in that frame."""
    near = [k for k in frames[-HISTORY:] if k >= frames[-1] - HORIZON]
    before = [_observed(first, k) for k in near]
    expected = carry(before, frame, motion.predict(before, frame, ego), ego).mask(before[-1].size)
    found = second.amodal[frame]
    assert found is not None
    return masks.iou(expected, found) if masks.area(expected) else 0.0


def _observed(track: Track, frame: int) -> Observation:
    amodal = track.amodal[frame]
    assert amodal is not None
    hidden = masks.occlusion_rate(amodal, track.visible[frame]) or 0.0
    return observe(frame, amodal, 1.0 - hidden)


def _join(first: Track, second: Track) -> Track:
    weights = [sum(masks.area(rle) > 0 for rle in track.visible) for track in (first, second)]

    def both(one: list, other: list) -> list:
        return [b if a is None else a for a, b in zip(one, other, strict=True)]

    return replace(
        first,
        score=float(np.average([first.score, second.score], weights=weights)),
        visible=both(first.visible, second.visible),
        amodal=both(first.amodal, second.amodal),
        scores=both(first.scores, second.scores),
        points=both(first.points, second.points),
    )
