"""The names of a plot's columns in a CSV file: quantity, curve and unit."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

from bokeh.models import ColumnDataSource
from bokeh.models.glyphs import Rect

from muonstream.dashboard.plots.model import Plot

FIXED: Final = {
    "cell": "cell",
    "layer": "layer",
    "wire": "wire",
    "channel": "channel",
    "hits": "hits",
    "hz": "rate [Hz]",
    "share": "efficiency",
    "low": "efficiency, lower limit",
    "high": "efficiency, upper limit",
    "crossed": "segments that crossed",
}
"""Columns that are the same wherever they are."""
LEFT_OUT: Final = re.compile(r"label|middle")
"""Columns whose numbers are in other columns."""


def column_names(plot: Plot) -> dict[str, str]:
    """Names of the columns of a plot's source by column, in the order of the file; those left out have none."""
    figure = getattr(plot.model, "children", [plot.model])[0]
    source: ColumnDataSource = figure.select_one({"type": ColumnDataSource, "name": "data"})
    x_label, y_label = (str(axis[0].axis_label) for axis in (figure.xaxis, figure.yaxis))
    x_label = x_label.replace("[h:mm:ss]", "[s]")
    labels = {entry.glyph.removeprefix("glyph."): entry.label for entry in plot.legend}
    is_map = any(isinstance(renderer.glyph, Rect) for renderer in figure.renderers)
    named = dict(_named([str(name) for name in source.data], x_label, y_label, labels, is_map))
    # the position of each row comes first
    return dict(
        sorted(named.items(), key=lambda item: not re.match(r"cell|layer|wire|channel|x|n$|left|right", item[0]))
    )


def _named(
    columns: list[str], x_label: str, y_label: str, labels: dict[str, str], is_map: bool
) -> Iterator[tuple[str, str]]:
    for column in columns:
        if LEFT_OUT.fullmatch(column) or (is_map and column == "y"):
            continue
        if "cell" in columns and column in ("left", "right"):  # of a bar, which is a little narrower than the cell
            continue
        kind, of = _parted(column)
        text = _plain(of, x_label, y_label, labels)
        yield column, f"{kind}{text}"


def _parted(column: str) -> tuple[str, str]:
    for prefix, kind in (
        ("ref_", "reference, scaled: "),
        ("ratio_", "ratio to the reference: "),
        ("fit_", "fit: "),
    ):
        if column.startswith(prefix):
            return kind, column.removeprefix(prefix)
    return "", column


def _plain(column: str, x_label: str, y_label: str, labels: dict[str, str]) -> str:
    if column in FIXED:
        return FIXED[column]
    if column == "n":
        return x_label
    if column in labels:
        return f"{labels[column]}: {y_label}"
    match = re.fullmatch(r"([a-z]+)(\d*)", column)
    if match is None:
        raise ValueError(f"column {column!r} of a plot has no name")
    kind, number = match.groups()
    curve = f"{labels[f'y{number}']}: " if f"y{number}" in labels and number else ""
    texts: dict[str, Any] = {
        "x": f"{curve}{x_label}",
        "left": f"{curve}{x_label}, from",
        "right": f"{curve}{x_label}, to",
        "y": f"{curve}{y_label}",
        "low": f"{curve}{y_label}, lower end of the error",
        "high": f"{curve}{y_label}, upper end of the error",
        "error": f"{curve}error of {y_label}",
    }
    if kind not in texts:
        raise ValueError(f"column {column!r} of a plot has no name")
    return str(texts[kind])
