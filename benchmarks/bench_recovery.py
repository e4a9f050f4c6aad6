"""How well are hidden instances followed: every rule on the same gaps, IoU and centre error by hidden frame.

Two kinds of gaps. `world`: instances of the procedural world that are completely hidden; the rules get the true amodal
masks of the frames that show something, so this measures the recovery and nothing else. `real`: tracks of real videos
whose masks are withheld for a while, and then compared with what the rules say (hide and check).

    python benchmarks/bench_recovery.py world --clips 50                 # easy and hard, 10 to 30 minutes on two cores
    python benchmarks/bench_recovery.py real --root DIR                  # DIR: kitti_mots/, bdd100k/, davis/, birdcage/
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from multiprocessing import Pool
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.table import Table

from samodal import masks
from samodal.data.labelled_files import read_labelled
from samodal.data.synthetic import make_clip
from samodal.data.visible import read_visible
from samodal.each_frame import pairs_of, read
from samodal.masks import Rle, Runs
from samodal.motion import EgoMotion, HiddenInstanceModel
from samodal.motion.baselines import ConstantVelocity, HoldLast
from samodal.motion.ego import FixedEgo, FrameEgo
from samodal.motion.flow import InstanceFlow
from samodal.motion.observation import Step
from samodal.motion.perspective import PerspectiveMotion
from samodal.point_shift import shift_by_point
from samodal.prompts import pick_points, prompt_rng
from samodal.recover import Mode, recover_track
from samodal.track import open_tracker
from samodal.video import Track, Video, VideoTracks

FIRST_SEED = 800_000  # clips that neither training nor choosing anything has seen
RULES: dict[str, tuple[HiddenInstanceModel, Mode]] = {
    "hold-last": (HoldLast(), "online"),
    "constant-velocity": (ConstantVelocity(), "online"),
    "online": (PerspectiveMotion(), "online"),
    "two-sided": (PerspectiveMotion(), "two-sided"),
}
NUMBERS = (5, 10, 20)
"""Hidden frames that are looked at: in the world these, give or take a fifth; else whole gaps of such lengths."""
BEFORE, BEHIND = 10, 5  # frames that must show a track before and behind what is withheld of it
AROUND = 30  # frames that the rules get on either side, of videos that are only masks


@dataclass(frozen=True)
class Case:
    """A video with what the rules may know.

    Attributes:
        video: its frames; None where there are only masks.
        known: tracks with visible masks, and amodal masks in the frames that show something.
        truth: of each track the amodal masks of the frames to be judged; others None.
        ego: the camera's motion.
        steps: track id -> frame -> how what is seen of the instance moved since the frame before.
        seed: of the points that the original's rule goes by.
        withheld: frames in which the judged track is in plain sight, and in truth nothing hides it. The rules are
            not told what else they show: it would prove the track to be elsewhere.
    """

    video: Video | None
    known: VideoTracks
    truth: list[list[Rle | None]]
    ego: EgoMotion
    steps: dict[int, dict[int, Step]]
    seed: int
    withheld: range = range(0)


@dataclass(frozen=True)
class Judged:
    """One rule in one frame: IoU, and the distance of the centres in sizes of the instance (None without a mask)."""

    rule: str
    group: str
    number: int
    bridged: bool
    iou: float
    error: float | None


# ---- The gaps --------------------------------------------------------------------------------------------------------


def world_case(seed: int, frames: int, preset: str) -> Case:
    """A clip of the procedural world."""
    clip = make_clip(seed, frames, preset=preset)
    ego, steps = looked_at(clip.video, clip.truth)
    tracks, truth = [], []
    for track in clip.truth:
        seen = [masks.area(rle) > 0 for rle in track.visible]
        if any(seen):
            amodal = [rle if is_seen else None for rle, is_seen in zip(track.amodal, seen, strict=True)]
            tracks.append(Track(track.track_id, track.category_id, 1.0, list(track.visible), amodal))
            hidden = [None if is_seen else rle for rle, is_seen in zip(track.amodal, seen, strict=True)]
            truth.append([rle if any(seen[:frame]) else None for frame, rle in enumerate(hidden)])
    return Case(clip.video, replace(clip.truth, tracks=tracks), truth, ego, steps, seed)


def looked_at(video: Video, tracks: VideoTracks) -> tuple[EgoMotion, dict[int, dict[int, Step]]]:
    """The motion of the camera and of the instances, see `Case`."""
    ego, steps = FrameEgo(), defaultdict[int, dict[int, Step]](dict)
    for frame in read(pairs_of(video, tracks), ego, InstanceFlow()):
        for track_id, step in frame.steps.items():
            steps[track_id][frame.index] = step
    return ego, steps


def withheld_cases(video: Video | None, tracks: VideoTracks, length: int, most: int = 20) -> Iterator[Case]:
    """One case for every stretch of `length` frames that can be withheld of a track, up to `most` of them.

    A track must be seen without a break, and not at the image border, from before to behind what is withheld.
    """
    ego, steps = (FixedEgo(), {}) if video is None else looked_at(video, tracks)
    found = 0
    for track in tracks:
        whole = [_is_whole(rle) for rle in track.visible]
        start = BEFORE
        while start + length + BEHIND <= len(track) and found < most:
            if not all(whole[start - BEFORE : start + length + BEHIND]):
                start += 1
                continue
            hidden = range(start, start + length)
            shown = range(len(track))
            if video is None:
                shown = range(max(0, start - AROUND), min(len(track), start + length + AROUND))
            seen = [None if frame in hidden else track.visible[frame] for frame in shown]
            truth = [track.visible[frame] if frame in hidden else None for frame in shown]
            one = Track(track.track_id, track.category_id, 1.0, seen, list(seen))
            others = [
                Track(t.track_id, t.category_id, 1.0, t.visible[shown.start : shown.stop])
                for t in tracks
                if t is not track
            ]
            # The withheld track comes first: only this one is judged.
            known = VideoTracks(tracks.size, len(shown), [one, *others], tracks.video_id)
            withheld = range(start - shown.start, start - shown.start + length)
            yield Case(video, known, [truth], ego, steps, found, withheld)
            found += 1
            start += length + BEFORE


def _is_whole(rle: Rle | None) -> bool:
    if rle is None or masks.area(rle) < 100:
        return False
    (x, y, w, h), (height, width) = masks.box(rle), rle["size"]
    return x > 0 and y > 0 and x + w < width and y + h < height


def real_videos(root: Path) -> Iterator[tuple[str, Video | None, VideoTracks]]:
    """Name, frames where there are any, and visible masks of the real videos in a folder."""
    for path, form in ((root / "kitti_mots" / "instances_txt", "mots"), (root / "bdd100k", "bdd100k")):
        if path.exists():
            for labelled in read_labelled(path, form).videos:
                yield f"{form} {labelled.name}", None, labelled.tracks
    for folder in sorted((root / "davis" / "JPEGImages" / "480p").glob("*")):
        video = Video.open(folder)
        path = root / "davis" / "Annotations" / "480p" / folder.name
        yield f"davis {folder.name}", video, read_visible(path, video)
    if (root / "birdcage").exists():
        video = Video.open(root / "birdcage" / "rgb.mp4")
        yield "birdcage", video, read_visible(root / "birdcage" / "masks", video)


# ---- The rules and their marks ---------------------------------------------------------------------------------------


def judge(case: Case, group: str, reference: bool) -> list[Judged]:
    """Every rule in every frame of `case.truth`."""
    scene = [None if k in case.withheld else runs for k, runs in enumerate(_scene(case.known))]
    followed = {rule: _recovered(case, scene, *how) for rule, how in RULES.items()}
    if reference and case.video is not None:
        followed["reference-rule"] = _by_the_original(case)
    result = []
    for rule, tracks in followed.items():
        for track, truth in zip(tracks, case.truth, strict=False):  # of a real video, only the first has any
            seen = [frame for frame, rle in enumerate(track.visible) if masks.area(rle)]
            for frame, wanted in enumerate(truth):
                if masks.area(wanted) and seen[0] < frame:
                    number = frame - max(k for k in seen if k < frame)
                    marks = _marks(track.amodal[frame], wanted)
                    result.append(Judged(rule, group, number, frame < seen[-1], *marks))
    return result


def _recovered(case: Case, scene: list[Runs | None], motion: HiddenInstanceModel, mode: Mode) -> list[Track]:
    judged = case.known.tracks[: len(case.truth)]
    if isinstance(motion, HoldLast | ConstantVelocity):
        return [recover_track(track, motion, mode, ego=case.ego) for track in judged]
    ways = [case.steps.get(track.track_id) for track in judged]
    return [
        recover_track(track, motion, mode, ego=case.ego, scene=scene, steps=steps)
        for track, steps in zip(judged, ways, strict=True)
    ]


def _scene(tracks: VideoTracks) -> list[Runs]:
    shown = ([t.visible[k] for t in tracks if t.visible[k]] for k in range(tracks.num_frames))
    return [Runs(masks.union(rles) if rles else masks.empty(tracks.size)) for rles in shown]


def _by_the_original(case: Case) -> list[Track]:
    """The rule of S-AModal with Lucas-Kanade, from points drawn as the original draws them."""
    tracker, video = open_tracker("lucas-kanade"), case.video
    assert video is not None

    def follow(start: int, point: np.ndarray, frames: range) -> np.ndarray:
        found = tracker.track(video, np.array([[start, *point]]), range(start, frames.stop))
        return found.xy[1:, 0].astype(np.float64)

    result = []
    for track in case.known.tracks[: len(case.truth)]:
        points = [
            pick_points(masks.decode(rle), "eroded-random", 1, prompt_rng(case.seed, track.track_id, frame))
            if rle is not None and masks.area(rle)
            else None
            for frame, rle in enumerate(track.visible)
        ]
        result.append(shift_by_point(replace(track, points=points), follow))
    return result


def _marks(guess: Rle | None, wanted: Rle | None) -> tuple[float, float | None]:
    if guess is None or wanted is None or not masks.area(guess):
        return 0.0, None
    apart = np.subtract(*(np.argwhere(masks.decode(rle)).mean(0) for rle in (guess, wanted)))
    return masks.iou(guess, wanted), float(np.hypot(*apart)) / masks.area(wanted) ** 0.5


# ---- The tables ------------------------------------------------------------------------------------------------------


def summary(judged: Iterable[Judged], whole_gaps: bool) -> list[dict[str, object]]:
    """A row a group, rule and number of hidden frames: n, found, mean IoU, mean and median centre error."""
    judged = list(judged)
    rows: list[dict[str, object]] = []
    for group in dict.fromkeys(one.group for one in judged):
        for number in NUMBERS:
            if whole_gaps:
                near = [one for one in judged if one.group == f"{group}" and group.endswith(f" {number}")]
            else:
                near = [
                    one for one in judged if one.group == group and abs(one.number - number) <= number / 5
                ]
            for rule in dict.fromkeys(one.rule for one in near):
                its = [one for one in near if one.rule == rule]
                errors = [one.error for one in its if one.error is not None]
                rows.append(
                    {
                        "group": group.removesuffix(f" {number}"),
                        "hidden_frames": number,
                        "method": rule,
                        "n": len(its),
                        "found": len(errors) / len(its),
                        "iou": float(np.mean([one.iou for one in its])),
                        "center_error": float(np.mean(errors)) if errors else None,
                    }
                )
    return rows


def print_rows(rows: list[dict[str, object]]) -> None:
    """One table a group."""
    for group in dict.fromkeys(row["group"] for row in rows):
        table = Table("method", *(f"{n} hidden: n, IoU, centre error" for n in NUMBERS), title=str(group))
        its = [row for row in rows if row["group"] == group]
        for rule in dict.fromkeys(row["method"] for row in its):
            cells = []
            for number in NUMBERS:
                found = [row for row in its if (row["method"], row["hidden_frames"]) == (rule, number)]
                error = found[0]["center_error"] if found else None
                text = "-" if error is None else f"{error:.2f}"
                cells.append(f"{found[0]['n']}  {found[0]['iou']:.3f}  {text}" if found else "-")
            table.add_row(str(rule), *cells)
        Console().print(table)


def _world(task: tuple[int, int, str]) -> list[Judged]:
    seed, frames, preset = task
    case = world_case(seed, frames, preset)
    judged = judge(case, preset, reference=True)
    return judged + [replace(one, group=f"{preset}, seen again") for one in judged if one.bridged]


def main() -> None:
    """Run one of the two, print the tables, write the rows."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kind", choices=("world", "real"))
    parser.add_argument("--clips", type=int, default=50, help="of each preset of the world")
    parser.add_argument("--frames", type=int, default=60, help="of a clip of the world")
    parser.add_argument("--root", type=Path, help="folder of the real videos")
    parser.add_argument("--out", type=Path, help="JSON file for the rows")
    parser.add_argument("--workers", type=int, default=2)
    options = parser.parse_args()
    if options.kind == "world":
        tasks = [(FIRST_SEED + k, options.frames, p) for p in ("easy", "hard") for k in range(options.clips)]
        with Pool(options.workers) as pool:
            rows = summary([one for some in pool.imap(_world, tasks) for one in some], whole_gaps=False)
    else:
        if options.root is None:
            parser.error("real: say where the videos are with --root")
        judged = []
        for name, video, tracks in real_videos(options.root):
            for length in NUMBERS:
                for case in withheld_cases(video, tracks, length):
                    # Withheld things are in plain sight: a point tracker would see what it has to guess.
                    judged += judge(case, f"{name.split()[0]} {length}", reference=False)
        rows = summary(judged, whole_gaps=True)
    print_rows(rows)
    if options.out:
        options.out.write_text(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
