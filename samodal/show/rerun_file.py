"""Results as a recording that the rerun viewer (rerun.io) opens: frames, masks, points and numbers over time."""

from pathlib import Path
from typing import TYPE_CHECKING

import cv2
import numpy as np

from samodal import files, masks
from samodal.errors import InputError, missing_extra
from samodal.masks import Rle
from samodal.show.colours import colour_of
from samodal.show.figure import Pictures
from samodal.show.overlay import contours, label_of
from samodal.video import Track, VideoTracks

if TYPE_CHECKING:
    from rerun import RecordingStream

QUALITY = 85
"""Of the frames, as JPEG has it."""


def write_rerun(path: str | Path, pictures: Pictures, tracks: VideoTracks) -> None:
    """Write a recording (.rrd), all of it or nothing. Its timelines are `frame` (number) and `time` (seconds).

    What is in it, N a track id:
        video/frame: the picture, in the size of the video.
        video/visible, video/hidden: what is seen and what is hidden, as images of classes, each a track. Where
            hidden parts overlap, the nearer one shows.
        video/amodal/N: outline of the full shape, with the label of the overlay.
        video/points/N: the points that SAM was prompted with.
        score/N, occlusion/N: numbers over time.
        state/N: a line whenever the state changes, with the reason.

    Args:
        path: the file.
        pictures: the frames; where there is none, the one before stays.
        tracks: of the same video.

    Raises:
        InputError: another suffix, tracks of another video, or rerun is not installed.
    """
    if Path(path).suffix.lower() != ".rrd":
        raise InputError(f"{path}: a recording for rerun is a .rrd")
    pictures.check(tracks, path)
    try:
        import rerun as rr
    except ModuleNotFoundError:
        raise missing_extra("rerun-sdk", "rerun", "samodal show --rerun") from None
    with files.replacing(path) as temporary, rr.RecordingStream("samodal") as recording:
        recording.save(temporary)
        recording.send_blueprint(_blueprint())
        _log_names(recording, tracks)
        there = set(pictures.frames)
        for frame, time in enumerate(pictures.times):
            recording.set_time("frame", sequence=frame)
            recording.set_time("time", duration=float(time - pictures.times[0]))
            if frame in there:
                _log_picture(recording, pictures.get(frame), pictures.size)
            _log_masks(recording, tracks, frame, pictures.size)
            for track in tracks:
                _log_track(recording, track, frame)
        recording.flush()
        recording.disconnect()


def _log_names(recording: "RecordingStream", tracks: VideoTracks) -> None:
    """What holds for all frames: names and colours. Class 0 is what belongs to no track."""
    import rerun as rr

    classes = [(n, str(t.track_id), (*colour_of(t.track_id), 255)) for n, t in enumerate(tracks, start=1)]
    classes.append((0, "", (0, 0, 0, 0)))
    recording.log("video", rr.AnnotationContext(classes), static=True)
    for track in tracks:
        for name in ("score", "occlusion"):
            look = rr.SeriesLines(colors=[colour_of(track.track_id)], names=[str(track.track_id)])
            recording.log(f"{name}/{track.track_id}", look, static=True)


def _log_picture(recording: "RecordingStream", picture: np.ndarray, size: tuple[int, int]) -> None:
    import rerun as rr

    if picture.shape[:2] != size:
        picture = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_CUBIC)
    quality = [cv2.IMWRITE_JPEG_QUALITY, QUALITY]
    coded = cv2.imencode(".jpg", cv2.cvtColor(picture, cv2.COLOR_RGB2BGR), quality)[1]
    recording.log("video/frame", rr.EncodedImage(contents=coded.tobytes(), media_type="image/jpeg"))


def _log_masks(recording: "RecordingStream", tracks: VideoTracks, frame: int, size: tuple[int, int]) -> None:
    import rerun as rr

    classes = np.uint8 if len(tracks) < 256 else np.uint16
    visible, hidden = np.zeros(size, classes), np.zeros(size, classes)
    far_first = sorted(enumerate(tracks, start=1), key=lambda pair: -(pair[1].depths[frame] or 0))
    for number, track in far_first:
        seen = _decode(track.visible[frame], size)
        visible[seen] = number
        hidden[_decode(track.amodal[frame], size) & ~seen] = number
    recording.log("video/visible", rr.SegmentationImage(visible, draw_order=1.0, opacity=0.5))
    recording.log("video/hidden", rr.SegmentationImage(hidden, draw_order=2.0, opacity=0.5))


def _log_track(recording: "RecordingStream", track: Track, frame: int) -> None:
    """What one track is in a frame. What was there before is cleared, because rerun shows the latest."""
    import rerun as rr

    number, colour = track.track_id, colour_of(track.track_id)
    lines = _outline(track.amodal[frame])
    recording.log(
        f"video/amodal/{number}",
        rr.LineStrips2D(
            lines,
            colors=[colour] * len(lines),
            labels=[label_of(track, frame), *[""] * (len(lines) - 1)][: len(lines)],
            draw_order=3.0,
        ),
    )
    points = track.points[frame]
    recording.log(
        f"video/points/{number}",
        rr.Points2D(np.zeros((0, 2)) if points is None else points + 0.5, colors=[colour], draw_order=4.0),
    )
    for name, value in (("score", track.scores[frame]), ("occlusion", track.occlusion_rates[frame])):
        if value is not None:
            recording.log(f"{name}/{number}", rr.Scalars([value]))
    known = _state(track, frame)
    if frame == 0 or known != _state(track, frame - 1):
        recording.log(f"state/{number}", rr.TextLog(known, level="INFO", color=colour))


def _state(track: Track, frame: int) -> str:
    reason = track.reasons[frame]
    return track.states[frame] + (f": {reason}" if reason else "")


def _decode(rle: Rle | None, size: tuple[int, int]) -> np.ndarray:
    return np.zeros(size, bool) if rle is None else masks.decode(rle)


def _outline(rle: Rle | None) -> list[np.ndarray]:
    """Closed lines (n, 2) through the pixels at the border; rerun has a pixel's centre at a half."""
    if rle is None:
        return []
    mask = np.ascontiguousarray(masks.decode(rle)).view(np.uint8)
    return [np.concatenate([line, line[:1]])[:, 0] + 0.5 for line in contours(mask)]


def _blueprint() -> object:
    """Left the video, right the numbers and the states."""
    import rerun.blueprint as rrb

    numbers = [rrb.TimeSeriesView(origin="score", name="score")]
    numbers += [rrb.TimeSeriesView(origin="occlusion", name="occlusion rate")]
    side = rrb.Vertical(*numbers, rrb.TextLogView(origin="state", name="states"))
    return rrb.Blueprint(
        rrb.Horizontal(rrb.Spatial2DView(origin="video", name="video"), side, column_shares=[3, 2])
    )
