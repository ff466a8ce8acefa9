"""The overlay: a plot with the reference's histogram over its own, and the ratio to it in a panel below."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from bokeh.layouts import column
from bokeh.models import ColumnDataSource, HoverTool, Range1d
from bokeh.models.annotations import Span
from bokeh.models.glyphs import Quad, Step
from bokeh.plotting import figure

from muonstream.dashboard.plot import Plot
from muonstream.dashboard.themes import Colors

RATIO_HEIGHT: Final = 96
RATIO_SHOWN: Final = (0.0, 2.0)


def with_reference(plot: Plot, colors: Colors) -> Plot:
    """The plot with a panel for the ratio, if it is a histogram with fixed bins; else as it is.

    For each column y of its source that a curve or bars show, the page fills `ref_y` with the reference's counts,
    scaled to the same sum, and `ratio_y` with counts over those.
    """
    made = plot.model
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
