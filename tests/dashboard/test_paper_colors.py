"""Colours of the dark theme become those of the light one on paper, in every plot."""

from __future__ import annotations

import json
import re
from typing import Any, get_args

import pytest

from muonstream.dashboard.archived.plots import PLOTS, runs_plot
from muonstream.dashboard.plots.chambers import ScaleName, TabName
from muonstream.dashboard.plots.tabs import plots_json
from muonstream.dashboard.plots.themes import ThemeName
from muonstream.detector.model import Detector


def as_printed(description: dict[str, Any]) -> str:
    """A description in the colours that it has on paper, as the page makes them; models are numbered as they come."""
    colors: dict[str, str] = description.get("on_paper", {})
    kept = {key: value for key, value in description.items() if key not in ("on_paper", "theme")}
    text = re.sub("#[0-9A-Fa-f]{6}", lambda found: colors.get(found[0], found[0]), json.dumps(kept))
    numbers: dict[str, str] = {}
    return re.sub(r'"(?:p\d+|[0-9a-f-]{36})"', lambda found: numbers.setdefault(found[0], f'"{len(numbers)}"'), text)


@pytest.mark.parametrize(("tab", "scale"), [*((tab, "linear") for tab in get_args(TabName)), ("occupancy", "log")])
def test_a_views_plots_are_printed_in_the_light_themes_colours(tab: TabName, scale: ScaleName) -> None:
    def described(theme: ThemeName) -> dict[str, Any]:
        return plots_json(Detector.default(), tab, theme, scale, "on")

    dark, light = described("dark"), described("light")
    assert light["on_paper"] == {}
    assert as_printed(dark | {"on_paper": {}}) != as_printed(light)
    assert as_printed(dark) == as_printed(light)


@pytest.mark.parametrize("name", PLOTS)
def test_plots_of_archived_runs_are_printed_in_the_light_themes_colours(name: str) -> None:
    assert as_printed(runs_plot(name, "dark", 8)) == as_printed(runs_plot(name, "light", 8))
