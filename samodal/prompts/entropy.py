"""How rich an image is around each pixel: the entropy of the grey values of a 9 x 9 patch."""

import cv2
import numpy as np

SIDE = 9
"""Of a patch, in pixels."""

_UNIT = 2.0**21
# c log2 c for a grey value that occurs c times in a patch, as a whole number of 1 / _UNIT bits. Sums of whole numbers
# do not depend on their order, so that patches of equal entropy tie. 21 bits is what fits
# into int32.
_COUNTS = np.arange(1, SIDE * SIDE + 1)
_TERMS = np.zeros(256, np.int32)
_TERMS[_COUNTS] = np.rint(_COUNTS * np.log2(_COUNTS) * _UNIT)


def local_entropy(image: np.ndarray, rows: tuple[int, int], columns: tuple[int, int]) -> np.ndarray:
    """Entropy of the patch of every pixel of a rectangle.

    A patch begins 4 pixels above and left of its pixel, at a border of the image there with the image, and is 9 x 9;
    what would lie beyond the right or lower border is cut off.

    Args:
        image: uint8 (H, W, 3) RGB.
        rows: the first row of the rectangle and the one after its last.
        columns: the same of its columns.

    Returns:
        float64 (rows, columns), bits, right to 1e-5.

    Source: S-AModal's maximum-entropy points, with the patch at the right place and grey from RGB.
    """
    tops, lefts = (np.maximum(np.arange(*span) - SIDE // 2, 0) for span in (rows, columns))
    part = image[tops[0] : tops[-1] + SIDE, lefts[0] : lefts[-1] + SIDE]
    entropy = _entropy_from(cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2GRAY))
    return entropy[np.ix_(tops - tops[0], lefts - lefts[0])]


def _entropy_from(grey: np.ndarray) -> np.ndarray:
    """Entropy of the patch that begins at each pixel of uint8 (h, w): log2 n - sum(c log2 c) / n."""
    height, width = grey.shape
    levels = np.unique(grey)
    rank = np.zeros(256, np.intp)
    rank[levels] = np.arange(len(levels))
    # How often each level occurs in each column of the nine rows at hand; with columns beyond the right border, so that
    # sums over nine columns never run from one level into the next.
    wide = width + SIDE - 1
    counts = np.zeros(len(levels) * wide + SIDE - 1, np.uint8)
    place = rank[grey] * wide + np.arange(width)
    terms = np.empty(grey.shape, np.int32)
    for row in range(height + SIDE - 1):
        if row < height:
            counts[place[row]] += 1
        top = row - (SIDE - 1)
        if top >= 0:
            in_patch = _sums_of_nine(counts).reshape(len(levels), wide)
            terms[top] = cv2.LUT(in_patch, _TERMS).sum(axis=0, dtype=np.int32)[:width]
            counts[place[top]] -= 1
    rows, columns = (np.minimum(SIDE, side - np.arange(side)) for side in grey.shape)
    pixels = np.outer(rows, columns)
    # Rounded, so that patches of the same shares tie, too, where one of them is cut off.
    return np.round(np.log2(pixels) - terms / (pixels * _UNIT), 7)


def _sums_of_nine(values: np.ndarray) -> np.ndarray:
    """Of each value (n,) and the eight after it: (n - 8,)."""
    two = values[:-1] + values[1:]
    four = two[:-2] + two[2:]
    eight = four[:-4] + four[4:]
    return eight[:-1] + values[8:]
