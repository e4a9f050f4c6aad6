"""A session as a picture and as a table."""

from collections.abc import Sequence

import cv2
import numpy as np

from samodal import masks
from samodal.app.session import Click, Seen, Session, prompt_of
from samodal.sam.ask import Answer
from samodal.show.overlay import Style, draw_frame, label_of
from samodal.show.text import INK, PLATE
from samodal.video import Track, VideoTracks


def draw(session: Session) -> np.ndarray:
    """The frame with its masks and clicks, uint8 (H, W, 3) RGB, as `look` found them."""
    seen, height = _seen(session), session.video.size[0]
    tracks, index = _tracks(session)
    picture = seen.image
    if tracks is not None:
        picture = draw_frame(picture, tracks, index, label=_label)[:height]
    if seen.answer is not None:
        clicked = VideoTracks(session.video.size, 1, [_clicked(session, seen.answer)])
        picture = draw_frame(picture, clicked, 0, label=_label)[:height]
    return draw_clicks(picture.copy(), seen.clicks)


def describe(session: Session) -> str:
    """The frame's instances in words, as Markdown."""
    seen, video = _seen(session), session.video
    tracks, index = _tracks(session)
    lines = [f"**Frame {session.frame}** of 0 to {len(video) - 1}" if len(video) > 1 else "**Image**"]
    rows = [] if tracks is None else [_row(t, index) for t in tracks if t.amodal[index]]
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


def _label(track: Track, index: int) -> str:
    score = track.scores[index]
    if track.states[index] != "visible" or score is None:
        return label_of(track, index)
    return f"{track.track_id}  {score:.2f}"


def _tracks(session: Session) -> tuple[VideoTracks | None, int]:
    """The tracks to be shown, and which of their frames: of the whole run, or of this frame alone."""
    return (session.result, session.frame) if session.result is not None else (_seen(session).instances, 0)


def _seen(session: Session) -> Seen:
    if session.seen is None or session.seen.frame != session.frame:
        raise ValueError("look at the frame first")
    return session.seen


def _clicked(session: Session, answer: Answer) -> Track:
    """The instance that was clicked; what is visible of it is not known, so all of it is drawn as if it were."""
    known = [track.track_id for track in session.visible or []]
    mask = masks.encode(answer.amodal)
    return Track(max(known, default=-1) + 1, 0, 1.0, [mask], [mask], scores=[answer.score])


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
