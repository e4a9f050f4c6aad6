"""`samodal convert`: the masks of one format in another one. What the other cannot hold is counted and said."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from samodal.data import coco, youtube_vis_sets
from samodal.data.asd import CATEGORIES, GENVIS_CATEGORIES
from samodal.data.labelled import LabelledSet, LabelledVideo, recategorise
from samodal.data.labelled_files import read_labelled
from samodal.data.write import asd, davis, mots, youtube_vis
from samodal.data.write import coco as coco_writer
from samodal.errors import InputError
from samodal.files import plain_name, read_json
from samodal.progress import progress
from samodal.video import VideoTracks

Masks = Literal["visible", "amodal"]
TARGETS = (
    "youtube-vis", "youtube-vis-results", "genvis", "mots", "motschallenge", "davis", "coco", "coco-results", "asd",
)  # fmt: skip
OF_IMAGES = {"image_id", "image_ids", "file_name"}  # what COCO files hold, in `extra`
ONE_MASK = ("mots", "motschallenge", "davis")  # formats with one mask an instance and frame


@dataclass
class Converted:
    """What a conversion did: numbers of videos, tracks and masks written, and of what was left out or changed."""

    videos: int = 0
    tracks: int = 0
    visible: int = 0
    amodal: int = 0
    left_out: Counter[str] = field(default_factory=Counter)

    def __str__(self) -> str:
        kinds = {"visible": self.visible, "amodal": self.amodal}
        found = " and ".join(f"{count} {kind}" for kind, count in kinds.items() if count) or "no"
        lines = [f"videos: {self.videos}, tracks: {self.tracks}, masks: {found}"]
        lines += [f"left out or changed: {count} {what}" for what, count in self.left_out.items() if count]
        return "\n".join(lines)


def convert(
    source: Path,
    out: Path,
    source_form: str,
    form: str,
    masks: Masks | None = None,
    classes: dict[int, int] | None = None,
    split: str = "val",
    camera: str = "front",
    frames: Path | None = None,
    like: Path | None = None,
) -> Converted:
    """Read the labelled videos of `source`, write them to `out`, all of them or nothing.

    Args:
        source: file or folder.
        out: a JSON file (YouTube-VIS, COCO), a folder, or a .txt (MOTS, one video).
        source_form: see `samodal.data.labelled_files.read_labelled`.
        form: one of `TARGETS`.
        masks: only these; None: all there are, and an error where the format has no place for them.
        classes: category in the source -> category written; others stay as they are.
        split: of data sets, read or written.
        camera: of AmodalSynthDrive, read or written.
        frames: where the frames are, for sources without.
        like: a truth file, YouTube-VIS or COCO, whose ids of videos (and images) are taken, by their names.

    Raises:
        InputError: broken input, or something that the target cannot hold.
    """
    if form not in TARGETS:
        raise InputError(f"--to {form}: unknown; known are {', '.join(TARGETS)}")
    if form in ("asd", *ONE_MASK):
        plain_name(split, "--split"), plain_name(camera, "--camera")
    elif out.is_dir():
        raise InputError(f"{out}: is a folder; {form} is one JSON file")
    done = Converted()
    labelled = read_labelled(source, source_form, split, camera, frames, like)
    names = {(classes or {}).get(category, category): name for category, name in labelled.categories.items()}
    renumber = _ids_like(like) if like else None
    if form not in ("youtube-vis", "coco", "asd"):
        done.left_out["names of categories"] += len(names)
    with progress("converting", len(labelled.videos)) as advance:
        videos = _prepare(labelled, form, masks, classes or {}, renumber, done, advance)
        if form == "youtube-vis":
            youtube_vis.write_truth(out, videos, names, done.left_out)
        elif form in ("youtube-vis-results", "genvis"):
            youtube_vis.write_results(out, videos, done.left_out)
        elif form == "coco":
            coco_writer.write_truth(out, videos, names, done.left_out)
        elif form == "coco-results":
            coco_writer.write_results(out, videos, done.left_out)
        elif form == "davis":
            davis.write(out, videos, done.left_out)
        elif form == "asd":
            asd.write(out, videos, done.left_out, split, camera)
        else:
            mots.write(out, videos, done.left_out, split, first=int(form == "motschallenge"))
    return done


def parse_classes(text: str) -> dict[int, int]:
    """ "1:24,2:25" -> {1: 24, 2: 25}.

    Raises:
        InputError: not such a text, or a class twice.
    """
    pairs = [part.split(":") for part in text.split(",") if part.strip()]
    try:
        classes = {int(old): int(new) for old, new in pairs}
    except ValueError:
        raise InputError(f"--classes {text}: old:new,old:new is expected, such as 1:24,2:25") from None
    if len(classes) < len(pairs):
        raise InputError(f"--classes {text}: a class occurs twice")
    return classes


def _prepare(
    labelled: LabelledSet,
    form: str,
    masks: Masks | None,
    classes: dict[int, int],
    renumber: Callable[[LabelledVideo], None] | None,
    done: Converted,
    advance: Callable[[], None],
) -> Iterator[LabelledVideo]:
    """The videos, one by one, as they are to be written."""
    ids: set[int] = set()
    for video in labelled.videos:
        _choose(video, form, masks, done.left_out)
        recategorise(video, classes)
        if form == "genvis":
            _to_genvis(video)
        if renumber:
            renumber(video)
        if video.tracks.video_id in ids:
            raise InputError(f"{video.name}: video id {video.tracks.video_id} occurs twice; ids must differ")
        ids.add(video.tracks.video_id)
        done.videos += 1
        done.left_out["frames without amodal truth, written like those without instances"] += (
            video.unannotated
        )
        done.left_out["videos' other truth (camera motion, depth order, ...)"] += form != "asd" and bool(
            video.extra.keys() - OF_IMAGES
        )
        done.tracks += len(video.tracks)
        done.visible += sum(rle is not None for track in video.tracks for rle in track.visible)
        done.amodal += sum(rle is not None for track in video.tracks for rle in track.amodal)
        yield video
        advance()


def _choose(video: LabelledVideo, form: str, masks: Masks | None, left_out: Counter[str]) -> None:
    """Drop the masks that are not wanted; refuse what the format has no place for."""
    visible = sum(rle is not None for track in video.tracks for rle in track.visible)
    amodal = sum(rle is not None for track in video.tracks for rle in track.amodal)
    if masks is None:
        if form in ONE_MASK and amodal:
            raise InputError(
                f"{video.name}: has {amodal} amodal masks, but {form} holds one mask an instance and frame, "
                "meant to be what is seen; say --masks visible, or --masks amodal"
            )
        if form == "asd" and (visible or amodal) and (not amodal or video.rates is not None):
            known = "amodal" if amodal else "visible"
            raise InputError(
                f"{video.name}: has {known} masks only, but asd holds visible and amodal ones; say --masks {known} to "
                "write them as masks of instances that nothing hides"
            )
        return
    if (visible or amodal) and not (visible if masks == "visible" else amodal):
        raise InputError(f"{video.name}: has no {masks} masks; leave out --masks {masks}")
    nothing = [None] * video.tracks.num_frames
    if masks == "visible":
        left_out["amodal masks"] += amodal
        for track in video.tracks:
            track.amodal = list(nothing)
        video.rates = None
    else:
        left_out["visible masks"] += visible
        rates = {track.track_id: video.occlusion_rates(track) for track in video.tracks}
        video.rates = {track_id: rate for track_id, rate in rates.items() if rate is not None}
        for track in video.tracks:
            track.visible = list(nothing)


def _to_genvis(video: LabelledVideo) -> None:
    classes = {ours: theirs for theirs, ours in GENVIS_CATEGORIES.items()}
    for track in video.tracks:
        if track.category_id not in classes:
            known = ", ".join(map(str, CATEGORIES))
            raise InputError(
                f"{video.name}: class {track.category_id} has no number in genvis, which knows {known}; say --classes "
                f"{track.category_id}:26 or the like, or write youtube-vis-results"
            )
    recategorise(video, classes)


def _ids_like(path: Path) -> Callable[[LabelledVideo], None]:
    """Give a video (and its images) the ids that a truth file has for its name."""
    content = read_json(path)
    images: dict[str, list[int]] = {}
    if isinstance(content, dict) and "images" in content:
        index = coco.read_index(content, path)
        ids = index.ids
        images = {name: [image["id"] for image in found] for name, found in index.videos.items()}
    else:
        ids = youtube_vis_sets.video_ids(content, path)

    def renumber(video: LabelledVideo) -> None:
        named = {number: name for name, number in ids.items()}
        if video.name not in ids and video.name == f"video_{video.tracks.video_id}":
            # Results have no names, only ids, and these are then those of the truth.
            video.name = named.get(video.tracks.video_id, video.name)
        if video.name not in ids:
            known = ", ".join(list(ids)[:5]) + (", ..." if len(ids) > 5 else "")
            raise InputError(f"{path}: has no video {video.name!r}; it has {known}")
        tracks = video.tracks
        video.tracks = VideoTracks(tracks.size, tracks.num_frames, tracks.tracks, ids[video.name])
        if images:
            video.image_ids = images.get(video.name, [])
            if len(video.image_ids) != tracks.num_frames:
                raise InputError(
                    f"{path}: has {len(video.image_ids)} images of {video.name}, which has {tracks.num_frames} frames"
                )

    return renumber
