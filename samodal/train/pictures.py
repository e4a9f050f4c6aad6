"""Pictures to see what a model has learnt: visible parts, what it makes of them, and the truth."""

from collections.abc import Sequence

import cv2
import numpy as np

from samodal.show.colours import colour_of

TRUTH = (255, 255, 255)
LONG_SIDE = 960


def draw_answers(
    frame: np.ndarray,
    ids: Sequence[int],
    visible: np.ndarray,
    predicted: np.ndarray,
    truth: np.ndarray,
) -> np.ndarray:
    """A frame with every instance: its visible part filled, what the model says in a thick line, truth in a white one.

    Args:
        frame: uint8 (H, W, 3) RGB.
        ids: N numbers, which choose the colours.
        visible: bool (N, H, W).
        predicted: bool (N, H, W).
        truth: bool (N, H, W).

    Returns:
        uint8 (h, w, 3) RGB, its longer side 960 pixels.
    """
    scale = LONG_SIDE / max(frame.shape[:2])
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    picture = cv2.resize(frame, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR)

    def small(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)

    for number, mask in zip(ids, visible, strict=True):
        inside = small(mask) > 0
        picture[inside] = (0.55 * picture[inside] + 0.45 * np.array(colour_of(number))).astype(np.uint8)
    for number, answer in zip(ids, predicted, strict=True):
        cv2.polylines(picture, _contours(small(answer)), True, colour_of(number), 4, cv2.LINE_AA)
    for mask in truth:  # a thin line on a thick one: where they differ, both are seen
        cv2.polylines(picture, _contours(small(mask)), True, TRUTH, 1, cv2.LINE_AA)
    return picture


def _contours(mask: np.ndarray) -> list[np.ndarray]:
    return list(cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0])
