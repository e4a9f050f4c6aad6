"""How good are the trivial answers on procedural clips: python examples/score_trivial.py [CLIPS]."""

import sys

from samodal import score
from samodal.data.synthetic import make_clip
from samodal.video import Track, VideoTracks


def main(clips: str = "2") -> None:
    """Make clips, answer, print the tables."""
    truth = [make_clip(seed, frames=20, size=(180, 320)).truth for seed in range(int(clips))]

    # An answer of your own: here, the visible mask in every frame, and nothing where nothing is seen.
    answers = []
    for video in truth:
        tracks = [
            Track(t.track_id, t.category_id, 1.0, list(t.visible), list(t.visible))
            for t in video
            if any(t.visible)
        ]
        answers.append(VideoTracks(video.size, video.num_frames, tracks, video.video_id))

    score.print_table(score.compare(truth, {"mine": answers}))


if __name__ == "__main__":
    main(*sys.argv[1:])
