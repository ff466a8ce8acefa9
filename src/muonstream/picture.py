"""Histograms as small SVG pictures: steps, an axis, and a curve over them if there is one."""

from __future__ import annotations

from html import escape

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, LEFT, BOTTOM, TOP, RIGHT = 480, 260, 56, 44, 28, 12
INK, STEPS, CURVE = "#334155", "#2563eb", "#dc2626"


def _ticks(low: float, high: float) -> list[float]:
    """Some five round numbers from low to high."""
    raw = (high - low) / 5
    power = 10.0 ** np.floor(np.log10(raw))
    step = float(next(power * m for m in (1, 2, 5, 10) if power * m >= raw))
    first = np.ceil(low / step - 1e-9) * step
    # a sum with 0 takes the sign from -0
    return [float(round(tick / step) * step) + 0.0 for tick in np.arange(first, high + step * 1e-6, step)]


def histogram_svg(
    title: str,
    label: str,
    edges: NDArray[np.float64],
    counts: NDArray[np.float64],
    *,
    curve: NDArray[np.float64] | None = None,
    others: dict[str, NDArray[np.float64]] | None = None,
    note: str = "",
) -> str:
    """A histogram as the text of an SVG file.

    edges: float64[n + 1]; counts: float64[n]; curve: float64[n], drawn as a line through the bins' middles
    others: more histograms of the same bins, by their names, drawn as thin steps
    """
    others = others or {}
    everything = [counts, *others.values(), *([] if curve is None else [curve])]
    top = max(float(max(values.max() for values in everything)) * 1.08, 1e-9)
    bottom = min(0.0, float(min(values.min() for values in everything)) * 1.08)
    low, high = float(edges[0]), float(edges[-1])

    def x(value: float) -> float:
        return LEFT + (value - low) / (high - low) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - bottom) / (top - bottom) * (HEIGHT - BOTTOM - TOP)

    def steps(values: NDArray[np.float64]) -> str:
        points = []
        for begin, end, value in zip(edges[:-1], edges[1:], values, strict=True):
            points += [f"{x(begin):.1f},{y(value):.1f}", f"{x(end):.1f},{y(value):.1f}"]
        return " ".join(points)

    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        f'font-family="sans-serif" font-size="11" fill="{INK}"><title>{escape(title)}</title>',
        f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        f'<text x="{LEFT}" y="18" font-size="13">{escape(title)}</text>',
        f'<text x="{WIDTH - RIGHT - 4}" y="{TOP + 14}" text-anchor="end">{escape(note)}</text>',
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">{escape(label)}</text>',
    ]
    for tick in _ticks(low, high):
        parts.append(
            f'<path d="M{x(tick):.1f} {y(bottom):.1f}v4" stroke="{INK}"/>'
            f'<text x="{x(tick):.1f}" y="{y(bottom) + 16:.1f}" text-anchor="middle">{tick:g}</text>'
        )
    for tick in _ticks(bottom, top):
        parts.append(
            f'<path d="M{LEFT} {y(tick):.1f}h{WIDTH - LEFT - RIGHT}" stroke="#e2e8f0"/>'
            f'<text x="{LEFT - 5}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick:g}</text>'
        )
    parts.append(f'<polyline points="{steps(counts)}" fill="none" stroke="{STEPS}" stroke-width="1.5"/>')
    for i, (name, values) in enumerate(others.items()):
        colour = ("#059669", "#d97706", "#7c3aed")[i % 3]
        parts.append(f'<polyline points="{steps(values)}" fill="none" stroke="{colour}"/>')
        parts.append(f'<text x="{LEFT + 8}" y="{TOP + 14 + 14 * i}" fill="{colour}">{escape(name)}</text>')
    if curve is not None:
        middles = (edges[1:] + edges[:-1]) / 2
        points = " ".join(f"{x(m):.1f},{y(v):.1f}" for m, v in zip(middles, curve, strict=True))
        parts.append(f'<polyline points="{points}" fill="none" stroke="{CURVE}" stroke-width="1.5"/>')
    return "\n".join([*parts, "</svg>"]) + "\n"
