"""The page's plots, made with Bokeh for a detector: each is embedded once, its data come by message."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from bokeh.embed import json_item
from bokeh.models import ColumnDataSource, DataRange1d, HoverTool
from bokeh.palettes import Cividis256
from bokeh.plotting import figure
from bokeh.transform import linear_cmap

from muonstream.analysis.histograms import DRIFT_FIRST_TDC, LAYER_BIN_BITS, LAYER_BINS, Catalogue
from muonstream.dashboard.message import ACTIVE_SHOWN, DRIFT_SHOWN_NS, drift_bins
from muonstream.detector import Detector
from muonstream.words import NS_PER_TDC

COLOURS: Final = ("#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#999999")
"""Okabe and Ito's palette, told apart by the colour-blind; one a chamber, the next for the scintillator."""
SCINTILLATOR_COLOUR: Final = "#D55E00"


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot of the page.

    columns: for each column of its source that messages fill, the array's name; names with a leading ``*`` are looked
    for in the scope that the viewer chose (run or recent), ``?`` ones in the choice of all hits or those with a passage
    """

    name: str
    section: str
    title: str
    figure: Any
    columns: dict[str, str]
    wide: bool = False


def _figure(x_label: str, y_label: str, height: int = 230, **options: Any) -> Any:
    fig = figure(
        height=height,
        sizing_mode="stretch_width",
        tools="pan,box_zoom,wheel_zoom,reset,save",
        active_scroll=None,
        background_fill_color=None,
        border_fill_color=None,
        outline_line_color=None,
        x_axis_label=x_label,
        y_axis_label=y_label,
        **options,
    )
    fig.toolbar.autohide = True
    fig.toolbar.logo = None
    fig.grid.grid_line_alpha = 0.25
    fig.axis.axis_label_text_font_style = "normal"
    return fig


def _bars(
    name: str, section: str, title: str, edges: Any, column: str, colour: str, x_label: str, y_label: str
) -> Plot:
    """A histogram with fixed edges."""
    edges = np.asarray(edges, dtype=float)
    source = ColumnDataSource(
        {"left": edges[:-1], "right": edges[1:], "value": np.zeros(len(edges) - 1)}, name=f"{name}_source"
    )
    fig = _figure(x_label, y_label, y_range=DataRange1d(start=0))
    bars = fig.quad(
        left="left",
        right="right",
        bottom=0,
        top="value",
        source=source,
        fill_color=colour,
        line_color=None,
        fill_alpha=0.85,
    )
    tip = [(x_label, "@left{0.[0]} to @right{0.[0]}"), (y_label, "@value{0,0}")]
    fig.add_tools(HoverTool(renderers=[bars], tooltips=tip, mode="vline"))
    return Plot(name, section, title, fig, {"value": column})


def _lines(name: str, section: str, title: str, y_label: str, lines: list[tuple[str, str, str]]) -> Plot:
    """Lines against data time: (label, colour, array name)."""
    data: dict[str, Any] = {"time": []}
    columns = {"time": "time"}
    for i, (_, _, array) in enumerate(lines):
        data[f"y{i}"] = []
        columns[f"y{i}"] = array
    source = ColumnDataSource(data, name=f"{name}_source")
    fig = _figure("data time (s)", y_label, y_range=DataRange1d(start=0), height=260)
    for i, (label, colour, _) in enumerate(lines):
        fig.step("time", f"y{i}", source=source, color=colour, line_width=2, legend_label=label, mode="after")
    fig.legend.orientation = "horizontal"
    fig.legend.background_fill_alpha = 0
    fig.legend.border_line_alpha = 0
    fig.legend.click_policy = "hide"
    fig.add_layout(fig.legend[0], "above")
    tips = [("time", "@time{0.0} s"), *[(label, f"@y{i}{{0,0.0}}") for i, (label, _, _) in enumerate(lines)]]
    fig.add_tools(HoverTool(tooltips=tips, mode="vline", line_policy="nearest", renderers=[fig.renderers[0]]))
    return Plot(name, section, title, fig, columns, wide=True)


def _cell_map(detector: Detector, c: int) -> Plot:
    """Hits of a chamber's cells where they are: layers from the top, wires across."""
    chamber = detector.chambers[c]
    layer = chamber.layer_of_cell()
    source = ColumnDataSource(
        {
            "x": chamber.wire_x_mm(),
            "y": chamber.layers - layer,
            "cell": np.arange(chamber.cells),
            "layer": layer + 1,
            "value": np.zeros(chamber.cells),
        },
        name=f"map_{c}_source",
    )
    fig = _figure("wire position (mm)", "layer", height=170)
    colour: Any = linear_cmap("value", Cividis256, low=0, high=1)
    colour.transform.name = f"map_{c}_colours"
    rects = fig.rect(
        "x", "y", width=chamber.cell_width_mm * 0.96, height=0.92, source=source, fill_color=colour, line_color=None
    )
    fig.yaxis.ticker = list(range(1, chamber.layers + 1))
    fig.yaxis.major_label_overrides = {n: str(chamber.layers - n + 1) for n in range(1, chamber.layers + 1)}
    fig.grid.visible = False
    tips = [("cell", "@cell"), ("layer", "@layer"), ("hits", "@value{0,0}")]
    fig.add_tools(HoverTool(renderers=[rects], tooltips=tips))
    return Plot(f"map_{c}", "occupancy", f"{chamber.name}: hits by cell", fig, {"value": f"*?cells_{c}"})


def _layers(detector: Detector, c: int) -> Plot:
    """Drift times of a chamber's layers."""
    chamber = detector.chambers[c]
    left = (DRIFT_FIRST_TDC + np.arange(LAYER_BINS) * (1 << LAYER_BIN_BITS)) * NS_PER_TDC + chamber.time_offset_ns
    data: dict[str, Any] = {"left": left}
    columns: dict[str, str] = {}
    for layer in range(chamber.layers):
        data[f"y{layer}"] = np.zeros(LAYER_BINS)
        columns[f"y{layer}"] = f"*layer_{c}_{layer}"
    source = ColumnDataSource(data, name=f"layers_{c}_source")
    fig = _figure("drift time (ns)", "hits", y_range=DataRange1d(start=0), x_range=DRIFT_SHOWN_NS)
    for layer in range(chamber.layers):
        fig.step(
            "left",
            f"y{layer}",
            source=source,
            color=COLOURS[layer % len(COLOURS)],
            line_width=1.5,
            mode="after",
            legend_label=f"layer {layer + 1}",
        )
    fig.legend.background_fill_alpha = 0
    fig.legend.border_line_alpha = 0
    fig.legend.label_text_font_size = "10px"
    fig.legend.click_policy = "hide"
    return Plot(f"layers_{c}", "timing", f"{chamber.name}: drift time by layer", fig, columns)


def make_plots(catalogue: Catalogue) -> list[Plot]:
    """All plots for a detector, in the page's order."""
    detector = catalogue.detector
    colours = [COLOURS[c % 5] for c in range(len(detector.chambers))]
    chambers = list(enumerate(zip(detector.chambers, colours, strict=True)))
    rates = [(chamber.name, colour, f"rate_{c}") for c, (chamber, colour) in chambers]
    plots = [
        _lines(
            "rates",
            "overview",
            "Rates",
            "Hz",
            [*rates, ("Scintillator", SCINTILLATOR_COLOUR, "rate_scintillator")],
        )
    ]
    plots += [_cell_map(detector, c) for c, _ in chambers]
    for c, (chamber, colour) in chambers:
        edges = np.arange(chamber.cells + 1) - 0.5
        title = f"{chamber.name}: hits by cell"
        plots.append(_bars(f"cells_{c}", "occupancy", title, edges, f"*?cells_{c}", colour, "cell", "hits"))
    for c, (chamber, colour) in chambers:
        _, edges_ns = drift_bins(detector, c)
        title = f"{chamber.name}: drift time"
        plots.append(_bars(f"drift_{c}", "timing", title, edges_ns, f"*drift_{c}", colour, "drift time (ns)", "hits"))
    plots += [_layers(detector, c) for c, _ in chambers]
    active = [(chamber.name, colour, f"mean_active_{c}") for c, (chamber, colour) in chambers]
    plots.append(_lines("mean_active", "orbits", "Active cells in orbits that have any", "cells", active))
    for c, (chamber, colour) in chambers:
        n = min(ACTIVE_SHOWN, catalogue.max_cells)
        edges = np.arange(n + 1) + 0.5
        title = f"{chamber.name}: active cells per orbit"
        plots.append(_bars(f"active_{c}", "orbits", title, edges, f"*active_{c}", colour, "active cells", "orbits"))
    labels = {
        "hist_1": ("TDC channel", "hits"),
        "hist_2": ("orbit", "active cells"),
        "hist_3": ("TDC channel, with scintillator", "hits"),
        "hist_4": ("drift time (ns)", "hits"),
    }
    for c, (chamber, colour) in chambers:
        for name, (left, _) in catalogue.course_histograms(catalogue.zeros(), c).items():
            edges = np.append(left, 2 * left[-1] - left[-2])
            x_label, y_label = labels[name]
            title = f"{chamber.name}: {name.replace('_', ' ')}"
            plots.append(_bars(f"{name}_{c}", "course", title, edges, f"*{name}_{c}", colour, x_label, y_label))
    return plots


def plots_json(catalogue: Catalogue) -> list[dict[str, Any]]:
    """What the browser needs to draw all plots."""
    return [
        {
            "name": plot.name,
            "section": plot.section,
            "title": plot.title,
            "columns": plot.columns,
            "wide": plot.wide,
            "item": json_item(plot.figure),
        }
        for plot in make_plots(catalogue)
    ]
