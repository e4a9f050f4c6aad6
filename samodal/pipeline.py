"""The whole method: video and visible masks in, amodal tracks out.

    frames ---> image embedding, once a frame ---------+
    visible masks ---> points (and more prompts) ------+--> amodal masks of what is seen
    frames ---> ego-motion, once a frame --------------+--> amodal masks through gaps
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from samodal import masks
from samodal.data.visible import read_visible
from samodal.motion import EgoMotion
from samodal.motion.ego import FrameEgo
from samodal.prompts import PromptOptions, prompt_rng
from samodal.recover import Follower, make_model, recover_track
from samodal.sam import AmodalSam
from samodal.sam.ask import Answer, ask
from samodal.video import State, Track, Video, VideoTracks


@dataclass
class FrameResult:
    """What is known of one frame when it has been seen and nothing after it.

    Attributes:
        index: of the frame.
        instances: track id -> mask, state and score; only instances that have been seen so far.
    """

    index: int
    instances: dict[int, "InstanceResult"]


@dataclass
class InstanceResult:
    """One instance in one frame; the fields are those of `Track`."""

    amodal: masks.Rle | None
    state: State
    score: float | None
    points: np.ndarray | None
    reason: str | None


class AmodalVideoSegmenter:
    """S-AModal (arXiv 2409.14095): SAM where an instance is seen, motion where it is hidden.

    Args:
        model: the amodal SAM.
        tracker: who follows hidden instances; "motion" needs no weights.
        recover: "two-sided" (default), "online" (looks only at the past) or "none".
        prompt: how SAM is prompted.
        seed: of the prompts. A draw depends on the seed, the video, the track and the frame, on nothing else.
        batch: frames encoded together; changes speed and memory, never the result.
        unite_visible: what is seen belongs to the full mask, whatever SAM says.
    """

    def __init__(
        self,
        model: AmodalSam,
        tracker: str = "motion",
        recover: str = "two-sided",
        prompt: PromptOptions | None = None,
        seed: int = 0,
        batch: int = 4,
        unite_visible: bool = True,
    ) -> None:
        self.model = model.eval()
        self.motion = make_model(tracker)
        self.recover = recover
        self.prompt = prompt or PromptOptions()
        self.seed = seed
        self.batch = batch
        self.unite_visible = unite_visible

    def __call__(
        self,
        video: str | Path | Video,
        visible: str | Path | VideoTracks,
        progress: Callable[[], None] = lambda: None,
    ) -> VideoTracks:
        """Amodal tracks of a whole video.

        Args:
            video: a `Video`, a file, a folder of frames or a glob pattern.
            visible: the visible masks, read already or a file that `samodal.data.visible.read_visible` knows.
            progress: called after every frame.

        Raises:
            InputError: the video cannot be read, or the masks do not fit it.
        """
        video = Video.open(video)
        visible = _read(visible, video)
        ego = FrameEgo()
        tracks = [Track(t.track_id, t.category_id, t.score, list(t.visible)) for t in visible]
        for index, answers in self._answers(video, visible, ego):
            for track in tracks:
                if answer := answers.get(track.track_id):
                    track.amodal[index] = masks.encode(answer.amodal)
                    track.scores[index] = answer.score
                    track.points[index] = answer.points
            progress()
        recovered = [
            recover_track(track, self.motion, self.recover, size=visible.size, ego=ego) for track in tracks
        ]
        return VideoTracks(visible.size, len(video), recovered, visible.video_id)

    def stream(self, video: str | Path | Video, visible: str | Path | VideoTracks) -> Iterator[FrameResult]:
        """Results frame by frame, each from the past alone, with memory that does not grow with the video."""
        video = Video.open(video)
        visible = _read(visible, video)
        ego = FrameEgo(keep=HORIZON + MAX_GAP)
        followers = {track.track_id: Follower(self.motion, ego) for track in visible}
        for index, answers in self._answers(video, visible, ego):
            instances = {}
            for track_id, follower in followers.items():
                if answer := answers.get(track_id):
                    amodal = masks.encode(answer.amodal)
                    seen = visible.tracks
                    follower.update(observe(index, amodal, answer.visible_fraction), answer.score)
                    instances[track_id] = InstanceResult(amodal, "visible", answer.score, answer.points, None)
                elif follower.history:
                    found = follower.predict(index)
                    instances[track_id] = InstanceResult(found.amodal, found.state, found.score, None, found.reason)
            yield FrameResult(index, instances)

    @torch.inference_mode()
    def _answers(self, video: Video, visible: VideoTracks, ego: FrameEgo) -> Iterator[tuple[int, dict[int, Answer]]]:
        """Frame by frame: the index and, by track id, SAM's answer for every instance that is seen."""
        for start in range(0, len(video), self.batch):
            indices = range(start, min(start + self.batch, len(video)))
            frames = {index: video[index] for index in indices}
            seen = {index: [t for t in visible if masks.area(t.visible[index])] for index in indices}
            asked = [index for index in indices if seen[index]]  # nothing to ask, nothing to encode
            embeddings = dict(zip(asked, self.model.encode_batch([frames[i] for i in asked]), strict=True))
            for index in indices:
                arrays = _stack([masks.decode(t.visible[index]) for t in seen[index]], visible.size)
                ego.push(frames[index], arrays.any(axis=0))
                rngs = [prompt_rng(self.seed, visible.video_id, t.track_id, index) for t in seen[index]]
                answers = ask(
                    self.model, embeddings[index], arrays, rngs, self.prompt, self.unite_visible, frames[index]
                ) if seen[index] else []
                yield index, {t.track_id: a for t, a in zip(seen[index], answers, strict=True)}
