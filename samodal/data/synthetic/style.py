"""What things look like: palettes of a preset. "hard" shares no palette and few patterns with "easy"."""

from dataclasses import dataclass

import numpy as np

from samodal.data.synthetic.textures import Rng

COMMON_PAINTS = [
    [235, 235, 232],
    [25, 26, 30],
    [130, 133, 138],
    [186, 190, 194],
    [40, 62, 110],
    [150, 28, 30],
]
RARE_PAINTS = [
    [30, 90, 60],
    [200, 170, 40],
    [120, 80, 50],
    [70, 130, 170],
    [215, 110, 40],
    [90, 30, 80],
    [205, 200, 175],
]
ODD_PAINTS = [
    [20, 200, 190],
    [230, 60, 170],
    [150, 220, 40],
    [250, 190, 20],
    [110, 60, 220],
    [245, 120, 90],
    [60, 60, 160],
]
WALLS = [
    [196, 180, 150],
    [170, 90, 70],
    [205, 200, 195],
    [150, 140, 130],
    [210, 190, 140],
    [120, 125, 135],
    [180, 140, 120],
]
ODD_WALLS = [
    [120, 170, 160],
    [220, 130, 100],
    [90, 90, 150],
    [235, 215, 90],
    [150, 60, 80],
    [60, 110, 80],
    [200, 160, 210],
]
LEAVES = [[62, 96, 40], [80, 112, 48], [48, 84, 44], [96, 120, 56]]
ODD_LEAVES = [[170, 90, 30], [190, 150, 40], [130, 50, 60], [60, 110, 110]]
SKINS = [[232, 190, 160], [200, 150, 115], [150, 100, 70], [95, 62, 45]]


@dataclass(frozen=True)
class Style:
    """Random looks; every method draws from the generator that is handed in."""

    hard: bool

    def paint(self, rng: Rng) -> np.ndarray:
        """Colour of a car."""
        if self.hard:
            base = ODD_PAINTS if rng.random() < 0.7 else RARE_PAINTS
        else:
            base = COMMON_PAINTS if rng.random() < 0.7 else RARE_PAINTS
        return _near(rng, base, 14)

    def body(self, rng: Rng) -> np.ndarray:
        """Colour of a lorry's box, a van or a bus."""
        if self.hard:
            return _near(rng, ODD_PAINTS, 30)
        return rng.uniform(190, 245, 3) if rng.random() < 0.45 else rng.uniform(40, 220, 3)

    def wall(self, rng: Rng) -> np.ndarray:
        """Colour of a house."""
        return _near(rng, ODD_WALLS if self.hard else WALLS, 16)

    def wall_kind(self, rng: Rng) -> str:
        """Pattern of a house, see `textures.facade`."""
        return str(rng.choice(["stripes", "checks"] if self.hard else ["plain", "brick", "panels"]))

    def leaf(self, rng: Rng) -> np.ndarray:
        """Colour of a tree."""
        return _near(rng, ODD_LEAVES if self.hard else LEAVES, 10)

    def cloth(self, rng: Rng) -> np.ndarray:
        """Colour of a piece of clothing."""
        if self.hard:
            return rng.uniform(90, 250, 3)
        return rng.uniform(15, 110, 3) if rng.random() < 0.6 else rng.uniform(40, 235, 3)

    def skin(self, rng: Rng) -> np.ndarray:
        """Colour of a face."""
        return _near(rng, SKINS, 8)


def _near(rng: Rng, palette: list[list[int]], spread: float) -> np.ndarray:
    colour = np.array(palette[rng.integers(len(palette))], np.float64)
    return np.clip(colour + rng.normal(0, spread, 3), 8, 248)
