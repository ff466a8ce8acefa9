"""The plots of times and of patterns that reconstruction adds: TDC codes, delays, decays, coincidences, bundles."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from bokeh.models import ColumnDataSource, DataRange1d, FixedTicker, HoverTool, Range1d
from bokeh.models.annotations import Span

from muonstream.counting.muon_entries import APART_BINS, APART_MM, AT_ONCE, DELAY_BINS, DELAY_NS
from muonstream.dashboard.message.delays import chamber_pairs, side_names
from muonstream.dashboard.plots.chambers import TabName
from muonstream.dashboard.plots.model import LegendEntry, Plot
from muonstream.dashboard.plots.muons import MARKERS, MuonPainter, bars_of
from muonstream.words import TDC_PER_BX


class TimingPainter(MuonPainter):
    """Makes these figures too."""

    __slots__ = ()

    def plots(self, tab: TabName) -> Iterator[Plot]:
        """The plots of a tab, in the order of the page."""
        if tab == "timing":
            # those of layers last: without passage times they are empty
            drift: list[Plot] = []
            layers: list[Plot] = []
            for plot in super().plots(tab):
                (layers if plot.name.startswith("timing.layers") else drift).append(plot)
            yield from drift
            yield self.codes()
            yield self.gaps()
            yield self.decays()
            yield self.coincidences()
            if self.detector.triggers:
                yield self.triggers()
            yield from layers
            return
        yield from super().plots(tab)
        if tab == "muons":
            yield self.by_side()
            yield self.at_once()
            yield self.apart()

    def codes(self) -> Plot:
        """TDC codes of each board's hits, as deviations from their mean."""
        boards = self.detector.boards
        made = self._figure(
            "TDC code", "deviation from mean [%]", x_range=Range1d(start=0.5, end=TDC_PER_BX + 0.5),
            y_range=DataRange1d(range_padding=0.2),
        )  # fmt: skip
        made.add_layout(Span(location=0, dimension="width", line_color=self.colors.faint, line_dash="dotted"))
        codes = np.arange(1, TDC_PER_BX + 1)
        data = {"x": codes, **{f"y{b}": np.zeros(len(codes)) for b in range(len(boards))}}
        legend = self._curves(
            made,
            ColumnDataSource(data, name="data"),
            [(f"Board {board}", "x", f"y{b}", self.colors.of(b)) for b, board in enumerate(boards)],
            lambda x, y: [("code", f"@{x}"), ("%", f"@{y}{{0.0}}")],
        )
        columns = {f"y{b}": f"muon.codes.{b}.{{period}}" for b in range(len(boards))}
        note = "Differential non-linearity: a step of the TDC that is 1 % wider has 1 % more hits."
        return Plot("timing.codes", "TDC codes by board", "half", made, columns, legend, note=note, counts=False)

    def gaps(self) -> Plot:
        """Times between hits of a chamber."""
        edges_us = np.arange(DELAY_BINS + 1) * (DELAY_NS / 1000)
        log = replace(self, scale="log")
        made = log._figure("time between hits [us]", "pairs of hits", x_range=Range1d(start=0, end=edges_us[-1]))
        centres_us = (edges_us[:-1] + edges_us[1:]) / 2
        columns, legend = log._each_chamber(
            made, "gap", centres_us, lambda x, y: [("us", f"@{x}{{0.00}}"), ("pairs", f"@{y}{{0,0}}")]
        )
        note = "Of one chamber and orbit; the earlier hit has 20 us of its orbit left."
        return Plot("timing.gap", "Time between hits", "half", made, columns, legend, note=note)

    def decays(self) -> Plot:
        """Times from segments to later groups of hits."""
        edges_us = np.arange(DELAY_BINS + 1) * (DELAY_NS / 1000)
        made = self._figure("time after the segment [us]", "groups of hits", x_range=Range1d(start=0, end=edges_us[-1]))
        data = bars_of(edges_us, "{:.1f} to {:.1f}")
        data |= {"x": (edges_us[:-1] + edges_us[1:]) / 2, "fit": np.full(DELAY_BINS, np.nan)}
        source = ColumnDataSource(data, name="data")
        self._bars(made, source, self.colors.soft(0), "us")
        made.line(x="x", y="fit", source=source, color=self.colors.of(1), line_width=2, name="glyph.fit")
        legend = (
            LegendEntry("Hits in two layers or more within 500 ns", self.colors.of(0), "glyph.y"),
            LegendEntry("Fit: exponential and constant", self.colors.of(1), "glyph.fit"),
        )
        columns = {"y": "muon.decay.{period}", "fit": "muon.fit_decay.{period}"}
        note = "In the segment's chamber, all chambers together. Before 1.5 us afterpulses are among them."
        return Plot("timing.decay", "Hits after a segment: decays", "half", made, columns, legend, note=note)

    def coincidences(self) -> Plot:
        """Pairs of segments at one time, by chambers."""
        names = [name for _, _, name in chamber_pairs(self.detector)]
        note = "A chamber with itself: muons side by side, or a shower."
        return self._named_bars(
            "timing.coincidences", "Coincidences of chambers", ("chambers", "pairs"), names, "coincidences", note
        )

    def triggers(self) -> Plot:
        """Trigger words against segments."""
        note = "Of all segments of an orbit with a trigger word."
        return self._by_chamber(
            "trigger", "trigger_late", "Trigger words against segments", "trigger minus t0 [ns]", "segments",
            note=note, tab="timing",
        )  # fmt: skip

    def by_side(self) -> Plot:
        """RMS of misfits by the sides of the wires that segments passed."""
        named = [(c, chamber) for c, chamber in enumerate(self.detector.chambers) if side_names(chamber)]
        names = max((side_names(chamber) for _, chamber in named), key=len, default=[])
        at = np.arange(len(names), dtype=np.float64)
        made = self._figure("sides, from the top", "RMS of misfits [um]", y_range=DataRange1d(range_padding=0.2))
        self._name_ticks(made, names)
        source = ColumnDataSource(
            {"x": at, **{f"y{c}": np.zeros(len(at)) for c, _ in named}, "label": names}, name="data"
        )
        legend = []
        for c, chamber in named:
            color = self.colors.of(c)
            points = made.scatter(
                x="x", y=f"y{c}", source=source, color=color, size=7, marker=MARKERS[c % len(MARKERS)],
                name=f"glyph.y{c}",
            )  # fmt: skip
            tooltips = [("", chamber.name), ("sides", "@label"), ("um", f"@y{c}{{0}}")]
            made.add_tools(HoverTool(renderers=[points], tooltips=tooltips, visible=False))
            legend.append(LegendEntry(chamber.name, color, f"glyph.y{c}"))
        columns = {f"y{c}": f"muon.by_side.{c}.{{period}}" for c, _ in named}
        note = "Up to 2 mm, wrong hits included; with 30 segments or more. L: left of the wire, R: right of it."
        title = "Resolution by sides"
        return Plot("muons.by_side", title, "half", made, columns, tuple(legend), note=note, counts=False)

    def at_once(self) -> Plot:
        """Segments of a chamber at one time."""
        log = replace(self, scale="log")
        n = np.arange(1, AT_ONCE)
        made = log._figure("segments within 25 ns", "times", x_range=Range1d(start=0.5, end=AT_ONCE - 0.5))
        columns, legend = log._each_chamber(
            made, "at_once", n, lambda x, y: [("segments", f"@{x}"), ("times", f"@{y}{{0,0}}")]
        )
        note = "Several: muons of one air shower, or a shower in the material above."
        return Plot("muons.at_once", "Segments at one time", "half", made, columns, legend, note=note)

    def apart(self) -> Plot:
        """Distances of parallel segments."""
        edges = np.arange(APART_BINS + 1) * APART_MM
        made = self._figure("distance [mm]", "pairs of segments", x_range=Range1d(start=0, end=edges[-1]))
        data = bars_of(edges, "{:.0f} to {:.0f}")
        self._bars(made, ColumnDataSource(data, name="data"), self.colors.soft(0), "mm")
        note = "Of one chamber, within 25 ns, slopes within 0.1; all chambers together."
        columns = {"y": "muon.apart.{period}"}
        return Plot("muons.apart", "Distance of parallel muons", "half", made, columns, note=note)

    def _named_bars(
        self, name: str, title: str, labels: tuple[str, str], names: Sequence[str], array: str, note: str
    ) -> Plot:
        """Bars that have names instead of numbers; labels: of x and of y."""
        at = np.arange(len(names), dtype=np.float64)
        made = self._figure(*labels, x_range=Range1d(start=-0.6, end=len(names) - 0.4))
        self._name_ticks(made, names)
        data = {"left": at - 0.4, "right": at + 0.4, "label": list(names), "y": np.zeros(len(at))}
        self._bars(made, ColumnDataSource(data, name="data"), self.colors.soft(0), labels[0])
        return Plot(name, title, "half", made, {"y": f"muon.{array}.{{period}}"}, note=note)

    @staticmethod
    def _name_ticks(made: Any, names: Sequence[str]) -> None:
        made.xaxis.ticker = FixedTicker(ticks=list(range(len(names))))
        made.xaxis.major_label_overrides = dict(enumerate(names))
        made.xaxis.major_label_orientation = "horizontal" if len(names) <= 10 else 0.9
