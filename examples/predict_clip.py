"""Full masks of an own clip: python examples/predict_clip.py clip.mp4 genvis.json [OUT]."""

import sys
from pathlib import Path

from samodal import AmodalSam, AmodalVideoSegmenter, Video
from samodal.data.visible import read_visible
from samodal.results import prepare_folder, run_facts, write_results


def main(video: str, masks: str, out: str = "runs/example") -> None:
    """Predict, say what was found, write the results."""
    clip = Video.open(video)
    visible = read_visible(Path(masks), clip)
    segmenter = AmodalVideoSegmenter(AmodalSam.from_pretrained("samodal-nano"))

    tracks = segmenter(clip, visible)
    for track in tracks:
        hidden = [frame for frame, state in enumerate(track.states) if state == "hidden"]
        print(f"track {track.track_id}: score {track.score:.2f}, completely hidden in frames {hidden}")

    prepare_folder(Path(out))
    write_results(Path(out), clip, tracks, run_facts(video=video, visible=masks))


if __name__ == "__main__":
    main(*sys.argv[1:])
