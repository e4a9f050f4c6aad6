"""A session as a picture and as a table."""

from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np

from samodal import masks
from samodal.app.session import Click, Seen, Session, prompt_of
from samodal.masks import Rle
from samodal.sam.ask import Answer
from samodal.show.colours import PALETTE, colour_of
from samodal.show.overlay import Style, draw_frame, label_of
from samodal.show.text import INK, PLATE
from samodal.video import Track, VideoTracks

WIDTH = 960
"""Pixels that a picture has at least: what is smaller, the page would show as it is, and one could hardly click."""


def draw(session: Session) -> np.ndarray:
    """The frame with its masks and clicks, uint8 (H, W, 3) RGB, as `look` found them."""
    seen, height = _seen(session), session.video.size[0]
    tracks, index = _tracks(session)
    clicked = None if seen.answer is None else _clicked(seen.answer, tracks, index)
    shown = replace(tracks, tracks=[*tracks, *([clicked] if clicked else [])])
    picture = draw_frame(seen.image, shown, index, label=lambda t, i: _label(t, i, t is clicked))[:height]
    return draw_clicks(picture.copy(), seen.clicks)


def enlarged(picture: np.ndarray) -> np.ndarray:
    """The picture with at least `WIDTH` columns."""
    scale = max(1.0, WIDTH / picture.shape[1])
    size = round(picture.shape[1] * scale), round(picture.shape[0] * scale)
    return picture if scale == 1 else cv2.resize(picture, size, interpolation=cv2.INTER_CUBIC)


def in_frame(place: tuple[int, int], size: tuple[int, int]) -> tuple[int, int]:
    """The pixel x, y of a frame of this size (H, W) that is at pixel x, y of the enlarged one."""
    scale = max(1.0, WIDTH / size[1])
    return int((place[0] + 0.5) / scale), int((place[1] + 0.5) / scale)


def describe(session: Session) -> str:
    """The frame's instances in words, as Markdown."""
    seen, video = _seen(session), session.video
    tracks, index = _tracks(session)
    lines = [f"**Frame {session.frame}** of 0 to {len(video) - 1}" if len(video) > 1 else "**Image**"]
    rows = [_row(track, index) for track in tracks if track.amodal[index]]
    if seen.answer is not None:
        rows.append(f"| clicked | | {seen.answer.score:.2f} | |")
    elif seen.clicks:
        lines.append("click what to keep, or the second corner of the box")
    if rows:
        lines += ["", "| instance | state | score | hidden |", "|---|---|---|---|", *rows]
    return "\n".join(lines)


def _row(track: Track, index: int) -> str:
    score, rate = track.scores[index], masks.occlusion_rate(track.amodal[index], track.visible[index])
    said = ("" if score is None else f"{score:.2f}", "" if rate is None else f"{rate:.0%}")
    return f"| {track.track_id} | {track.states[index]} | {said[0]} | {said[1]} |"


def _label(track: Track, index: int, clicked: bool) -> str:
    score = track.scores[index]
    if track.states[index] != "visible" or score is None:
        return label_of(track, index)
    return f"{'clicked' if clicked else track.track_id}  {score:.2f}"


def _tracks(session: Session) -> tuple[VideoTracks, int]:
    """The tracks to be shown, and which of their frames: of the whole run, or of this frame alone."""
    if session.result is not None:
        return session.result, session.frame
    return _seen(session).instances or VideoTracks(session.video.size, 1), 0


def _seen(session: Session) -> Seen:
    if session.seen is None or session.seen.frame != session.frame:
        raise ValueError("look at the frame first")
    return session.seen


def _clicked(answer: Answer, tracks: VideoTracks, index: int) -> Track:
    """The instance that was clicked, among tracks: in a colour that none of them has, if there is one.

    How much of it is visible is not known, so all of it is drawn as if it were.
    """
    taken = {colour_of(track.track_id) for track in tracks}
    number = next((n for n, colour in enumerate(PALETTE) if colour not in taken), 0)
    alone: list[Rle | None] = [None] * tracks.num_frames
    alone[index] = masks.encode(answer.amodal)
    return Track(number, 0, 1.0, alone, list(alone), scores=[answer.score] * tracks.num_frames)


def draw_clicks(picture: np.ndarray, clicks: Sequence[Click]) -> np.ndarray:
    """Plus and minus signs where points are, the box, and the corner that waits for another one."""
    style = Style.of(picture.shape[0])
    radius, line = max(5, 3 * style.dot), max(1, style.line)
    *_, box = prompt_of(clicks)
    if box is not None:
        cv2.rectangle(picture, box[:2], box[2:], PLATE, 2 * line + 1, cv2.LINE_AA)
        cv2.rectangle(picture, box[:2], box[2:], INK, line, cv2.LINE_AA)
    corners = [c for c in clicks if c.mode == "box"]
    for c in corners[-1:] if len(corners) % 2 else []:
        cv2.drawMarker(picture, (c.x, c.y), PLATE, cv2.MARKER_CROSS, 3 * radius, 2 * line + 1)
        cv2.drawMarker(picture, (c.x, c.y), INK, cv2.MARKER_CROSS, 3 * radius, line)
    for c in clicks:
        if c.mode != "box":
            paper, ink = (INK, PLATE) if c.mode == "keep" else (PLATE, INK)
            cv2.circle(picture, (c.x, c.y), radius + 1, ink, -1, cv2.LINE_AA)
            cv2.circle(picture, (c.x, c.y), radius, paper, -1, cv2.LINE_AA)
            arm = radius // 2 + 1
            cv2.line(picture, (c.x - arm, c.y), (c.x + arm, c.y), ink, line)
            if c.mode == "keep":
                cv2.line(picture, (c.x, c.y - arm), (c.x, c.y + arm), ink, line)
    return picture
