"""Every frame by itself (S-AModal's image level): read with its visible masks, and SAM asked for the full ones."""

from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import TypeVar

import numpy as np

from samodal import masks
from samodal.answers import AnswerLog
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.motion import EgoMotion
from samodal.motion.flow import InstanceFlow
from samodal.motion.observation import Step
from samodal.prompts import PromptOptions, prompt_rng
from samodal.sam import AmodalSam
from samodal.sam.answers import Decoded
from samodal.sam.ask import Answer, Prompts, answers_of, prompts_of
from samodal.stages import ahead
from samodal.video import Video, VideoTracks

T = TypeVar("T")

GPU_BATCH = 4
"""Frames that a GPU encodes together, whatever `batch` is, so that the results do not depend on it."""

StreamFrame = tuple[np.ndarray, Mapping[int, np.ndarray | Rle | None]]
"""What an endless stream brings: image uint8 (H, W, 3) RGB, and track id -> visible mask, bool (H, W) or RLE."""


@dataclass
class Frame:
    """A frame as it was read.

    Attributes:
        index: of the frame.
        image: uint8 (H, W, 3) RGB.
        visible: track id -> visible mask, of the N instances that are seen.
        arrays: the same masks, bool (N, H, W).
        shown: their union.
        steps: track id -> how what is seen of an instance moved since the frame before, where that is known.
    """

    index: int
    image: np.ndarray
    visible: Mapping[int, Rle]
    arrays: np.ndarray
    shown: Rle
    steps: Mapping[int, Step] = field(default_factory=dict)


@dataclass
class Seen:
    """A frame that SAM was asked about; `index`, `image`, `visible`, `shown` and `steps` as in `Frame`.

    Attributes:
        answers: track id -> what SAM says, of the instances that are seen.
    """

    index: int
    image: np.ndarray
    visible: Mapping[int, Rle]
    shown: Rle
    answers: Mapping[int, Answer]
    steps: Mapping[int, Step] = field(default_factory=dict)


def pairs_of(video: Video, visible: VideoTracks) -> Iterator[tuple[np.ndarray, Mapping[int, Rle]]]:
    """Frame by frame the image, and by track id the masks of what is seen."""
    for index, image in enumerate(video):
        shown = ((track.track_id, track.visible[index]) for track in visible)
        yield image, {track_id: rle for track_id, rle in shown if rle is not None and masks.area(rle)}


def checked(frames: Iterable[StreamFrame]) -> Iterator[tuple[np.ndarray, Mapping[int, Rle]]]:
    """The same of an endless stream.

    Raises:
        InputError: not pairs of an image and a mapping of masks, other types, or sizes that differ.
    """
    size = None
    for index, pair in enumerate(frames):
        if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[1], Mapping):
            raise InputError(f"frame {index}: a pair (image, {{track id: visible mask}}) is expected")
        image, visible = pair
        if not isinstance(image, np.ndarray) or image.dtype != np.uint8 or image.shape[2:] != (3,):
            raise InputError(f"frame {index}: an image of uint8 (H, W, 3) RGB is expected")
        size = size or image.shape[:2]
        if image.shape[:2] != size or 0 in size:
            raise InputError(f"frame {index}: {image.shape[:2]} pixels (height, width) in a stream of {size}")
        try:
            found = {_whole(track_id): _rle(mask, size) for track_id, mask in visible.items()}
        except ValueError as error:
            raise InputError(f"frame {index}: {error}") from None
        yield image, {track_id: rle for track_id, rle in found.items() if rle is not None}


def _whole(track_id: int) -> int:
    if not isinstance(track_id, int | np.integer):
        raise ValueError(f"track id {track_id!r} is not a whole number")
    return int(track_id)


def _rle(mask: np.ndarray | Rle | None, size: tuple[int, int]) -> Rle | None:
    if not isinstance(mask, np.ndarray):
        return masks.from_annotation(mask, size)
    if mask.shape != size:
        raise ValueError(f"mask of {mask.shape} in a frame of {size} (height, width)")
    return masks.encode(mask != 0) if mask.any() else None


def read(
    frames: Iterable[tuple[np.ndarray, Mapping[int, Rle]]], ego: EgoMotion, flow: InstanceFlow | None = None
) -> Iterator[Frame]:
    """Read frame by frame, and push each to `flow` and to `ego` on the way, if that wants to look at it."""
    push = getattr(ego, "push", None)
    for index, (image, visible) in enumerate(frames):
        arrays = np.zeros((len(visible), *image.shape[:2]), bool)
        for array, rle in zip(arrays, visible.values(), strict=True):
            array[:] = masks.decode(rle)
        shown = np.logical_or.reduce(arrays)
        if push is not None:
            push(image, shown)
        steps = flow.push(image, dict(zip(visible, arrays, strict=True))) if flow else {}
        yield Frame(index, image, visible, arrays, masks.encode(shown), steps)


def ask_sam(
    frames: Iterable[Frame],
    model: AmodalSam,
    prompt: PromptOptions,
    unite_visible: bool,
    seed: int,
    video_id: int,
    batch: int,
    log: AnswerLog | None = None,
    queue: int = 0,
    live: bool = False,
) -> Iterator[Seen]:
    """Ask SAM about the instances that are seen; frames in which nothing is seen are not encoded.

    Args:
        frames: `batch` of them are taken at a time.
        model: the amodal SAM.
        prompt: how it is prompted.
        unite_visible: see `ask`.
        seed: of the prompts, as `video_id`.
        video_id: of the video.
        batch: changes speed, memory and delay, never the answers.
        log: the answers that are known already, where those of other frames are added.
        queue: 0 for one frame after the other; else reading, the model and its answers overlap, with so many frames
            waiting between them.
        live: frames come one by one, so none is encoded in company: on a GPU, that would be with empty ones.
    """

    def stage(items: Iterator[T]) -> Iterator[T]:
        return ahead(items, queue) if queue else items

    together = 1 if live or model.device.type == "cpu" else GPU_BATCH
    known = () if log is None else log
    asked = stage(_prompted(frames, model, prompt, seed, video_id, known))
    for frame, shown, decoded in stage(_decoded(asked, model, batch, together)):
        said: Mapping[int, Answer] = {}
        if log is not None and frame.index in log:
            said = log[frame.index]
        elif shown is not None and decoded is not None:
            found = answers_of(decoded, frame.arrays, model, shown, unite_visible)
            said = dict(zip(frame.visible, found, strict=True))
            if log is not None:
                log.add(frame.index, said)
        yield Seen(frame.index, frame.image, frame.visible, frame.shown, said, frame.steps)


def _prompted(
    frames: Iterable[Frame],
    model: AmodalSam,
    prompt: PromptOptions,
    seed: int,
    video_id: int,
    known: Container[int] | AnswerLog,
) -> Iterator[tuple[Frame, Prompts | None]]:
    """Frames with what SAM is to be asked about them; nothing where nothing is seen, or the answers are known."""
    for frame in frames:
        shown = None
        if frame.visible and frame.index not in known:
            rngs = [prompt_rng(seed, video_id, track_id, frame.index) for track_id in frame.visible]
            shown = prompts_of(frame.arrays, model, rngs, prompt, frame.image)
        yield frame, shown


def _decoded(
    frames: Iterator[tuple[Frame, Prompts | None]], model: AmodalSam, batch: int, together: int
) -> Iterator[tuple[Frame, Prompts | None, Decoded | None]]:
    """The model's part of the work."""
    while some := list(islice(frames, batch)):
        asked = [frame for frame, shown in some if shown is not None]
        embeddings = iter(model.encode_batch([frame.image for frame in asked], together))
        for frame, shown in some:
            yield frame, shown, None if shown is None else model.decode(next(embeddings), **vars(shown))
