"""What points on hidden instances say while frames are still coming: `samodal.tracked`, with bounded memory.

A tracker that has a stream of its own is told of every frame once, and leads the points of each gap forwards
(`StreamedPoints`). Any other is asked anew for each frame, about frames up to the newest one (`AskedPoints`).
"""

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from samodal.track import PointTracker
from samodal.track.interface import PointStream, RecentFrames, open_stream
from samodal.tracked import NEAR, Anchor, Heard, Paths, Shown, Task, follow_all, gap_tasks, longest


class Points(Protocol):
    """What points on the instances of a stream say."""

    def push(self, image: np.ndarray, shown: Mapping[int, Shown]) -> None:
        """Take the next frame, uint8 (H, W, 3) RGB, and by track id what it shows of instances."""

    def at(self, frame: int) -> dict[int, Heard]:
        """Track id -> what is said of this frame, for instances that it does not show; of each frame in turn.

        As many frames have been pushed since as the stream looks ahead.
        """

    def give_up(self, track_id: int, frame: int) -> None:
        """From this frame on the instance is gone, unless it is seen again: there is nothing to vote for."""


def follow_points(tracker: PointTracker, look_ahead: int, seed: int) -> Points | None:
    """The points of a stream; None for a tracker that only follows what is seen.

    With a look-ahead, a tracker that is not causal is asked, not streamed: so it can use what comes later.

    Args:
        tracker: follows the points.
        look_ahead: frames after a frame that are known when it is asked for.
        seed: of the choice of points.
    """
    if not tracker.through_occlusion:
        return None
    frames = RecentFrames()
    stream = open_stream(tracker, frames) if tracker.causal or not look_ahead else None
    if stream is None:
        return AskedPoints(tracker, look_ahead, seed)
    return StreamedPoints(stream, frames, longest(tracker), look_ahead, seed)


class StreamedPoints:
    """Points that a `PointStream` follows; see `Points`.

    Args:
        stream: follows the points.
        frames: those that it looks at, none so far.
        most: frames through which a point is followed.
        look_ahead: as of `follow_points`.
        seed: as of `follow_points`.
    """

    def __init__(
        self, stream: PointStream, frames: RecentFrames, most: int, look_ahead: int, seed: int
    ) -> None:
        self.stream, self.frames, self.most = stream, frames, most
        self.look_ahead, self.seed = look_ahead, seed
        self._shown: dict[int, list[Shown]] = {}  # track id -> sightings in the last `NEAR` frames
        self._followed: dict[int, tuple[int, Anchor]] = {}  # track id -> clip, in a gap
        self._heard: dict[int, dict[int, Heard]] = {}  # frames that were not asked for yet

    def push(self, image: np.ndarray, shown: Mapping[int, Shown]) -> None:
        """See `Points`."""
        frame = len(self.frames)
        for track_id, (_, anchor) in list(self._followed.items()):
            if track_id in shown or frame >= anchor.frame + self.most:
                self._end(track_id)
        for track_id, before in self._shown.items():
            if track_id not in shown and before[-1].frame == frame - 1:  # a gap begins
                anchor = Anchor.on(track_id, before, self.seed)
                self._followed[track_id] = self.stream.follow(anchor.frame, anchor.points), anchor
        self.frames.push(image)
        located = self.stream.step()
        self._heard[frame] = {track_id: Heard() for track_id in self._followed}
        for track_id, (clip, anchor) in self._followed.items():
            xy, visible_prob = located[clip]
            self._heard[frame][track_id].add(frame, anchor, xy.astype(np.float64), visible_prob)
        for track_id, one in shown.items():
            self._shown.setdefault(track_id, []).append(one)
        self._shown = later_than(frame - NEAR, self._shown)

    def at(self, frame: int) -> dict[int, Heard]:
        """See `Points`."""
        return self._heard.pop(frame)

    def give_up(self, track_id: int, frame: int) -> None:
        """See `Points`. With a look-ahead the points go on: if it is seen again, they vote after all."""
        if not self.look_ahead:
            self._end(track_id)

    def _end(self, track_id: int) -> None:
        if track_id in self._followed:
            self.stream.forget(self._followed.pop(track_id)[0])


Asked = tuple[tuple[int, ...], int, range]
"""Key of a `Task`, the frame of its points, its window."""


class AskedPoints:
    """Points that are followed in one call a frame; see `Points`. Arguments as of `follow_points`."""

    def __init__(self, tracker: PointTracker, look_ahead: int, seed: int) -> None:
        self.tracker, self.seed, self.most = tracker, seed, longest(tracker)
        self.frames = RecentFrames(self.most + look_ahead)
        self._shown: dict[int, list[Shown]] = {}
        self._given_up: dict[int, int] = {}  # track id -> frame
        self._paths: dict[Asked, Paths] = {}  # of the last call

    def push(self, image: np.ndarray, shown: Mapping[int, Shown]) -> None:
        """See `Points`."""
        self.frames.push(image)
        for track_id, one in shown.items():
            self._shown.setdefault(track_id, []).append(one)

    def at(self, frame: int) -> dict[int, Heard]:
        """See `Points`."""
        self._shown = later_than(frame - self.most - NEAR, self._shown)  # the others give no points any more
        self._given_up = {track_id: k for track_id, k in self._given_up.items() if track_id in self._shown}
        asked: dict[Asked, tuple[Task, Anchor]] = {}
        for track_id, shown in self._shown.items():
            before = [one for one in shown if one.frame < frame]
            after = [one for one in shown if one.frame >= frame]
            if not before or (after and after[0].frame == frame):
                continue
            if not after and self._given_up.get(track_id, -1) > before[-1].frame:
                continue
            stop = after[0].frame if after else len(self.frames)
            for task, anchor in gap_tasks(track_id, before, after, stop, self.most, self.seed):
                if frame in task.window:
                    asked[task.key, anchor.frame, task.window] = task, anchor
        if not asked.keys() <= self._paths.keys():
            found = follow_all([task for task, _ in asked.values()], self.tracker, self.frames)
            self._paths = {key: found[key[0]] for key in asked}
        heard: dict[int, Heard] = {}
        for key, (_, anchor) in asked.items():
            heard.setdefault(key[0][0], Heard()).add(frame, anchor, *self._paths[key].at(frame))
        return heard

    def give_up(self, track_id: int, frame: int) -> None:
        """See `Points`."""
        if track_id in self._shown:
            self._given_up[track_id] = frame


def later_than(frame: int, shown: Mapping[int, list[Shown]]) -> dict[int, list[Shown]]:
    """Of each track the sightings after a frame; no track that has none."""
    kept = ((track_id, [one for one in known if one.frame > frame]) for track_id, known in shown.items())
    return {track_id: known for track_id, known in kept if known}
