"""`samodal score`: truth and predictions from files, tables of scores to the terminal and to files."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samodal import score
from samodal.check.match import check_match
from samodal.data import coco
from samodal.data.labelled import LabelledSet
from samodal.data.youtube_vis_sets import read_content
from samodal.errors import InputError
from samodal.files import read_json, try_folder
from samodal.results import run_facts
from samodal.score.protocols import STRICT, get_protocol
from samodal.score.workers import mapping
from samodal.video import Track, VideoTracks

if TYPE_CHECKING:
    from samodal.commands import Score

Row = dict[str, Any]
PLAIN = ("ap", "ap50", "ap75")


def run(command: "Score") -> None:
    """Score every file of predictions. Several are repeats with other seeds: they give means and deviations."""
    for path in command.out:
        if path.suffix not in (".json", ".csv", ".tex"):
            raise InputError(f"{path}: scores are written as .json, .csv or .tex")
        if path.is_dir():
            raise InputError(f"{path}: is a folder; a file is written")
        try_folder(path.parent)
    rows_of: Callable[[Score, Truth, Results], list[Row]] = (
        image_rows if command.what == "images" else video_rows
    )
    truth = Truth(command.truth, read_json(command.truth))
    if command.what == "images":
        repeats = by_repeat(command.predictions, "image_id")
    else:
        repeats = by_repeat([results_file(path) for path in command.predictions], "video_id")
    for results in repeats:
        warn_of_mismatches(truth, results)
    scored = [rows_of(command, truth, results) for results in repeats]
    rows = score.spread(scored) if len(scored) > 1 else scored[0]
    classes = "by class" if command.by_class else "class-agnostic"
    score.print_table(rows, f"{command.protocol}, {classes}")
    facts = run_facts()
    for path in command.out:
        score.write_scores(
            path,
            rows,
            command.protocol,
            facts["command"],
            facts["versions"],
            class_agnostic=not command.by_class,
            repeats=[[str(path) for path in results] for results in repeats],
        )


@dataclass
class Truth:
    """A truth file and what is in it."""

    path: Path
    content: Any


Results = dict[Path, list[dict[str, Any]]]
"""Files of predictions -> what is in them."""


def results_file(path: Path) -> Path:
    """The file of predictions that is meant: in a folder of `samodal predict`, its amodal.json."""
    return path / "amodal.json" if path.is_dir() else path


def by_repeat(paths: Sequence[Path], key: str) -> list[Results]:
    """Files put together that hold different videos (or images); files of the same ones are repeats."""
    repeats: list[tuple[set[str], Results]] = []
    for path in paths:
        content = read_json(path)
        if not isinstance(content, list) or not all(isinstance(entry, dict) for entry in content):
            raise InputError(f"{path}: predictions are expected, a list of objects with {key!r} and so on")
        ids = {str(entry.get(key)) for entry in content}
        for taken, members in repeats:
            if not taken & ids:
                taken |= ids
                members[path] = content
                break
        else:
            repeats.append((ids, {path: content}))
    return [members for _, members in repeats]


def warn_of_mismatches(truth: Truth, results: Results) -> None:
    """Say on stderr what would make scores zero in silence: ids, classes, lengths and sizes that do not match."""
    if not isinstance(truth.content, dict):
        raise InputError(f"{truth.path}: a truth file is expected, an object with 'annotations' and so on")
    for finding in check_match(truth.content, _entries_of_all(results)):
        print(f"samodal: {finding}", file=sys.stderr)


def image_rows(command: "Score", truth: Truth, results: Results) -> list[Row]:
    """The rows of one repeat: masks in single images (COCO).

    Where truth and predictions say what is visible, and of which instance each mask is (`track_id`; `samodal convert`
    writes both), the IoUs of the full masks and of their hidden parts come with the average precision, and the trivial
    answers of a single image, visible mask and convex hull.
    """
    predictions = _entries_of_all(results)

    def precision(masks: list[dict[str, Any]]) -> Row:
        with naming(truth, results):
            found = score.image_ap(truth.content, masks, command.protocol, not command.by_class)
        # The same three by their plain names, too: of images, what `ap` means is no question.
        return {"subset": "all", **_numbers(found, "image_"), **{name: found[name] for name in PLAIN}}

    row = {"method": "samodal", **precision(predictions)}
    if not all("track_id" in entry for entry in predictions):
        return [row]
    labelled = coco.read_truth(truth.content, truth.path, _no_frames)
    image_ids = {video.tracks.video_id: video.image_ids or [] for video in labelled.videos}
    true, guessed = _videos(labelled), dict[int, VideoTracks]()
    for path, entries in results.items():
        found = coco.read_results(entries, path, _no_frames, truth.content, truth.path)
        for number, tracks in _videos(found).items():
            guessed.setdefault(number, _nothing(tracks)).tracks.extend(tracks)
    if not _full(true):
        return [row]
    rows = _merged(_iou_rows("samodal", true, guessed), row)
    for method in ("visible", "convex-hull") if _full(guessed) else ():
        trivial = {number: score.BASELINES[method](tracks) for number, tracks in guessed.items()}
        entries = [
            entry
            for number in trivial
            for entry in _entries(trivial[number], guessed[number], image_ids[number])
        ]
        rows += _merged(_iou_rows(method, true, trivial), {"method": method, **precision(entries)})
    return rows


def _iou_rows(method: str, true: dict[int, VideoTracks], guessed: dict[int, VideoTracks]) -> list[Row]:
    pairs = [(tracks, guessed.get(number) or _nothing(tracks)) for number, tracks in true.items()]
    rows = [
        {name: value for name, value in found.items() if not name.startswith("video_")}
        for found in score.score_videos(pairs, method, "id")
    ]
    rows[0]["pooled_iou"] = _pooled(pairs)
    return rows


def _entries(tracks: VideoTracks, like: VideoTracks, image_ids: list[int]) -> list[dict[str, Any]]:
    """The masks of `tracks` as COCO results, with the scores of `like`."""
    return [
        {
            "image_id": image_id,
            "category_id": track.category_id,
            "score": track.score if (found := same.scores[frame]) is None else found,
            "segmentation": track.amodal[frame],
        }
        for track, same in zip(tracks, like, strict=True)
        for frame, image_id in enumerate(image_ids)
        if track.amodal[frame]
    ]


@contextmanager
def naming(truth: Truth, results: Results) -> Iterator[None]:
    """Name the files in an error that only knows an entry."""
    try:
        yield
    except InputError as error:
        where = ", ".join(map(str, results)) if str(error).startswith("prediction") else truth.path
        raise InputError(f"{where}: {error}") from None


def _pooled(pairs: list[tuple[VideoTracks, VideoTracks]]) -> float | None:
    """The original's "mean IoU", over all masks of the truth."""
    masks = []
    for truth, predicted in pairs:
        by_id = {track.track_id: track.amodal for track in predicted}
        for track in truth:
            answers = by_id.get(track.track_id, [None] * len(track))
            masks += [(guess, real) for guess, real in zip(answers, track.amodal, strict=True) if real]
    return score.pooled_iou([guess for guess, _ in masks], [real for _, real in masks])


def video_rows(command: "Score", truth: Truth, results: Results) -> list[Row]:
    """The rows of one repeat: tracks (YouTube-VIS).

    Where truth and predictions say what is visible: all scores, beside those of the trivial answers. Else average
    precision only. By protocol `reference` it is computed from the files as they are, as the original does.
    """
    true = _videos(read_content(truth.content, truth.path, _no_frames))
    guessed = {
        number: tracks
        for path, entries in results.items()
        if entries  # nothing found is an answer, too
        for number, tracks in _videos(read_content(entries, path, _no_frames)).items()
    }
    if strangers := sorted(set(guessed) - set(true), key=str):
        raise InputError(f"{truth.path}: has no video {strangers[0]}, but the predictions do; ids must agree")
    full = _full(true) and _full(guessed)
    rows: list[Row] = []
    if full:
        num_masks = sum(len(tracks) * tracks.num_frames for tracks in true.values())
        with mapping(num_masks, len(true)) as each:
            rows = score.compare(
                list(true.values()),
                {"samodal": [guessed.get(name) or _nothing(tracks) for name, tracks in true.items()]},
                command.match,
                get_protocol(command.protocol),
                not command.by_class,
                command.identity,
                each,
            )
    if not full or command.protocol != STRICT.name:
        with naming(truth, results):
            found = score.video_ap(
                truth.content, _entries_of_all(results), command.protocol, not command.by_class
            )
        rows = _merged(rows, {"method": "samodal", "subset": "all", **_numbers(found, "video_")})
    return rows


def _entries_of_all(results: Results) -> list[dict[str, Any]]:
    return [entry for entries in results.values() for entry in entries]


def _no_frames(name: str) -> None:
    """No frames are needed to score masks."""


def _merged(rows: list[Row], more: Row) -> list[Row]:
    """`rows` with the numbers of `more` in the row of the same method and subset."""
    same = [row for row in rows if (row["method"], row["subset"]) == (more["method"], more["subset"])]
    for row in same:
        row |= more
    return rows if same else [more, *rows]


def _numbers(found: dict[str, Any], prefix: str) -> Row:
    return {
        prefix + name: value for name, value in found.items() if value is None or isinstance(value, float)
    }


def _videos(labelled: LabelledSet) -> dict[int, VideoTracks]:
    """The tracks of all videos, by video id; a mask that is alone in its frame is the amodal one."""
    result: dict[int, VideoTracks] = {}
    for video in labelled.videos:
        tracks = video.tracks
        if not any(any(track.amodal) for track in tracks):
            for track in tracks:
                track.amodal, track.visible = track.visible, track.amodal
        result[tracks.video_id] = tracks
    return result


def _full(videos: dict[int, VideoTracks]) -> bool:
    """Whether it is known what is visible."""
    return all(any(any(track.visible) for track in tracks) for tracks in videos.values() if len(tracks))


def _nothing(truth: VideoTracks) -> VideoTracks:
    return VideoTracks(truth.size, truth.num_frames, list[Track](), truth.video_id)
