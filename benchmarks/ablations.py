"""Which adapter, which prompts: short trainings of one model beside one another, three seeds each.

Every run is one `samodal train` from the same model for the same number of steps; runs that are there already are not
repeated. The tables give the mean and the standard deviation over the seeds.

    scripts/train_nano.sh                           # makes runs/nano/data and runs/nano/visible
    python benchmarks/ablations.py --root runs/nano/data --model runs/nano/visible/last
"""

import argparse
import hashlib
import json
import os
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from safetensors import safe_open

ADAPTERS = {
    "none (decoder only)": "--adapter none",
    "sam-adapter (width 64)": "--adapter sam-adapter --adapter-dim 64",
    "medical-adapter": "--adapter medical-adapter",
    "lora (rank 8)": "--adapter lora",
}
# Points alone, so that only they make a difference; frames as they are, so that embeddings are computed once.
POINTS = "--adapter none --prompt-kinds points --crop 0 --light 0 --mirror 0 --max-points 1"
STRATEGIES = {
    name: f"{POINTS} --strategy {name}"
    for name in ("eroded-random", "random", "max-distance", "max-entropy", "saliency")
}
COUNTS = {
    f"{count} point{'s' * (count > 1)}": f"{POINTS} --max-points {count} --validation-points {count}"
    for count in (1, 2, 4, 8)
}
COUNTS["1 point"] = STRATEGIES["eroded-random"]
SEEDS = (0, 1, 2)


def main() -> None:
    """Do the runs that are missing; print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", required=True, help="data in the layout of AmodalSynthDrive, train and val")
    parser.add_argument("--model", required=True, help="a SAM that answers with the visible mask")
    parser.add_argument("--out", type=Path, default=Path("runs/ablations"))
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--tables", nargs="+", default=["adapters", "strategies", "counts"])
    options = parser.parse_args()
    common = (
        f"asd --root {options.root} --model {options.model} --steps {options.steps} --warmup {options.steps // 10} "
        f"--lr 5e-4 --dtype bf16 --validate-every {options.steps} --no-check"
    )
    for name in options.tables:
        print(
            f"\n| {name} | IoU full | IoU hidden | parameters that learn | seconds a step |\n|---|---|---|---|---|"
        )
        table = {"adapters": ADAPTERS, "strategies": STRATEGIES, "counts": COUNTS}[name]
        for row, special in table.items():
            cache = f" --cache {options.out / 'embeddings'}" if special.startswith(POINTS) else ""
            runs = [run(f"{common} {special}{cache} --seed {seed}", options.out) for seed in SEEDS]
            cells = [spread([one[key] for one in runs], digits=3) for key in ("iou_full", "iou_hidden")]
            learning = f"{runs[0]['learning'] / 1e6:.2f} M"
            print(
                "|",
                " | ".join([row, *cells, learning, spread([one["pace"] for one in runs], 2)]),
                "|",
                flush=True,
            )


def run(arguments: str, out: Path) -> dict[str, float]:
    """One training, in a folder of its own, or what it said when it was done before."""
    folder = out / f"{hashlib.sha256(arguments.encode()).hexdigest()[:8]}"
    log = folder / "log.jsonl"
    lines = read(log)
    if not any("iou_full" in line for line in lines):
        command = [sys.executable, "-m", "samodal", "train", *shlex.split(arguments), "--out", str(folder)]
        done = subprocess.run(
            command + ["--resume"] * log.exists(), capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(f"{shlex.join(command)}\n{done.stderr[-2000:]}")
        (folder / "command.txt").write_text(f"samodal train {arguments}\n")
        lines = read(log)
    scores = next(line for line in lines if "iou_full" in line)
    paces = [line["seconds"] / line["step"] for line in lines if "seconds" in line]
    return {**scores, "pace": paces[-1], "learning": count_learning(folder)}


def count_learning(folder: Path) -> int:
    """Numbers that learn in a run: those of the decoder, the mask prompts and the adapters."""
    with safe_open(folder / "last" / "model.safetensors", framework="np") as weights:
        names = [
            name
            for name in weights.keys()  # noqa: SIM118 (is no mapping)
            if name.startswith("mask_decoder.")
            or "adapter" in name
            or "lora" in name
            or "prompt_generator" in name
        ]
        return sum(int(np.prod(weights.get_slice(name).get_shape())) for name in names)


def read(log: Path) -> list[dict[str, float]]:
    """The lines of a log, none where there is no log."""
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def spread(values: list[float], digits: int) -> str:
    """Mean and standard deviation (of a sample)."""
    return f"{np.mean(values):.{digits}f} ± {np.std(values, ddof=1):.{digits}f}"


if __name__ == "__main__":
    os.environ.setdefault("OMP_NUM_THREADS", "2")
    main()
