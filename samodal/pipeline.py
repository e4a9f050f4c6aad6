"""The whole method: video and visible masks in, amodal tracks out.

frames ---------> image embedding, once a frame --+
visible masks --> points and other prompts -------+--> amodal masks of what is seen --+
frames ---------> ego-motion, once a frame -------------------------------------------+--> amodal tracks: partly hidden
frames, visible masks --> how what is seen moves -------------------------------------+    masks completed from other
                                                                                           frames, gaps filled
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import inf
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from samodal import masks
from samodal.answers import AnswerLog
from samodal.data.visible import read_visible
from samodal.depth import with_depth
from samodal.each_frame import Frame, Seen, StreamFrame, ask_sam, checked, pairs_of, read
from samodal.errors import InputError
from samodal.motion import EgoMotion
from samodal.motion.ego import FixedEgo, FrameEgo
from samodal.motion.flow import InstanceFlow
from samodal.motion.observation import Step
from samodal.motion.odometry import known_ego
from samodal.motion.perspective import PerspectiveMotion
from samodal.point_shift import shift_by_point
from samodal.prompts import STRATEGIES, PromptOptions, load_saliency
from samodal.recover import Mode, recover_track
from samodal.rejoin import parts_of, rejoin
from samodal.sam import AmodalSam
from samodal.sam.config import PROMPT_KINDS
from samodal.stream import FORGET, FrameResult, InstanceResult, follow_stream, shift_stream
from samodal.track import PointTracker, open_tracker, tracker_names
from samodal.tracked import follow_of, votes_of
from samodal.tracked_stream import follow_points
from samodal.video import Track, Video, VideoTracks

__all__ = ["AmodalVideoSegmenter", "FrameResult", "InstanceResult", "Looked", "RecoverMode"]

RecoverMode = Literal["two-sided", "online", "none", "reference"]
QUEUE = 4
"""Frames that wait between two stages of `look`. Changes memory, never the result."""


@dataclass
class Looked:
    """A video of which every frame was looked at by itself.

    Attributes:
        video: its frames, for trackers that look at them.
        tracks: with amodal masks in the frames that show an instance; nothing in the others.
        ego: the camera's motion.
        scene: of each frame all that any instance shows of itself.
        steps: track id -> frame -> how what is seen of the instance moved since the frame before, where known.
    """

    video: Video
    tracks: VideoTracks
    ego: EgoMotion
    scene: list[masks.Rle]
    steps: dict[int, dict[int, Step]] = field(default_factory=dict)


class AmodalVideoSegmenter:
    """S-AModal (arXiv 2409.14095): SAM where an instance is seen, motion where it is hidden.

    Args:
        model: the amodal SAM.
        tracker: who follows hidden instances: "motion" (needs no weights), or a `samodal.track.PointTracker` or the
            name of one, whose points then vote beside the motion.
        recover: "two-sided" (default), "online" (looks only at the past), "none", or "reference": the rule of the
            original, which goes by one tracked point and needs a point tracker.
        prompt: how SAM is prompted.
        seed: of the prompts. A draw depends on the seed, the video, the track and the frame, on nothing else.
        batch: frames worked on together; changes speed and memory, never the result.
        unite_visible: what is seen belongs to the full mask, and a bare rim around it does not, whatever SAM says.
        refine: frames that show more of an instance complete its mask where it is partly hidden. Not with
            recover="none", which takes each frame by itself.
        ego: how the camera turned and drove, where that is known; None: estimated from the frames. Homographies of
            one video, (T, 3, 3) or (T - 1, 3, 3), or with the drive (.., 3, 4), see
            `samodal.motion.odometry.known_ego`; or a function without arguments that gives an `EgoMotion` for each
            video or stream. If that has a method `push(frame, moving)`, as `FrameEgo` has, it gets every frame.
        rejoin: put tracks together of which one ends and another begins where the first is expected (see
            `samodal.rejoin`). Not in a stream, and not with recover="none".

    Raises:
        InputError: an unknown tracker, recovery or prompt strategy, or a number that makes no sense.
    """

    def __init__(
        self,
        model: AmodalSam,
        tracker: str | PointTracker = "motion",
        recover: RecoverMode = "two-sided",
        prompt: PromptOptions | None = None,
        seed: int = 0,
        batch: int = 4,
        unite_visible: bool = True,
        refine: bool = True,
        ego: np.ndarray | Sequence | Callable[[], EgoMotion] | None = None,
        rejoin: bool = False,
    ) -> None:
        self.prompt = prompt or PromptOptions()
        _check_choice("recover", recover, get_args(RecoverMode))
        _check_choice("prompt.strategy", self.prompt.strategy, STRATEGIES)
        if self.prompt.strategy == "saliency":
            load_saliency(self.prompt.saliency)
        for kind in self.prompt.kinds:
            _check_choice("prompt.kinds", kind, PROMPT_KINDS)
        for what, number, least in (
            ("batch", batch, 1),
            ("prompt.count", self.prompt.count, 1),
            ("seed", seed, 0),
        ):
            if number < least:
                raise InputError(f"{what} {number}: at least {least} is expected")
        self.model = model.eval()
        self.motion = PerspectiveMotion()
        self.points = _point_tracker(tracker)
        if recover == "reference" and self.points is None:
            raise InputError(
                "recover reference goes by a tracked point, which tracker motion has none of: choose one of "
                + ", ".join(tracker_names())
            )
        if recover == "reference" and "points" not in (self.prompt.kinds or model.config.prompt_kinds):
            raise InputError("recover reference follows a prompt point: prompt.kinds must include points")
        self.recover = recover
        self.seed = seed
        self.batch = batch
        self.unite_visible = unite_visible
        self.refine = refine
        self.ego = ego
        self.rejoin = rejoin

    def __call__(
        self,
        video: str | Path | Video,
        visible: str | Path | VideoTracks,
        progress: Callable[[], None] = lambda: None,
    ) -> VideoTracks:
        """Amodal tracks of a whole video.

        A track's score is that of its visible track x the mean of what SAM expects of its masks.

        Args:
            video: a `Video`, a file, a folder of frames or a glob pattern.
            visible: the visible masks, or a file or folder that `samodal.data.visible.read_visible` knows.
            progress: called after every frame.

        Raises:
            InputError: the video cannot be read, or the masks or the ego-motion do not fit it.
        """
        return self.follow(self.look(video, visible, progress))

    def look(
        self,
        video: str | Path | Video,
        visible: str | Path | VideoTracks,
        progress: Callable[[], None] = lambda: None,
        log: AnswerLog | None = None,
    ) -> Looked:
        """The first half of a call: every frame by itself (S-AModal's image level).

        Arguments as of a call; and `log`, the answers that are known already, where those of other frames are added.
        """
        video, visible = _open(video, visible)
        ego, scene = self._ego_of(len(video)), list[masks.Rle]()
        steps = defaultdict[int, dict[int, Step]](dict)
        tracks = [Track(t.track_id, t.category_id, t.score, list(t.visible)) for t in visible]
        frames = read(pairs_of(video, visible), ego, InstanceFlow())
        # On a CPU, torch's threads wait for each other at every step; work beside them would hold up them all.
        queue = 0 if self.model.device.type == "cpu" and self.model.engine is None else QUEUE
        for seen in self._answers(frames, visible.video_id, self.batch, log, queue):
            scene.append(seen.shown)
            for track_id, step in seen.steps.items():
                steps[track_id][seen.index] = step
            for track in tracks:
                if answer := seen.answers.get(track.track_id):
                    track.amodal[seen.index] = masks.encode(answer.amodal)
                    track.scores[seen.index] = answer.score
                    track.points[seen.index] = answer.points
            progress()
        for track in tracks:
            track.score *= _mean([score for score in track.scores if score is not None])
        return Looked(video, replace(visible, tracks=tracks), ego, scene, dict(steps))

    def follow(self, looked: Looked, recover: RecoverMode | None = None) -> VideoTracks:
        """The second half of a call: over time.

        Args:
            looked: what the first half gave; not changed.
            recover: another mode than that of this segmenter.
        """
        mode, tracks = recover or self.recover, looked.tracks.tracks
        if self.rejoin and mode != "none":
            tracks = rejoin(tracks, self.motion, looked.ego)
        if mode == "reference":
            if self.points is None:
                raise InputError("recover reference: the segmenter has no point tracker")
            follow = follow_of(tracks, self.points, looked.video)
            shifted = [shift_by_point(track, follow(track)) for track in tracks]
            return with_depth(replace(looked.tracks, tracks=shifted))
        heard = {}
        if self.points is not None and mode != "none":
            heard = votes_of(tracks, self.points, looked.video, mode == "two-sided", self.seed)
        known = [masks.Runs(shown) for shown in looked.scene] if self.refine else None
        followed = []
        for track in tracks:
            said = heard.get(track.track_id)
            votes, steps = said.votes if said else None, dict[int, Step]()
            for part in parts_of(track, looked.tracks.tracks) if self.rejoin else [track.track_id]:
                steps |= looked.steps.get(part, {})
            found = recover_track(
                track, self.motion, mode, ego=looked.ego, scene=known, votes=votes, steps=steps
            )
            followed.append(said.marked(found) if said else found)
        return with_depth(replace(looked.tracks, tracks=followed))

    def stream(
        self,
        video: str | Path | Video | Iterable[StreamFrame],
        visible: str | Path | VideoTracks | None = None,
        look_ahead: int = 0,
    ) -> Iterator[FrameResult]:
        """Results frame by frame, in memory that does not grow with the number of frames.

        Without look-ahead each result comes from the past alone, as with recover="online". With one, the result of
        a frame is given so many frames later, and a gap that has ended by then is bridged from both sides, as with
        recover="two-sided"; the rest is as online. A look-ahead as long as the video gives exactly the masks,
        states and scores of recover="two-sided". Points of a tracker are followed as frames come, so that of a
        tracker that is not causal the numbers differ a little from those of a call (docs/streams.md).

        Args:
            video: as of a call. Or, without `visible`, any iterable of pairs (image, {track id: visible mask}), also
                one without end: images uint8 (H, W, 3) RGB of one size, masks bool (H, W) or RLE, of the instances
                that are seen; new ids may come at any time. Pairs are taken one by one, the frames of a video
                `batch` at a time.
            visible: as of a call.
            look_ahead: frames, 0 or more; needs recover="two-sided". Memory and work grow with it.

        Yields:
            A result for every frame. Of pairs, an instance is forgotten 120 frames after it was last seen: it is
            not in the results any more, and begins anew if it comes back.

        Raises:
            InputError: as of a call; recover="reference" with a tracker that takes whole clips only; a look-ahead
                that makes no sense; or, when it is its turn, a pair that is none.
        """
        if look_ahead < 0 or (look_ahead and self.recover != "two-sided"):
            raise InputError(
                f"look_ahead {look_ahead} with recover {self.recover!r}: 0 is expected, or more with two-sided"
            )
        mode: Mode = "two-sided" if look_ahead else "none" if self.recover == "none" else "online"
        keep = FORGET + look_ahead
        if visible is None and not isinstance(video, str | Path | Video):
            live, pairs, video_id, batch, forget = True, checked(video), 1, 1, float(FORGET)
            ego = self._ego_of(None, keep)
        elif visible is None or not isinstance(video, str | Path | Video):
            raise InputError("a stream needs a video and its visible masks, or one iterable of pairs of both")
        else:
            video, visible = _open(video, visible)
            live, pairs, forget = False, pairs_of(video, visible), inf
            video_id, batch = visible.video_id, self.batch
            ego = self._ego_of(len(video), keep)
        # No stage runs ahead here: what a frame is told must come from the past alone, without delay.
        if self.recover == "reference" and self.points is not None:
            seen = self._answers(read(pairs, FixedEgo()), video_id, batch, live=live)
            return shift_stream(seen, self.points, forget)
        flow = None if mode == "none" else InstanceFlow()
        seen = self._answers(read(pairs, ego, flow), video_id, batch, live=live)
        refine, points = self.refine and self.recover != "none", None
        if self.points is not None and mode != "none":
            points = follow_points(self.points, look_ahead, self.seed)
        return follow_stream(seen, self.motion, ego, mode, look_ahead, refine, forget, points)

    def _answers(
        self,
        frames: Iterable[Frame],
        video_id: int,
        batch: int,
        log: AnswerLog | None = None,
        queue: int = 0,
        live: bool = False,
    ) -> Iterator[Seen]:
        options = self.prompt, self.unite_visible, self.seed, video_id, batch, log, queue, live
        return ask_sam(frames, self.model, *options)

    def _ego_of(self, frames: int | None, keep: int | None = None) -> EgoMotion:
        """The camera's motion over a video of so many frames; None: endless, and `keep` of them are remembered."""
        if self.ego is None:
            return FrameEgo(keep)
        if callable(self.ego):
            return self.ego()
        if frames is None:
            raise InputError("homographies are of one whole video; for a stream, ego has to be a function")
        return known_ego(self.ego, frames)


def _point_tracker(tracker: str | PointTracker) -> PointTracker | None:
    """The tracker itself, the one of this name, or None for "motion"."""
    if not isinstance(tracker, str):
        return tracker
    if tracker != "motion" and tracker not in tracker_names():
        raise InputError(
            f"tracker {tracker!r} is not known; choose from motion, {', '.join(tracker_names())}"
        )
    return None if tracker == "motion" else open_tracker(tracker)


def _mean(scores: list[float]) -> float:
    return sum(scores) / len(scores) if scores else 0.0


def _open(video: str | Path | Video, visible: str | Path | VideoTracks) -> tuple[Video, VideoTracks]:
    video = Video.open(video)
    if not isinstance(visible, VideoTracks):
        return video, read_visible(visible, video)
    if visible.size != video.size or visible.num_frames != len(video):
        raise InputError(
            f"{video.name}: {len(video)} frames of {video.size}, but the visible masks are "
            f"{visible.num_frames} frames of {visible.size} (height, width)"
        )
    return video, visible


def _check_choice(what: str, name: str, known: dict | tuple) -> None:
    if name not in known:
        raise InputError(f"{what} {name!r} is not known; choose from {', '.join(known)}")
