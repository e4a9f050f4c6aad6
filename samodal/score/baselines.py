"""The trivial answers that every table lists beside a method: what is worth less than these is worth nothing.

All take `VideoTracks` with `visible` filled and give new ones with `amodal` filled; the input is not changed.
"""

from collections.abc import Callable
from dataclasses import replace

import cv2
import numpy as np

from samodal import masks
from samodal.masks import Rle
from samodal.video import State, Track, VideoTracks

Guess = Callable[[list[tuple[int, Rle]], int], Rle | None]
"""Masks (with their frame) before a gap, a frame within it -> the mask there; None: out of the image."""


def visible_as_answer(tracks: VideoTracks) -> VideoTracks:
    """The visible mask is the amodal mask; gaps stay empty."""
    return _frame_by_frame(tracks, lambda visible: visible)


def convex_hull(tracks: VideoTracks) -> VideoTracks:
    """The convex hull of all visible pixels of the frame is the amodal mask; gaps stay empty."""
    return _frame_by_frame(tracks, _hull)


def hold_last(tracks: VideoTracks) -> VideoTracks:
    """Fill every gap with the last amodal mask before it, where it was, up to the end of the video.

    Goes on top of the amodal masks of any method.
    """
    return _fill_gaps(tracks, lambda seen, frame: seen[-1][1], "last mask held")


def constant_velocity(tracks: VideoTracks) -> VideoTracks:
    """Fill every gap with the last amodal mask before it, moved on at the speed it had in the image.

    The speed is the median step of the box centre over the last six masks before the gap; a mask that has
    left the image is gone. Goes on top of the amodal masks of any method.
    """
    return _fill_gaps(tracks, _moved_on, "moved on at constant velocity")


BASELINES: dict[str, Callable[[VideoTracks], VideoTracks]] = {
    "visible": visible_as_answer,
    "convex-hull": convex_hull,
    "hold-last": lambda tracks: hold_last(visible_as_answer(tracks)),
    "constant-velocity": lambda tracks: constant_velocity(visible_as_answer(tracks)),
}
"""Name in the tables -> visible masks in, amodal masks out."""


def _frame_by_frame(tracks: VideoTracks, answer: Callable[[Rle], Rle]) -> VideoTracks:
    return replace(tracks, tracks=[_answered(track, answer) for track in tracks])


def _answered(track: Track, answer: Callable[[Rle], Rle]) -> Track:
    amodal = [answer(rle) if rle and masks.area(rle) else None for rle in track.visible]
    states: list[State] = []
    for rle in amodal:
        seen_before = bool(states) and states[-1] != "absent"
        states.append("visible" if rle else "gone" if seen_before else "absent")
    return Track(track.track_id, track.category_id, track.score, list(track.visible), amodal, states)


def _hull(rle: Rle) -> Rle:
    part, x, y = masks.decode_box(rle)
    crop = np.ascontiguousarray(part, np.uint8)
    contours, _ = cv2.findContours(crop, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    cv2.fillConvexPoly(crop, cv2.convexHull(np.concatenate(contours)), 1)
    height, width = rle["size"]
    return masks.encode_box(crop, x, y, (height, width))


def _fill_gaps(tracks: VideoTracks, guess: Guess, reason: str) -> VideoTracks:
    """New tracks with a guess in every frame after the first mask that has none."""
    return replace(tracks, tracks=[_filled(track, guess, reason) for track in tracks])


def _filled(track: Track, guess: Guess, reason: str) -> Track:
    new = replace(
        track,
        visible=list(track.visible),
        amodal=list(track.amodal),
        states=list(track.states),
        scores=list(track.scores),
        points=list(track.points),
        reasons=list(track.reasons),
    )
    seen: list[tuple[int, Rle]] = []
    for frame, rle in enumerate(track.amodal):
        if rle:
            seen.append((frame, rle))
        elif seen:
            filled = guess(seen, frame)
            new.amodal[frame] = filled
            new.states[frame] = "hidden" if filled else "gone"
            new.scores[frame] = track.scores[seen[-1][0]] if filled else None
            new.reasons[frame] = reason if filled else "left the image"
    return new


def _moved_on(seen: list[tuple[int, Rle]], frame: int) -> Rle | None:
    last_frame, last = seen[-1]
    frames = np.array([number for number, _ in seen[-6:]])
    boxes = np.array([masks.box(rle) for _, rle in seen[-6:]], float)
    centres = boxes[:, :2] + boxes[:, 2:] / 2
    speed = np.zeros(2)
    if len(seen) > 1:
        speed = np.median(np.diff(centres, axis=0) / np.diff(frames)[:, None], axis=0)
    shift = np.eye(2, 3)
    shift[:, 2] = speed * (frame - last_frame)
    moved = masks.warp(last, shift)
    return moved if masks.area(moved) else None
