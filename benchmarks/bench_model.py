"""How good a model is on development clips, frame by frame and with the whole method.

python benchmarks/bench_model.py samodal-nano runs/nano/third/best     # minutes each
"""

import argparse

from samodal import AmodalSam, AmodalVideoSegmenter, score
from samodal.backends import use_backend
from samodal.data.synthetic import make_clip
from samodal.demo import only_visible
from samodal.pipeline import RecoverMode
from samodal.progress import progress
from samodal.video import VideoTracks

FIRST_SEED = 150_200
FRAMES = 40
SCORES = ("iou_full", "iou_hidden", "gap_iou", "between_iou", "video_ap")


def bench(name: str, clips: int, backend: str, dtype: str) -> None:
    """Print a row of the table of one model for each mode of recovery."""
    segmenter = AmodalVideoSegmenter(use_backend(AmodalSam.from_pretrained(name), backend, dtype), seed=0)
    pairs: dict[RecoverMode, list[tuple[VideoTracks, VideoTracks]]] = {"none": [], "two-sided": []}
    with progress(name, clips * FRAMES) as advance:
        for seed in range(FIRST_SEED, FIRST_SEED + clips):
            clip = make_clip(seed, FRAMES)
            looked = segmenter.look(clip.video, only_visible(clip.truth), advance)
            for mode, found in pairs.items():
                found.append((clip.truth, segmenter.follow(looked, mode)))
    for mode, found in pairs.items():
        row = score.score_videos(found, mode, "id")[0]
        print(f"| {name} | {mode} | " + " | ".join(_cell(row[key]) for key in SCORES) + " |")


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"  # there may be no gap


def main() -> None:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="+", help="folders of models, or samodal-nano")
    parser.add_argument(
        "--clips", type=int, default=24, help=f"of {FRAMES} frames, from seed {FIRST_SEED} on"
    )
    parser.add_argument("--backend", default="openvino", help="torch, openvino or onnxruntime")
    parser.add_argument("--dtype", default="bf16", help="of the image encoder, fp32 or bf16")
    args = parser.parse_args()
    print("| model | recovery | " + " | ".join(SCORES) + " |\n" + "|---" * (2 + len(SCORES)) + "|")
    for name in args.models:
        bench(name, args.clips, args.backend, args.dtype)


if __name__ == "__main__":
    main()
