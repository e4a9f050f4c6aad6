"""What finds the visible masks, from its name."""

import inspect
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from samodal import masks
from samodal.errors import InputError
from samodal.frame_log import FrameLog
from samodal.plugins import load_function
from samodal.video import Video, VideoTracks
from samodal.vis.by_image import FrameByFrame
from samodal.vis.interface import VideoSegmenter, VisibleMasks, no_progress
from samodal.vis.options import VisOptions

if TYPE_CHECKING:
    import torch

NAME_ONE = (
    "--visible auto: say with --vis.model what finds the masks: a model of Hugging Face (downloaded when it is not "
    "here), such as facebook/mask2former-swin-small-coco-instance or facebook/sam3, its folder, or module:function "
    "of your own (docs/visible.md); or give a file of masks in place of auto (docs/own_video.md)"
)


def open_vis(options: VisOptions, device: "torch.device | None" = None) -> VisibleMasks:
    """Open what finds the visible masks.

    Args:
        options: which one, and what it is to find.
        device: where models run; None: CPU.

    Raises:
        InputError: none was named, it cannot be loaded, or it does not know the classes.
    """
    if not options.model:
        raise InputError(NAME_ONE)
    if not 0 < options.threshold <= 1:
        raise InputError(f"--vis.threshold {options.threshold}: a number from 0 to 1, above 0, is expected")
    if ":" in options.model and not Path(options.model).exists():
        return _plug_in(options)
    import torch

    from samodal.vis.hub import read_config

    device = device or torch.device("cpu")
    kind = read_config(options.model).model_type
    if kind == "sam3_video":
        from samodal.vis.sam3 import Sam3

        return Sam3(options.model, options.classes, options.threshold, device)
    if kind == "sam2_video":
        from samodal.vis.sam2 import Sam2

        if not options.detector and options.boxes is None:
            raise InputError(
                f"--vis.model {options.model}: SAM 2 follows what it is shown; say with --vis.detector what finds the "
                "instances, such as facebook/mask2former-swin-small-coco-instance, or show them with --vis.boxes FILE"
            )
        detector = _detector(options, device) if options.detector else None
        return Sam2(options.model, detector, options.boxes, options.classes, device)
    return _by_image(options, kind, device)


def _by_image(options: VisOptions, kind: str, device: "torch.device") -> FrameByFrame:
    """A model that looks at single images."""
    from samodal.backends.exported import fingerprint
    from samodal.vis.universal import KINDS, UniversalSegmenter

    if kind not in KINDS:
        raise InputError(
            f"--vis.model {options.model}: is a {kind}; known are {', '.join(KINDS)}, sam3_video and sam2_video"
        )
    segmenter = UniversalSegmenter(options.model, options.classes, options.threshold / 2, device)
    identity = {"weights": fingerprint(segmenter.model), "device": device.type}
    classes = [name.lower() for name in options.classes]
    return FrameByFrame(segmenter, options.model, identity, classes, options.threshold)


def _detector(options: VisOptions, device: "torch.device") -> FrameByFrame:
    """What shows SAM 2 the instances."""
    detector = open_vis(replace(options, model=options.detector, detector=""), device)
    if not isinstance(detector, FrameByFrame):
        raise InputError(
            f"--vis.detector {options.detector}: looks at whole videos; one for images is expected"
        )
    return detector


def _plug_in(options: VisOptions) -> VisibleMasks:
    """A function of the user's own: what its argument is called says what it takes."""
    function = load_function(options.model, "vis")
    try:
        arguments = list(inspect.signature(function).parameters)
    except (TypeError, ValueError):  # of a built-in
        arguments = []
    module = sys.modules[options.model.partition(":")[0]]
    stamp = Path(module.__file__).stat().st_mtime_ns if getattr(module, "__file__", None) else 0  # type: ignore[arg-type]
    identity = {"module": stamp}
    if arguments[:1] == ["image"]:
        return FrameByFrame(function, options.model, identity, options.classes, options.threshold)
    if arguments[:1] == ["video"]:
        return WholeVideo(function, options.model, identity)
    raise InputError(
        f"vis {options.model}: its first argument must be called image (looks at one frame) or video (at all of them), "
        f"but is {arguments[0] if arguments else 'missing'}"
    )


class WholeVideo:
    """A `VisibleMasks` from a `VideoSegmenter` of the user's own, whose tracks are checked."""

    def __init__(self, function: VideoSegmenter, name: str, identity: dict[str, Any]) -> None:
        self.function, self.name, self.identity = function, name, identity

    def __call__(
        self, video: Video, progress: Callable[[], None] = no_progress, log: FrameLog | None = None
    ) -> VideoTracks:
        """See `VisibleMasks`; the classes are those that the function gives.

        Raises:
            InputError: what it returns are no tracks of this video.
        """
        found = self.function(video)
        if not isinstance(found, VideoTracks):
            raise InputError(f"vis {self.name}: returned a {type(found).__name__}, not VideoTracks")
        if found.size != video.size or found.num_frames != len(video):
            raise InputError(
                f"vis {self.name}: returned {found.num_frames} frames of {found.size} for {len(video)} frames of "
                f"{video.size} (height, width)"
            )
        if len({track.track_id for track in found}) < len(found):
            raise InputError(f"vis {self.name}: returned a track id twice")
        for track in found:
            if len(track) != len(video):
                raise InputError(
                    f"vis {self.name}: track {track.track_id} has {len(track)} masks for {len(video)} frames"
                )
            try:
                track.visible = [masks.from_annotation(rle, video.size) for rle in track.visible]
            except ValueError as error:
                raise InputError(f"vis {self.name}: track {track.track_id}: {error}") from None
        for _ in range(len(video)):
            progress()
        return found
