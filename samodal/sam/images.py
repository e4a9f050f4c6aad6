"""From frames and prompts to the model's input, and from its masks back to the frame."""

import math
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from samodal.errors import InputError
from samodal.masks import bounds

MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
KINS_SIZE = (375, 1242)
LARGE = 0.3  # share of a frame from which on a mask is brought there as a whole

Size = tuple[int, int]
"""(height, width) in pixels."""

Values = Any
"""Numbers as a numpy array, a tensor or nested lists."""


def resized_size(size: Size, long_side: int) -> Size:
    """The size whose longer side is `long_side`, rounded half up, at least one pixel."""
    scale = long_side / max(size)
    height, width = (max(1, int(side * scale + 0.5)) for side in size)
    return height, width


def resize_frame(frame: np.ndarray, long_side: int) -> np.ndarray:
    """Scale a frame so that its longer side is `long_side` (bilinear, antialiased, as segment-anything does).

    Args:
        frame: uint8 (H, W, 3) RGB.

    Raises:
        InputError: not such an array.
    """
    if frame.dtype != np.uint8 or frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise InputError(f"a frame must be uint8 (H, W, 3) RGB, not {frame.dtype} {frame.shape}")
    height, width = resized_size(frame.shape[:2], long_side)
    return np.asarray(Image.fromarray(frame).resize((width, height), Image.Resampling.BILINEAR))


def to_pixels(resized: np.ndarray, side: int, device: torch.device | str = "cpu") -> Tensor:
    """Normalise a resized frame, uint8 (h, w, 3), pad right and below with zeros -> float32 (3, S, S)."""
    pixels = torch.from_numpy(np.array(resized)).to(device).permute(2, 0, 1).float()
    for channel, mean, std in zip(pixels, MEAN, STD, strict=True):
        channel.sub_(mean).div_(std)
    height, width = resized.shape[:2]
    return F.pad(pixels, (0, side - width, 0, side - height)).contiguous()


def scale_points(points: Tensor, original: Size, resized: Size) -> Tensor:
    """Points (..., 2) as x, y in pixels of the original frame -> in pixels of the resized frame."""
    return points * points.new_tensor([resized[1] / original[1], resized[0] / original[0]])


def scale_boxes(boxes: Tensor, original: Size, resized: Size) -> Tensor:
    """Boxes (..., 4) as x0, y0, x1, y1 in pixels of the original frame -> in pixels of the resized frame."""
    return scale_points(boxes.unflatten(-1, (2, 2)), original, resized).flatten(-2)


def input_prompts(
    original: Size,
    resized: Size,
    side: int,
    points: Values | None,
    labels: Values | None,
    boxes: Values | None,
    mask_prompts: Values | None,
) -> dict[str, Tensor]:
    """Check the prompts for one frame, and scale them to the resized frame.

    Args:
        original: size of the frame.
        resized: size of the resized frame.
        side: of the low-resolution masks.
        points: (N, P, 2) as x, y in pixels of the frame.
        labels: (N, P), each 1, 0 or -1; None: all 1.
        boxes: (N, 4) as x0, y0, x1, y1 in pixels of the frame.
        mask_prompts: (N, side, side) or (N, 1, side, side) logits.

    Returns:
        The prompts that are given, by these names; points always with labels.

    Raises:
        InputError: no prompt at all, or arrays that do not fit together.
    """
    prompts = {}
    if points is not None:
        prompts["points"] = scale_points(_numbers("points", points, (None, None, 2)), original, resized)
        shape = tuple(prompts["points"].shape[:2])
        prompts["labels"] = torch.ones(shape) if labels is None else _labels(labels, shape)
    elif labels is not None:
        raise InputError("labels are given without points")
    if boxes is not None:
        prompts["boxes"] = scale_boxes(_numbers("boxes", boxes, (None, 4)), original, resized)
    if mask_prompts is not None:
        if getattr(mask_prompts, "ndim", 3) == 4 and mask_prompts.shape[1] == 1:  # `low_res` as it is
            mask_prompts = mask_prompts[:, 0]
        prompts["mask_prompts"] = _numbers("mask_prompts", mask_prompts, (None, side, side))
    if not prompts:
        raise InputError("nothing to decode: give points, boxes or mask_prompts")
    lengths = {name: len(value) for name, value in prompts.items()}
    if len(set(lengths.values())) > 1:
        raise InputError(f"prompts for different numbers of instances: {lengths}")
    return prompts


def _numbers(name: str, values: Values, shape: tuple[int | None, ...]) -> Tensor:
    """`values` as a float32 or float64 tensor of this shape; None in it stands for any length."""
    numbers = (
        values if isinstance(values, Tensor) else torch.from_numpy(np.array(values, np.float64, order="C"))
    )
    fits = len(shape) == numbers.ndim and all(
        want in (None, have) for want, have in zip(shape, numbers.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("*" if want is None else str(want) for want in shape)
        raise InputError(f"{name} must be of shape ({wanted}), not {tuple(numbers.shape)}")
    if numbers.dtype in (torch.float16, torch.bfloat16):  # too coarse for a place in an image
        return numbers.float()
    return numbers if numbers.is_floating_point() else numbers.double()


def _labels(values: Values, shape: tuple[int, ...]) -> Tensor:
    labels = _numbers("labels", values, shape)
    on_cpu = labels.device.type == "cpu"  # elsewhere the check would wait for the device
    if on_cpu and not bool(((labels == 1) | (labels == 0) | (labels == -1)).all()):
        raise InputError("labels must be 1 (on the object), 0 (off it) or -1 (no point)")
    return labels


def logits_to_frame(logits: Tensor, side: int, resized: Size, original: Size) -> Tensor:
    """Low-resolution logits (N, C, h, w) -> logits (N, C, H, W) of the original frame.

    In two steps, as segment-anything does: up to the padded input, cut off the padding, then to the frame.
    One step would be faster and is not equal.
    """
    logits = F.interpolate(logits, (side, side), mode="bilinear", align_corners=False)
    logits = logits[..., : resized[0], : resized[1]]
    return F.interpolate(logits, original, mode="bilinear", align_corners=False)


def mask_in_frame(logits: Tensor, side: int, resized: Size, original: Size) -> Tensor:
    """`logits_to_frame(...) > 0` of one mask on a CPU: (h, w) -> bool (H, W), the same to the last pixel.

    Only the box is worked on in which the mask can lie: a value between others is not positive where none of them is.
    Its place in the frame is not where `F.interpolate` would start to count, so the last step is written out here. It
    rounds a little differently; where that could turn a sign, the whole frame is done the plain way.
    """
    mask = torch.zeros(original, dtype=torch.bool)
    inside = logits > 0
    rows, columns = (inside.any(dim).nonzero() for dim in (1, 0))
    if len(rows) == 0:
        return mask
    down = _Reach.of(int(rows[0]), int(rows[-1]), len(logits), side, resized[0], original[0])
    across = _Reach.of(int(columns[0]), int(columns[-1]), len(logits), side, resized[1], original[1])
    if not (len(down) and len(across)):
        return mask  # all of it lies in the padding
    if len(down) * len(across) > LARGE * mask.numel():  # written out, each pixel costs more
        return logits_to_frame(logits[None, None], side, resized, original)[0, 0] > 0
    part = logits[down.cells, across.cells]
    scale = side // len(logits)
    fine = F.interpolate(part[None, None], scale_factor=scale, mode="bilinear", align_corners=False)[0, 0]
    first, second, share = across.neighbours()
    fine = torch.lerp(fine.index_select(1, first), fine.index_select(1, second), share)
    first, second, share = down.neighbours()
    values = torch.lerp(fine.index_select(0, first), fine.index_select(0, second), share[:, None])
    if bool((values.abs() <= 4e-6 * part.abs().max()).any()):
        return logits_to_frame(logits[None, None], side, resized, original)[0, 0] > 0
    mask[down.pixels, across.pixels] = values > 0
    return mask


@dataclass
class _Reach:
    """Along one axis: the pixels of the frame that some cells of the low-resolution mask reach.

    Attributes:
        pixels: of the frame.
        cells: all that these pixels are made of, and two more, whose own values at a cut edge are wrong.
        fine: how often a cell is divided before the padding is cut off.
        resized: pixels of the resized frame.
        original: pixels of the frame.
    """

    pixels: slice
    cells: slice
    fine: int
    resized: int
    original: int

    def __len__(self) -> int:
        return self.pixels.stop - self.pixels.start

    @staticmethod
    def of(first: int, last: int, cells: int, side: int, resized: int, original: int) -> "_Reach":
        fine, ratio = side // cells, original / resized
        start = math.floor((first - 0.5) * fine * ratio) - 2 - math.ceil(ratio)
        stop = math.ceil((last + 1.5) * fine * ratio) + 3 + math.ceil(ratio)
        pixels = slice(min(max(0, start), original), min(original, stop))
        low = math.floor(pixels.start / ratio / fine) - 3
        high = math.ceil(pixels.stop / ratio / fine) + 4
        return _Reach(pixels, slice(max(0, low), min(cells, high)), fine, resized, original)

    def neighbours(self) -> tuple[Tensor, Tensor, Tensor]:
        """For each pixel the two places among the divided cells that it lies between, and the share of the second."""
        pixel = torch.arange(self.pixels.start, self.pixels.stop, dtype=torch.float32)
        scale = torch.tensor(self.resized, dtype=torch.float32) / self.original
        place = (scale * (pixel + 0.5) - 0.5).clamp(min=0)
        first = place.long()
        second = (first + 1).clamp(max=self.resized - 1)
        offset = self.cells.start * self.fine
        return first - offset, second - offset, place - first


def rows(embeddings: Tensor) -> Tensor:
    """(B, C, g, g) -> (B, g * g, C), row by row and in one piece, as the mask decoder wants its cells."""
    return embeddings.flatten(2).transpose(1, 2).contiguous()


def coverage(masks: np.ndarray, side: int) -> np.ndarray:
    """Masks of a frame in the cells of the model's low-resolution masks.

    Args:
        masks: bool (N, H, W).
        side: of the model's square input in pixels; four make a cell.

    Returns:
        float32 (N, side / 4, side / 4), the share of each cell that a mask covers; 0 in the padding.
    """
    size = masks.shape[1:]
    edges = [_edges(*lengths, side) for lengths in zip(size, resized_size(size, side), strict=True)]
    pixels = float(np.prod([side / 4 / np.ptp(edge) for edge in edges]))  # cells a pixel, of the two lengths
    covered = np.zeros((len(masks), side // 4, side // 4), np.float32)
    for mask, cells in zip(masks, covered, strict=True):
        part = bounds(mask)
        if part[0].stop:
            # The area above and left of a place is linear between pixels along both axes.
            area = cv2.integral(mask[part].astype(np.uint8)).astype(np.float64)
            for axis, (edge, places) in enumerate(zip(edges, part, strict=True)):
                area = _between(area, np.clip(edge - places.start, 0, places.stop - places.start), axis)
            cells[:] = np.maximum(np.diff(np.diff(area, axis=0), axis=1) * pixels, 0)
    return covered


def _edges(length: int, resized: int, side: int) -> np.ndarray:
    """Where the cells of the square input begin and end in the frame, along one axis, in pixels: (side / 4 + 1,)."""
    return np.arange(0, side + 1, 4) * length / resized


def _between(values: np.ndarray, places: np.ndarray, axis: int) -> np.ndarray:
    """Values of a grid at places between its lines, interpolated along one axis."""
    first = np.minimum(places.astype(int), values.shape[axis] - 2)
    share = np.expand_dims(places - first, 1 - axis)
    return values.take(first, axis) * (1 - share) + values.take(first + 1, axis) * share


def rescale_kins_image(image: np.ndarray) -> np.ndarray:
    """Bring a KINS image, uint8 (H, W, 3), to 375 x 1242 as S-AModal does: bilinear, not antialiased.

    Only to repeat published numbers; masks are better predicted at the true size.
    """
    channels = torch.from_numpy(image).permute(2, 0, 1)[None]
    scaled = F.interpolate(channels, KINS_SIZE, mode="bilinear", align_corners=False)
    return scaled[0].permute(1, 2, 0).contiguous().numpy()


def rescale_kins_mask(mask: np.ndarray) -> np.ndarray:
    """Bring a mask (H, W) to 375 x 1242 as S-AModal does, by the nearest pixel; its type stays."""
    scaled = F.interpolate(torch.from_numpy(mask.astype(np.uint8))[None, None], KINS_SIZE, mode="nearest")
    return scaled[0, 0].numpy().astype(mask.dtype)
