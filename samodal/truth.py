"""The true masks of one video, to score a prediction with."""

from pathlib import Path

from samodal.data.youtube_vis_sets import read_content
from samodal.errors import InputError
from samodal.files import read_json
from samodal.video import Video, VideoTracks


def read_truth(path: Path, video: Video, name: str = "", video_id: int | None = None) -> VideoTracks:
    """Read visible and amodal masks of a video.

    Args:
        path: a YouTube-VIS truth file (`samodal convert` writes it from any set), or an `amodal.json`.
        video: what they must fit, in length and size.
        name: another name of the video.
        video_id: which video of a file with several; None: the one of such a name, or the only one.

    Raises:
        InputError: no such file or video, masks that do not fit it, or not both kinds of masks.
    """
    found = list(read_content(read_json(path), path, lambda name: None).videos)
    wanted = [one for one in found if one.name in (name, video.name)] if len(found) > 1 else found
    if video_id is not None:
        wanted = [one for one in found if one.tracks.video_id == video_id]
    if len(wanted) != 1:
        known = ", ".join(f"{one.tracks.video_id} ({one.name})" for one in found[:5])
        raise InputError(
            f"{path}: which of its {len(found)} videos is {video.name}? Say --video-id, such as {known}"
        )
    tracks = wanted[0].tracks
    if (tracks.num_frames, tracks.size) != (len(video), video.size):
        raise InputError(
            f"{path}: truth of {tracks.num_frames} frames of {tracks.size}, but {video.name} has {len(video)} of "
            f"{video.size} (height, width)"
        )
    for kind in ("amodal", "visible"):
        if not any(any(getattr(track, kind)) for track in tracks):
            raise InputError(f"{path}: has no {kind} masks; both kinds are needed to score")
    return tracks
