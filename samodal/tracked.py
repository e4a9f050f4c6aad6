"""From gaps to a point tracker and back: which points are followed through which frames, and what comes of it.

Gaps are taken in the order of time, those that overlap together, so that a tracker that keeps what it has computed of a
frame computes it once for all instances.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from samodal import masks
from samodal.masks import Rle
from samodal.motion import Prediction
from samodal.motion.observation import observe
from samodal.motion.votes import can_vote, fuse, vote
from samodal.point_shift import Follow, PointShift, sightings
from samodal.prompts import pick_points, prompt_rng
from samodal.track import PointTracker
from samodal.track.interface import RECENT, Frames
from samodal.video import Track, Video

POINTS = 12  # that vote for an instance, from each side of a gap
NEAR = RECENT - 1  # of so many frames next to a gap, the one that shows most of the instance gives the points
LONGEST = 60  # frames through which a point is followed that votes, and those of one call for several gaps


@dataclass(frozen=True)
class Task:
    """Points to be followed through a window.

    Attributes:
        key: what the caller knows it by, first of all the track id.
        queries: (P, 3) rows (frame, x, y).
        window: frames, without gaps.
    """

    key: tuple[int, ...]
    queries: np.ndarray
    window: range


@dataclass(frozen=True)
class Paths:
    """Where P points are, in the frames of their task's window: xy (T, P, 2), nan where nothing is said; and
    visible_prob (T, P)."""

    window: range
    xy: np.ndarray
    visible_prob: np.ndarray

    def at(self, frame: int) -> tuple[np.ndarray, np.ndarray]:
        """(P, 2) and (P,): the same of one frame; nothing is said outside of the window."""
        if frame not in self.window:
            return np.full(self.xy.shape[1:], np.nan), np.zeros(self.xy.shape[1])
        return self.xy[frame - self.window.start], self.visible_prob[frame - self.window.start]


@dataclass(frozen=True)
class Shown:
    """A frame that shows an instance: its visible and its amodal mask, both with at least one pixel."""

    frame: int
    visible: Rle
    amodal: Rle


@dataclass(frozen=True)
class Anchor:
    """Points put on an instance in a frame that shows it.

    Attributes:
        frame: its index.
        points: (P, 2) (x, y).
        center: of the amodal mask.
        scale: square root of its area.
    """

    frame: int
    points: np.ndarray
    center: np.ndarray
    scale: float

    @staticmethod
    def on(track_id: int, shown: Sequence[Shown], seed: int) -> "Anchor":
        """Points in the frame that shows most."""
        best = max(shown, key=lambda one: masks.area(one.visible))
        rng = prompt_rng(seed, track_id, best.frame)
        points = pick_points(masks.decode(best.visible), "eroded-random", POINTS, rng).astype(np.float64)
        measured = observe(best.frame, best.amodal, 1.0)
        return Anchor(best.frame, points, measured.center, measured.scale)

    @property
    def queries(self) -> np.ndarray:
        """(P, 3), as a tracker takes them."""
        return np.column_stack([np.full(len(self.points), self.frame), self.points])


@dataclass(frozen=True)
class Heard:
    """What points on an instance say of the frames in which it is hidden.

    Attributes:
        votes: hidden frame -> where the instance is.
        points: hidden frame -> (P, 2), where those points are that could vote; on whichever side they were known.
    """

    votes: dict[int, Prediction] = field(default_factory=dict)
    points: dict[int, np.ndarray] = field(default_factory=dict)

    def add(self, frame: int, anchor: Anchor, ends: np.ndarray, visible_prob: np.ndarray) -> None:
        """Take where the points of an anchor are in a hidden frame, (P, 2) and (P,)."""
        age = abs(frame - anchor.frame)
        said = vote(anchor.points, ends, visible_prob, anchor.center, anchor.scale, age)
        if said is not None:
            self.votes[frame] = fuse(self.votes[frame], said) if frame in self.votes else said
        able = ends[can_vote(ends, visible_prob)]
        if len(able):
            self.points[frame] = np.concatenate([self.points.get(frame, able[:0]), able])

    def marked(self, track: Track) -> Track:
        """The same track, with these points in its hidden frames."""
        pairs = zip(track.points, track.states, strict=True)
        points = [self.points.get(k) if state == "hidden" else xy for k, (xy, state) in enumerate(pairs)]
        return replace(track, points=points)


def follow_all(tasks: Iterable[Task], tracker: PointTracker, video: Frames) -> dict[tuple[int, ...], Paths]:
    """Follow the points of all tasks; tasks that overlap share a call, unless the tracker is causal.

    What a causal tracker says does not depend on what it is asked together with, only its cost does.
    """
    ordered = sorted(tasks, key=lambda task: (task.window.start, task.window.stop, task.key))
    result = {}
    for group in [[task] for task in ordered] if tracker.causal else _overlapping(ordered):
        window = range(group[0].window.start, max(task.window.stop for task in group))
        found = tracker.track(video, np.concatenate([task.queries for task in group]), window)
        xy = np.where(found.valid[..., None], found.xy, np.nan).astype(np.float64)
        ends = np.cumsum([len(task.queries) for task in group])[:-1]
        parts = zip(group, np.split(xy, ends, 1), np.split(found.visible_prob, ends, 1), strict=True)
        for task, places, seen in parts:
            its = slice(task.window.start - window.start, task.window.stop - window.start)
            result[task.key] = Paths(task.window, places[its], seen[its])
    return result


def _overlapping(tasks: Sequence[Task]) -> list[list[Task]]:
    groups: list[list[Task]] = []
    stop = 0
    for task in tasks:
        joins = groups and task.window.start < stop
        if joins and max(stop, task.window.stop) - groups[-1][0].window.start <= LONGEST:
            groups[-1].append(task)
            stop = max(stop, task.window.stop)
        else:
            groups.append([task])
            stop = task.window.stop
    return groups


# ---- For the original's rule: one point a gap ------------------------------------------------------------------------


def follow_of(tracks: Sequence[Track], tracker: PointTracker, video: Video) -> Callable[[Track], Follow]:
    """For each track what `point_shift.shift_by_point` asks for, followed for all tracks together."""
    tasks = [
        Task(
            (track.track_id, one.frame),
            np.array([[one.frame, *one.point]]),
            range(one.frame, one.hidden.stop),
        )
        for track in tracks
        for one in sightings(track)
        if one.hidden and not PointShift(one.mask, one.point).left
    ]
    found = follow_all(tasks, tracker, video)
    return lambda track: lambda last, _point, _frames: found[track.track_id, last].xy[1:, 0]


# ---- For all other modes: many points that vote ----------------------------------------------------------------------


def votes_of(
    tracks: Sequence[Track], tracker: PointTracker, video: Video, both_sides: bool, seed: int
) -> dict[int, Heard]:
    """Track id -> what points on the instance say of each frame in which it is hidden.

    Nothing, if the tracker only follows what is seen: its points stick to whatever hides the instance.

    Args:
        tracks: with visible and amodal masks where they are seen.
        tracker: follows the points.
        video: the frames.
        both_sides: also points from behind a gap are followed, back into it.
        seed: of the choice of points.
    """
    if not tracker.through_occlusion:
        return {}
    tasks: list[Task] = []
    about: dict[tuple[int, ...], tuple[Anchor, range]] = {}
    for track in tracks:
        shown = [
            Shown(frame, visible, amodal)
            for frame, (visible, amodal) in enumerate(zip(track.visible, track.amodal, strict=True))
            if visible and amodal and masks.area(visible) and masks.area(amodal)
        ]
        for place, last in enumerate(shown, 1):
            stop = shown[place].frame if place < len(shown) else len(track)
            if stop > last.frame + 1:
                after = shown[place : place + NEAR] if both_sides else []
                sides = gap_tasks(track.track_id, shown[:place][-NEAR:], after, stop, longest(tracker), seed)
                for task, anchor in sides:
                    tasks.append(task)
                    about[task.key] = anchor, range(last.frame + 1, stop)
    result = {track.track_id: Heard() for track in tracks}
    paths = follow_all(tasks, tracker, video)
    for key, (anchor, hidden) in about.items():  # of each gap first what is known before it
        for frame in hidden:
            result[key[0]].add(frame, anchor, *paths[key].at(frame))
    return result


def gap_tasks(
    track_id: int, before: Sequence[Shown], after: Sequence[Shown], stop: int, most: int, seed: int
) -> Iterator[tuple[Task, Anchor]]:
    """The points that are followed through a gap, from before it and, if it is known what is behind it, back into it.

    Args:
        track_id: of the instance.
        before: sightings before the gap, up to the last one; those within `NEAR` frames of it count.
        after: sightings behind the gap, from the first one on, likewise; may be empty.
        stop: the first frame behind the gap.
        most: frames through which points are followed, with that in which they are known.
        seed: of the choice of points.
    """
    last = before[-1].frame
    anchor = Anchor.on(track_id, [one for one in before if one.frame > last - NEAR], seed)
    window = range(anchor.frame, min(stop, anchor.frame + most))
    yield Task((track_id, last, 0), anchor.queries, window), anchor
    if after:
        anchor = Anchor.on(track_id, [one for one in after if one.frame < stop + NEAR], seed)
        window = range(max(last, anchor.frame + 1 - most), anchor.frame + 1)
        yield Task((track_id, last, 1), anchor.queries, window), anchor


def longest(tracker: PointTracker) -> int:
    """The most frames through which a point is followed that votes."""
    return min(LONGEST, tracker.max_window or LONGEST)
