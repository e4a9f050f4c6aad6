"""KITTI MOTS and MOTSChallenge: a txt a video, `frame id class height width rle`; one mask an instance and frame."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from samodal import masks
from samodal.data.labelled import LabelledVideo
from samodal.data.mots import IGNORED_CLASS
from samodal.errors import InputError
from samodal.files import filling, plain_name, write_text
from samodal.frames import frame_numbers
from samodal.masks import Rle
from samodal.video import Track

CLASS_UNIT = 1000  # id = class * 1000 + n


def write(
    out: Path, videos: Iterable[LabelledVideo], left_out: Counter[str], split: str, first: int = 0
) -> None:
    """Write `<out>/<video>.txt` and `<out>/<split>.seqmap`, which tells the lengths; or one txt, if `out` ends so.

    Ids are kept where they are class * 1000 + n, else numbered so. Frames have the numbers of their files where these
    run on without holes, else they count from `first` (0 in KITTI MOTS, 1 in MOTSChallenge).

    Raises:
        InputError: a name that cannot be a file's, a class that means "ignored", more than 1000 tracks of a class,
            several videos for one txt, files that are there already.
    """
    if out.suffix == ".txt":
        found = list(videos)
        if len(found) != 1:
            raise InputError(f"{out}: one txt holds one video, but there are {len(found)}; name a folder")
        numbers = _frame_numbers(found[0], first, left_out)
        lines = _lines(found[0], numbers, left_out)
        last = max((int(line.split()[0]) for line in lines), default=first - 1)
        left_out["frames after the last mask (a folder keeps their number)"] += numbers[-1] - last
        write_text(out, "".join(lines))
        return
    with filling(out) as folder:
        seqmap = []
        for video in videos:
            name = plain_name(video.name, "name of a video")
            if " " in name or (folder / f"{name}.txt").exists():
                raise InputError(f"name of a video: {name!r} has a blank or occurs twice")
            numbers = _frame_numbers(video, first, left_out)
            lines = _lines(video, numbers, left_out)
            left_out["sizes of videos without a mask"] += not lines
            write_text(folder / f"{name}.txt", "".join(lines))
            seqmap.append(f"{name} empty {numbers[0]:06d} {numbers[-1] + 1:06d}\n")
        write_text(folder / f"{split}.seqmap", "".join(seqmap))


def _lines(video: LabelledVideo, numbers: list[int], left_out: Counter[str]) -> list[str]:
    ids = _ids(video, left_out)
    height, width = video.tracks.size
    shapes: list[tuple[int, int, list[Rle | None]]] = [
        (ids[track.track_id], track.category_id, one_mask(track)) for track in video.tracks
    ]
    regions = [region.visible for region in video.ignored]
    nothing: list[Rle | None] = [None] * video.tracks.num_frames
    ignored = [_joined(frame) for frame in zip(*regions, strict=True)] if regions else nothing
    shapes.append((IGNORED_CLASS * CLASS_UNIT, IGNORED_CLASS, ignored))
    count_left_out(video, left_out)
    return [
        f"{number} {key} {category} {height} {width} {rle['counts']}\n"
        for frame, number in enumerate(numbers)
        for key, category, given in shapes
        if (rle := given[frame])
    ]


def _joined(regions: Iterable[Rle | None]) -> Rle | None:
    found = [rle for rle in regions if rle]
    return masks.union(found) if len(found) > 1 else next(iter(found), None)


def _ids(video: LabelledVideo, left_out: Counter[str]) -> dict[int, int]:
    """Track id -> class * 1000 + n."""
    for track in video.tracks:
        if track.category_id == IGNORED_CLASS or not 0 < track.category_id < 2**31 // CLASS_UNIT:
            raise InputError(
                f"{video.name}: class {track.category_id} cannot be written, as MOTS counts classes from 1 and means "
                f"ignored regions by {IGNORED_CLASS}; say --classes {track.category_id}:1 or the like"
            )
    ids = {t.track_id: t.track_id for t in video.tracks if t.track_id // CLASS_UNIT == t.category_id}
    taken = set(ids.values())
    following: Counter[int] = Counter()
    for track in video.tracks:
        if track.track_id in ids:
            continue
        first = track.category_id * CLASS_UNIT
        while first + following[track.category_id] in taken:
            following[track.category_id] += 1
        if following[track.category_id] >= CLASS_UNIT:
            raise InputError(f"{video.name}: more than {CLASS_UNIT} tracks of class {track.category_id}")
        ids[track.track_id] = first + following[track.category_id]
        taken.add(ids[track.track_id])
        left_out["ids of tracks (numbered class * 1000 + n)"] += 1
    return ids


def _frame_numbers(video: LabelledVideo, first: int, left_out: Counter[str]) -> list[int]:
    """The number of every frame."""
    numbers = frame_numbers([Path(name).stem for name in video.file_names])
    if numbers and numbers == list(range(numbers[0], numbers[0] + len(numbers))):
        return numbers
    left_out["names of frames (numbered on)"] += len(video.file_names)
    return list(range(first, first + len(video.file_names)))


def one_mask(track: Track) -> list[Rle | None]:
    """The masks (T) for a format with one a frame: the amodal ones where there are any, else the visible ones."""
    return track.amodal if any(track.amodal) else track.visible


def count_left_out(video: LabelledVideo, left_out: Counter[str]) -> None:
    """Count what a format with nothing but masks has no place for."""
    for track in video.tracks:
        left_out["tracks without a mask"] += not any(one_mask(track))
        left_out["scores"] += track.score != 1.0 or any(score is not None for score in track.scores)
        left_out["prompt points of frames"] += sum(points is not None for points in track.points)
