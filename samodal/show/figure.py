"""Figures for papers and slides from a folder of results: a contact sheet (PNG) or an animation (GIF)."""

import base64
import io
import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samodal import files, masks
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.show.overlay import draw_frame
from samodal.video import Video, VideoTracks

COLUMNS = 4
"""Frames of a contact sheet, if they are not chosen by hand."""
CELL = 640
"""Width in pixels of a frame in a contact sheet; never wider than the video."""
GIF_BYTES = 8_000_000
"""An animation that would be larger becomes smaller, then shorter of frames."""
GIF_SIZES = ((640, 120), (480, 120), (320, 120), (320, 60), (240, 30))
"""Widths in pixels and numbers of frames, tried in this order; the last one always fits."""


@dataclass
class Pictures:
    """The frames there are pictures of.

    Attributes:
        frames: their numbers in the video.
        times: (T,) seconds of all frames of the video.
        size: (H, W) of the video; the pictures may be smaller.
        get: the picture of a frame by its number, uint8 (h, w, 3) RGB.
    """

    frames: Sequence[int]
    times: np.ndarray
    size: tuple[int, int]
    get: Callable[[int], np.ndarray]

    @staticmethod
    def of_video(video: Video) -> "Pictures":
        """All frames of a video."""
        return Pictures(range(len(video)), video.times, video.size, video.__getitem__)

    @staticmethod
    def of_report(path: str | Path) -> "Pictures":
        """Those in a report page.

        Raises:
            InputError: not a page that `write_report` wrote.
        """
        try:
            text = Path(path).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"{path}: cannot be read ({error}); samodal predict writes it") from None
        try:
            found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
            video = json.loads(found[1])["video"]  # type: ignore[index]
            place = {frame: i for i, frame in enumerate(video["kept"])}
            pictures, (height, width) = video["pictures"], video["size"]
            times = np.array(video["times"], float)
        except (TypeError, ValueError, KeyError):
            raise InputError(
                f"{path}: holds no frames as a report of this version does; name the video with --video"
            ) from None

        def get(frame: int) -> np.ndarray:
            coded = base64.b64decode(pictures[place[frame]].partition(",")[2])
            return np.asarray(Image.open(io.BytesIO(coded)).convert("RGB"))

        return Pictures(list(place), times, (height, width), get)

    def check(self, tracks: VideoTracks, path: str | Path) -> None:
        """Raise InputError, with the name of the file that is to be written, if the tracks are of another video."""
        if len(tracks) and (tracks.num_frames, tracks.size) not in (
            (len(self.times), self.size),
            (len(self.times), (0, 0)),  # tracks without a mask do not know it
        ):
            raise InputError(
                f"{path}: {len(self.times)} frames of size {self.size} (height, width), but the tracks have "
                f"{tracks.num_frames} of size {tracks.size}; they belong to another video"
            )


def write_figure(
    path: str | Path,
    pictures: Pictures,
    tracks: VideoTracks,
    frames: Sequence[int] = (),
    track_ids: Sequence[int] = (),
) -> None:
    """Write a contact sheet (.png) or an animation (.gif), all of it or nothing.

    Args:
        path: the file; its suffix says which.
        pictures: the frames.
        tracks: of the same video.
        frames: which frames; if none are named a sheet shows those in which most is hidden, an animation all.
        track_ids: which instances; all if none are named.

    Raises:
        InputError: another suffix, frames or instances that are not there, or tracks of another video.
    """
    suffix = Path(path).suffix.lower()
    if suffix not in (".png", ".gif"):
        raise InputError(f"{path}: a contact sheet is a .png, an animation a .gif")
    pictures.check(tracks, path)
    known = [track.track_id for track in tracks]
    for what, asked, there in (("track", track_ids, known), ("frame", frames, pictures.frames)):
        if missing := sorted(set(asked) - set(there)):
            raise InputError(f"{path}: no {what} {missing[0]}; there are {_few(there)}")
    if track_ids:
        tracks = replace(tracks, tracks=[track for track in tracks if track.track_id in track_ids])
    if suffix == ".png":
        sheet = contact_sheet(pictures, tracks, frames or fullest(tracks, pictures.frames))
        with files.replacing(path) as temporary:
            Image.fromarray(sheet).save(temporary, optimize=True)
    else:
        content = animation(pictures, tracks, frames or pictures.frames)
        with files.replacing(path) as temporary:
            temporary.write_bytes(content)


def contact_sheet(pictures: Pictures, tracks: VideoTracks, frames: Sequence[int]) -> np.ndarray:
    """A column a frame: the frame, its visible masks, its amodal masks with the hidden part hatched.

    Returns:
        uint8 (H, W, 3) RGB, dark text on white.
    """
    size = _size(pictures, CELL)
    amodal = _fitted(tracks, frames, size)
    visible = replace(
        amodal, tracks=[replace(t, amodal=t.visible, states=["visible"] * len(t)) for t in amodal]
    )
    text = max(12, size[0] // 18)
    font, room, gap = ImageFont.load_default(text), round(1.6 * text), max(4, size[1] // 100)
    names = ("frame", "visible", "amodal")
    height = room + len(names) * (size[0] + gap) - gap
    sheet = Image.new("RGB", (room + len(frames) * (size[1] + gap) - gap, height), "white")
    draw = ImageDraw.Draw(sheet)
    for column, frame in enumerate(frames):
        left = room + column * (size[1] + gap)
        when = f"frame {frame}, {pictures.times[frame] - pictures.times[0]:.2f} s"
        draw.text((left + size[1] // 2, room // 2), when, "black", font, anchor="mm")
        picture = _resized(pictures.get(frame), size)
        cells = (picture, _drawn(picture, visible, frame), _drawn(picture, amodal, frame))
        for row, cell in enumerate(cells):
            sheet.paste(Image.fromarray(cell), (left, room + row * (size[0] + gap)))
    for row, name in enumerate(names):
        side = Image.new("RGB", (size[0], room), "white")
        ImageDraw.Draw(side).text((size[0] // 2, room // 2), name, "black", font, anchor="mm")
        sheet.paste(side.rotate(90, expand=True), (0, room + row * (size[0] + gap)))
    return np.asarray(sheet)


def animation(pictures: Pictures, tracks: VideoTracks, frames: Sequence[int]) -> bytes:
    """The frames with the amodal masks as a GIF that runs at the speed of the video, of at most `GIF_BYTES`."""
    frames = sorted(set(frames))
    for width, most in GIF_SIZES:
        shown, size = frames[:: -(-len(frames) // most)], _size(pictures, width)
        some = shown[:: -(-len(shown) // 4)]
        if len(_gif(pictures, tracks, some, size)) / len(some) * len(shown) > GIF_BYTES:
            continue
        if len(content := _gif(pictures, tracks, shown, size)) <= GIF_BYTES:
            return content
    return _gif(pictures, tracks, shown, size)


def _gif(pictures: Pictures, tracks: VideoTracks, frames: list[int], size: tuple[int, int]) -> bytes:
    fitted = _fitted(tracks, frames, size)
    images = [
        Image.fromarray(_drawn(_resized(pictures.get(frame), size), fitted, frame)).quantize(
            128, dither=Image.Dither.NONE
        )
        for frame in frames
    ]
    times = pictures.times[frames]
    lengths = np.diff(times, append=times[-1] + (np.median(np.diff(times)) if len(times) > 1 else 1))
    milliseconds = [max(20, round(1000 * float(length))) for length in lengths]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=milliseconds, loop=0, optimize=False
    )
    return buffer.getvalue()


def fullest(tracks: VideoTracks, frames: Sequence[int]) -> list[int]:
    """A few of `frames`, apart from each other, in which most is hidden; what is not seen at all counts twice."""
    rates = np.array([[rate or 0.0 for rate in track.occlusion_rates] for track in tracks])
    rates = rates.reshape(len(tracks), -1)[:, list(frames)] if len(tracks) else np.zeros((1, len(frames)))
    hidden = (rates + (rates == 1)).sum(axis=0)
    apart = max(1, len(frames) // (2 * COLUMNS))
    chosen: list[int] = []
    while len(chosen) < COLUMNS and hidden.max(initial=-1.0) >= 0:
        best = int(hidden.argmax())
        chosen.append(best)
        hidden[max(0, best - apart + 1) : best + apart] = -1.0
    return [frames[i] for i in sorted(chosen)]


def _size(pictures: Pictures, width: int) -> tuple[int, int]:
    width = min(width, pictures.size[1])
    return max(1, round(pictures.size[0] * width / pictures.size[1])), width


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    if picture.shape[:2] == size:
        return picture
    smaller = picture.shape[0] > size[0]
    way = cv2.INTER_AREA if smaller else cv2.INTER_CUBIC
    return cv2.resize(picture, size[::-1], interpolation=way)


def _fitted(tracks: VideoTracks, frames: Sequence[int], size: tuple[int, int]) -> VideoTracks:
    """The tracks with the masks of `frames` in another size and without those of all others, and without points."""

    def fit(rles: list[Rle | None]) -> list[Rle | None]:
        fitted: list[Rle | None] = [None] * len(rles)
        for frame in frames:
            if (rle := rles[frame]) is not None:
                soft = _resized(masks.decode(rle).astype(np.float32), size)
                fitted[frame] = masks.encode(soft >= 0.5)
        return fitted

    changed = [
        replace(t, visible=fit(t.visible), amodal=fit(t.amodal), points=[None] * len(t)) for t in tracks
    ]
    return replace(tracks, tracks=changed, size=size)


def _drawn(picture: np.ndarray, tracks: VideoTracks, frame: int) -> np.ndarray:
    return draw_frame(picture, tracks, frame)[: picture.shape[0]]  # without the strip below


def _few(numbers: Sequence[int]) -> str:
    shown = [str(number) for number in numbers]
    return ", ".join(shown if len(shown) <= 12 else [*shown[:6], "...", *shown[-3:]]) or "none"
