"""What a frozen image encoder makes of each frame, kept on disk, so that it is computed once.

An entry is found by what it was made of: its folder is named by the encoder (weights, sizes, arithmetic), its file by
the content of the frame as the encoder gets it. So nothing can be out of date, several trainings share one cache, and
any part of it can be deleted at any time, also while it is in use.
"""

import hashlib
import os
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load, save

from samodal import __version__, files
from samodal.errors import InputError
from samodal.sam import AmodalSam
from samodal.train.options import TrainOptions

SUFFIX = ".embedding"


class EmbeddingCache:
    """Embeddings of frames by one encoder, on disk.

    Args:
        root: the folder of the cache; other encoders may use it as well.
        encoder: the name of the encoder, see `encoder_name`.
        limit: bytes that all entries together may take; those that were not used for longest go first.
    """

    def __init__(self, root: Path, encoder: str, limit: float) -> None:
        self.root, self.folder, self.limit = root, root / encoder, limit
        self.size = sum(size for _, size, _ in self._entries())
        self.broken = False

    def get(self, key: str) -> torch.Tensor | None:
        """The embedding (C, g, g) of a frame, None where there is none, or no whole one."""
        path = self._path(key)
        try:
            embedding = load(path.read_bytes())["embedding"]
            os.utime(path)  # what is used stays
            return embedding
        except FileNotFoundError:
            return None
        except (OSError, SafetensorError, KeyError):
            path.unlink(missing_ok=True)
            return None

    def put(self, key: str, embedding: torch.Tensor) -> None:
        """Keep the embedding (C, g, g) of a frame. Where the disk does not take it, training goes on without."""
        path = self._path(key)
        content = save({"embedding": embedding.detach().cpu().contiguous()})
        if path.exists() or self.broken or len(content) > self.limit:
            return
        try:
            if self.size + len(content) > self.limit:
                self._shrink(len(content))
            with files.replacing(path) as temporary:
                temporary.write_bytes(content)
            self.size += len(content)
        except OSError as error:
            if isinstance(error, FileNotFoundError):  # deleted while it was written
                return
            self.broken = True
            print(f"{self.root}: embeddings are not kept any more ({error.strerror})", file=sys.stderr)

    def _path(self, key: str) -> Path:
        return self.folder / key[:2] / f"{key}{SUFFIX}"

    def _shrink(self, needed: int) -> None:
        """Delete what was not used for longest, to nine tenths of the limit so that it need not be done often."""
        entries = sorted(self._entries())
        self.size = sum(size for _, size, _ in entries)  # other processes write, too
        for _, size, path in entries:
            if self.size + needed <= 0.9 * self.limit:
                break
            path.unlink(missing_ok=True)
            self.size -= size

    def _entries(self) -> list[tuple[float, int, Path]]:
        """Time of last use, size and path of every entry, of all encoders."""
        found = []
        for path in self.root.glob(f"*/??/*{SUFFIX}"):
            try:
                stat = path.stat()
            except FileNotFoundError:  # another process was faster
                continue
            found.append((stat.st_mtime, stat.st_size, path))
        return found


def key_of(resized: np.ndarray) -> str:
    """The name of a frame, uint8 (h, w, 3), as the encoder gets it: after augmentation and resizing."""
    return hashlib.blake2b(str(resized.shape).encode() + resized.tobytes(), digest_size=20).hexdigest()


def encoder_name(model: AmodalSam, dtype: str) -> str:
    """The name of an encoder: of its weights, its configuration, and the arithmetic that it runs in."""
    config = model.config
    made_of = [__version__, dtype, model.device.type, config.vision_config.to_json_string(), config.adapter]
    made_of += [config.adapter_width, config.pad_before_norm, config.mixed_embedding]
    made_of += [config.lora_alpha, config.lora_mlp]
    name = hashlib.blake2b(repr(made_of).encode(), digest_size=16)
    for key, weight in model.vision_encoder.state_dict().items():
        name.update(key.encode())
        name.update(weight.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy())
    return name.hexdigest()


def is_frozen(model: AmodalSam) -> bool:
    """Whether nothing in the image encoder learns, adapters included."""
    return not any(parameter.requires_grad for parameter in model.vision_encoder.parameters())


def open_cache(model: AmodalSam, options: TrainOptions) -> tuple[EmbeddingCache | None, str]:
    """The cache that a training can use, and what there is to say about it.

    Embeddings can be kept where the encoder is frozen and every frame is always shown as it is, or mirrored: with
    crop 0 and light 0. A crop is a new picture every time.

    Raises:
        InputError: the cache is asked for by name and cannot be used.
    """
    reasons = []
    if not is_frozen(model):
        reasons.append("the image encoder learns (its adapter, or all of it)")
    if options.augment and (options.crop or options.light):
        reasons.append(f"frames change (crop {options.crop:g}, light {options.light:g}; both must be 0)")
    if options.cache == "off":
        return None, "embeddings are not kept (cache off)"
    if reasons:
        if options.cache != "auto":
            raise InputError(f"cache {options.cache}: embeddings cannot be kept, {' and '.join(reasons)}")
        return None, f"embeddings are not kept: {', '.join(reasons)}"
    root = default_folder() if options.cache == "auto" else Path(options.cache)
    cache = EmbeddingCache(root, encoder_name(model, options.dtype), options.cache_gb * 1e9)
    return cache, f"embeddings of the frozen encoder are kept in {root}, at most {options.cache_gb:g} GB"


def default_folder() -> Path:
    """Where embeddings are kept if nothing else is said."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "samodal" / "embeddings"


@torch.no_grad()
def embed(model: AmodalSam, batch: dict, cache: EmbeddingCache | None) -> torch.Tensor:
    """The embeddings (B, C, g, g) of a batch by a frozen encoder: from the cache, or computed and kept there.

    One frame at a time, because a matrix product of another size adds in another order: so a loss is the same to the
    last bit, whatever is in the cache.
    """
    embeddings = []
    for key, pixels, embedding in zip(batch["key"], batch["pixels"], batch["embedding"], strict=True):
        if embedding is None:
            embedding = model.encode_pixels(pixels[None])[0]
            if cache is not None:
                cache.put(key, embedding)
        embeddings.append(embedding)
    return torch.stack(embeddings)
