"""Numbers recorded from the original CoTracker (../shared/golden/cotracker/README.md): inputs, weights and cases.

Inputs and weights are seeds; `make_weight`, `make_video` and `make_queries` are those the goldens were made with.
"""

import functools
import hashlib
import json
import zlib
from pathlib import Path

import numpy as np
import torch

TESTS = Path(__file__).parents[1]
COPIES = TESTS / "data/golden/cotracker"  # a few cases
SHARED = TESTS.parents[1] / "shared/golden/cotracker"  # all cases, where the folder exists


def cases(prefix: str) -> list[Path]:
    """The .npz files whose names start so, each once."""
    files = {file.name: file for folder in (SHARED, COPIES) for file in folder.glob(f"{prefix}*.npz")}
    return [files[name] for name in sorted(files)]


def read(case: Path) -> tuple[dict, dict[str, np.ndarray]]:
    arrays = dict(np.load(case))
    about = json.loads(str(arrays.pop("meta")))
    return about, arrays


def video(about: dict) -> np.ndarray:
    frames = make_video(about["seed"], about["T"], about["h"], about["w"])
    assert sha256(frames) == about["video_sha256"]
    return frames


def shapes(kind: str) -> dict[str, list[int]]:
    """Names and shapes of a checkpoint: v1, v3_offline or v3_online."""
    name = f"keys_{kind}.json"
    return json.loads(((SHARED if (SHARED / name).exists() else COPIES) / name).read_text())


@functools.cache
def weights(kind: str) -> dict[str, torch.Tensor]:
    """The state dict of a golden model."""
    return {name: torch.from_numpy(make_weight(name, shape)) for name, shape in shapes(kind).items()}


def make_weight(name, shape):
    if name == "time_emb":
        return time_embedding(shape)
    z = np.random.default_rng(zlib.crc32(name.encode())).standard_normal(tuple(shape)).astype(np.float32)
    if name.endswith(("norm.weight", "norm_context.weight")):
        return (1.0 + 0.1 * z).astype(np.float32)
    if name.endswith("virual_tracks"):
        return z
    if name.endswith("vis_predictor.0.weight"):
        return (0.3 * z).astype(np.float32)
    if name.endswith("vis_conf_head.weight"):
        return (0.06 * z).astype(np.float32)
    w = (0.02 * z).astype(np.float32)
    if name.endswith("input_transform.weight") and shape[1] == 456:
        # v1/v2: columns 2..129 take sin/cos of up to 968 x displacement; undamped, random weights make the
        # iteration chaotic (1e-4 px grows to 10 px) and no implementation could match another
        w[:, 2:130] *= np.float32(0.005)
    return w


def make_video(seed, t, h, w):
    """uint8 video [t, h, w, 3]: blocky texture panning, two textured rectangles moving over it."""
    rng = np.random.default_rng(seed)

    def texture(hh, ww, cell):
        g = rng.integers(0, 256, (hh // cell + 2, ww // cell + 2, 3)).astype(np.int64)
        g = np.kron(g, np.ones((cell, cell, 1), np.int64))[: hh + 4, : ww + 4]
        acc = sum(g[dy : dy + hh, dx : dx + ww] for dy in range(5) for dx in range(5))
        return acc // 25

    bg = texture(h + 3 * t, w + 3 * t, 8)
    rects = [
        (texture(h // 3, w // 4, 4), h // 4, w // 8, 1, 2),
        (texture(h // 4, w // 5, 4), h // 2, w // 2, -1, -2),
    ]
    out = np.empty((t, h, w, 3), np.uint8)
    for k in range(t):
        f = bg[k : k + h, 2 * k : 2 * k + w].copy()
        for tex, y, x, vy, vx in rects:
            y0, x0 = y + vy * k, x + vx * k
            ya, xa = max(y0, 0), max(x0, 0)
            yb, xb = min(y0 + tex.shape[0], h), min(x0 + tex.shape[1], w)
            if yb > ya and xb > xa:
                f[ya:yb, xa:xb] = tex[ya - y0 : yb - y0, xa - x0 : xb - x0]
        out[k] = f
    return out


def make_queries(seed, n, t, h, w, mode):
    """float32 [n, 3] rows (frame, x, y). mode 'first': all frame 0; 'mixed': frames spread over [0, t)."""
    rng = np.random.default_rng(10_000 + seed)
    x = rng.integers(4 * 8, 4 * (w - 8), n) / 4.0
    y = rng.integers(4 * 8, 4 * (h - 8), n) / 4.0
    fr = np.zeros(n, np.int64) if mode == "first" else rng.integers(0, t, n)
    return np.stack([fr, x, y], 1).astype(np.float32)


def sha256(a):
    return hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()


def time_embedding(shape):
    """The buffer that a checkpoint of v3 carries: sines and cosines of the frame number."""
    half = shape[2] // 2
    angles = np.arange(shape[1])[:, None] * 10_000.0 ** (-np.arange(half) / half)
    return np.concatenate([np.sin(angles), np.cos(angles)], 1)[None].astype(np.float32)
