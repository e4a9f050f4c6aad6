"""Words that are shown, and text as small pictures: rendered once with a real font, then only copied."""

import re
from functools import lru_cache

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from samodal.show.colours import Colour

PLATE: Colour = (22, 24, 28)
INK: Colour = (244, 244, 244)


def own_reason(reason: str | None) -> str | None:
    """What a reason says besides for how long the instance has not been seen; None if that is all.

    The time is shown by itself, and would make each frame another case.
    """
    return re.sub(r"(^|, )not seen for \d+ frames?$", "", reason) or None if reason else None


def text_width(text: str, size: int) -> int:
    """Width in pixels of `text` at a font of `size` pixels."""
    return int(np.ceil(_font(size).getlength(text)))


@lru_cache(maxsize=1024)
def plate(text: str, size: int, bar: Colour | None = None) -> np.ndarray:
    """Light text on a dark plate, with a bar of the colour `bar` on its left: uint8 (h, w, 3), read-only.

    All plates of one font size have the same height.
    """
    font = _font(size)
    ascent, descent = font.getmetrics()
    margin = max(2, size // 4)
    bar_width = 0 if bar is None else max(3, size // 3)
    image = Image.new("RGB", (bar_width + 2 * margin + text_width(text, size), ascent + descent + 1), PLATE)
    draw = ImageDraw.Draw(image)
    if bar is not None:
        draw.rectangle((0, 0, bar_width - 1, image.height), fill=bar)
    draw.text((bar_width + margin, 0), text, font=font, fill=INK)
    pixels = np.array(image)
    pixels.setflags(write=False)
    return pixels


def paste(canvas: np.ndarray, picture: np.ndarray, x: int, y: int, alpha: float = 1.0) -> None:
    """Lay `picture` on `canvas` with its top left corner at (x, y); what lies outside is cut off."""
    top, left = max(y, 0), max(x, 0)
    target = canvas[top : y + picture.shape[0], left : x + picture.shape[1]]
    source = picture[top - y :, left - x :][: target.shape[0], : target.shape[1]]
    if target.size:
        target[:] = source if alpha >= 1 else cv2.addWeighted(source, alpha, target, 1 - alpha, 0)


@lru_cache(maxsize=16)
def _font(size: int) -> ImageFont.FreeTypeFont:
    return ImageFont.load_default(size)  # type: ignore[return-value]
