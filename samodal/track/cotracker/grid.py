"""Support points: a regular grid that the models are given besides the points that are asked for."""

import numpy as np


def grid_points(count: int, size: tuple[int, int], margin: float) -> np.ndarray:
    """A grid of count x count points (x, y), row by row, `margin` inside the border of an image (H, W).

    Returns:
        float64 (count * count, 2); one point stands in the centre.
    """
    if count == 1:
        return np.array([[size[1] / 2, size[0] / 2]])
    y, x = (np.linspace(margin, side - margin, count) for side in size)
    return np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2)
