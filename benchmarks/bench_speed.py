"""How fast is samodal: against the original's way, and against what the machine can do. ViT-B, L, H: random weights.

"The original's way" is `transformers.SamModel`, eager attention, float32, one encoder pass an instance. All take
turns in one process; a ratio is the median over the rounds of (original's seconds / ours in the same round).

    python benchmarks/bench_speed.py --write docs/speed.md       # all tables, about 20 quiet minutes
    python benchmarks/bench_speed.py encoder --rounds 5          # one table, to the terminal
    python benchmarks/bench_speed.py encoder --malloc tuned      # against an original without page faults

Tables: machine, encoder, memory, frame, sizes, clip, stages.
"""

import argparse
import os
import platform
import re
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import cv2
import matplotlib.pyplot as plt
import numpy as np
import torch
from transformers import SamModel

from samodal import masks
from samodal.backends import usable, use_backend
from samodal.data.synthetic import make_clip
from samodal.pipeline import AmodalVideoSegmenter
from samodal.sam import AmodalSam, images, nano_config, vit_config
from samodal.video import Track, Video, VideoTracks

TUNED = "glibc.malloc.mmap_threshold=4294967296:glibc.malloc.trim_threshold=17179869184"
GFLOP = {"vit_b": 942, "nano": 14}
"""Of an encoder pass, padding after the projection."""
OURS = [
    ("torch", "fp32"),
    ("torch", "bf16"),
    ("onnxruntime", "fp32"),
    ("openvino", "fp32"),
    ("openvino", "bf16"),
]
CLIP_FRAMES = 40

Table = list[list[object]]
"""The head, then the rows."""


# ---- Measuring ------------------------------------------------------------------------------------------------------


def in_turns(variants: dict[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Seconds of every variant in every round; one round before that is not counted."""
    seconds: dict[str, list[float]] = {name: [] for name in variants}
    for counted in [False] + [True] * rounds:
        for name, do in variants.items():
            start = time.perf_counter()
            do()
            if counted:
                seconds[name].append(time.perf_counter() - start)
    return seconds


def ratio(seconds: dict[str, list[float]], name: str, base: str) -> float:
    """Median over the rounds of base / name."""
    return statistics.median(b / a for a, b in zip(seconds[name], seconds[base], strict=True))


def gemm_peak(dtype: torch.dtype) -> float:
    """The most GFLOP/s that any shape of the encoder's products reaches, by any library at hand."""
    best = 0.0
    for rows, inner, columns in ((4096, 768, 3072), (4096, 3072, 768), (4096, 768, 2304)):
        x, w = torch.randn(rows, inner).to(dtype), torch.randn(columns, inner).to(dtype)
        ways = {"linear": lambda x=x, w=w: torch.nn.functional.linear(x, w)}
        if dtype == torch.float32:
            a, b = x.numpy(), w.numpy().T
            ways["numpy"] = lambda a=a, b=b: a @ b
            pixels, kernel = x.T.reshape(1, inner, 64, -1), w[:, :, None, None]
            ways["oneDNN"] = lambda p=pixels, k=kernel: torch.nn.functional.conv2d(p, k)
        if usable("openvino"):
            ways["openvino"] = openvino_product(x, w)
        seconds = in_turns(ways, 15)
        best = max(best, 2e-9 * rows * inner * columns / min(min(times) for times in seconds.values()))
    return best


def openvino_product(x: torch.Tensor, w: torch.Tensor) -> Callable[[], object]:
    """(n, k) and (m, k) -> the product x w^T, in their dtype."""
    import openvino as ov
    from openvino import opset13 as ops

    values = x.float().numpy()
    parameter = ops.parameter(values.shape, np.float32)
    model = ov.Model([ops.matmul(parameter, ops.constant(w.float().numpy()), False, True)], [parameter])
    hint = "bf16" if x.dtype == torch.bfloat16 else "f32"
    request = ov.compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": hint}).create_infer_request()
    return lambda: request.infer([values], share_inputs=True, share_outputs=True)


def peak_memory(do: Callable[[], object]) -> float:
    """MB that this process grows by at most while `do` runs."""
    page, done, peak = os.sysconf("SC_PAGE_SIZE"), threading.Event(), [0]

    def held() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * page

    def watch() -> None:
        while not done.wait(0.002):
            peak[0] = max(peak[0], held())

    before = held()
    watcher = threading.Thread(target=watch)
    watcher.start()
    do()
    done.set()
    watcher.join()
    return (max(peak[0], held()) - before) / 1e6


# ---- What is measured -----------------------------------------------------------------------------------------------


def amodal_sam(size: str) -> AmodalSam:
    """A model of a size that has a name; trained where it is nano."""
    if size == "nano":
        return AmodalSam.from_pretrained("samodal-nano")
    return AmodalSam(vit_config(size), seed=0).eval()


def original(size: str) -> SamModel:
    """The same model in transformers, eager, with the same weights (without the adapter of nano).

    The same weights matter: with those that transformers draws by itself, softmax gives numbers so close to zero that
    processors need ten times as long.
    """
    config = nano_config() if size == "nano" else vit_config(size)
    parts = {name: value for name, value in config.to_dict().items() if name.endswith("_config")}
    from transformers import SamConfig

    model = SamModel._from_config(SamConfig(**parts), attn_implementation="eager").eval()
    missing, _ = model.load_state_dict(amodal_sam(size).state_dict(), strict=False)
    assert not missing, missing
    return model


def ours(size: str) -> dict[str, AmodalSam]:
    """The same model on every backend that is installed."""
    return {f"{b} {d}": use_backend(amodal_sam(size), b, d) for b, d in OURS if usable(b)}


def picture(height: int = 1080, width: int = 1920) -> np.ndarray:
    """A frame that is neither flat nor noise."""
    noise = np.random.default_rng(0).random((height // 8, width // 8, 3), np.float32)
    return (255 * cv2.resize(noise, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)).astype(
        np.uint8
    )


def encoder_pass(model: AmodalSam | SamModel, pixels: torch.Tensor) -> torch.Tensor:
    """(1, 3, S, S) -> (1, C, g, g)."""
    with torch.no_grad():
        if isinstance(model, SamModel):
            return model.get_image_embeddings(pixels)
        return model.engine.encode(pixels) if model.engine else model.encode_pixels(pixels)


def table_machine(rounds: int) -> Table:
    """What the machine can do."""
    peaks = [f"{gemm_peak(dtype):.0f}" for dtype in (torch.float32, torch.bfloat16)]
    found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    name = found[1] if found else platform.processor()
    return [
        ["processor", "threads", "GFLOP/s fp32", "GFLOP/s bf16", "torch", "load before"],
        [name, torch.get_num_threads(), *peaks, torch.__version__, f"{os.getloadavg()[0]:.1f}"],
    ]


def table_encoder(rounds: int, size: str = "vit_b") -> Table:
    """One encoder pass."""
    models = ours(size)
    exact, hf = models["torch fp32"], original(size)
    pixels = images.to_pixels(images.resize_frame(picture(), exact.image_size), exact.image_size)[None]
    right = encoder_pass(hf, pixels)
    everything = {"original": hf, **models}
    seconds = in_turns({n: lambda m=m: encoder_pass(m, pixels) for n, m in everything.items()}, rounds)
    peak = {"fp32": gemm_peak(torch.float32), "bf16": gemm_peak(torch.bfloat16)}
    rows: Table = [["variant", "s", "times as fast", "of the GEMM peak", "error to the original"]]
    for name, times in seconds.items():
        speed = GFLOP[size] / statistics.median(times) / peak["bf16" if name.endswith("bf16") else "fp32"]
        error = "-"
        if name != "original":
            error = f"{float((encoder_pass(models[name], pixels) - right).norm() / right.norm()):.1e}"
        rows.append([name, f"{statistics.median(times):.2f}", f"{ratio(seconds, name, 'original'):.1f}"])
        rows[-1] += [f"{100 * speed:.0f} %", error]
    return rows


def table_memory(rounds: int) -> Table:
    """What one encoder pass adds to the memory of a process of its own."""
    rows: Table = [["variant", "MB", "of the original's"]]
    for name in ["original", *(f"{b} {d}" for b, d in OURS if usable(b))]:
        code = f"import bench_speed; bench_speed.print_memory({name!r})"
        where = {**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])}
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, env=where, check=True
        )
        rows.append([name, round(float(done.stdout.split()[-1]))])
    return [rows[0], *([*row, f"{float(row[1]) / float(rows[1][1]):.2f}"] for row in rows[1:])]  # type: ignore[arg-type]


def print_memory(name: str) -> None:
    """The part of `table_memory` that runs in a process of its own. Loading and export are not counted."""
    model = original("vit_b") if name == "original" else use_backend(amodal_sam("vit_b"), *name.split())
    pixels = torch.zeros(1, 3, 1024, 1024)
    print(peak_memory(lambda: encoder_pass(model, pixels)))


def table_frame(rounds: int) -> Table:
    """A frame of 1080 x 1920 with N instances, from the frame and a point each to RLE."""
    models, hf, frame = ours("vit_b"), original("vit_b"), picture()
    points = np.random.default_rng(0).uniform((0, 0), (1920, 1080), (20, 1, 2))

    def originals_instance() -> None:
        resized = images.resize_frame(frame, 1024)
        pixels, point = images.to_pixels(resized, 1024)[None], torch.from_numpy(points[:1]).float()[None]
        with torch.no_grad():
            answer = hf(pixels, point * 1024 / 1920, multimask_output=False)
        full = images.logits_to_frame(answer.pred_masks[0], 1024, resized.shape[:2], (1080, 1920))
        masks.encode((full[0, 0] > 0).numpy())

    def whole(model: AmodalSam, count: int) -> None:
        for mask in model.decode(model.encode(frame), points[:count]).masks.numpy():
            masks.encode(mask)

    rows: Table = [["variant", *(f"{n} instances" for n in (1, 5, 10, 20)), "s for 1", "s for 20"]]
    todo = {f"{name} {n}": lambda m=m, n=n: whole(m, n) for name, m in models.items() for n in (1, 5, 10, 20)}
    seconds = in_turns({"original": originals_instance, **todo}, rounds)
    for name in models:
        # The original's way does for N instances N times what it does for one.
        ratios = [f"{n * ratio(seconds, f'{name} {n}', 'original'):.1f}" for n in (1, 5, 10, 20)]
        rows.append([name, *ratios, *(f"{statistics.median(seconds[f'{name} {n}']):.2f}" for n in (1, 20))])
    return rows


def table_sizes(rounds: int) -> Table:
    """One encoder pass of every size, torch fp32 and the fastest."""
    rows: Table = [["size", "original s", "torch fp32 s", "openvino bf16 s"]]
    for size in ("nano", "vit_b", "vit_l", "vit_h"):
        models = {"original": original(size), "torch fp32": amodal_sam(size)}
        if usable("openvino"):
            models["openvino bf16"] = use_backend(amodal_sam(size), "openvino", "bf16")
        side = models["torch fp32"].image_size
        pixels = torch.zeros(1, 3, side, side)
        seconds = in_turns({n: lambda m=m, p=pixels: encoder_pass(m, p) for n, m in models.items()}, 1)
        rows.append([size, *(f"{statistics.median(times):.2f}" for times in seconds.values())])
    return rows


def clip_of(instances: int, frames: int, height: int = 360) -> tuple[Video, VideoTracks]:
    """A street of the procedural world, 16 : 9, with `instances` seen discs that wander over it."""
    world = make_clip(910_000, min(frames, CLIP_FRAMES)).video
    width = height * 640 // 360
    pictures = [cv2.resize(world[index], (width, height)) for index in range(len(world))]
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:height, :width]
    tracks = []
    for number in range(instances):
        x, y, radius = rng.uniform(60, 580), rng.uniform(120, 300), rng.uniform(15, 45)
        x, y, radius, speed = np.array([x, y, radius, rng.normal(0, 2)]) * height / 360
        centre = [x + speed * index for index in range(frames)]
        seen = [masks.encode((columns - c) ** 2 + (rows - y) ** 2 < radius**2) for c in centre]
        tracks.append(Track(number + 1, 1, 1.0, [rle if masks.area(rle) else None for rle in seen]))
    video = Video.from_frames([pictures[index % len(pictures)] for index in range(frames)])
    return video, VideoTracks((height, width), frames, tracks)


def table_clip(rounds: int) -> Table:
    """`samodal predict` with samodal-nano: all of it, reading and writing too, but not the start."""
    from samodal.results import run_facts, write_results

    rows: Table = [["backend", "height", "instances", "frames", "frames/s", "ms a frame"]]
    facts = run_facts(video="clip", model="samodal-nano", seed=0)
    chosen = [pair for pair in OURS if pair != ("onnxruntime", "fp32") and usable(pair[0])]
    for pair in chosen:
        segmenter = AmodalVideoSegmenter(use_backend(amodal_sam("nano"), *pair))
        cases = [(360, 10, CLIP_FRAMES)]
        if pair == chosen[-1]:
            cases += [(360, count, CLIP_FRAMES) for count in (1, 5, 20, 40)]
            cases += [(360, 10, 80), (360, 10, 160), (720, 10, CLIP_FRAMES), (1080, 10, CLIP_FRAMES)]
        segmenter(*clip_of(1, 2))
        for height, instances, frames in cases:
            video, visible = clip_of(instances, frames, height)
            with tempfile.TemporaryDirectory() as out:
                start = time.perf_counter()
                write_results(Path(out), video, segmenter(video, visible), facts)
                seconds = time.perf_counter() - start
            rows.append([" ".join(pair), height, instances, frames, f"{frames / seconds:.1f}"])
            rows[-1].append(f"{1000 * seconds / frames:.0f}")
    return rows


def table_stages(rounds: int) -> Table:
    """`look` with stages that overlap against one after the other; and the memory of `stream` by length."""
    from samodal import pipeline

    pair = ("openvino", "bf16") if usable("openvino") else ("torch", "fp32")
    segmenter = AmodalVideoSegmenter(use_backend(amodal_sam("nano"), *pair))
    clip, queue = clip_of(10, 20), pipeline.QUEUE

    def one_after_the_other() -> None:
        pipeline.QUEUE = 0
        segmenter.look(*clip)
        pipeline.QUEUE = queue

    ways = {"overlap": lambda: segmenter.look(*clip), "one after the other": one_after_the_other}
    seconds = in_turns(ways, rounds)
    rows: Table = [["what", "figure"]]
    rows.append(["overlap, times as fast", f"{ratio(seconds, 'overlap', 'one after the other'):.2f}"])
    for frames in (20, 80):
        video, visible = clip_of(10, frames)
        grown = peak_memory(lambda v=video, m=visible: [None for _ in segmenter.stream(v, m)])
        rows.append([f"stream of {frames} frames, MB more", round(grown)])
    return rows


# ---- Writing --------------------------------------------------------------------------------------------------------

TABLES = {
    name.removeprefix("table_"): do for name, do in list(globals().items()) if name.startswith("table_")
}


def markdown(table: Table) -> str:
    """A table as GitHub shows it."""
    lines = ["| " + " | ".join(map(str, row)) + " |" for row in table]
    return "\n".join([lines[0], "|" + "---|" * len(table[0]), *lines[1:]])


def marked(name: str, malloc: str) -> tuple[str, str]:
    """The lines between which a document has a table."""
    key = name if malloc == "default" else f"{name} {malloc}"
    return f"<!-- {key} -->", f"<!-- end of {key} -->"


def write(path: Path, name: str, malloc: str, text: str) -> None:
    """Put a table where the document has its marks."""
    first, last = marked(name, malloc)
    old = path.read_text()
    if first in old:
        head, rest = old.split(first)
        path.write_text(f"{head}{first}\n{text}\n{last}{rest.split(last)[1]}")


def plot(path: Path, table: list[str]) -> None:
    """How the cost of the fastest backend grows, from the printed rows of `clip`."""
    rows = [row.strip("| ").split(" | ") for row in table[2:]]
    mine = [(*map(int, row[1:4]), float(row[5])) for row in rows if row[0] == rows[-1][0]]
    usual = (360, 10, CLIP_FRAMES)
    panels = {
        ("instances", "ms a frame"): [(n, ms) for *case, n, f, ms in mine if (*case, f) == usual[::2]],
        ("frames", "s"): [(f, ms * f / 1000) for *case, f, ms in mine if tuple(case) == usual[:2]],
        ("megapixels", "ms a frame"): [
            (height**2 * 16 / 9e6, ms) for height, *case, ms in mine if tuple(case) == usual[1:]
        ],
    }
    figure, axes = plt.subplots(1, len(panels), figsize=(10, 2.8), layout="constrained")
    for ax, ((along, up), points) in zip(axes, panels.items(), strict=True):
        x, y = np.array(points).T
        slope, start = np.polyfit(x, y, 1)
        ax.axline((0, start), slope=slope, color="lightgrey")
        ax.plot(x, y, "o")
        ax.set(xlabel=along, ylabel=up, xlim=(0, None), ylim=(0, None))
        ax.set_title(f"{start:.3g} + {slope:.3g} x {along}", fontsize=10)
    figure.savefig(path, metadata={"Date": None})


def chosen(options: argparse.Namespace) -> Iterator[tuple[str, str]]:
    """Table and allocator of every process to start; each table has one of its own."""
    for malloc in [options.malloc] if options.malloc else ["default", "tuned"]:
        for name in options.tables or TABLES:
            if malloc == "default" or name in ("encoder", "frame") or options.malloc:
                yield name, malloc


def main() -> None:
    """Measure and print; write where asked to."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("tables", nargs="*", choices=[*TABLES, []], help="all if not said")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--malloc", choices=["default", "tuned"], help="both if not said")
    parser.add_argument("--write", type=Path, help="a document with marks for the tables")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.here:
        print(markdown(TABLES[options.tables[0]](options.rounds)))
        return
    for name, malloc in chosen(options):
        where = {**os.environ} | ({"GLIBC_TUNABLES": TUNED} if malloc == "tuned" else {})
        command = [sys.executable, __file__, name, "--here", "--rounds", str(options.rounds)]
        done = subprocess.run(command, env=where, stdout=subprocess.PIPE, text=True, check=True)
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        print(
            f"## {name}, {malloc} malloc\n\n{done.stdout}\n({used.ru_utime + used.ru_stime:.0f} CPU-s)\n",
            flush=True,
        )
        if options.write:
            write(options.write, name, malloc, done.stdout.strip())
            if name == "clip":
                plot(options.write.with_suffix(".svg"), done.stdout.strip().splitlines())


if __name__ == "__main__":
    main()
