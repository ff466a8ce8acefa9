"""A plot of the page: a Bokeh model, its place, and the arrays that fill it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Size = Literal["wide", "half", "map", "quarter"]


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A curve's name and colour, the name of the glyph that the legend shows and hides, and how the line is dashed."""

    label: str
    color: str
    glyph: str
    dash: str = "solid"


@dataclass(frozen=True, slots=True)
class Plot:
    """A figure, where it stands on the page, and which arrays of the message fill the columns of its source.

    columns: array name by column; `{period}` in it stands for run or recent, `{hits}` for hits or scintillator
    marks: vertical lines by the name of their model, each with the array (one number, NaN: none) that says where it is
    per_second: columns that are filled with another one divided by the live seconds
    counts: whether it shows counts, which a reference can be scaled to
    compared: columns that the reference is shown with; height: of the model, in pixels
    """

    name: str
    title: str
    size: Size
    model: Any
    columns: Mapping[str, str]
    legend: tuple[LegendEntry, ...] = ()
    note: str = ""
    marks: Mapping[str, str] = field(default_factory=dict)
    per_second: Mapping[str, str] = field(default_factory=dict)
    compared: tuple[str, ...] = ()
    height: int = 230
    counts: bool = True
