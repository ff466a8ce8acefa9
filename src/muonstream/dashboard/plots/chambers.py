"""The plots of the live page, made for a detector: Bokeh figures, and which array of the message fills each column."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
from bokeh.models import (
    AdaptiveTicker,
    BasicTicker,
    BasicTickFormatter,
    ColumnDataSource,
    DataRange1d,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    LogColorMapper,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.models.annotations import ColorBar, Span
from bokeh.palettes import Viridis256
from bokeh.plotting import figure
from numpy.typing import NDArray

from muonstream.counting.catalogue import COURSE_CHANNEL_WIDTH, COURSE_DRIFT_WIDTH_NS, COURSE_ORBIT_WIDTH, Catalogue
from muonstream.dashboard.message.message import DRIFT_REBIN
from muonstream.dashboard.plots.model import LegendEntry, Plot, Size
from muonstream.dashboard.plots.themes import Colors, dash
from muonstream.detector.model import Chamber, Detector

TabName = Literal["overview", "occupancy", "timing", "orbits", "muons", "rates", "course"]
ScaleName = Literal["linear", "log"]
Floats = NDArray[np.floating[Any]]

NOTHING = (0.0, 1.0)
"""What a curve shows until its first message: BokehJS complains of ranges without any data."""
OVER_SCALE = "#e0218a"
"""The colour, outside the scale, of cells beyond the maps' range, which a single hot cell must not stretch."""
TIME_STEPS_S = (
    *(1, 2, 5, 10, 15, 30),
    *(60 * minutes for minutes in (1, 2, 5, 10, 15, 30)),
    *(3600 * hours for hours in (1, 2, 3, 6, 12)),
    *(86400 * days for days in (1, 2, 5, 10, 30)),
)
"""Between ticks of data time."""
COLOR_BAR_PX = 62
"""Room for a colour bar: its labels are written by the page, wider than Bokeh thinks that they are."""
TOOLS = "pan,box_zoom,wheel_zoom,reset,save"
COURSE_TITLES: Mapping[str, tuple[str, str]] = {
    "hist_1": ("Hits by channel", "TDC channel"),
    "hist_2": ("Active cells by orbit", "orbit"),
    "hist_3": ("Hits by channel, with scintillator", "TDC channel"),
    "hist_4": ("Drift time", "drift time [ns]"),
}
COURSE_WIDTHS: Mapping[str, float] = {
    "hist_1": COURSE_CHANNEL_WIDTH,
    "hist_2": COURSE_ORBIT_WIDTH,
    "hist_3": COURSE_CHANNEL_WIDTH,
    "hist_4": COURSE_DRIFT_WIDTH_NS,
}


@dataclass(frozen=True, slots=True)
class Painter:
    """Makes the figures of one detector in one theme and one scale of the counts."""

    detector: Detector
    colors: Colors
    scale: ScaleName
    catalogue: Catalogue = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "catalogue", Catalogue(self.detector))

    def plots(self, tab: TabName) -> Iterator[Plot]:
        """The plots of a tab, in the order of the page."""
        chambers = list(enumerate(self.detector.chambers))
        match tab:
            case "overview":
                yield self.rates(tab, "wide")
                yield from (self.occupancy_map(tab, c, chamber) for c, chamber in chambers)
                yield self.drift_overlay(tab)
                yield self.active_cells(tab)
            case "occupancy":
                for c, chamber in chambers:
                    yield self.occupancy_map(tab, c, chamber)
                    yield self.cells(c, chamber)
            case "timing":
                yield from (self.drift(c, chamber) for c, chamber in chambers)
                yield from (self.layers(c, chamber) for c, chamber in chambers)
            case "orbits":
                yield self.active_cells(tab)
                yield self.active_cells_in_time()
            case "rates":
                yield self.rates(tab, "wide")
                yield self.scintillator_rate(tab)
            case "course":
                for name in COURSE_TITLES:
                    yield from (self.course(c, chamber, name) for c, chamber in chambers)

    def _figure(
        self,
        x_label: str,
        y_label: str,
        *,
        height: int = 230,
        x_range: Any = None,
        y_range: Any = None,
        lowest: float | None = 0.5,
    ) -> Any:
        """An empty figure. With a y_range it is linear; else y shows counts, on the logarithmic scale from `lowest` on.

        lowest None: from the lowest value on
        """
        scale = "linear" if y_range is not None else self.scale
        start = 0.0 if scale == "linear" else lowest
        if y_range is None:
            y_range = DataRange1d() if start is None else DataRange1d(start=start)
        made = figure(
            sizing_mode="stretch_width",
            height=height,
            tools=TOOLS,
            active_drag=None,  # a finger on a plot scrolls the page
            active_scroll=None,
            x_axis_label=x_label,
            y_axis_label=y_label,
            y_axis_type=scale,
            x_range=x_range if x_range is not None else DataRange1d(range_padding=0.01),
            y_range=y_range,
            output_backend="canvas",
        )
        made.toolbar.logo = None
        made.toolbar.autohide = True
        made.toolbar_location = "right"
        made.toolbar_inner = True
        made.xgrid.visible = False
        made.yaxis.formatter = _prefixed()
        return made

    def _curves(
        self,
        made: Any,
        source: ColumnDataSource,
        curves: list[tuple[str, str, str, str]],
        tooltip: Callable[[str, str], list[tuple[str, str]]],
        mode: str = "center",
    ) -> tuple[LegendEntry, ...]:
        """Draw step curves: (label, column of x, column of y, colour) each; give their legend."""
        legend = []
        for i, (label, x, y, color) in enumerate(curves):
            glyph = made.step(
                x=x,
                y=y,
                source=source,
                mode=mode,
                color=color,
                line_width=1.6,
                line_dash=dash(i, self.colors),
                name=f"glyph.{y}",
            )
            made.add_tools(HoverTool(renderers=[glyph], tooltips=[("", label), *tooltip(x, y)], visible=False))
            legend.append(LegendEntry(label, color, f"glyph.{y}", dash(i, self.colors)))
        return tuple(legend)

    def _chamber_curves(self, x: str = "x") -> list[tuple[str, str, str, str]]:
        """A curve for each chamber, with columns y0, y1, ...; `{c}` in x stands for its index."""
        return [
            (chamber.name, x.format(c=c), f"y{c}", self.colors.of(c))
            for c, chamber in enumerate(self.detector.chambers)
        ]

    def _bars(
        self,
        made: Any,
        source: ColumnDataSource,
        color: str,
        x_text: str,
        *,
        name: str = "y",
        more: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Draw a histogram as bars from `left` to `right`, with the counts of column `name`."""
        bottom = 0.0 if self.scale == "linear" else 1e-3
        glyph = made.quad(
            left="left",
            right="right",
            top=name,
            bottom=bottom,
            source=source,
            fill_color=color,
            line_color=color,
            line_width=0.5,
            name=f"glyph.{name}",
        )
        tooltips = [(x_text, "@label"), ("", f"@{name}{{0,0}}"), *more]
        made.add_tools(HoverTool(renderers=[glyph], tooltips=tooltips, visible=False))

    def _in_time(
        self, name: str, tab: str, title: str, size: Size, y_label: str, arrays: Mapping[str, str], **kwargs: Any
    ) -> Plot:
        """A plot against data time, with an array for each column."""
        made = self._figure("data time [h:mm:ss]", y_label, lowest=None)
        made.xaxis.formatter = NumeralTickFormatter(format="00:00:00")
        made.xaxis.ticker = time_ticker(8 if size == "wide" else 5)
        self._reset_marks(made)
        source = ColumnDataSource(dict.fromkeys(("x", *arrays), NOTHING), name="data")
        curves = kwargs.pop("curves", None) or self._chamber_curves()
        legend = self._curves(
            made, source, curves, lambda x, y: [("at", f"@{x}{{00:00:00}}"), (y_label, f"@{y}{{0,0.00}}")], "after"
        )
        return Plot(name, title, size, made, {"x": "time.s", **arrays}, legend, **kwargs)

    def _reset_marks(self, made: Any) -> None:
        """Vertical lines where the orbit counter was reset, which the page fills in."""
        source = ColumnDataSource({"x": []}, name="resets")
        marks = made.vspan(
            x="x", source=source, line_color=self.colors.text, line_dash="dotdash", line_width=1.2, line_alpha=0.7
        )
        tooltips = [("", "counter reset"), ("at", "@x{00:00:00}")]
        made.add_tools(HoverTool(renderers=[marks], tooltips=tooltips, visible=False))

    def rates(self, tab: str, size: Size) -> Plot:
        """Hit rate of each chamber against data time."""
        arrays = {f"y{c}": f"time.hits.{c}" for c in range(len(self.detector.chambers))}
        return self._in_time(f"{tab}.rates", tab, "Hit rate", size, "hits/s [Hz]", arrays)

    def scintillator_rate(self, tab: str) -> Plot:
        """Rate of scintillator words against data time."""
        curve = [("Scintillator", "x", "y", self.colors.text)]
        arrays = {"y": "time.scintillator"}
        return self._in_time(
            f"{tab}.scintillator", tab, "Scintillator rate", "wide", "words/s [Hz]", arrays, curves=curve
        )

    def active_cells_in_time(self) -> Plot:
        """Mean number of active cells against data time."""
        arrays = {f"y{c}": f"time.active.{c}" for c in range(len(self.detector.chambers))}
        note = "Mean over the orbits in which the chamber has a hit."
        return self._in_time(
            "orbits.active_time", "orbits", "Active cells", "half", "cells per orbit", arrays, note=note
        )

    def active_cells(self, tab: str) -> Plot:
        """Distribution of the number of active cells of each chamber."""
        made = self._figure("active cells in the orbit", "orbits")
        n = len(self.detector.chambers)
        source = ColumnDataSource(dict.fromkeys(("x", *(f"y{c}" for c in range(n))), NOTHING), name="data")
        legend = self._curves(
            made, source, self._chamber_curves(), lambda x, y: [("cells", f"@{x}"), ("orbits", f"@{y}{{0,0}}")]
        )
        columns = {"x": "active.n.{period}", **{f"y{c}": f"active.{c}.{{period}}" for c in range(n)}}
        return Plot(f"{tab}.active", "Active cells per orbit", "half", made, columns, legend)

    def occupancy_map(self, tab: str, c: int, chamber: Chamber) -> Plot:
        """Hits of a chamber by cell, each cell where its wire is."""
        layer = chamber.layer_of_cell()
        n = np.arange(chamber.cells)
        source = ColumnDataSource(
            {
                "x": chamber.wire_x_mm(),
                "y": -layer.astype(np.float64),
                "cell": n,
                "layer": layer,
                "wire": n // chamber.layers + 1,
                "channel": chamber.first_channel + n,
                "hits": np.zeros(chamber.cells),
                "hz": np.zeros(chamber.cells),
            },
            name="data",
        )
        y_range = Range1d(start=0.4 - chamber.layers, end=0.6)
        made = self._figure("wire position [mm]", "layer", height=170, y_range=y_range)
        made.xaxis[0].ticker = BasicTicker(desired_num_ticks=7)  # set explicitly, so that the page can have fewer
        made.yaxis[0].ticker = FixedTicker(ticks=[-i for i in range(chamber.layers)])
        made.yaxis[0].formatter = NumeralTickFormatter(format="0")
        made.yaxis[0].major_label_overrides = {-i: str(i) for i in range(chamber.layers)}
        made.ygrid.visible = False
        mapper_type = LinearColorMapper if self.scale == "linear" else LogColorMapper
        mapper = mapper_type(
            palette=Viridis256,
            low=0.5,
            low_color=self.colors.empty_cell,
            high_color=OVER_SCALE,
            nan_color=self.colors.empty_cell,
            name="colors",
        )
        glyph = made.rect(
            x="x",
            y="y",
            width=chamber.cell_width_mm,
            height=0.94,
            source=source,
            fill_color={"field": "hits", "transform": mapper},
            line_color=self.colors.background,
            line_width=1,
        )
        tooltips = [
            ("cell", "@cell (channel @channel)"),
            ("layer, wire", "@layer, @wire"),
            ("hits", "@hits{0,0}"),
            ("rate", "@hz{0.00} Hz"),
        ]
        made.add_tools(HoverTool(renderers=[glyph], tooltips=tooltips, visible=False))
        note = ""
        if chamber.dead_cells:
            dead = list(chamber.dead_cells)
            made.scatter(
                x=chamber.wire_x_mm()[dead], y=-layer[dead].astype(float), marker="x", color=self.colors.faint, size=8
            )
            note = f"Crosses: {len(dead)} cells known to be dead."
        bar = ColorBar(color_mapper=mapper, width=10, padding=4, formatter=_prefixed())
        made.add_layout(bar, "right")
        made.min_border_right = COLOR_BAR_PX
        columns = {"hits": f"cells.{c}.{{hits}}.{{period}}"}
        size: Size = "map" if tab == "overview" else "half"
        return Plot(
            f"{tab}.map.{c}", f"{chamber.name}: occupancy", size, made, columns, note=note, per_second={"hz": "hits"}
        )

    def cells(self, c: int, chamber: Chamber) -> Plot:
        """Hits of a chamber by cell number."""
        n = np.arange(chamber.cells)
        made = self._figure("cell", "hits", height=170)
        label = [f"{i} (channel {chamber.first_channel + i})" for i in range(chamber.cells)]
        data = {"cell": n, "channel": chamber.first_channel + n, "left": n - 0.45, "right": n + 0.45, "label": label}
        data |= {"y": np.zeros(chamber.cells), "hz": np.zeros(chamber.cells)}
        more = [("", "@hz{0.00} Hz")]
        self._bars(made, ColumnDataSource(data, name="data"), self.colors.soft(c), "cell", more=more)
        columns = {"y": f"cells.{c}.{{hits}}.{{period}}"}
        return Plot(
            f"occupancy.cells.{c}", f"{chamber.name}: hits by cell", "half", made, columns, per_second={"hz": "y"}
        )

    def _drift_figure(self, chamber: Chamber) -> Any:
        t_max_ns = chamber.t_max_ns
        made = self._figure("drift time [ns]", "hits", x_range=Range1d(start=-0.25 * t_max_ns, end=1.6 * t_max_ns))
        for location in (0.0, t_max_ns):
            line = Span(location=location, dimension="height", line_color=self.colors.faint, line_dash="dotted")
            made.add_layout(line)
        return made

    def _drift_edges_ns(self, c: int) -> Floats:
        edges_ns = self.catalogue.drift_histogram_ns(self.catalogue.zeros(), c)[0]
        kept: Floats = np.append(edges_ns[:-1:DRIFT_REBIN], edges_ns[-1])
        return kept

    def drift(self, c: int, chamber: Chamber) -> Plot:
        """Drift times of a chamber."""
        edges_ns = self._drift_edges_ns(c)
        made = self._drift_figure(chamber)
        data = _bins(edges_ns[:-1], edges_ns[1:])
        self._bars(made, ColumnDataSource(data, name="data"), self.colors.soft(c), "ns")
        note = f"Dotted: 0 and T_max, {chamber.t_max_ns:g} ns. Time offset {chamber.time_offset_ns:g} ns applied."
        title = f"{chamber.name}: drift time"
        marks = self._edge_marks(made, f"{c}", self.colors.text)
        return Plot(f"timing.drift.{c}", title, "half", made, {"y": f"drift.{c}.{{period}}"}, note=note, marks=marks)

    def _edge_marks(self, made: Any, name: str, color: str) -> dict[str, str]:
        """Lines at the edges of a fitted time box, and the arrays that say where they are."""
        marks = {f"{edge}.{name}": f"edges.{edge}.{name}.{{period}}" for edge in ("begin", "end")}
        for mark in marks:
            made.add_layout(
                Span(
                    name=mark,
                    location=0.0,
                    dimension="height",
                    visible=False,
                    line_color=color,
                    line_dash="dashed",
                    line_width=1.5,
                )
            )
        return marks

    def drift_overlay(self, tab: str) -> Plot:
        """Drift times of all chambers."""
        made = self._drift_figure(self.detector.chambers[0])
        data: dict[str, Floats] = {}
        for c in range(len(self.detector.chambers)):
            edges_ns = self._drift_edges_ns(c)
            data[f"x{c}"] = (edges_ns[:-1] + edges_ns[1:]) / 2
            data[f"y{c}"] = np.zeros(len(edges_ns) - 1)
        source = ColumnDataSource(data, name="data")
        legend = self._curves(made, source, self._chamber_curves("x{c}"), _drift_tooltip)
        columns = {f"y{c}": f"drift.{c}.{{period}}" for c in range(len(self.detector.chambers))}
        return Plot(f"{tab}.drift", "Drift time", "half", made, columns, legend)

    def layers(self, c: int, chamber: Chamber) -> Plot:
        """Drift times of a chamber by layer."""
        edges_ns = self.catalogue.layer_drift_ns(self.catalogue.zeros(), c, 0)[0]
        made = self._drift_figure(chamber)
        layers = range(chamber.layers)
        data = {"x": (edges_ns[:-1] + edges_ns[1:]) / 2, **{f"y{i}": np.zeros(len(edges_ns) - 1) for i in layers}}
        curves = [(f"Layer {i}", "x", f"y{i}", self.colors.of(i)) for i in layers]
        legend = self._curves(made, ColumnDataSource(data, name="data"), curves, _drift_tooltip)
        columns = {f"y{i}": f"layer.{c}.{i}.{{period}}" for i in layers}
        title = f"{chamber.name}: drift time by layer"
        marks: dict[str, str] = {}
        for i in layers:
            marks |= self._edge_marks(made, f"{c}.{i}", self.colors.of(i))
        note = "Layer 0 is the top. Dashed lines: the layers' fitted edges."
        return Plot(f"timing.layers.{c}", title, "half", made, columns, legend, note=note, marks=marks)

    def course(self, c: int, chamber: Chamber, name: str) -> Plot:
        """One of the course's histograms of a chamber."""
        title, x_label = COURSE_TITLES[name]
        left, _ = self.catalogue.course_histograms(self.catalogue.zeros(), c)[name]
        made = self._figure(x_label, "active cells" if name == "hist_2" else "hits", height=180)
        if name == "hist_2":
            made.xaxis.formatter = _prefixed()
        source = ColumnDataSource(_bins(left, left + COURSE_WIDTHS[name]), name="data")
        self._bars(made, source, self.colors.soft(c), x_label.partition(" [")[0])
        columns = {"y": f"course.{c}.{name}.{{period}}"}
        note = f"The course's bins begin at orbit {left[0]:,.0f}." if name == "hist_2" else ""
        text = f"{chamber.name}: {title[0].lower()}{title[1:]}"
        return Plot(f"course.{name}.{c}", text, "quarter", made, columns, note=note)


def time_ticker(ticks: int) -> Any:
    """Ticks of data time in seconds: on whole seconds, minutes, hours or days, about so many."""
    return AdaptiveTicker(
        base=100 * TIME_STEPS_S[-1], mantissas=TIME_STEPS_S, min_interval=1, desired_num_ticks=ticks, num_minor_ticks=0
    )


def _prefixed() -> Any:
    """A formatter whose ticks the page writes with metric prefixes, as 1.5 k or 2 M; Bokeh's own have none for it."""
    return BasicTickFormatter(name="prefixed")


def _bins(left: Floats, right: Floats) -> dict[str, Any]:
    label = [f"{low:.5g} to {high:.5g}" for low, high in zip(left, right, strict=True)]
    return {"left": left, "right": right, "label": label, "y": np.zeros(len(left))}


def _drift_tooltip(x: str, y: str) -> list[tuple[str, str]]:
    return [("ns", f"@{x}{{0.0}}"), ("hits", f"@{y}{{0,0}}")]
