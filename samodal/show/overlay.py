"""Tracks drawn on frames: what is seen is filled, what is hidden is hatched, in a dashed outline."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from samodal import masks
from samodal.errors import InputError
from samodal.masks import Rle
from samodal.show.colours import Colour, colour_of
from samodal.show.text import INK, PLATE, own_reason, paste, plate, text_width
from samodal.stages import ahead
from samodal.video import Track, Video, VideoTracks

FILL = 0.45
"""Opacity of the visible part."""
STRIPE = 0.8
"""Opacity of the stripes over the hidden part."""


@dataclass(frozen=True)
class Style:
    """Sizes in pixels, all from the height of the frame."""

    line: int
    dash: int
    stripe: int
    font: int
    dot: int

    @staticmethod
    def of(height: int) -> "Style":
        """The sizes for frames of this height."""
        return Style(
            line=max(1, round(height / 360)),
            dash=max(3, round(height / 60)),
            stripe=max(2, round(height / 120)),
            font=max(8, round(6 + height / 60)),
            dot=max(1, round(height / 180)),
        )


def write_overlay(path: str | Path, video: Video, tracks: VideoTracks) -> None:
    """Write the video with the tracks drawn on it as an mp4, all of it or nothing.

    Raises:
        InputError: the tracks are not of this video's length or size.
    """
    from samodal.frames import write_video

    # Drawn in one thread, compressed in another.
    write_video(path, ahead(overlay_frames(video, tracks), 4), times=video.times.tolist())


def overlay_frames(video: Video, tracks: VideoTracks) -> Iterator[np.ndarray]:
    """The frames of `video` with the tracks drawn on them, see `draw_frame`.

    Raises:
        InputError: the tracks are not of this video's length or size.
    """
    drawn = any(rle for track in tracks for rle in track.visible + track.amodal)
    if drawn and (tracks.num_frames, tracks.size) != (len(video), video.size):
        raise InputError(
            f"{video.name}: {len(video)} frames of size {video.size} (height, width), "
            f"but the tracks have {tracks.num_frames} of size {tracks.size}; they belong to another video"
        )
    for index in range(len(video)):
        yield draw_frame(video[index], tracks, index, float(video.times[index]))


def label_of(track: Track, index: int) -> str:
    """What stands beside a track: its id; where it is hidden, how long, behind whom or why, and the score."""
    if track.states[index] != "hidden":
        return str(track.track_id)
    start = index  # of the gap
    while start > 0 and track.states[start - 1] != "visible":
        start -= 1
    occluder, score = track.occluders[index], track.scores[index]
    why = own_reason(track.reasons[index]) if occluder is None else f"behind {occluder}"
    told = [
        str(track.track_id),
        f"hidden {index - start + 1}",
        why,
        None if score is None else f"{score:.2f}",
    ]
    return "  ".join(word for word in told if word)


def draw_frame(frame: np.ndarray, tracks: VideoTracks, index: int, time: float | None = None) -> np.ndarray:
    """One frame with everything that is known about it, and below it a strip with the legend.

    The visible part is filled with the track's colour, the hidden part hatched with it inside a dashed
    outline of the full shape. Where nothing is visible the label says for how many frames, behind which instance (or,
    where none is known, the reason), and the score; points that were tracked there are crosses.

    Args:
        frame: uint8 (H, W, 3) RGB; not changed.
        tracks: of the whole video, masks of size (H, W).
        index: which frame of the video it is.
        time: seconds, for the strip.

    Returns:
        uint8 (H + h, W, 3) RGB; the height h of the strip depends on (H, W) only.
    """
    height, width = frame.shape[:2]
    style = Style.of(height)
    legend = _legend(height, width)
    canvas = np.concatenate([frame, legend])
    picture = canvas[:height]
    shapes = [shape for track in tracks if (shape := _shape(track, index, style))]
    # All fills first, then all hatching: a hidden part lies on the thing that hides it.
    for shape in shapes:
        _fill(picture[shape.window], shape.visible, shape.colour, FILL)
    for shape in shapes:
        _hatch(picture, shape, style)
    for shape in shapes:
        _outline(picture, shape, style)
    for shape in shapes:
        seen = shape.track.states[index] == "visible"
        (_dots if seen else _crosses)(picture, shape.track.points[index], style)
    _labels(picture, shapes, index, style)
    when = f"frame {index}" if time is None else f"frame {index}   {time:.2f} s"
    paste(canvas[height:], plate(when, style.font), 0, 0)
    return canvas


@dataclass
class _Shape:
    """One track in one frame; the masks are uint8 0/1, cut to `window` of the frame."""

    track: Track
    colour: Colour
    window: tuple[slice, slice]
    visible: np.ndarray
    amodal: np.ndarray

    @property
    def hidden(self) -> np.ndarray:
        return self.amodal & ~self.visible


def _shape(track: Track, index: int, style: Style) -> _Shape | None:
    """Cut out what is to be drawn, with room for the lines; None where there is nothing."""
    visible, amodal = track.visible[index], track.amodal[index]
    known = [rle for rle in (visible, amodal) if rle is not None and masks.area(rle)]
    if not known:
        return None
    height, width = known[0]["size"]
    x, y, w, h = masks.box(masks.union(known))
    room = 2 * style.line + 1
    window = (
        slice(max(y - room, 0), min(y + h + room, height)),
        slice(max(x - room, 0), min(x + w + room, width)),
    )

    def cut(rle: Rle | None) -> np.ndarray:
        if rle is None:
            return np.zeros((window[0].stop - window[0].start, window[1].stop - window[1].start), np.uint8)
        return np.ascontiguousarray(masks.decode(rle)[window]).view(np.uint8)

    return _Shape(track, colour_of(track.track_id), window, cut(visible), cut(amodal))


def _fill(target: np.ndarray, mask: np.ndarray, colour: Colour, alpha: float) -> None:
    flat = np.empty_like(target)
    flat[:] = colour
    mixed = cv2.addWeighted(flat, alpha, target, 1 - alpha, 0)
    cv2.copyTo(mixed, mask, target)


def _hatch(picture: np.ndarray, shape: _Shape, style: Style) -> None:
    hidden = shape.hidden
    if hidden.any():
        stripes = _stripes(*picture.shape[:2], style.stripe)[shape.window]
        _fill(picture[shape.window], hidden & stripes, shape.colour, STRIPE)


@lru_cache(maxsize=4)
def _stripes(height: int, width: int, stripe: int) -> np.ndarray:
    """Diagonal stripes, one part drawn to two parts left free: uint8 0/1 (height, width)."""
    diagonal = np.arange(height)[:, None] + np.arange(width)
    return (diagonal % (3 * stripe) < stripe).astype(np.uint8)


def _outline(picture: np.ndarray, shape: _Shape, style: Style) -> None:
    """A thin line around what is seen; dashes on a dark line around the full shape where that is more."""
    target = picture[shape.window]
    cv2.polylines(target, _contours(shape.visible), True, shape.colour, style.line, cv2.LINE_AA)
    if shape.hidden.any():
        full = _contours(shape.amodal)
        cv2.polylines(target, full, True, PLATE, style.line, cv2.LINE_AA)
        cv2.polylines(target, _dashes(full, style.dash), False, shape.colour, 2 * style.line, cv2.LINE_AA)


def _contours(mask: np.ndarray) -> list[np.ndarray]:
    return list(cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0])


def _dashes(contours: list[np.ndarray], dash: int) -> list[np.ndarray]:
    return [c[start : start + dash] for c in contours for start in range(0, len(c), 2 * dash)]


def _dots(picture: np.ndarray, points: np.ndarray | None, style: Style) -> None:
    for x, y in [] if points is None else points.tolist():
        cv2.circle(picture, (x, y), style.dot + 1, PLATE, -1, cv2.LINE_AA)
        cv2.circle(picture, (x, y), style.dot, INK, -1, cv2.LINE_AA)


def _crosses(picture: np.ndarray, points: np.ndarray | None, style: Style) -> None:
    for x, y in [] if points is None else np.rint(points[np.isfinite(points).all(1)]).astype(int).tolist():
        for colour, line in ((PLATE, 2 * style.line + 1), (INK, style.line)):
            cv2.drawMarker(picture, (x, y), colour, cv2.MARKER_TILTED_CROSS, 4 * style.dot, line, cv2.LINE_AA)


def _labels(picture: np.ndarray, shapes: list[_Shape], index: int, style: Style) -> None:
    """A plate above each shape, or at the next place around it that is still free."""
    taken: list[tuple[int, int, int, int]] = []
    for shape in shapes:
        label = plate(label_of(shape.track, index), style.font, shape.colour)
        h, w = label.shape[:2]
        rows, columns = shape.window
        left = [columns.start, columns.stop - w]
        top = [rows.start - h, rows.start, rows.stop, rows.start - 2 * h, rows.stop - h]
        places = [_inside(x, y, w, h, picture) for y in top for x in left]
        x, y = next((place for place in places if not _overlaps(place, w, h, taken)), places[0])
        taken.append((x, y, w, h))
        paste(picture, label, x, y, alpha=0.85)


def _inside(x: int, y: int, w: int, h: int, picture: np.ndarray) -> tuple[int, int]:
    return max(0, min(x, picture.shape[1] - w)), max(0, min(y, picture.shape[0] - h))


def _overlaps(place: tuple[int, int], w: int, h: int, taken: list[tuple[int, int, int, int]]) -> bool:
    x, y = place
    return any(x < x2 + w2 and x2 < x + w and y < y2 + h2 and y2 < y + h for x2, y2, w2, h2 in taken)


@lru_cache(maxsize=4)
def _legend(height: int, width: int) -> np.ndarray:
    """The strip below frames of this size, uint8 (h, width, 3); top left is room for the time."""
    style = Style.of(height)
    swatch = (style.font, 2 * style.font)
    row = plate("", style.font).shape[0]
    items = [
        ("visible", "fill"),
        ("hidden part", "hatch"),
        ("prompt point", "dot"),
        ("tracked point", "cross"),
        ("hidden: frames unseen, behind whom or why, score", None),
    ]
    x, y, gap = text_width("frame 0000   000.00 s", style.font) + style.font, 0, style.font
    placed = []
    for text, kind in items:
        picture = plate(text, style.font)
        needed = (swatch[1] if kind else 0) + picture.shape[1] + gap
        if x + needed > width and x > 0:
            x, y = 0, y + row
        placed.append((x, y, kind, picture))
        x += needed
    strip = np.full((y + row, width, 3), PLATE, np.uint8)
    for x, y, kind, picture in placed:
        if kind:
            paste(strip, _swatch(kind, swatch, style), x, y + (row - swatch[0]) // 2)
        paste(strip, picture, x + (swatch[1] if kind else 0), y)
    strip.setflags(write=False)
    return strip


def _swatch(kind: str, size: tuple[int, int], style: Style) -> np.ndarray:
    """What a thing looks like, in no track's colour, on a small piece of grey."""
    picture = np.full((*size, 3), 70, np.uint8)
    if kind == "fill":
        _fill(picture, np.ones(size, np.uint8), INK, FILL)
    elif kind == "hatch":
        _fill(picture, _stripes(*size, style.stripe), INK, STRIPE)
    else:
        middle = np.array([[size[1] // 2, size[0] // 2]])
        (_dots if kind == "dot" else _crosses)(picture, middle, style)
    return picture
