"""Results while the frames are still coming, in bounded memory however long that goes on.

frames, each with what SAM says of its instances --> a `Recovery` for every instance --> results, some frames later
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from samodal import masks
from samodal.each_frame import Seen
from samodal.masks import Rle, Runs
from samodal.motion import EgoMotion, HiddenInstanceModel
from samodal.recover import HORIZON, Mode, Recovered, Recovery, Sighting
from samodal.video import State

FORGET = 2 * HORIZON
"""Frames after its last sighting for which an instance of an endless stream is remembered."""


@dataclass
class InstanceResult:
    """One instance in one frame; the fields are those of `Track`, for that frame."""

    amodal: Rle | None
    state: State
    score: float | None
    points: np.ndarray | None = None
    reason: str | None = None


@dataclass
class FrameResult:
    """All that is known of a frame when it has been seen, and, with a look-ahead, so many frames after it.

    Attributes:
        index: of the frame.
        instances: track id -> result, of the instances that have been seen so far and are not forgotten.
    """

    index: int
    instances: dict[int, InstanceResult]


def follow_stream(
    frames: Iterable[Seen],
    motion: HiddenInstanceModel,
    ego: EgoMotion,
    mode: Mode,
    look_ahead: int,
    refine: bool,
    forget: float,
) -> Iterator[FrameResult]:
    """Results in the order of the frames, each `look_ahead` frames after its own; the last ones at the end.

    Args:
        frames: one after the other.
        motion: says where a hidden instance is.
        ego: the camera's motion, of all frames that have come.
        mode: see `recover_track`.
        look_ahead: frames.
        refine: complete what is partly hidden from other frames.
        forget: frames after its last sighting when an instance is dropped; may be infinite.
    """
    instances: dict[int, Recovery] = {}
    waiting: deque[tuple[int, Runs | None, dict[int, np.ndarray | None]]] = deque()

    def result() -> FrameResult:
        index, scene, points = waiting.popleft()
        for track_id in [k for k, known in instances.items() if known.last_seen < index - forget]:
            del instances[track_id]
        found = {track_id: recovery.at(index, scene) for track_id, recovery in instances.items()}
        return FrameResult(index, {k: _result(r, points.get(k)) for k, r in found.items() if r is not None})

    for frame in frames:
        scene = Runs(frame.shown) if refine else None
        for track_id, answer in frame.answers.items():
            if track_id not in instances:
                instances[track_id] = Recovery(motion, ego, mode)
            amodal = masks.encode(answer.amodal)
            sighting = Sighting.of(frame.index, frame.visible[track_id], amodal, answer.score, scene)
            instances[track_id].add(sighting)
        points = {track_id: answer.points for track_id, answer in frame.answers.items()}
        waiting.append((frame.index, scene, points))
        if len(waiting) > look_ahead:
            yield result()
    while waiting:
        yield result()


def _result(found: Recovered, points: np.ndarray | None) -> InstanceResult:
    score = None if found.state == "gone" else found.score
    return InstanceResult(found.amodal, found.state, score, points, found.reason)
