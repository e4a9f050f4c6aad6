"""What finds the visible masks, as options."""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class VisOptions:
    """With --visible auto: what finds the visible masks (docs/visible.md).

    Attributes:
        model: a Hugging Face id or folder (Mask2Former, MaskFormer or EoMT for instances; SAM 3; SAM 2), or a function
            of your own, package.module:function.
        classes: names of classes to find; if not said, the road users that the model knows.
        threshold: scores from here on begin a track; down to half of it they go on with one.
        detector: for SAM 2, which only follows: what shows it the instances, a model for instances as above.
        boxes: for SAM 2, too: a JSON file with boxes that show it instances.
    """

    model: str = ""
    classes: tuple[str, ...] = ()
    threshold: float = 0.5
    detector: str = ""
    boxes: Path | None = None
