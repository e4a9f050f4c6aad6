"""DAVIS: a palette PNG a frame whose pixels are instance ids, `<out>/Annotations/480p/<video>/00000.png`."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from PIL import Image

from samodal import masks
from samodal.data.labelled import LabelledVideo
from samodal.data.write.mots import count_left_out, one_mask
from samodal.errors import InputError
from samodal.files import filling, plain_name

MOST_IDS = 254  # 0 is the background, 255 what nobody labelled


def write(out: Path, videos: Iterable[LabelledVideo], left_out: Counter[str]) -> None:
    """Write the id maps of every video; they have the names of the frames where these are numbers.

    Ids from 1 to 254 are kept, else the tracks are numbered from 1.

    Raises:
        InputError: masks that overlap, more than 254 tracks in a video, a name that cannot be a folder's, files that
            are there already.
    """
    with filling(out) as temporary:
        for video in videos:
            folder = temporary / "Annotations" / "480p" / plain_name(video.name, "name of a video")
            if folder.exists():
                raise InputError(f"name of a video: {video.name!r} occurs twice")
            folder.mkdir(parents=True)
            ids = _ids(video, left_out)
            for frame, stem in enumerate(_stems(video, left_out)):
                image = Image.fromarray(_id_map(video, ids, frame), "P")
                image.putpalette(palette())
                image.save(folder / f"{stem}.png")
            left_out["ignored regions"] += sum(sum(map(bool, region.visible)) for region in video.ignored)
            left_out["categories of tracks"] += sum(track.category_id != 1 for track in video.tracks)
            count_left_out(video, left_out)


def palette() -> list[int]:
    """256 colours R, G, B, ... in which the bits of the id are spread over the channels (PASCAL VOC, DAVIS)."""
    ids = np.arange(256)
    colours = np.zeros((256, 3), np.uint8)
    for bit in range(8):
        for channel in range(3):
            colours[:, channel] |= ((ids >> channel & 1) << (7 - bit)).astype(np.uint8)
        ids = ids >> 3
    return colours.ravel().tolist()


def _id_map(video: LabelledVideo, ids: dict[int, int], frame: int) -> np.ndarray:
    image = np.zeros(video.tracks.size, np.uint8)
    for track in video.tracks:
        rle = one_mask(track)[frame]
        if rle is None:
            continue
        inside = masks.decode(rle)
        if (covered := image[inside]).any():
            other = next(key for key, value in ids.items() if value == covered.max())
            raise InputError(
                f"{video.name}, frame {frame}: the masks of tracks {other} and {track.track_id} overlap, which an id "
                "map cannot hold; convert to mots, coco or youtube-vis, or say --masks visible"
            )
        image[inside] = ids[track.track_id]
    return image


def _ids(video: LabelledVideo, left_out: Counter[str]) -> dict[int, int]:
    """Track id -> pixel value."""
    known = [track.track_id for track in video.tracks]
    if len(known) > MOST_IDS:
        raise InputError(f"{video.name}: {len(known)} tracks, but DAVIS' id maps have room for {MOST_IDS}")
    if all(0 < track_id <= MOST_IDS for track_id in known):
        return {track_id: track_id for track_id in known}
    left_out["ids of tracks (numbered from 1)"] += len(known)
    return {track_id: place for place, track_id in enumerate(known, 1)}


def _stems(video: LabelledVideo, left_out: Counter[str]) -> list[str]:
    stems = [Path(name).stem for name in video.file_names]
    if all(stem.isdecimal() and stem.isascii() for stem in stems) and len(set(stems)) == len(stems):
        return stems
    left_out["names of frames (numbered from 0)"] += len(stems)
    return [f"{index:05d}" for index in range(len(stems))]
