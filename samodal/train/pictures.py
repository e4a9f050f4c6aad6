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
    """A frame with every instance: its visible part filled, what the model says outlined in its colour, truth in white.

    Args:
        frame: uint8 (H, W, 3) RGB.
        ids: N numbers, which choose the colours.
        visible: bool (N, H, W).
        predicted: bool (N, H, W).
        truth: bool (N, H, W).

    Returns:
        uint8 (h, w, 3) RGB, at most 960 pixels long.
    """
    scale = min(1.0, LONG_SIDE / max(frame.shape[:2]))
    size = (max(1, round(frame.shape[1] * scale)), max(1, round(frame.shape[0] * scale)))
    picture = cv2.resize(frame, size, interpolation=cv2.INTER_AREA)

    def small(mask: np.ndarray) -> np.ndarray:
        return cv2.resize(mask.astype(np.uint8), size, interpolation=cv2.INTER_NEAREST)

    for number, mask in zip(ids, visible, strict=True):
        inside = small(mask) > 0
        picture[inside] = (0.55 * picture[inside] + 0.45 * np.array(colour_of(number))).astype(np.uint8)
    line = max(1, round(size[1] / 300))
    for number, answer, true in zip(ids, predicted, truth, strict=True):
        _outline(picture, small(true), TRUTH, line)
        _outline(picture, small(answer), colour_of(number), line)
    return picture


def _outline(picture: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], line: int) -> None:
    contours = cv2.findContours(mask, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
    cv2.polylines(picture, contours, True, (0, 0, 0), line + 2, cv2.LINE_AA)
    cv2.polylines(picture, contours, True, colour, line, cv2.LINE_AA)
