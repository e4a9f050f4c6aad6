"""Ask the amodal SAM: from the visible masks of one frame to the full ones."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samodal import masks
from samodal.prompts import PromptOptions, corners, mask_prompts, points_of_frame
from samodal.sam.answers import Decoded, FrameEmbedding
from samodal.sam.images import coverage
from samodal.sam.model import AmodalSam

MASK_CELL = 4  # side of a cell of SAM's masks, in pixels of its input


@dataclass
class Answer:
    """What SAM says of one instance in one frame.

    Attributes:
        amodal: bool (H, W).
        score: the IoU that SAM expects of its mask, in [0, 1].
        points: (K, 2) int64 prompt points (x, y); None where SAM was not shown any.
    """

    amodal: np.ndarray
    score: float
    points: np.ndarray | None


@dataclass
class Prompts:
    """What SAM is shown of N instances in a frame; see `AmodalSam.decode`. Of points (N, K, 2), boxes (N, 4) and masks
    (N, 4g, 4g) those that are wanted."""

    points: np.ndarray | None
    boxes: np.ndarray | None
    mask_prompts: np.ndarray | None


def ask(
    model: AmodalSam,
    embedding: FrameEmbedding,
    visible: np.ndarray,
    rngs: Sequence[np.random.Generator],
    prompt: PromptOptions,
    unite_visible: bool = True,
    image: np.ndarray | None = None,
) -> list[Answer]:
    """The amodal masks of all instances that are seen in a frame.

    Args:
        model: an amodal SAM.
        embedding: `model.encode(frame)`.
        visible: bool (N, H, W), every mask with at least one pixel.
        rngs: N generators, one an instance, for the points.
        prompt: what SAM is prompted with.
        unite_visible: make the masks agree with what is seen (see `agreeing`), whatever SAM says.
        image: the frame, for point strategies that look at it.
    """
    if len(visible) == 0:
        return []
    shown = prompts_of(visible, model, rngs, prompt, image)
    return answers_of(model.decode(embedding, **vars(shown)), visible, model, shown, unite_visible)


def prompts_of(
    visible: np.ndarray,
    model: AmodalSam,
    rngs: Sequence[np.random.Generator],
    prompt: PromptOptions,
    image: np.ndarray | None = None,
) -> Prompts:
    """What the model is asked with; arguments as of `ask`, with at least one instance."""
    kinds: tuple[str, ...] = prompt.kinds or tuple(model.config.prompt_kinds)
    points = None
    if "points" in kinds:
        points = points_of_frame(visible, prompt.strategy, prompt.count, rngs, image, prompt.saliency)
    return Prompts(
        points,
        np.stack([corners(mask) for mask in visible]) if "box" in kinds else None,
        mask_prompts(coverage(visible, model.image_size)) if "mask" in kinds else None,
    )


def answers_of(
    decoded: Decoded, visible: np.ndarray, model: AmodalSam, shown: Prompts, unite_visible: bool
) -> list[Answer]:
    """What the model said to `shown`; other arguments as of `ask`."""
    amodal = decoded.masks.cpu().numpy()
    if unite_visible:
        cell = max(visible.shape[1:]) / (model.image_size / MASK_CELL)
        amodal = agreeing(amodal, visible, cell)
    scores = decoded.scores[:, 0].float().clamp(0, 1).cpu().tolist()
    points = [None] * len(visible) if shown.points is None else list(shown.points)
    return [Answer(*answer) for answer in zip(amodal, scores, points, strict=True)]


def agreeing(amodal: np.ndarray, visible: np.ndarray, cell: float) -> np.ndarray:
    """Amodal masks that agree with the visible ones.

    What is seen of an instance belongs to it (S-AModal, section 3.2). And what lies bare beside it does not: SAM
    draws on a coarse grid, so its masks reach a little over every edge, which adds up to more pixels than many a
    hidden part has. A rim of one cell counts only where another instance may hide something. Nor do the specks belong
    to it that are left of such a rim.

    Args:
        amodal: bool (N, H, W).
        visible: bool (N, H, W), of the same instances.
        cell: side of a cell of that grid, in pixels.
    """
    shown = np.logical_or.reduce(visible)
    result = np.zeros(visible.shape, bool)
    for mask, seen, agreed in zip(amodal, visible, result, strict=True):
        part = masks.bounds(mask | seen)
        own = seen[part]
        rim = masks.around(own, cell) & ~shown[part]
        agreed[part] = masks.without_specks((mask[part] & ~rim) | own, own)
    return result
