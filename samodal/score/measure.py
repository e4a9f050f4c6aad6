"""Area and extent of many masks at once, from their run lengths: what is cheap to know before masks are compared.

It is also the check that the masks are sound. pycocotools trusts its input: run lengths that do not fill the image
make its comparisons run for ever.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from samodal.masks import Rle

MAX_PIXELS = 2**32
"""pycocotools counts pixels in 32 bits."""
_BATCH = 2**16
"""Characters at a time: what is worked on stays in the processor's cache."""

# Run lengths are written in groups of five bits (masks.run_lengths says how). Nearly all take one character, so one
# pass of `bytes.translate` reads them: it drops the characters that are continued by the next one and gives the
# last ones as signed bytes.
_CONTINUED = bytes(range(48 + 32, 48 + 64))
_BROKEN = 127
_SIGNED = bytes(
    (code - 48 - 2 * (code - 48 & 16)) % 256 if 48 <= code < 48 + 32 else _BROKEN for code in range(256)
)


@dataclass
class Measures:
    """Of M masks; all zero for a mask that is None or empty.

    Attributes:
        area: pixels, int64 (M,).
        first: the first pixel of the mask in the order in which RLE counts (column by column), int64 (M,).
        last: one past the last, int64 (M,). Masks share no pixel where these stretches do not overlap.
    """

    area: np.ndarray
    first: np.ndarray
    last: np.ndarray


def measure(rles: Sequence[Rle | None]) -> Measures:
    """Measure all masks, and check every one.

    Raises:
        ValueError: one of the masks is broken (a size that is none, characters that cannot be there, run lengths that
            are negative or do not add up to the size), or larger than 2**32 pixels. The fields `size` and `counts`
            must be there.
    """
    there = [n for n, rle in enumerate(rles) if rle is not None]
    table = np.zeros((3, len(rles)), np.int64)
    if there:
        found = [rle for rle in rles if rle is not None]
        texts, pixels = [rle["counts"] for rle in found], _pixels(found)
        lengths = np.array([len(text) for text in texts])
        if lengths.min() == 0:
            raise ValueError("RLE without counts")
        cuts = np.flatnonzero(np.diff(np.cumsum(lengths) // _BATCH)) + 1
        bounds = zip([0, *cuts], [*cuts, len(texts)], strict=True)
        parts = [_measure(texts[a:b], lengths[a:b], pixels[a:b]) for a, b in bounds]
        table[:, there] = np.concatenate(parts, axis=1)
    return Measures(*table)


def _pixels(rles: list[Rle]) -> np.ndarray:
    """Height times width, int64 (M,)."""
    sizes = np.array([rle["size"] for rle in rles])
    if sizes.shape != (len(rles), 2) or sizes.dtype.kind not in "iu" or (sizes < 1).any():
        raise ValueError("RLE without a size [height, width]")
    pixels = sizes[:, 0].astype(float) * sizes[:, 1]
    if (pixels >= MAX_PIXELS).any():
        raise ValueError("RLE of more than 2**32 pixels")
    return pixels.astype(np.int64)


def _measure(texts: list[str], lengths: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Area, first, last: int64 (3, M) for M masks."""
    deltas, stop = _deltas("".join(texts).encode("ascii"), np.cumsum(lengths))
    start = np.concatenate([[0], stop[:-1]])
    # From the fourth number on, the difference to the number two places before is stored. So the numbers of a mask are
    # three sums that run over every other place: the first alone (0), the other runs inside (1) and outside (2).
    begins = start + np.arange(3)[:, None]
    kind, mask = np.nonzero(begins < stop)
    begin = begins[kind, mask]
    total, least, final = np.zeros((3, *begins.shape), np.int64)
    for parity in (0, 1):
        chains = np.flatnonzero(begin % 2 == parity)
        chains = chains[np.argsort(begin[chains])]
        if not chains.size:
            continue
        at = begin[chains] // 2
        running = np.cumsum(deltas[parity::2])
        if np.ptp(running) > 2**62 // len(running):
            raise ValueError("broken RLE counts")
        before = np.where(at > 0, running[at - 1], 0)
        count = np.diff(at, append=len(running))
        target = kind[chains], mask[chains]
        total[target] = np.add.reduceat(running, at) - before * count
        least[target] = np.minimum.reduceat(running, at) - before
        final[target] = running[at + count - 1] - before
    if (least < 0).any() or (total.sum(axis=0) != pixels).any():
        raise ValueError("broken RLE: the runs do not add up to the size")
    area = total[1]
    outside_at_end = np.where((stop - start) % 2 == 1, final[2], 0)
    return np.where(area > 0, [area, total[0], pixels - outside_at_end], 0)


def _deltas(text: bytes, byte_stop: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The stored numbers of all masks, int64 (N,), and for each mask where they stop, int64 (M,)."""
    raw = np.frombuffer(text, np.uint8)
    signed = np.frombuffer(text.translate(_SIGNED, _CONTINUED), np.int8)
    continued = np.flatnonzero(raw >= _CONTINUED[0])
    if (raw[byte_stop - 1] >= _CONTINUED[0]).any() or signed.max() == _BROKEN:
        raise ValueError("broken RLE counts")
    deltas = signed.astype(np.int64)
    # Numbers of several characters: put the groups before the last one in front of it, from right to left.
    groups = (raw[continued] - _CONTINUED[0]).astype(np.int64)
    joined = np.append(False, np.diff(continued) == 1)  # with the group before it
    group = np.flatnonzero(np.append(~joined[1:], continued.size > 0))
    number = continued[group] - group
    for _ in range(6):
        deltas[number] = deltas[number] * 32 + groups[group]
        more = joined[group]
        number, group = number[more], group[more] - 1
    if number.size:
        raise ValueError("broken RLE counts")
    return deltas, byte_stop - np.searchsorted(continued, byte_stop)
