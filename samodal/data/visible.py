"""Visible masks from any video-instance-segmentation method, in whatever format it writes."""

import logging
import re
from collections.abc import Mapping, Sequence
from glob import has_magic
from pathlib import Path

from samodal import masks
from samodal.data import id_maps, mots, youtube_vis
from samodal.errors import InputError
from samodal.files import read_json
from samodal.video import Track, Video, VideoTracks

FORMATS = "YouTube-VIS JSON, KITTI MOTS txt or a folder of PNG masks"

log = logging.getLogger("samodal")


def read_visible(
    path: str | Path,
    video: Video,
    video_id: int | None = None,
    frames: Sequence[int] | None = None,
    categories: Mapping[int, int] | None = None,
) -> VideoTracks:
    """Read the visible masks of a video; the format is told by the content.

    Args:
        path: YouTube-VIS or GenVIS results, a YouTube-VIS truth file, an `amodal.json`, KITTI MOTS txt, a folder of
            PNG id maps or 0/255 masks or of folders of these (one for each instance), or the PNG of the only frame.
        video: what the masks must fit, in length and size.
        video_id: which video of a file with several.
        frames: for every frame of `video`, its number in the file; None: told by names, or by order.
        categories: category in the file -> category wanted; others stay as they are.

    Returns:
        Tracks with `visible` filled and nothing in `amodal`; tracks without any visible pixel are left out.

    Raises:
        InputError: the file is not there, of unknown format, broken, does not fit the video, or holds no
            mask.
    """
    path = Path(path)
    if path.is_dir() or (path.suffix.lower() == ".png" and path.is_file()):
        tracks = id_maps.read_tracks(path, video, frames)
    elif (head := _head(path)).lstrip().startswith(("[", "{")):
        tracks, video_id = youtube_vis.read_tracks(read_json(path), path, video, video_id, frames)
    elif re.match(r"\s*([-+]?\d[\d.]*[ \t]+){5}\S", head):
        tracks = mots.read_tracks(path.read_text("utf-8-sig", "replace"), path, video, frames)
    else:
        raise InputError(f"{path}: unknown format; {FORMATS} is expected")
    tracks = [track for track in tracks if any(track.visible)]
    if not tracks:
        raise InputError(
            f"{path}: no visible mask in any frame of {video.name}; is it the file of another video?"
        )
    _note_overlaps(tracks, path)
    for track in tracks:
        track.category_id = (categories or {}).get(track.category_id, track.category_id)
    return VideoTracks(video.size, len(video), tracks, 1 if video_id is None else video_id)


def _head(path: Path) -> str:
    """The first bytes of a file as text."""
    try:
        with path.open("rb") as file:
            head = file.read(4096).decode("utf-8-sig", "replace")
    except FileNotFoundError:
        pattern = "; not a pattern but the folder of the masks is expected" if has_magic(str(path)) else ""
        raise InputError(f"{path}: no such file or folder{pattern}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror})") from None
    if not head.strip():
        raise InputError(f"{path}: empty file; {FORMATS} is expected")
    return head


def _note_overlaps(tracks: list[Track], path: Path) -> None:
    """Visible masks of different instances should not overlap; say so where they do, and go on."""
    frames = [[rle for rle in visible if rle] for visible in zip(*(t.visible for t in tracks), strict=True)]
    overlapping = [
        frame
        for frame, found in enumerate(frames)
        if len(found) > 1 and masks.area(masks.union(found)) < sum(map(masks.area, found))
    ]
    if overlapping:
        log.warning(
            "%s: visible masks of different tracks overlap in %d of %d frames, first in frame %d",
            path, len(overlapping), len(frames), overlapping[0],
        )  # fmt: skip
