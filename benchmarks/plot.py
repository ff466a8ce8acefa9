"""Measured points joined by lines, as the text of an SVG file: the same numbers give the same text."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape
from typing import Final

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 480, 300, 64, 48, 32, 16
INK: Final = "#334155"
COLOURS: Final = ("#2563eb", "#dc2626", "#059669", "#d97706")

Points = Sequence[tuple[float, float]]


def ticks(low: float, high: float, *, logarithmic: bool) -> list[float]:
    """Round numbers from low to high: powers of ten, or some five equal steps."""
    if logarithmic:
        return [10.0**power for power in range(math.ceil(math.log10(low)), math.floor(math.log10(high)) + 1)]
    raw = (high - low) / 5
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 5, 10) if power * m >= raw * (1 - 1e-9))
    return [step * i for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def lines_svg(
    title: str, x_label: str, y_label: str, series: Mapping[str, Points], *, logarithmic: bool = False
) -> str:
    """Lines through points, with a legend; axes begin at 0, or are both logarithmic.

    Raises ValueError without points, and for numbers that are not above 0.
    """
    points = [point for line in series.values() for point in line]
    if not points or min(min(point) for point in points) <= 0:
        raise ValueError(f"{title}: found {points}, expected numbers above 0")

    def scale(values: list[float]) -> tuple[float, float]:
        high = max(values) * 1.1
        return (min(values) / 1.5, max(values) * 1.5) if logarithmic else (0.0, high)

    (x_low, x_high), (y_low, y_high) = scale([x for x, _ in points]), scale([y for _, y in points])

    def place(value: float, low: float, high: float, begin: float, end: float) -> float:
        part = math.log(value / low) / math.log(high / low) if logarithmic else (value - low) / (high - low)
        return begin + part * (end - begin)

    def x(value: float) -> float:
        return place(value, x_low, x_high, LEFT, WIDTH - RIGHT)

    def y(value: float) -> float:
        return place(value, y_low, y_high, HEIGHT - BOTTOM, TOP)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="{INK}"><title>{escape(title)}</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="13">{escape(title)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 10}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text transform="translate(14 {(HEIGHT - BOTTOM + TOP) / 2}) rotate(-90)" text-anchor="middle">'
        f"{escape(y_label)}</text>",
    ]
    for tick in ticks(x_low, x_high, logarithmic=logarithmic):
        parts.append(
            f'<path d="M{x(tick):.1f} {HEIGHT - BOTTOM}v4" stroke="{INK}"/>'
            f'<text x="{x(tick):.1f}" y="{HEIGHT - BOTTOM + 16}" text-anchor="middle">{tick:g}</text>'
        )
    for tick in ticks(y_low, y_high, logarithmic=logarithmic):
        parts.append(
            f'<path d="M{LEFT} {y(tick):.1f}h{WIDTH - LEFT - RIGHT}" stroke="#e2e8f0"/>'
            f'<text x="{LEFT - 5}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    for i, (name, line) in enumerate(series.items()):
        colour = COLOURS[i % len(COLOURS)]
        path = " ".join(f"{x(at):.1f},{y(value):.1f}" for at, value in line)
        parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        parts += [f'<circle cx="{x(at):.1f}" cy="{y(value):.1f}" r="3" fill="{colour}"/>' for at, value in line]
        parts.append(f'<text x="{LEFT + 8}" y="{TOP + 12 + 14 * i}" fill="{colour}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"
