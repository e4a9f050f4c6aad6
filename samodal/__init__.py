"""samodal: amodal video instance segmentation for driving.

A video and the visible mask of every instance in; the full mask of every instance out, the part behind other
things included, also in frames where the instance is completely hidden. Implements S-AModal (arXiv 2409.14095).

The public names are imported when they are first used: `import samodal` is quick and does not need torch.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_HOMES = {
    "AmodalSam": "samodal.sam",
    "AmodalVideoSegmenter": "samodal.pipeline",
    "InputError": "samodal.errors",
    "Track": "samodal.video",
    "Video": "samodal.video",
    "VideoTracks": "samodal.video",
    "open_dataset": "samodal.data",
}
_MODULES = ("masks", "motion", "prompts", "recover", "score", "show", "track", "vis")

__all__ = [
    "AmodalSam",
    "AmodalVideoSegmenter",
    "InputError",
    "Track",
    "Video",
    "VideoTracks",
    "__version__",
    "open_dataset",
]

if TYPE_CHECKING:
    from samodal.data import open_dataset
    from samodal.errors import InputError
    from samodal.pipeline import AmodalVideoSegmenter
    from samodal.sam import AmodalSam
    from samodal.video import Track, Video, VideoTracks


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name]), name)
    if name in _MODULES:
        return import_module(f"samodal.{name}")
    raise AttributeError(f"module 'samodal' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*__all__, *_MODULES])
