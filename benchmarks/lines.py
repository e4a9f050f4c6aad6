"""Points and the straight lines through them, as an SVG: shows whether a cost is linear."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

WIDTH, HEIGHT, LEFT, BELOW, ABOVE = 360, 240, 56, 44, 30
INK, POINT, LINE = "#444", "#0969da", "#d0d7de"


@dataclass
class Panel:
    """A diagram: what is along the axes, and the points (x, y), none negative."""

    along: str
    up: str
    points: Sequence[tuple[float, float]]


def svg(panels: Sequence[Panel]) -> str:
    """The panels side by side, each with its least-squares line, whose formula stands above it."""
    drawn = [
        f'<g transform="translate({k * (WIDTH + 20)},0)">{_drawn(panel)}</g>'
        for k, panel in enumerate(panels)
    ]
    size = f'width="{len(panels) * (WIDTH + 20)}" height="{HEIGHT}"'
    style = f'font-family="sans-serif" font-size="12" fill="{INK}"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n<rect width="100%" height="100%" fill="white"/>\n'
        + ("\n".join(drawn) + "\n</svg>\n")
    )


def _drawn(panel: Panel) -> str:
    x, y = np.array(panel.points, float).T
    slope, start = np.polyfit(x, y, 1)
    right, top = 1.05 * x.max(), 1.1 * y.max()

    def place(at: float, value: float) -> tuple[float, float]:
        return (
            LEFT + at / right * (WIDTH - LEFT - 10),
            HEIGHT - BELOW - value / top * (HEIGHT - BELOW - ABOVE),
        )

    def line(one: tuple[float, float], other: tuple[float, float], colour: str) -> str:
        (x1, y1), (x2, y2) = one, other
        return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'

    def text(at: float, down: float, words: str, anchor: str) -> str:
        return f'<text x="{at:.1f}" y="{down:.1f}" text-anchor="{anchor}">{words}</text>'

    parts = [line(place(0, 0), place(right, 0), INK), line(place(0, 0), place(0, top), INK)]
    parts += [text(place(at, 0)[0], HEIGHT - BELOW + 16, f"{at:g}", "middle") for at in sorted(set(x))]
    parts += [text(LEFT - 6, place(0, value)[1] + 4, f"{value:.3g}", "end") for value in (y.min(), y.max())]
    parts.append(line(place(0, max(start, 0)), place(right, start + slope * right), LINE))
    parts += [
        f'<circle cx="{cx:.1f}" cy="{cy:.1f}" r="4" fill="{POINT}"/>'
        for cx, cy in (place(a, b) for a, b in zip(x, y, strict=True))
    ]
    fit = f"{panel.up}: {start:.3g} + {slope:.3g} x {panel.along}"
    parts += [text(WIDTH / 2, 18, fit, "middle"), text(WIDTH / 2, HEIGHT - 8, panel.along, "middle")]
    return "\n".join(parts)
