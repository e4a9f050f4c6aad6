"""The whole method: video and visible masks in, amodal tracks out.

frames ---------> image embedding, once a frame --+
visible masks --> points and other prompts -------+--> amodal masks of what is seen --+
frames ---------> ego-motion, once a frame -------------------------------------------+--> amodal tracks: partly hidden
                                                       masks completed from other frames, gaps filled
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from samodal import masks
from samodal.answers import AnswerLog
from samodal.data.visible import read_visible
from samodal.depth import with_depth
from samodal.errors import InputError
from samodal.motion import EgoMotion
from samodal.motion.ego import FrameEgo
from samodal.motion.observation import observe
from samodal.motion.perspective import PerspectiveMotion
from samodal.point_shift import shift_by_point
from samodal.prompts import STRATEGIES, PromptOptions, load_saliency, prompt_rng
from samodal.recover import HORIZON, Follower, Recovered, recover_track
from samodal.sam import AmodalSam
from samodal.sam.ask import Answer, ask
from samodal.sam.config import PROMPT_KINDS
from samodal.stages import ahead
from samodal.track import PointTracker, open_tracker, tracker_names
from samodal.tracked import follow_of, votes_of
from samodal.video import State, Track, Video, VideoTracks

RecoverMode = Literal["two-sided", "online", "none", "reference"]
GPU_BATCH = 4
"""Frames that a GPU encodes together, whatever `batch` is, so that the results do not depend on it."""
QUEUE = 4
"""Frames that wait between two stages of `look`. Changes memory, never the result."""


@dataclass
class InstanceResult:
    """One instance in one frame; the fields are those of `Track`, for that frame."""

    amodal: masks.Rle | None
    state: State
    score: float | None
    points: np.ndarray | None = None
    reason: str | None = None


@dataclass
class FrameResult:
    """All that is known of a frame when it has been seen, and nothing after it.

    Attributes:
        index: of the frame.
        instances: track id -> result, of the instances that have been seen so far.
    """

    index: int
    instances: dict[int, InstanceResult]


@dataclass
class Looked:
    """A video of which every frame was looked at by itself.

    Attributes:
        video: its frames, for trackers that look at them.
        tracks: with amodal masks in the frames that show an instance; nothing in the others.
        ego: the camera's motion.
        scene: of each frame all that any instance shows of itself.
    """

    video: Video
    tracks: VideoTracks
    ego: EgoMotion
    scene: list[masks.Rle]


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
    ) -> None:
        self.prompt = prompt or PromptOptions()
        _check_choice("recover", recover, get_args(RecoverMode))
        _check_choice("prompt.strategy", self.prompt.strategy, STRATEGIES)
        if self.prompt.strategy == "saliency":
            load_saliency(self.prompt.saliency)
        for kind in self.prompt.kinds:
            _check_choice("prompt.kinds", kind, PROMPT_KINDS)
        if batch < 1 or seed < 0 or self.prompt.count < 1:
            raise InputError("batch and prompt.count must be at least 1, the seed at least 0")
        self.model = model.eval()
        self.motion = PerspectiveMotion()
        self.points = _point_tracker(tracker)
        if recover == "reference" and self.points is None:
            raise InputError(
                "recover reference goes by a tracked point, which tracker motion has none of: choose one of "
                + ", ".join(tracker_names())
            )
        self.recover = recover
        self.seed = seed
        self.batch = batch
        self.unite_visible = unite_visible
        self.refine = refine

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
            InputError: the video cannot be read, or the masks do not fit it.
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
        ego, scene = FrameEgo(), list[masks.Rle]()
        tracks = [Track(t.track_id, t.category_id, t.score, list(t.visible)) for t in visible]
        # Three stages that overlap: the reader, SAM, and this thread.
        frames = ahead(self._frames(video, visible, ego), QUEUE)
        for index, shown, answers in ahead(self._answers(frames, visible.video_id, log), QUEUE):
            scene.append(shown)
            for track in tracks:
                if answer := answers.get(track.track_id):
                    track.amodal[index] = masks.encode(answer.amodal)
                    track.scores[index] = answer.score
                    track.points[index] = answer.points
            progress()
        for track in tracks:
            track.score *= _mean([score for score in track.scores if score is not None])
        return Looked(video, replace(visible, tracks=tracks), ego, scene)

    def follow(self, looked: Looked, recover: RecoverMode | None = None) -> VideoTracks:
        """The second half of a call: over time.

        Args:
            looked: what the first half gave; not changed.
            recover: another mode than that of this segmenter.
        """
        mode, tracks = recover or self.recover, looked.tracks.tracks
        if mode == "reference":
            if self.points is None:
                raise InputError("recover reference: the segmenter has no point tracker")
            follow = follow_of(tracks, self.points, looked.video)
            shifted = [shift_by_point(track, follow(track)) for track in tracks]
            return with_depth(replace(looked.tracks, tracks=shifted))
        heard = {}
        if self.points is not None and mode != "none":
            heard = votes_of(tracks, self.points, looked.video, mode == "two-sided", self.seed)
        known, followed = looked.scene if self.refine else None, []
        for track in tracks:
            said = heard.get(track.track_id)
            votes = said.votes if said else None
            found = recover_track(track, self.motion, mode, ego=looked.ego, scene=known, votes=votes)
            followed.append(said.marked(found) if said else found)
        return with_depth(replace(looked.tracks, tracks=followed))

    def stream(self, video: str | Path | Video, visible: str | Path | VideoTracks) -> Iterator[FrameResult]:
        """Results frame by frame, each from the past alone (as with recover="online").

        Raises:
            InputError: as of a call; or a point tracker, or recover="reference": only motion is followed in a stream.
        """
        if self.points is not None:
            raise InputError(
                "a stream is followed by tracker motion only; call the segmenter on a whole video"
            )
        video, visible = _open(video, visible)
        ego = FrameEgo(keep=2 * HORIZON)
        followers = {track.track_id: Follower(self.motion, ego) for track in visible}
        # No stage runs ahead here: what a frame is told must come from the past alone, without delay.
        for index, shown, answers in self._answers(self._frames(video, visible, ego), visible.video_id):
            instances, known = {}, shown if self.refine and self.recover != "none" else None
            for track in visible:
                follower, answer = followers[track.track_id], answers.get(track.track_id)
                if answer is not None:
                    instances[track.track_id] = _take(follower, index, answer, track.visible[index], known)
                elif follower.history and self.recover == "none":
                    instances[track.track_id] = InstanceResult(None, "gone", None, reason="not followed")
                elif follower.history:
                    instances[track.track_id] = _result(follower.predict(index, scene=known))
            yield FrameResult(index, instances)

    def _frames(self, video: Video, visible: VideoTracks, ego: FrameEgo) -> Iterator["_Frame"]:
        """Read frame by frame, with the visible masks, and push each to `ego` on the way."""
        for index, image in enumerate(video):
            seen = [track for track in visible if masks.area(track.visible[index])]
            arrays = np.zeros((len(seen), *visible.size), bool)
            for array, track in zip(arrays, seen, strict=True):
                array[:] = masks.decode(track.visible[index])  # type: ignore[arg-type]
            shown = np.logical_or.reduce(arrays)
            ego.push(image, shown)
            yield _Frame(index, image, [track.track_id for track in seen], arrays, masks.encode(shown))

    def _answers(
        self, frames: Iterable["_Frame"], video_id: int, log: AnswerLog | None = None
    ) -> Iterator[tuple[int, masks.Rle, dict[int, Answer]]]:
        """Frame by frame: its index, all that is seen of instances, and by track id SAM's answer for each of them.

        Frames in which nothing is seen are not encoded.
        """
        frames, together = iter(frames), 1 if self.model.device.type == "cpu" else GPU_BATCH
        while some := list(islice(frames, self.batch)):
            asked = [f for f in some if f.track_ids and not (log is not None and f.index in log)]
            embeddings = self.model.encode_batch([frame.image for frame in asked], together)
            embedding_of = {frame.index: found for frame, found in zip(asked, embeddings, strict=True)}
            for frame in some:
                answers: dict[int, Answer] = {}
                if log is not None and frame.index in log:
                    answers = log[frame.index]
                elif frame.track_ids:
                    said = ask(
                        self.model,
                        embedding_of[frame.index],
                        frame.visible,
                        [prompt_rng(self.seed, video_id, number, frame.index) for number in frame.track_ids],
                        self.prompt,
                        self.unite_visible,
                        frame.image,
                    )
                    answers = dict(zip(frame.track_ids, said, strict=True))
                    if log is not None:
                        log.add(frame.index, answers)
                yield frame.index, frame.shown, answers


@dataclass
class _Frame:
    """A frame as it was read, with the masks (N, H, W) of the instances that are seen in it, and their union."""

    index: int
    image: np.ndarray
    track_ids: list[int]
    visible: np.ndarray
    shown: masks.Rle


def _take(
    follower: Follower, index: int, answer: Answer, visible: masks.Rle | None, scene: masks.Rle | None
) -> InstanceResult:
    """Tell the follower what is seen of its instance; it may know better."""
    amodal = masks.encode(answer.amodal)
    rate = masks.occlusion_rate(amodal, visible)
    if rate is not None and visible is not None:
        others = masks.decode(scene) & ~masks.decode(visible) if scene else None
        seen = observe(index, amodal, 1 - rate, others)
        if scene:
            seen = follower.complete(seen, visible, scene)
        follower.see(seen, answer.score)
        amodal = seen.amodal
    return InstanceResult(amodal, "visible", answer.score, answer.points)


def _result(found: Recovered) -> InstanceResult:
    score = None if found.state == "gone" else found.score
    return InstanceResult(found.amodal, found.state, score, reason=found.reason)


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
