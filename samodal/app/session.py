"""What one person looks at in the app, and all that can be done with it: plain functions, without a page.

files --> `open_clip` --> Session --> `load_visible`, `go_to`, `click` --> Session --+--> `look`: what the model says of
                                                                                     |    a frame, to be drawn
                                                                                     +--> `run_clip`: results on disk
"""

import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np

from samodal import masks
from samodal.data.synthetic import make_clip
from samodal.data.visible import read_visible
from samodal.demo import FIRST_SEED, only_visible
from samodal.errors import InputError
from samodal.frames import IMAGE_SUFFIXES, natural_order, open_images
from samodal.pipeline import AmodalVideoSegmenter
from samodal.prompts import prompt_rng
from samodal.results import run_facts, write_results
from samodal.sam import AmodalSam
from samodal.sam.answers import FrameEmbedding
from samodal.sam.ask import Answer, ask
from samodal.video import Track, Video, VideoTracks

Mode = Literal["keep", "not", "box"]
"""What a click says: this belongs to the instance, this does not, or here is a corner of its box."""

RESULT_FILES = ("amodal.json", "overlay.mp4", "report.html")


@dataclass(frozen=True)
class Click:
    """A click at pixel x, y of the frame."""

    x: int
    y: int
    mode: Mode


@dataclass(frozen=True)
class Seen:
    """What the model said of the frame that is looked at.

    Attributes:
        frame: its number.
        image: uint8 (H, W, 3) RGB.
        embedding: of the image, so that a click costs one decode; None as long as nothing was asked.
        instances: of one frame, SAM's answers to the visible masks; None if there are none, or a run knows better.
        clicks: that were answered last.
        answer: to these clicks.
    """

    frame: int
    image: np.ndarray
    embedding: FrameEmbedding | None = None
    instances: VideoTracks | None = None
    clicks: tuple[Click, ...] = ()
    answer: Answer | None = None


@dataclass(frozen=True)
class Session:
    """All that the page of one person shows.

    Attributes:
        video: the clip, or an image as a clip of one frame.
        frame: the one that is looked at.
        visible: the visible masks, where some were loaded.
        result: the amodal tracks, where the clip was run.
        clicks: of every frame that has some; those of one frame are about one instance.
        seen: what `look` found last.
    """

    video: Video
    frame: int = 0
    visible: VideoTracks | None = None
    result: VideoTracks | None = None
    clicks: dict[int, tuple[Click, ...]] = field(default_factory=dict)
    seen: Seen | None = None


# ---- What a person does ----------------------------------------------------------------------------------------------


def open_clip(source: str | Sequence[str]) -> Session:
    """A clip from what `Video.open` knows, or from uploaded files: a video, an image, or the images of a clip.

    Raises:
        InputError: they cannot be read as that.
    """
    if isinstance(source, str):
        return Session(Video.open(source))
    paths = [Path(name) for name in source]
    with _plain_names(paths):
        if len(paths) == 1:
            video = Video.open(paths[0])
        elif odd := [path.name for path in paths if path.suffix.lower() not in IMAGE_SUFFIXES]:
            raise InputError(f"{odd[0]}: one video is expected, or the images of one clip")
        else:
            video = open_images(sorted(paths, key=natural_order), Path("images"))
        seen = Seen(0, video[0])  # whether it is broken shows only when it is read
    return Session(replace(video, name=paths[0].stem), seen=seen)


def open_demo(frames: int = 24, size: tuple[int, int] = (360, 640)) -> Session:
    """A clip of the procedural world, with its visible masks."""
    clip = make_clip(FIRST_SEED, frames, size)
    return Session(clip.video, visible=only_visible(clip.truth))


def load_visible(session: Session, source: Sequence[str]) -> Session:
    """The session with visible masks: a file that `read_visible` knows, or PNG maps.

    Raises:
        InputError: they cannot be read, or do not fit the clip.
    """
    paths = [Path(name) for name in source]
    with _plain_names(paths), tempfile.TemporaryDirectory() as folder:
        path = paths[0]
        if all(path.suffix.lower() == ".png" for path in paths):
            for path in paths:
                shutil.copy(path, folder)
            path = Path(folder)
        elif len(paths) > 1:
            raise InputError(f"{path.name}: one file with masks is expected, or PNG maps, one a frame")
        try:
            visible = read_visible(path, session.video)
        except InputError as error:
            raise InputError(str(error).replace(folder, "masks")) from None
    return replace(session, visible=visible, result=None, seen=None)


def go_to(session: Session, frame: int) -> Session:
    """The session at another frame; beyond the ends is the last or the first one."""
    return replace(session, frame=min(max(frame, 0), len(session.video) - 1))


def click(session: Session, x: int, y: int, mode: Mode) -> Session:
    """The session with one more click in its frame; outside the frame it counts at the border."""
    height, width = session.video.size
    new = Click(min(max(x, 0), width - 1), min(max(y, 0), height - 1), mode)
    return _with_clicks(session, (*session.clicks.get(session.frame, ()), new))


def undo(session: Session) -> Session:
    """The session without the last click in its frame."""
    return _with_clicks(session, session.clicks.get(session.frame, ())[:-1])


def clear(session: Session) -> Session:
    """The session without any click in its frame."""
    return _with_clicks(session, ())


# ---- What the model says ---------------------------------------------------------------------------------------------


def look(session: Session, segmenter: AmodalVideoSegmenter) -> Session:
    """The session with everything known about its frame: what was worked out before is not worked out again."""
    frame, seen = session.frame, session.seen
    if seen is None or seen.frame != frame:
        seen = Seen(frame, session.video[frame])
    if session.visible is not None and session.result is None and seen.instances is None:
        seen = _ask_instances(seen, session.visible, segmenter)
    if (clicks := session.clicks.get(frame, ())) != seen.clicks:
        seen = _ask_clicks(seen, clicks, segmenter.model)
    return replace(session, seen=seen)


def prompt_of(
    clicks: Sequence[Click],
) -> tuple[list[tuple[int, int]], list[int], tuple[int, int, int, int] | None]:
    """Clicks as SAM takes them: points (x, y), their labels (1 keep, 0 not), and the box (x0, y0, x1, y1).

    Every two clicks on corners make a box; the last one counts.
    """
    points = [(c.x, c.y) for c in clicks if c.mode != "box"]
    labels = [int(c.mode == "keep") for c in clicks if c.mode != "box"]
    corners = [(c.x, c.y) for c in clicks if c.mode == "box"]
    if len(corners) < 2:
        return points, labels, None
    (x0, y0), (x1, y1) = corners[:-1][-2:] if len(corners) % 2 else corners[-2:]
    return points, labels, (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))


def run_clip(
    session: Session,
    segmenter: AmodalVideoSegmenter,
    folder: Path,
    facts: dict[str, Any],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Session:
    """Run the whole clip as `samodal predict` does, and write `RESULT_FILES` to `folder`.

    Args:
        session: with visible masks.
        segmenter: the method.
        folder: where the files go; made where it is missing.
        facts: what else is said in the report.
        progress: called with the number of frames that are done, and of all.

    Returns:
        The session with its result.

    Raises:
        InputError: no visible masks.
    """
    if session.visible is None:
        raise InputError("a clip is run with its visible masks: load them first")
    video, done = session.video, 0

    def advance() -> None:
        nonlocal done
        done += 1
        progress(done, len(video))

    tracks = segmenter(video, session.visible, advance)
    write_results(folder, video, tracks, run_facts(video=video.name, seed=segmenter.seed, **facts))
    return replace(session, result=tracks, seen=None)


def _with_clicks(session: Session, clicks: tuple[Click, ...]) -> Session:
    return replace(session, clicks={**session.clicks, session.frame: clicks})


def _ask_instances(seen: Seen, visible: VideoTracks, segmenter: AmodalVideoSegmenter) -> Seen:
    """SAM's answers to the visible masks of the frame, as the first half of a run gives them."""
    shown = [(track, rle) for track in visible if masks.area(rle := track.visible[seen.frame]) and rle]
    found = VideoTracks(visible.size, 1, [], visible.video_id)
    if not shown:
        return replace(seen, instances=found)
    seen, embedding = _encoded(seen, segmenter.model)
    answers = ask(
        segmenter.model,
        embedding,
        np.array([masks.decode(rle) for _, rle in shown]),
        [prompt_rng(segmenter.seed, visible.video_id, track.track_id, seen.frame) for track, _ in shown],
        segmenter.prompt,
        segmenter.unite_visible,
        seen.image,
    )
    for (track, rle), answer in zip(shown, answers, strict=True):
        alone = Track(track.track_id, track.category_id, track.score, [rle], [masks.encode(answer.amodal)])
        found.tracks.append(replace(alone, scores=[answer.score], points=[answer.points]))
    return replace(seen, instances=found)


def _ask_clicks(seen: Seen, clicks: tuple[Click, ...], model: AmodalSam) -> Seen:
    """SAM's answer to the clicks; none as long as they only say what does not belong to the instance."""
    points, labels, box = prompt_of(clicks)
    if box is None and 1 not in labels:
        return replace(seen, clicks=clicks, answer=None)
    seen, embedding = _encoded(seen, model)
    decoded = model.decode(
        embedding,
        [points] if points else None,
        [labels] if points else None,
        [box] if box else None,
    )
    score = float(decoded.scores[0, 0].clamp(0, 1))
    answer = Answer(decoded.masks[0].cpu().numpy(), score, np.array(points, np.int64).reshape(-1, 2))
    return replace(seen, clicks=clicks, answer=answer)


def _encoded(seen: Seen, model: AmodalSam) -> tuple[Seen, FrameEmbedding]:
    """The same with the embedding of the image, made where it is missing."""
    embedding = seen.embedding or model.encode(seen.image)
    return replace(seen, embedding=embedding), embedding


@contextmanager
def _plain_names(paths: Sequence[Path]) -> Iterator[None]:
    """Errors name uploaded files as their owner does, not by the folder in which they were put."""
    try:
        yield
    except InputError as error:
        text = str(error)
        for path in paths:
            text = text.replace(f"{path.parent}/", "")
        raise InputError(text) from None
