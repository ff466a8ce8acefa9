"""The tabs: the plots of each, as the page gets them."""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import Any, Literal

from bokeh.embed import json_item

from muonstream.dashboard.message.message import detector_key
from muonstream.dashboard.plots.chambers import ScaleName, TabName
from muonstream.dashboard.plots.column_names import column_names
from muonstream.dashboard.plots.overlay import with_reference
from muonstream.dashboard.plots.themes import COLORS, ThemeName, bokeh_theme, paper_colors
from muonstream.dashboard.plots.timing import TimingPainter
from muonstream.detector.model import Detector

ReferenceName = Literal["off", "on"]


def plots_json(
    detector: Detector, tab: TabName, theme: ThemeName, scale: ScaleName, reference: ReferenceName = "off"
) -> dict[str, Any]:
    """The description of a tab's plots for a detector, as plain JSON types."""
    colors = COLORS[theme]
    bokeh = bokeh_theme(theme)
    made = [replace(plot, height=plot.model.height) for plot in TimingPainter(detector, colors, scale).plots(tab)]
    if reference == "on":
        made = [with_reference(plot, colors) for plot in made]
    return {
        "detector": detector_key(detector),
        "tab": tab,
        "theme": theme,
        "scale": scale,
        "reference": reference,
        "on_paper": paper_colors(theme),
        "chamber_colors": [colors.of(c) for c in range(len(detector.chambers))],
        "plots": [
            {
                "name": plot.name,
                "title": plot.title,
                "size": plot.size,
                "note": plot.note,
                "columns": dict(plot.columns),
                "names": column_names(plot),
                "by_period": any("{period}" in name for name in plot.columns.values()),
                "by_hits": any("{hits}" in name for name in plot.columns.values()),
                "legend": [asdict(entry) for entry in plot.legend],
                "marks": dict(plot.marks),
                "per_second": dict(plot.per_second),
                "compared": list(plot.compared),
                "height": plot.height,
                "item": json_item(plot.model, theme=bokeh),
            }
            for plot in made
        ],
    }
