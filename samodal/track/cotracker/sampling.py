"""Reading feature maps between their pixels, straight from a store of many frames, without copying a map.

Maps are (F, h, w, C); `slots` say which of the F is meant; places are (x, y) in pixels of the map.
"""

import torch
from torch import Tensor


def neighbourhood(maps: Tensor, slots: Tensor, xy: Tensor, radius: int) -> Tensor:
    """The pixels around places, enough to interpolate at all whole offsets up to `radius`.

    Beyond its border a map goes on with the pixels at the border.

    Args:
        maps: (F, h, w, C).
        slots: (...) int64.
        xy: (..., 2).
        radius: of the offsets.

    Returns:
        (..., n + 1, n + 1, C) in float32 with n = 2 radius + 1, rows (y) first; `blend` makes n x n of it.
    """
    height, width = maps.shape[1:3]
    x, y = _pixels(xy, radius)
    rows, columns = y.clamp(0, height - 1)[..., :, None], x.clamp(0, width - 1)[..., None, :]
    return maps[slots[..., None, None], rows, columns].float()


def inside(size: tuple[int, int], xy: Tensor, radius: int) -> Tensor:
    """Which pixels of a `neighbourhood` lie on the map of `size` (h, w): bool (..., n + 1, n + 1)."""
    x, y = _pixels(xy, radius)
    rows, columns = (y >= 0) & (y < size[0]), (x >= 0) & (x < size[1])
    return rows[..., :, None] & columns[..., None, :]


def blend(values: Tensor, xy: Tensor) -> Tensor:
    """Bilinear interpolation of what belongs to the pixels of a `neighbourhood`.

    Args:
        values: (..., n + 1, n + 1, C).
        xy: (..., 2), the places that the neighbourhoods were made for.

    Returns:
        (..., n, n, C), rows (y) first.
    """
    right, down = (xy - xy.floor())[..., None, None, None, :].unbind(-1)
    rows = torch.lerp(values[..., :-1, :, :], values[..., 1:, :, :], down)
    return torch.lerp(rows[..., :, :-1, :], rows[..., :, 1:, :], right)


def sample(maps: Tensor, slots: Tensor, xy: Tensor) -> Tensor:
    """Bilinear samples (..., C) at places xy (..., 2); outside of the map as at its border."""
    return blend(neighbourhood(maps, slots, xy, radius=0), xy)[..., 0, 0, :]


def _pixels(xy: Tensor, radius: int) -> tuple[Tensor, Tensor]:
    steps = torch.arange(-radius, radius + 2, device=xy.device)
    pixels = xy.floor().long()[..., None] + steps
    return pixels[..., 0, :], pixels[..., 1, :]
