"""The plots of archived runs: a quantity's trend, and a histogram of several runs with their ratio to the first."""

from __future__ import annotations

from dataclasses import asdict
from functools import lru_cache
from typing import Any, Final, cast

from bokeh.embed import json_item
from bokeh.layouts import column
from bokeh.models import BasicTickFormatter, ColumnDataSource, DataRange1d, HoverTool, Range1d, TapTool
from bokeh.models.annotations import Span
from bokeh.plotting import figure

from muonstream.archive.overlaid import MOST_RUNS
from muonstream.dashboard.plots.model import LegendEntry
from muonstream.dashboard.plots.themes import COLORS, Colors, ThemeName, bokeh_theme, dash, paper_colors

PLOTS: Final = ("trend", "trend_by_run", "overlay", "overlay_log")
THEMES: Final = ("light", "dark")
TOOLS: Final = "pan,box_zoom,wheel_zoom,reset,save"
HEIGHT: Final = 360
RATIO_HEIGHT: Final = 190
RATIO_SHOWN: Final = (0.0, 2.0)


@lru_cache(maxsize=64)
def runs_plot(name: str, theme: str, runs: int = 1) -> dict[str, Any]:
    """A plot without data, as plain JSON types; runs: of an overlay, 1 to 8."""
    colors = COLORS[cast(ThemeName, theme)]
    legend: list[LegendEntry] = []
    if name.startswith("trend"):
        model, height = _trend(colors, by_run=name == "trend_by_run"), HEIGHT
    else:
        model, legend = _overlay(colors, min(runs, MOST_RUNS), log=name == "overlay_log")
        height = HEIGHT + RATIO_HEIGHT
    return {
        "name": f"runs.{name}",
        "title": "",
        "size": "wide",
        "note": "",
        "height": height,
        "legend": [asdict(entry) for entry in legend],
        "on_paper": paper_colors(cast(ThemeName, theme)),
        "item": json_item(model, theme=bokeh_theme(cast(ThemeName, theme))),
    }


def _figure(label: str, **more: Any) -> Any:
    made = figure(
        sizing_mode="stretch_width",
        toolbar_location="above",
        tools=TOOLS,
        x_axis_label=label,
        output_backend="canvas",
        **more,
    )
    made.toolbar.logo = None
    made.toolbar.autohide = True
    return made


def _trend(colors: Colors, *, by_run: bool) -> Any:
    """Points with bars of one standard deviation; columns x, y, low, high, name, text."""
    times: dict[str, Any] = {} if by_run else {"x_axis_type": "datetime"}
    label = "runs, in the order of their beginning" if by_run else "begun"
    made = _figure(label, height=HEIGHT, x_range=DataRange1d(), y_range=DataRange1d(), **times)
    made.yaxis.axis_label = " "
    made.yaxis.name = "y"
    made.yaxis.formatter = BasicTickFormatter(name="prefixed")
    data: dict[str, Any] = {name: [0.0, 1.0] for name in ("x", "y", "low", "high")}
    source = ColumnDataSource({**data, "name": ["", ""], "text": ["", ""]}, name="data")
    made.segment(x0="x", x1="x", y0="low", y1="high", source=source, line_color=colors.of(0), line_alpha=0.6)
    points = made.scatter(
        x="x",
        y="y",
        source=source,
        size=7,
        fill_color=colors.of(0),
        line_color=colors.background,
        nonselection_fill_alpha=0.6,
        selection_fill_color=colors.of(1),
    )
    hover = HoverTool(renderers=[points], tooltips=[("run", "@name"), ("", "@text")], visible=False)
    made.add_tools(hover, TapTool(renderers=[points], visible=False))
    return made


def _overlay(colors: Colors, runs: int, *, log: bool) -> tuple[Any, list[LegendEntry]]:
    """Steps of each run over one another, and below the ratio to the first; columns x, and of each run y, ratio."""
    y_range: Any = DataRange1d() if log else DataRange1d(start=0.0)
    made = _figure("x", height=HEIGHT, x_range=DataRange1d(), y_range=y_range, y_axis_type="log" if log else "linear")
    made.xaxis.name = "x"
    made.yaxis.axis_label = "counts, scaled to those of the first"
    if not log:
        made.yaxis.formatter = BasicTickFormatter(name="prefixed")
    start, end = RATIO_SHOWN
    ratio = _figure("", height=RATIO_HEIGHT, x_range=made.x_range, y_range=Range1d(start=start, end=end))
    ratio.toolbar_location = None
    ratio.xaxis.major_label_text_font_size = "0px"
    ratio.yaxis.axis_label = "ratio to the first"
    ratio.add_layout(Span(location=1.0, dimension="width", line_color=colors.faint, line_dash="dotted"))
    names = [f"{kind}{i}" for i in range(runs) for kind in ("y", "ratio")]
    source = ColumnDataSource({"x": [0.0, 1.0], **{name: [1.0, 1.0] for name in names}}, name="data")
    legend = []
    for i in range(runs):
        line: dict[str, Any] = {"source": source, "x": "x", "mode": "after", "line_color": colors.of(i)}
        line |= {"line_dash": dash(i, colors), "line_width": 1.8 if i == 0 else 1.4}
        drawn = made.step(y=f"y{i}", name=f"curve{i}", **line)
        below = ratio.step(y=f"ratio{i}", **line)
        drawn.js_link("visible", below, "visible")
        legend.append(LegendEntry("", colors.of(i), f"curve{i}", dash(i, colors)))
    return column(made, ratio, sizing_mode="stretch_width"), legend
