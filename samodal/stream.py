"""Results while the frames are still coming, in bounded memory however long that goes on.

frames, each with what SAM says of its instances --> a `Recovery` for every instance --> results, some frames later
"""

from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from samodal import masks
from samodal.each_frame import Seen
from samodal.errors import InputError
from samodal.masks import Rle, Runs
from samodal.motion import EgoMotion, HiddenInstanceModel
from samodal.point_shift import PointShift, known_place
from samodal.recover import HORIZON, Mode, Recovered, Recovery, Sighting
from samodal.track import PointTracker
from samodal.track.interface import PointStream, RecentFrames, open_stream
from samodal.tracked import Heard, Shown
from samodal.tracked_stream import Points
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
    points: Points | None = None,
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
        points: vote beside the motion.
    """
    instances: dict[int, Recovery] = {}
    waiting: deque[tuple[int, Runs | None, dict[int, np.ndarray | None]]] = deque()

    def result() -> FrameResult:
        index, scene, drawn = waiting.popleft()
        for track_id in [k for k, known in instances.items() if known.last_seen < index - forget]:
            del instances[track_id]
        heard, results = points.at(index) if points else {}, {}
        for track_id, recovery in instances.items():
            said = heard.get(track_id, Heard())
            found = recovery.at(index, scene, said.votes.get(index))
            if found is None:
                continue
            if points and found.state == "gone":
                points.give_up(track_id, index)
            xy = said.points.get(index) if found.state == "hidden" else drawn.get(track_id)
            results[track_id] = _result(found, xy)
        return FrameResult(index, results)

    for frame in frames:
        scene, shown = Runs(frame.shown) if refine else None, {}
        for track_id, answer in frame.answers.items():
            if track_id not in instances:
                instances[track_id] = Recovery(motion, ego, mode)
            amodal = masks.encode(answer.amodal)
            seen, step = frame.visible[track_id], frame.steps.get(track_id)
            sighting = Sighting.of(frame.index, seen, amodal, answer.score, scene, step)
            instances[track_id].add(sighting)
            if sighting.own is not None:
                shown[track_id] = Shown(frame.index, seen, amodal)
        if points:
            points.push(frame.image, shown)
        waiting.append((frame.index, scene, {k: answer.points for k, answer in frame.answers.items()}))
        if len(waiting) > look_ahead:
            yield result()
    while waiting:
        yield result()


def shift_stream(frames: Iterable[Seen], tracker: PointTracker, forget: float) -> Iterator[FrameResult]:
    """The rule of the original (see `PointShift`), each result when its frame has come.

    Args:
        frames: one after the other.
        tracker: follows one point an instance.
        forget: as of `follow_stream`.

    Raises:
        InputError: the tracker takes whole clips only.
    """
    recent = RecentFrames()
    stream = open_stream(tracker, recent)
    if stream is None:
        raise InputError(
            f"recover reference in a stream: {type(tracker).__name__} takes whole clips only; cotracker, "
            "cotracker3 with online weights, lucas-kanade and raft follow points frame by frame"
        )
    return _shifted(frames, recent, stream, forget)


def _shifted(
    frames: Iterable[Seen], recent: RecentFrames, stream: PointStream, forget: float
) -> Iterator[FrameResult]:
    rules: dict[int, PointShift] = {}
    scores: dict[int, float] = {}  # of the last sighting
    clips: dict[int, int] = {}  # of those that are followed
    for frame in frames:
        results, seen = {}, {}
        for track_id, answer in frame.answers.items():
            amodal = masks.encode(answer.amodal)
            results[track_id] = InstanceResult(amodal, "visible", answer.score, answer.points)
            if masks.area(amodal) and answer.points is not None and len(answer.points):
                seen[track_id] = amodal, answer.points[0].astype(np.float64)
                scores[track_id] = answer.score
        for track_id, rule in [(k, rule) for k, rule in rules.items() if k not in seen]:
            if rule.age >= forget:
                del rules[track_id], scores[track_id]
            elif rule.age == 0 and not rule.left:
                clips[track_id] = stream.follow(frame.index - 1, rule.point[None])
        for track_id in [k for k in clips if k in seen or k not in rules or rules[k].left]:
            stream.forget(clips.pop(track_id))
        recent.push(frame.image)
        located = stream.step()
        for track_id, rule in rules.items():
            if track_id not in seen:
                place = None
                if track_id in clips:
                    place = known_place(located[clips[track_id]][0].astype(np.float64)[0])
                moved = rule.move(place)
                state: State = "gone" if moved is None else "hidden"
                score = None if moved is None else scores[track_id]
                points = None if place is None else place[None]
                results[track_id] = InstanceResult(moved, state, score, points, rule.reason(moved))
        for track_id, sighting in seen.items():
            if track_id in rules:
                rules[track_id].see(*sighting)
            else:
                rules[track_id] = PointShift(*sighting)
        yield FrameResult(frame.index, results)


def _result(found: Recovered, points: np.ndarray | None) -> InstanceResult:
    score = None if found.state == "gone" else found.score
    return InstanceResult(found.amodal, found.state, score, points, found.reason)
