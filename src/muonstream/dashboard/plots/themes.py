"""The themes of the plots, light and dark: colours that the colour-blind can tell apart (Okabe and Ito)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any, Final, Literal

from bokeh.themes import Theme

ThemeName = Literal["light", "dark"]

DASHES: Final = ("solid", "dashed", "dotdash", "dotted")
"""Curves differ in more than colour."""


@dataclass(frozen=True, slots=True)
class Colors:
    """The plots' CSS colours; `series` in the order of chambers or layers."""

    series: tuple[str, ...]
    text: str
    faint: str
    grid: str
    background: str
    empty_cell: str

    def soft(self, index: int) -> str:
        """The colour blended towards the background, for areas."""
        mixed = [
            round(0.78 * int(front, 16) + 0.22 * int(back, 16))
            for front, back in zip(_channels(self.of(index)), _channels(self.background), strict=True)
        ]
        return "#" + "".join(f"{value:02X}" for value in mixed)

    def of(self, index: int) -> str:
        """The colour of a chamber or layer; they come round again when there are many."""
        return self.series[index % len(self.series)]


def _channels(color: str) -> tuple[str, str, str]:
    return color[1:3], color[3:5], color[5:7]


COLORS: Final[dict[ThemeName, Colors]] = {
    "light": Colors(
        series=("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#B8860B", "#56B4E9"),
        text="#1c2430",
        faint="#5c6878",
        grid="#e3e8ee",
        background="#ffffff",
        empty_cell="#eef1f5",
    ),
    "dark": Colors(
        series=("#56B4E9", "#E69F00", "#2FC79A", "#E39CC4", "#F0E442", "#FF8A4C"),
        text="#e4e9f0",
        faint="#97a3b4",
        grid="#2b3442",
        background="#171d27",
        empty_cell="#222a36",
    ),
}


def paper_colors(name: ThemeName) -> dict[str, str]:
    """What each colour of a theme's plots is on paper, which is light: empty for the light theme."""
    shown, light = COLORS[name], COLORS["light"]
    if shown is light:
        return {}
    pairs = [(getattr(shown, one.name), getattr(light, one.name)) for one in fields(Colors) if one.name != "series"]
    places = range(len(shown.series))
    pairs += [(getattr(shown, how)(i), getattr(light, how)(i)) for how in ("of", "soft") for i in places]
    return dict(pairs)


FONT: Final = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"


def dash(index: int, colors: Colors) -> str:
    """The dash pattern of a curve: it changes slowly, colour first."""
    return DASHES[(index // len(colors.series)) % len(DASHES)]


def bokeh_theme(name: ThemeName) -> Theme:
    """The Bokeh theme of this name."""
    colors = COLORS[name]
    attrs: dict[str, dict[str, Any]] = {
        "Plot": {
            "background_fill_color": colors.background,
            "border_fill_color": colors.background,
            "outline_line_color": None,
            "min_border_left": 58,
            "min_border_right": 12,
            "min_border_top": 6,
        },
        "Axis": {
            "axis_line_color": colors.grid,
            "major_tick_line_color": colors.grid,
            "minor_tick_line_color": None,
            "major_label_text_color": colors.faint,
            "major_label_text_font": FONT,
            "major_label_text_font_size": "11px",
            "axis_label_text_color": colors.faint,
            "axis_label_text_font": FONT,
            "axis_label_text_font_size": "12px",
            "axis_label_text_font_style": "normal",
            "axis_label_standoff": 6,
        },
        "Grid": {"grid_line_color": colors.grid, "grid_line_width": 1},
        "Legend": {
            "label_text_color": colors.text,
            "label_text_font": FONT,
            "label_text_font_size": "12px",
            "background_fill_alpha": 0.0,
            "border_line_color": None,
            "padding": 0,
            "margin": 2,
            "spacing": 14,
            "glyph_width": 18,
            "inactive_fill_color": colors.background,
        },
        "BaseColorBar": {
            "background_fill_alpha": 0.0,
            "major_label_text_color": colors.faint,
            "major_label_text_font": FONT,
            "major_label_text_font_size": "11px",
            "major_tick_line_color": None,
            "bar_line_color": None,
        },
    }
    return Theme(json={"attrs": attrs})
