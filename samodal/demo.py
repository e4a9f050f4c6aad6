"""`samodal demo`: clips of the procedural world, the whole method on them, scores, overlay and report."""

import shlex
from pathlib import Path

from samodal import score
from samodal.backends.exported import fingerprint
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
    prepare_folder(out)
    model = AmodalSam.from_pretrained("samodal-nano", device=choose_device(None))
    facts = run_facts(
        video=f"{clips} procedural clips, the first is shown",
        model="samodal-nano",
        weights=fingerprint(model),
        seed=seed,
    )
    segmenter = AmodalVideoSegmenter(model, seed=seed)
    # S-AModal's own rule, with a point tracker that needs no weights in the place of its CoTracker.
    by_point = AmodalVideoSegmenter(model, "lucas-kanade", "reference", seed=seed)
    truth, predicted, by_frame, shifted = [], [], [], []
    with progress("predicting", clips * frames) as advance:
        for index in range(clips):
            clip = make_clip(FIRST_SEED + 1000 * seed + index, frames)
            if index == 0:
                shown = clip.video
            truth.append(clip.truth)
            looked = segmenter.look(clip.video, only_visible(clip.truth), advance)
            predicted.append(segmenter.follow(looked))
            by_frame.append(segmenter.follow(looked, "none"))
            shifted.append(by_point.follow(looked))
    methods = {"samodal": predicted, "frame by frame": by_frame, "reference-rule": shifted}
    rows = score.compare(truth, methods)
    write_results(out, shown, predicted[0], facts, rows, truth[0])
    score.print_table(rows)
    print(
        f"{out}: report.html, overlay.mp4, amodal.json, scores.json (open it: samodal show {shlex.quote(str(out))})"
    )


def only_visible(truth: VideoTracks) -> VideoTracks:
    """What a video-instance segmentation would give: the visible masks of all that is ever seen."""
    seen = [Track(t.track_id, t.category_id, 1.0, list(t.visible)) for t in truth if any(t.visible)]
    return VideoTracks(truth.size, truth.num_frames, seen, truth.video_id)
