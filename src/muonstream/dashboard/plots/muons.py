"""The plots of muons: segments, tracks, zenith angle, residuals, efficiency, t0 and drift velocity."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
from bokeh.models import (
    ColumnDataSource,
    DataRange1d,
    FixedTicker,
    HoverTool,
    LinearColorMapper,
    NumeralTickFormatter,
    Range1d,
)
from bokeh.models.annotations import ColorBar, Span
from bokeh.palettes import Viridis256
from numpy.typing import NDArray

from muonstream.counting.catalogue import Axis, Catalogue
from muonstream.counting.muon_entries import TAN_BINS, TAN_STEP
from muonstream.dashboard.plots.chambers import COLOR_BAR_PX, NOTHING, Painter, TabName, time_ticker
from muonstream.dashboard.plots.model import LegendEntry, Plot
from muonstream.detector.geometry import VIEWS
from muonstream.detector.model import Chamber, Detector

LOWEST_SHARE: Final = 0.7
"""The efficiency at which the maps' colours begin."""


class MuonPainter(Painter):
    """Makes the muons' figures too."""

    __slots__ = ()

    def plots(self, tab: TabName) -> Iterator[Plot]:
        """The plots of a tab, in the order of the page."""
        if tab != "muons":
            yield from super().plots(tab)
            return
        chambers = list(enumerate(self.detector.chambers))
        yield self.segment_rates()
        yield self.track_rates()
        yield self.zenith()
        yield self.azimuth()
        yield self._by_chamber("tan", "segment_tan", "Slope of segments", "slope, across over down", "segments")
        yield self._by_chamber(
            "chi2", "segment_chi2", "chi2 of segments", "chi2 (one degree of freedom)", "segments",
            note="Segments with a hit in each layer.",
        )  # fmt: skip
        yield self.hits()
        yield from (self.residuals(c, chamber) for c, chamber in chambers)
        yield self._misfit()
        yield self.by_slope()
        yield self.away()
        yield self.relation()
        yield self._by_chamber(
            "timer", "mean_timer", "Mean-timers", "(first + third) / 2 + second drift time [ns]", "segments",
            note="The longest drift time, if a track passes three layers on alternating sides, whatever its slope.",
        )  # fmt: skip
        yield from (self.efficiency(c, chamber) for c, chamber in chambers)
        yield self._by_chamber(
            "t0", "t0_passage", "t0 minus passage time", "difference [ns]", "segments",
            note="t0 of segments with a hit in each layer, minus the scintillator's time.",
        )  # fmt: skip
        yield self._by_chamber(
            "between", "t0_between", "t0 minus t0 in the view's first chamber", "difference [ns]", "segments",
            note="Of segments of one track, with a hit in each layer.",
        )  # fmt: skip
        yield self.velocity()

    def segment_rates(self) -> Plot:
        """Segments of each chamber against data time."""
        arrays = {f"y{c}": f"time.segments.{c}" for c in range(len(self.detector.chambers))}
        return self._in_time("muons.segments", "muons", "Segments", "half", "segments/s [Hz]", arrays)

    def track_rates(self) -> Plot:
        """Tracks of each view and muons with both against data time."""
        views = [v for v, view in enumerate(VIEWS) if any(chamber.view == view for chamber in self.detector.chambers)]
        curves = [(f"Tracks, view {VIEWS[v]}", "x", f"y{v}", self.colors.of(v)) for v in views]
        arrays = {f"y{v}": f"time.tracks.{v}" for v in views}
        if len(views) > 1:
            curves.append(("Muons, both views", "x", "both", self.colors.text))
            arrays["both"] = "time.muons"
        return self._in_time("muons.tracks", "muons", "Tracks", "half", "tracks/s [Hz]", arrays, curves=curves)

    def zenith(self) -> Plot:
        """Zenith angles of muons, and what is expected."""
        note = "Expected: cos2 of the angle, folded with the telescope's acceptance."
        columns = {"y": "muon.zenith.{period}", "expected": "muon.expected.{period}"}
        return self._angle("zenith", "Zenith angle", "zenith angle [degrees]", columns, note)

    def azimuth(self) -> Plot:
        """Azimuth angles of muons, and what is expected."""
        note = "Expected: the same from all directions, folded with the telescope's acceptance."
        columns = {"y": "muon.azimuth.{period}", "expected": "muon.expected_azimuth.{period}"}
        return self._angle("azimuth", "Azimuth", "azimuth, from x towards y [degrees]", columns, note)

    def _angle(self, name: str, title: str, label: str, columns: dict[str, str], note: str) -> Plot:
        """An angle of muons as bars, and what is expected as a line."""
        axis = _axes(self.detector)[name]
        made = self._figure(label, "muons", x_range=Range1d(start=0, end=axis.edges[-1]))
        data = {**bars_of(axis.edges, "{:.0f} to {:.0f}"), "middle": axis.centres, "expected": np.zeros(axis.bins)}
        source = ColumnDataSource(data, name="data")
        self._bars(made, source, self.colors.soft(0), "degrees")
        made.line(x="middle", y="expected", source=source, color=self.colors.of(1), line_width=2, name="glyph.expected")
        legend = (
            LegendEntry("Muons with a track in both views", self.colors.of(0), "glyph.y"),
            LegendEntry("Expected, scaled to the same number", self.colors.of(1), "glyph.expected"),
        )
        return Plot(f"muons.{name}", title, "half", made, columns, legend, note=note)

    def _each_chamber(
        self, made: Any, short: str, x: NDArray[Any], tooltip: Callable[[str, str], list[tuple[str, str]]]
    ) -> tuple[dict[str, str], tuple[LegendEntry, ...]]:
        """Draw a curve for each chamber over x (number[n]); give the columns with their data, and the legend."""
        chambers = range(len(self.detector.chambers))
        data = {"x": x, **{f"y{c}": np.zeros(len(x)) for c in chambers}}
        legend = self._curves(made, ColumnDataSource(data, name="data"), self._chamber_curves(), tooltip)
        return {f"y{c}": f"muon.{short}.{c}.{{period}}" for c in chambers}, legend

    def _values(self, short: str, title: str, x: Axis, labels: tuple[str, str], note: str) -> Plot:
        """A value by chamber, not a count, as curves; labels: of x and of y."""
        y_range = DataRange1d(range_padding=0.2)
        made = self._figure(*labels, x_range=Range1d(start=x.edges[0], end=x.edges[-1]), y_range=y_range)
        names = [label.partition(" [")[0] for label in labels]
        columns, legend = self._each_chamber(
            made, short, x.centres, lambda x, y: [(names[0], f"@{x}{{0.00}}"), (names[1], f"@{y}{{0.0}}")]
        )
        return Plot(f"muons.{short}", title, "half", made, columns, legend, note=note, counts=False)

    def relation(self) -> Plot:
        """The relation of distance and drift time, less a straight one."""
        axis = _axes(self.detector)["drift_count"]
        note = "Mean distance of segments from wires, minus velocity times time; each fit includes the hit itself."
        labels = ("drift time [ns]", "distance - v t [um]")
        return self._values("relation", "Distance against drift time", axis, labels, note)

    def by_slope(self) -> Plot:
        """The width of misfits by slope."""
        axis = Axis("slope", "", TAN_BINS, 0.0, TAN_STEP)
        note = "From the median of misfits, where there are 30 segments or more; the last point has all steeper ones."
        labels = ("absolute slope", "width of misfits [um]")
        return self._values("by_tan", "Resolution by slope", axis, labels, note)

    def _by_chamber(
        self, short: str, entry: str, title: str, x_label: str, y_label: str, note: str = "", tab: TabName = "muons"
    ) -> Plot:
        """A histogram of each chamber, as curves."""
        axis = _axes(self.detector)[entry]
        made = self._figure(x_label, y_label, x_range=Range1d(start=axis.edges[0], end=axis.edges[-1]))
        columns, legend = self._each_chamber(
            made,
            short,
            axis.centres,
            lambda x, y: [(x_label.partition(" [")[0], f"@{x}{{0.00}}"), (y_label, f"@{y}{{0,0}}")],
        )
        return Plot(f"{tab}.{short}", title, "half", made, columns, legend, note=note)

    def hits(self) -> Plot:
        """Number of hits of segments, chamber beside chamber."""
        chambers = self.detector.chambers
        n = np.arange(_axes(self.detector)["segment_hits"].bins, dtype=np.float64)
        most = max(chamber.layers for chamber in chambers)
        made = self._figure("hits of the segment", "segments", x_range=Range1d(start=1.5, end=most + 0.5))
        made.xaxis.ticker = FixedTicker(ticks=list(range(2, most + 1)))
        width = 0.84 / len(chambers)
        data: dict[str, Any] = {"n": n}
        for c in range(len(chambers)):
            data[f"left{c}"] = n - 0.42 + c * width
            data[f"right{c}"] = n - 0.42 + (c + 0.92) * width
            data[f"y{c}"] = np.zeros(len(n))
        source = ColumnDataSource(data, name="data")
        legend = []
        for c, chamber in enumerate(chambers):
            bars = made.quad(
                left=f"left{c}",
                right=f"right{c}",
                top=f"y{c}",
                bottom=0.0 if self.scale == "linear" else 1e-3,
                source=source,
                fill_color=self.colors.soft(c),
                line_color=self.colors.of(c),
                name=f"glyph.y{c}",
            )
            tooltips = [("", chamber.name), ("hits", "@n"), ("segments", f"@y{c}{{0,0}}")]
            made.add_tools(HoverTool(renderers=[bars], tooltips=tooltips, visible=False))
            legend.append(LegendEntry(chamber.name, self.colors.of(c), f"glyph.y{c}"))
        columns = {f"y{c}": f"muon.hits.{c}.{{period}}" for c in range(len(chambers))}
        return Plot("muons.hits", "Hits of segments", "half", made, columns, tuple(legend))

    def residuals(self, c: int, chamber: Chamber) -> Plot:
        """Residuals of a chamber, biased and unbiased, with the peaks fitted to them."""
        axis = _axes(self.detector)["residual_biased"]
        made = self._figure("residual [mm]", "hits", x_range=Range1d(start=-1.5, end=1.5))
        data = {**bars_of(axis.edges, "{:.2f} to {:.2f}"), "x": axis.centres}
        data |= {name: np.zeros(axis.bins) for name in ("unbiased", "fit_y", "fit_unbiased")}
        source = ColumnDataSource(data, name="data")
        self._bars(made, source, self.colors.soft(c), "mm")
        other = self.colors.of(c + 1)
        self._curves(
            made,
            source,
            [("Unbiased", "x", "unbiased", other)],
            lambda x, y: [("mm", f"@{x}{{0.00}}"), ("hits", f"@{y}{{0,0}}")],
        )
        for of, color in (("y", self.colors.text), ("unbiased", self.colors.faint)):
            line = made.line(x="x", y=f"fit_{of}", source=source, color=color, line_width=1.8, line_dash="dashed")
            made.select_one({"name": f"glyph.{of}"}).js_link("visible", line, "visible")
        legend = (
            LegendEntry("Biased: hit minus its own segment", self.colors.of(c), "glyph.y"),
            LegendEntry("Unbiased: hit minus the segment of the other hits", other, "glyph.unbiased"),
        )
        columns = {"y": "biased", "unbiased": "unbiased", "fit_y": "fit_biased", "fit_unbiased": "fit_unbiased"}
        named = {column: f"muon.{name}.{c}.{{period}}" for column, name in columns.items()}
        note = "Dashed: a normal distribution plus a constant, fitted to all: core and tail."
        return Plot(f"muons.residual.{c}", f"{chamber.name}: residuals", "half", made, named, legend, note=note)

    def _misfit(self) -> Plot:
        """Misfits of the chambers' segments, as wide as the resolution of a hit."""
        note = "The core is as wide as a hit's error, for every pattern of sides; the tail is made of wrong hits."
        return self._by_chamber("misfit", "misfit", "Resolution of a hit", "misfit [mm]", "segments", note=note)

    def away(self) -> Plot:
        """Mean residual away from the wire against distance from it."""
        chambers = range(len(self.detector.chambers))
        axis = _axes(self.detector)["residual_count"]
        made = self._figure(
            "distance from the wire [mm]",
            "residual [um]",
            x_range=Range1d(start=0, end=axis.edges[-1] - 1),
            y_range=DataRange1d(range_padding=0.2),
        )
        made.add_layout(Span(location=0, dimension="width", line_color=self.colors.faint, line_dash="dotted"))
        data: dict[str, Any] = {"x": axis.start + (np.arange(axis.bins) + 0.5) * axis.step}
        data |= {f"{kind}{c}": np.zeros(axis.bins) for kind in ("y", "error") for c in chambers}
        legend = self._curves(
            made,
            ColumnDataSource(data, name="data"),
            self._chamber_curves(),
            lambda x, y: [
                ("mm", f"@{x}{{0.0}}"),
                ("um", f"@{y}{{0.0}} ± @{y.replace('y', 'error')}{{0.0}}"),
            ],
        )
        columns = {f"y{c}": f"muon.away.{c}.{{period}}" for c in chambers}
        columns |= {f"error{c}": f"muon.error.{c}.{{period}}" for c in chambers}
        note = "Mean of biased residuals, positive away from the wire; only where there are 30 hits or more."
        title = "Residual against distance"
        return Plot("muons.away", title, "half", made, columns, legend, note=note, counts=False)

    def efficiency(self, c: int, chamber: Chamber) -> Plot:
        """Efficiency of a chamber's cells, each where its wire is."""
        layer, n = chamber.layer_of_cell(), np.arange(chamber.cells)
        data: dict[str, Any] = {
            "x": chamber.wire_x_mm(),
            "y": -layer.astype(np.float64),
            "cell": n,
            "layer": layer,
            **{name: np.full(chamber.cells, np.nan) for name in ("share", "low", "high", "crossed")},
        }
        y_range = Range1d(start=0.4 - chamber.layers, end=0.6)
        made = self._figure("wire position [mm]", "layer", height=170, y_range=y_range)
        made.yaxis[0].ticker = FixedTicker(ticks=[-i for i in range(chamber.layers)])
        made.yaxis[0].formatter = NumeralTickFormatter(format="0")
        made.yaxis[0].major_label_overrides = {-i: str(i) for i in range(chamber.layers)}
        made.ygrid.visible = False
        mapper = LinearColorMapper(palette=Viridis256, low=LOWEST_SHARE, high=1.0, nan_color=self.colors.empty_cell)
        glyph = made.rect(
            x="x",
            y="y",
            width=chamber.cell_width_mm,
            height=0.94,
            source=ColumnDataSource(data, name="data"),
            fill_color={"field": "share", "transform": mapper},
            line_color=self.colors.background,
            line_width=1,
        )
        tooltips = [
            ("cell, layer", "@cell, @layer"),
            ("efficiency", "@share{0.0 %} (@low{0.0 %} to @high{0.0 %})"),
            ("segments that crossed it", "@crossed{0,0}"),
        ]
        made.add_tools(HoverTool(renderers=[glyph], tooltips=tooltips, visible=False))
        bar = ColorBar(color_mapper=mapper, width=10, padding=4, formatter=NumeralTickFormatter(format="0 %"))
        made.add_layout(bar, "right")
        made.min_border_right = COLOR_BAR_PX
        names = {"share": "efficiency", "low": "low", "high": "high", "crossed": "crossed"}
        columns = {column: f"muon.{name}.{c}.{{period}}" for column, name in names.items()}
        note = "Grey: fewer than ten segments crossed the cell."
        if chamber.dead_cells:
            dead = list(chamber.dead_cells)
            made.scatter(
                x=chamber.wire_x_mm()[dead], y=-layer[dead].astype(float), marker="x", color=self.colors.faint, size=8
            )
            note += f" Crosses: {len(dead)} cells known to be dead."
        title = f"{chamber.name}: efficiency of cells"
        return Plot(f"muons.efficiency.{c}", title, "half", made, columns, note=note, counts=False)

    def velocity(self) -> Plot:
        """Drift velocity of each chamber against data time, with errors."""
        chambers = self.detector.chambers
        made = self._figure("data time [h:mm:ss]", "drift velocity [um/ns]", y_range=DataRange1d(range_padding=0.2))
        made.xaxis.formatter = NumeralTickFormatter(format="00:00:00")
        made.xaxis.ticker = time_ticker(8)
        for value in sorted({chamber.drift_velocity_um_per_ns for chamber in chambers}):
            line = Span(location=value, dimension="width", line_color=self.colors.faint, line_dash="dotted")
            made.add_layout(line)
        names = [f"{kind}{c}" for c in range(len(chambers)) for kind in ("y", "low", "high")]
        source = ColumnDataSource(dict.fromkeys(("x", *names), NOTHING), name="data")
        legend = []
        for c, chamber in enumerate(chambers):
            color = self.colors.of(c)
            style: dict[str, Any] = {"source": source, "color": color, "x": "x", "y": f"y{c}"}
            points = made.scatter(size=6, marker=MARKERS[c % len(MARKERS)], name=f"glyph.y{c}", **style)
            others = [
                made.line(line_width=1, line_alpha=0.6, **style),
                made.segment(x0="x", x1="x", y0=f"low{c}", y1=f"high{c}", source=source, color=color, line_width=1.4),
            ]
            for other in others:
                points.js_link("visible", other, "visible")
            tooltips = [
                ("", chamber.name),
                ("at", "@x{00:00:00}"),
                ("um/ns", f"@y{c}{{0.00}} (@low{c}{{0.00}} to @high{c}{{0.00}})"),
            ]
            made.add_tools(HoverTool(renderers=[points], tooltips=tooltips, visible=False))
            legend.append(LegendEntry(chamber.name, color, f"glyph.y{c}"))
        columns = {"x": "velocity.s"}
        for c in range(len(chambers)):
            columns |= {f"y{c}": f"velocity.{c}", f"low{c}": f"velocity.low.{c}", f"high{c}": f"velocity.high.{c}"}
        note = "From segments with a hit in each layer, over 30 s or more. Dotted: the value in the detector file."
        return Plot(
            "muons.velocity", "Drift velocity", "wide", made, columns, tuple(legend), note=note, counts=False
        )  # fmt: skip


MARKERS: Final = ("circle", "square", "triangle", "diamond", "inverted_triangle", "hex")


@lru_cache(maxsize=8)
def _axes(detector: Detector) -> dict[str, Axis]:
    """The axes of the muons' part of a detector's catalogue, by name."""
    return {name: entry.axis for name, entry in Catalogue(detector, muons=True).entries.items()}


def bars_of(edges: Any, text: str) -> dict[str, Any]:
    """Columns of bars between edges, with a label each."""
    label = [text.format(low, high) for low, high in pairwise(edges)]
    return {"left": edges[:-1], "right": edges[1:], "label": label, "y": np.zeros(len(label))}
