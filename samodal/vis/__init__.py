"""Video instance segmentation: raw video in, visible masks out. Models of `transformers`, or a function of your own.

The names are imported when they are first used, because the command line looks at the options only.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

_HOMES = {
    "Found": "interface",
    "InstanceSegmenter": "interface",
    "VideoSegmenter": "interface",
    "VisOptions": "options",
    "VisibleMasks": "interface",
    "associate": "association",
    "open_vis": "open",
}

__all__ = [
    "Found",
    "InstanceSegmenter",
    "VideoSegmenter",
    "VisOptions",
    "VisibleMasks",
    "associate",
    "open_vis",
]

if TYPE_CHECKING:
    from samodal.vis.association import associate
    from samodal.vis.interface import Found, InstanceSegmenter, VideoSegmenter, VisibleMasks
    from samodal.vis.open import open_vis
    from samodal.vis.options import VisOptions


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"samodal.vis.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'samodal.vis' has no attribute {name!r}")
