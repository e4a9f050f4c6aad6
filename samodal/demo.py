"""`samodal demo`: clips of the procedural world, the whole method on them, scores, overlay and report."""

from pathlib import Path
from typing import Any

from samodal import score
from samodal.data.synthetic import make_clip
from samodal.pipeline import AmodalVideoSegmenter
from samodal.predict import choose_device
from samodal.progress import progress
from samodal.results import prepare_folder, run_facts, write_results
from samodal.sam import AmodalSam
from samodal.video import Track, VideoTracks

FIRST_SEED = 900_000
"""Clips from this seed on are for the demo; training uses seeds below 100,000, tests those in between."""


def demo(out: Path, seed: int, frames: int, clips: int) -> None:
    """Make `clips` clips, predict and score them all, and show the first."""
    facts = run_facts(video=f"{clips} procedural clips, the first is shown", model="samodal-nano", seed=seed)
    prepare_folder(out)
    model = AmodalSam.from_pretrained("samodal-nano", device=choose_device(None))
    segmenter = AmodalVideoSegmenter(model, seed=seed)
    truth, visible, predicted, by_frame = [], [], [], []
    with progress("predicting", clips * frames) as advance:
        for index in range(clips):
            clip = make_clip(FIRST_SEED + 1000 * seed + index, frames)
            if index == 0:
                shown = clip.video
            truth.append(clip.truth)
            visible.append(only_visible(clip.truth))
            looked = segmenter.look(clip.video, visible[-1], advance)
            predicted.append(segmenter.follow(looked))
            by_frame.append(segmenter.follow(looked, "none"))
    rows = score_methods(truth, visible, predicted, by_frame)
    write_results(out, shown, predicted[0], facts, rows)
    score.print_table(rows)
    print(f"{out}: report.html, overlay.mp4, amodal.json, scores.json (open it: samodal show {out})")


def only_visible(truth: VideoTracks) -> VideoTracks:
    """What a video-instance segmentation would give: the visible masks of all that is ever seen."""
    seen = [Track(t.track_id, t.category_id, 1.0, list(t.visible)) for t in truth if any(t.visible)]
    return VideoTracks(truth.size, truth.num_frames, seen, truth.video_id)


def score_methods(
    truth: list[VideoTracks],
    visible: list[VideoTracks],
    predicted: list[VideoTracks],
    by_frame: list[VideoTracks],
) -> list[dict[str, Any]]:
    """Scores of the method and of the trivial answers, over all videos together.

    `frame by frame` is what the method gives if every frame stands by itself.

    `hold-last` and `constant-velocity` get the method's own masks where an instance is seen: they are compared
    with it in the gaps.
    """
    without_gaps = [
        VideoTracks(t.size, t.num_frames, [unrecovered(track) for track in t], t.video_id) for t in predicted
    ]
    methods = {
        "samodal": predicted,
        "frame by frame": by_frame,
        "visible": [score.visible_as_answer(tracks) for tracks in visible],
        "convex-hull": [score.convex_hull(tracks) for tracks in visible],
        "hold-last": [score.hold_last(tracks) for tracks in without_gaps],
        "constant-velocity": [score.constant_velocity(tracks) for tracks in without_gaps],
    }
    rows = []
    for method, tracks in methods.items():
        pairs = list(zip(truth, tracks, strict=True))
        rows += score.score_videos(pairs, method) + score.score_gaps(pairs, method)
    return rows


def unrecovered(track: Track) -> Track:
    """A track without what was filled into its gaps."""
    amodal = [
        mask if state == "visible" else None for mask, state in zip(track.amodal, track.states, strict=True)
    ]
    return Track(track.track_id, track.category_id, track.score, track.visible, amodal, scores=track.scores)
