"""The picture of the ground: land, pavements, asphalt, kerbs and marks, painted once for a clip."""

from dataclasses import dataclass

import cv2
import numpy as np

from samodal.data.synthetic import textures
from samodal.data.synthetic.roads import Road
from samodal.data.synthetic.style import Style
from samodal.data.synthetic.textures import Rng

WHITE = np.array([214.0, 214, 208])
PIXELS = 5.5e6
"""Size of the picture at most."""


@dataclass
class Ground:
    """The picture of the ground.

    Attributes:
        levels: the picture and its halvings, uint8 (h, w, 3).
        to_world: (3, 3) from its pixels (x, y, 1) to metres.
        colour: (3,) of the land beyond it.
    """

    levels: list[np.ndarray]
    to_world: np.ndarray
    colour: np.ndarray


@dataclass
class _Sheet:
    image: np.ndarray
    low: np.ndarray  # (2,) metres: corner of the first pixel
    scale: float  # pixels a metre

    def strip(self, road: Road, d: tuple[float, float], s: np.ndarray, colour: np.ndarray) -> None:
        """Paint what lies between two distances from the centre line, along the points s (ascending)."""
        edge = np.concatenate([road.path.at(s, d[0])[:, :2], road.path.at(s[::-1], d[1])[:, :2]])
        points = np.round((edge - self.low) * self.scale * 16).astype(np.int32)
        cv2.fillPoly(self.image, [points], colour.tolist(), cv2.LINE_AA, 4)


def draw_ground(
    rng: Rng, style: Style, roads: list[Road], low: np.ndarray, high: np.ndarray, wet: bool
) -> Ground:
    """The ground with its roads between two corners (2,) in metres."""
    extent = high - low
    scale = float(min(12.0, np.sqrt(PIXELS / (extent[0] * extent[1]))))
    width, height = (int(v * scale) for v in extent)
    land = style.leaf(rng) * 1.1 if rng.random() < 0.4 else rng.uniform([105, 100, 90], [150, 145, 135])
    paving = rng.uniform(120, 165) * rng.uniform(0.94, 1.04, 3)
    asphalt = rng.uniform(62, 105) * (0.72 if wet else 1.0) * rng.uniform(0.97, 1.03, 3)
    if style.hard:
        paving, asphalt = rng.uniform([120, 80, 70], [180, 130, 120]), asphalt * rng.uniform(0.85, 1.2, 3)
    sheet = _Sheet(np.full((height, width, 3), land, np.uint8), low, scale)
    for road in roads:
        sheet.strip(road, (-road.front, road.front), road.path.s, paving)
    for road in roads:
        sheet.strip(road, (-road.kerb - 0.18, road.kerb + 0.18), road.path.s, paving * 1.2)
    for road in roads:
        sheet.strip(road, (-road.kerb, road.kerb), road.path.s, asphalt)
    for road in roads:
        _repairs(rng, sheet, road, asphalt)
        _lines(rng, sheet, road)
        _crossings(sheet, road)
    coarse = textures.noise(rng, (height // 2 + 1, width // 2 + 1), 12 * scale, 5) * 9
    fine = np.tile(rng.normal(0, 7, (512, 512)).astype(np.float32), (-(-height // 512), -(-width // 512)))
    grain = cv2.resize(coarse, (width, height)) + fine[:height, :width]
    levels = [cv2.add(sheet.image, cv2.merge([grain] * 3), dtype=cv2.CV_8U)]
    while len(levels) < 5:
        levels.append(cv2.pyrDown(levels[-1]))
    to_world = np.array(
        [[1 / scale, 0, low[0] + 0.5 / scale], [0, 1 / scale, low[1] + 0.5 / scale], [0, 0, 1]]
    )
    return Ground(levels, to_world, levels[3].reshape(-1, 3).mean(0))


def _repairs(rng: Rng, sheet: _Sheet, road: Road, asphalt: np.ndarray) -> None:
    begin, end = road.path.s[[0, -1]]
    for _ in range(int((end - begin) / 9)):
        at, d = rng.uniform(begin, end), rng.uniform(-road.kerb, road.kerb - 1)
        length, across = rng.uniform(0.6, 8), rng.uniform(0.5, 2.5)
        colour = asphalt * rng.uniform(0.78, 1.15)
        sheet.strip(road, (d, min(d + across, road.kerb)), np.array([at, at + length]), colour)


def _lines(rng: Rng, sheet: _Sheet, road: Road) -> None:
    """Dashes between lanes, lines along bicycle lanes and parking strips."""
    begin, end = road.path.s[[0, -1]]
    dash, pause = rng.uniform(2, 4), rng.uniform(3, 6)
    for s in np.arange(begin, end, dash + pause):
        if road.free(s, 2) and road.free(s + dash, 2):
            for lane in range(-road.lanes + 1, road.lanes):
                middle = lane * road.lane
                sheet.strip(road, (middle - 0.07, middle + 0.07), np.array([s, s + dash]), WHITE)
    edges = [road.lanes * road.lane]
    if road.bike:
        edges.append(edges[0] + road.bike)
    pieces = [(begin, end)] if road.gap is None else [(begin, road.gap[0]), (road.gap[1], end)]
    for first, last in pieces:
        for d in edges + [-edge for edge in edges]:
            sheet.strip(road, (d - 0.06, d + 0.06), np.arange(first, last, 2.0), WHITE * 0.95)


def _crossings(sheet: _Sheet, road: Road) -> None:
    """Stop lines and zebra crossings at a junction."""
    if road.gap is None:
        return
    for at, back in ((road.gap[0], -1), (road.gap[1], 1)):
        stop, side = at + 5.2 * back, back * road.lanes * road.lane
        sheet.strip(road, (min(0, side), max(0, side)), np.array([stop - 0.2, stop + 0.2]), WHITE)
        along = np.sort(np.array([at + 1.0 * back, at + 4.0 * back]))
        for d in np.arange(-road.kerb + 0.3, road.kerb - 0.4, 1.0):
            sheet.strip(road, (d, d + 0.5), along, WHITE)
