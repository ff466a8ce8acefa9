from __future__ import annotations

from typing import Any, get_args

import pytest
from bokeh.models import ColumnDataSource, DataRange1d
from bokeh.models.glyphs import Quad, Rect, Step
from bokeh.plotting import figure

from muonstream.dashboard.plots.chambers import TabName
from muonstream.dashboard.plots.model import Plot
from muonstream.dashboard.plots.muons import MuonPainter
from muonstream.dashboard.plots.overlay import RATIO_HEIGHT, RATIO_SHOWN, with_reference
from muonstream.dashboard.plots.themes import COLORS
from muonstream.detector.model import Detector

LIGHT = COLORS["light"]


def curves(*names: str, columns: dict[str, str] | None = None, counts: bool = True) -> Plot:
    """A plot of steps."""
    source = ColumnDataSource({"x": [0.0, 1.0, 2.0], **{name: [1.0, 2.0, 3.0] for name in names}})
    made = figure(height=200, x_range=DataRange1d())
    for name in names:
        made.step(x="x", y=name, source=source, mode="after", line_color="#0072B2")
    return Plot(
        "test.plot", "Test", "half", made, columns or {n: f"array.{n}" for n in names}, height=200, counts=counts
    )


def bars() -> Plot:
    source = ColumnDataSource({"left": [0.0], "right": [1.0], "y": [1.0]})
    made = figure(height=200)
    made.quad(left="left", right="right", top="y", bottom=0, source=source, fill_color="#0072B2")
    return Plot("test.bars", "Test", "half", made, {"y": "array"}, height=200)


def panels(plot: Plot) -> tuple[Any, Any]:
    """The plot and the panel below."""
    above, below = plot.model.children
    return above, below


@pytest.mark.parametrize("names", [("y",), ("y0", "y1", "y2")])
def test_every_curve_has_its_reference_and_its_ratio(names: tuple[str, ...]) -> None:
    plot = curves(*names)
    made = with_reference(plot, LIGHT)
    above, below = panels(made)
    assert above is plot.model
    assert made.compared == names
    assert made.height == plot.height + RATIO_HEIGHT
    assert [str(r.glyph.y) for r in above.renderers] == [*names, *(f"ref_{name}" for name in names)]
    assert [str(r.glyph.y) for r in below.renderers] == [f"ratio_{name}" for name in names]
    source = above.renderers[0].data_source
    for name in names:
        for new in (f"ref_{name}", f"ratio_{name}"):
            assert len(source.data[new]) == 3
    assert all(r.data_source is source for r in [*above.renderers, *below.renderers])


def test_both_panels_show_the_same_stretch_and_the_ratio_about_1() -> None:
    above, below = panels(with_reference(curves("y"), LIGHT))
    assert below.x_range is above.x_range
    assert (below.y_range.start, below.y_range.end) == RATIO_SHOWN == (0.0, 2.0)


def test_a_hidden_curve_hides_its_ratio() -> None:
    above, below = panels(with_reference(curves("y0", "y1"), LIGHT))
    for n in range(2):
        [linked] = above.renderers[n].js_property_callbacks["change:visible"]
        assert linked.args["other"] is below.renderers[n]


def test_bars_have_their_reference_as_lines() -> None:
    made = with_reference(bars(), LIGHT)
    above, below = panels(made)
    assert made.compared == ("y",)
    line, ratio = above.renderers[1].glyph, below.renderers[0].glyph
    assert [str(one) for one in (line.x0, line.x1, line.y0, line.y1)] == ["left", "right", "ref_y", "ref_y"]
    assert [str(one) for one in (ratio.x0, ratio.x1, ratio.y0, ratio.y1)] == ["left", "right", "ratio_y", "ratio_y"]


@pytest.mark.parametrize(
    "plot",
    [
        pytest.param(curves("y", counts=False), id="no counts"),
        pytest.param(curves("y", columns={"x": "time.rates", "y": "rates"}), id="against time"),
        pytest.param(curves(), id="nothing drawn"),
    ],
)
def test_what_no_reference_can_be_scaled_to_stays_as_it_is(plot: Plot) -> None:
    assert with_reference(plot, LIGHT) is plot


@pytest.mark.parametrize("tab", get_args(TabName))
def test_all_plots_of_the_page_have_an_overlay_or_stay(tab: TabName) -> None:
    plots = MuonPainter(Detector.default(), LIGHT, "linear").plots(tab)
    assert plots
    for plot in plots:
        print(plot.name)
        check_overlay(plot)


def check_overlay(plot: Plot) -> None:
    """It has the overlay that its kind has, or none."""
    kinds = {type(r.glyph) for r in plot.model.renderers}
    against_time = any(name.startswith("time.") for name in plot.columns.values())
    made = with_reference(plot, LIGHT)
    if not plot.counts or not kinds & {Rect, Quad, Step} or (against_time and Rect not in kinds):
        assert made is plot
        return
    above, below = panels(made)
    assert set(made.compared) <= set(plot.columns) | set(plot.per_second)
    assert made.height > plot.height
    for renderer in below.renderers:
        data = renderer.data_source.data
        for name in made.compared:
            assert len(data[f"ref_{name}"]) == len(data[f"ratio_{name}"]) == len(data[name])
    if Rect in kinds:
        assert made.compared == ("hits",)
        assert below.y_range is above.y_range
        [renderer] = below.renderers
        assert renderer.glyph.fill_color.field == "ratio_hits"
        transform = renderer.glyph.fill_color.transform
        assert transform.low * transform.high == 1.0
