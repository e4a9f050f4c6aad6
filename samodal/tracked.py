"""From gaps to a point tracker and back: which points are followed through which frames, and what comes of it.

Gaps are taken in the order of time, those that overlap together, so that a tracker that keeps what it has computed of a
frame computes it once for all instances.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from samodal import masks
from samodal.masks import Rle
from samodal.motion import Prediction
from samodal.motion.observation import observe
from samodal.motion.votes import can_vote, fuse, vote
from samodal.point_shift import Follow, begins_at_border, gaps
from samodal.prompts import pick_points, prompt_rng
from samodal.track import PointTracker
from samodal.video import Track, Video

POINTS = 12  # that vote for an instance, from each side of a gap
NEAR = 5  # of so many sightings next to a gap, the one that shows most gives the points
LONGEST = 60  # frames of one call, unless a single gap is longer


@dataclass(frozen=True)
class Task:
    """Points to be followed through a window.

    Attributes:
        key: what the caller knows it by.
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


@dataclass(frozen=True)
class Heard:
    """What points on an instance say of the frames in which it is hidden.

    Attributes:
        votes: hidden frame -> where the instance is.
        points: hidden frame -> (P, 2), where those points are that could vote; on whichever side they were known.
    """

    votes: dict[int, Prediction]
    points: dict[int, np.ndarray]

    def marked(self, track: Track) -> Track:
        """The same track, with these points in its hidden frames."""
        pairs = zip(track.points, track.states, strict=True)
        points = [self.points.get(k) if state == "hidden" else xy for k, (xy, state) in enumerate(pairs)]
        return replace(track, points=points)


def follow_all(tasks: Iterable[Task], tracker: PointTracker, video: Video) -> dict[tuple[int, ...], Paths]:
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
        Task((track.track_id, gap.last), np.array([[gap.last, *gap.start]]), range(gap.last, gap.frames.stop))
        for track in tracks
        for gap in gaps(track)
        if not begins_at_border(gap)
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
    tasks, sides = [], {}
    for track in tracks:
        seen = [
            frame
            for frame, rle in enumerate(track.visible)
            if masks.area(rle) and masks.area(track.amodal[frame])
        ]
        for place, last in enumerate(seen):
            following = seen[place + 1] if place + 1 < len(seen) else len(track)
            if following == last + 1:
                continue
            near = [seen[max(0, place + 1 - NEAR) : place + 1]]
            if both_sides:
                near.append(seen[place + 1 : place + 1 + NEAR])
            for number, frames in enumerate(near):
                if frames:
                    key = (track.track_id, last, number)
                    frame = max(frames, key=lambda f, track=track: masks.area(track.visible[f]))  # type: ignore[misc]
                    rng = prompt_rng(seed, track.track_id, frame)
                    points = pick_points(
                        masks.decode(_known(track.visible[frame])), "eroded-random", POINTS, rng
                    )
                    queries = np.column_stack([np.full(len(points), frame), points])
                    tasks.append(Task(key, queries, range(min(frame, last), max(frame + 1, following))))
                    sides[key] = (frame, range(last + 1, following))
    paths = follow_all(tasks, tracker, video)
    result = {track.track_id: Heard({}, {}) for track in tracks}
    by_id = {track.track_id: track for track in tracks}
    for key, (frame, hidden) in sides.items():
        shown = observe(frame, _known(by_id[key[0]].amodal[frame]), 1.0)
        path = paths[key]
        starts = path.xy[frame - path.window.start]
        for k in hidden:
            at = k - path.window.start
            ends, seen, heard = path.xy[at], path.visible_prob[at], result[key[0]]
            said = vote(starts, ends, seen, shown.center, shown.scale, abs(k - frame))
            if said is not None:
                heard.votes[k] = fuse(heard.votes[k], said) if k in heard.votes else said
            able = ends[can_vote(ends, seen)]
            if len(able):
                heard.points[k] = np.concatenate([heard.points.get(k, able[:0]), able])
    return result


def _known(rle: Rle | None) -> Rle:
    assert rle is not None
    return rle
