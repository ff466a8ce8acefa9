"""The overlay: a plot with the reference's histogram over its own, and the ratio to it in a panel below."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from bokeh.layouts import column
from bokeh.models import ColumnDataSource, FixedTicker, HoverTool, LogColorMapper, Range1d
from bokeh.models.annotations import ColorBar, Span
from bokeh.models.glyphs import Quad, Rect, Step
from bokeh.palettes import Blues256, Oranges256, diverging_palette
from bokeh.plotting import figure

from muonstream.dashboard.plots.model import Plot
from muonstream.dashboard.plots.themes import Colors

RATIO_HEIGHT: Final = 96
RATIO_SHOWN: Final = (0.0, 2.0)
MAP_RATIO_SHOWN: Final = (0.5, 2.0)
MAP_RATIO_COLORS: Final = diverging_palette(Blues256, Oranges256, 255)
"""Blue is less than the reference, orange more: told apart with any eyes."""


def with_reference(plot: Plot, colors: Colors) -> Plot:
    """The plot with a panel for the ratio, if it is a histogram with fixed bins; else as it is.

    A map of hits gets a second map with the ratio as its colour.

    For each column y of its source that a curve or bars show, the page fills `ref_y` with the reference's counts,
    scaled to the same sum, and `ratio_y` with counts over those.
    """
    made = plot.model
    if plot.counts and any(isinstance(r.glyph, Rect) for r in made.renderers):
        return _map_with_reference(plot, colors)
    glyphs: list[tuple[Any, Any]] = [(r, r.glyph) for r in made.renderers if isinstance(r.glyph, Quad | Step)]
    if not glyphs or not plot.counts or any(name.startswith("time.") for name in plot.columns.values()):
        return plot
    source: ColumnDataSource = glyphs[0][0].data_source
    ratio = figure(
        sizing_mode="stretch_width",
        height=RATIO_HEIGHT,
        tools="",
        toolbar_location=None,
        x_range=made.x_range,
        y_range=Range1d(start=RATIO_SHOWN[0], end=RATIO_SHOWN[1]),
        y_axis_label="ratio",
        output_backend="canvas",
    )
    ratio.xgrid.visible = False
    ratio.xaxis.major_label_text_font_size = "0px"
    ratio.yaxis.ticker = [0, 1, 2]
    ratio.add_layout(Span(location=1.0, dimension="width", line_color=colors.faint, line_dash="dotted"))
    compared = []
    for renderer, glyph in glyphs:
        name = str(glyph.top if isinstance(glyph, Quad) else glyph.y)
        compared.append(name)
        for new in (f"ref_{name}", f"ratio_{name}"):
            source.data[new] = [0.0] * len(source.data[name])
        if isinstance(glyph, Quad):
            bars: dict[str, Any] = {"source": source, "x0": glyph.left, "x1": glyph.right, "line_width": 1.5}
            made.segment(y0=f"ref_{name}", y1=f"ref_{name}", line_color=colors.text, **bars)
            drawn: Any = ratio.segment(y0=f"ratio_{name}", y1=f"ratio_{name}", line_color=glyph.fill_color, **bars)
        else:
            curve: dict[str, Any] = {"source": source, "x": glyph.x, "mode": glyph.mode, "line_color": glyph.line_color}
            made.step(y=f"ref_{name}", line_dash="dashed", line_alpha=0.8, **curve)
            drawn = ratio.step(y=f"ratio_{name}", line_width=1.4, **curve)
        ratio.add_tools(HoverTool(renderers=[drawn], tooltips=[("ratio", f"@ratio_{name}{{0.00}}")], visible=False))
        if not isinstance(glyph, Quad):
            # the legend's button hides a curve's ratio with it
            renderer.js_link("visible", drawn, "visible")
    layout = column(made, ratio, sizing_mode="stretch_width")
    return replace(plot, model=layout, compared=tuple(compared), height=plot.height + RATIO_HEIGHT)


def _map_with_reference(plot: Plot, colors: Colors) -> Plot:
    """A map with a map of the ratio below."""
    made = plot.model
    [renderer] = [r for r in made.renderers if isinstance(r.glyph, Rect)]
    source: ColumnDataSource = renderer.data_source
    for new in ("ref_hits", "ratio_hits"):
        source.data[new] = [0.0] * len(source.data["hits"])
    ratio = figure(
        sizing_mode="stretch_width",
        height=made.height,
        tools="",
        toolbar_location=None,
        x_range=made.x_range,
        y_range=made.y_range,
        y_axis_label="ratio, layer",
        output_backend="canvas",
    )
    ratio.grid.visible = False
    ratio.xaxis.major_label_text_font_size = "0px"
    ratio.yaxis[0].ticker = made.yaxis[0].ticker
    ratio.yaxis[0].formatter = made.yaxis[0].formatter
    ratio.yaxis[0].major_label_overrides = made.yaxis[0].major_label_overrides
    low, high = MAP_RATIO_SHOWN
    mapper = LogColorMapper(palette=MAP_RATIO_COLORS, low=low, high=high, nan_color=colors.empty_cell)
    drawn = ratio.rect(
        x="x",
        y="y",
        width=renderer.glyph.width,
        height=renderer.glyph.height,
        source=source,
        fill_color={"field": "ratio_hits", "transform": mapper},
        line_color=colors.background,
        line_width=1,
    )
    tooltips = [
        ("cell", "@cell"),
        ("hits", "@hits{0,0}"),
        ("reference", "@ref_hits{0,0}"),
        ("ratio", "@ratio_hits{0.00}"),
    ]
    ratio.add_tools(HoverTool(renderers=[drawn], tooltips=tooltips, visible=False))
    ratio.add_layout(
        ColorBar(color_mapper=mapper, width=10, padding=4, ticker=FixedTicker(ticks=[low, 1, high])), "right"
    )
    ratio.min_border_right = made.min_border_right
    layout = column(made, ratio, sizing_mode="stretch_width")
    return replace(plot, model=layout, compared=("hits",), height=plot.height + made.height)
