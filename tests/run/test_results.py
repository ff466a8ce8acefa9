from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
from layouts import WIDE
from test_intervals import ACCUMULATE, CATALOGUE, WORDS, frames_of, run

from muonstream.counting.catalogue import Catalogue
from muonstream.run.intervals import Interval
from muonstream.run.results import course_results


def test_results_have_the_courses_keys_and_add_up_to_the_run() -> None:
    found = run(WORDS, 11, [])
    objects: list[dict[str, Any]] = [
        json.loads(json.dumps(course_results(interval, CATALOGUE, run="run 7", unix_time=1.5), allow_nan=False))
        for interval in found
    ]
    one = objects[0]
    assert list(one) == ["Index", "Run", "Sequence", "Total Count", "Chamber_1", "Chamber_2", "Chamber_3", "Chamber_4"]
    assert (one["Index"], one["Run"], one["Sequence"]) == (1.5, "run 7", 1)
    assert list(one["Chamber_1"]) == ["Count", "Hist_1", "Hist_2", "Hist_3", "Hist_4"]
    assert one["Chamber_2"]["Hist_1"]["Bins"] == [5.0 * i for i in range(26)]
    assert one["Chamber_2"]["Hist_4"]["Bins"][-1] == 990.0
    whole = ACCUMULATE(frames_of(WORDS)).total
    assert sum(one["Total Count"] for one in objects) == int(CATALOGUE.chamber_hits(whole).sum())
    for c, chamber in enumerate(CATALOGUE.detector.chambers):
        of_chamber = [one[f"Chamber_{chamber.number}"] for one in objects]
        assert sum(one["Count"] for one in of_chamber) == int(CATALOGUE.chamber_hits(whole)[c])
        for name, (_, counts) in CATALOGUE.course_histograms(whole, c).items():
            added = np.sum([one[name.capitalize()]["Counts"] for one in of_chamber], axis=0)
            assert np.array_equal(added, counts)


@pytest.mark.parametrize("catalogue", [CATALOGUE, Catalogue(WIDE)], ids=["telescope", "wide"])
def test_an_interval_without_words_has_all_keys_and_zeros(catalogue: Catalogue) -> None:
    made = course_results(Interval(4, catalogue.zeros()), catalogue, run="", unix_time=0.0)
    assert (made.pop("Index"), made.pop("Run"), made.pop("Sequence"), made.pop("Total Count")) == (0.0, "", 4, 0)
    assert list(made) == [f"Chamber_{chamber.number}" for chamber in catalogue.detector.chambers]
    for chamber in made.values():
        assert chamber.pop("Count") == 0
        for histogram in chamber.values():
            assert len(histogram["Bins"]) == len(histogram["Counts"])
            assert not any(histogram["Counts"])


def test_every_hit_is_in_its_chambers_first_histogram() -> None:
    """Whatever the chambers' numbers and first channels are."""
    catalogue = Catalogue(WIDE)
    counts = catalogue.zeros()
    rng = np.random.default_rng(3)
    for c in range(2):
        catalogue.hits_per_cell(counts, c)[:] = rng.integers(0, 9, catalogue.detector.chambers[c].cells)
    made = course_results(Interval(1, counts), catalogue, run="r", unix_time=1.0)
    for c, name in enumerate(("Chamber_1", "Chamber_7")):
        hits = catalogue.hits_per_cell(counts, c)
        assert sum(made[name]["Hist_1"]["Counts"]) == made[name]["Count"] == hits.sum()
        first = WIDE.chambers[c].first_channel
        for left, n in zip(made[name]["Hist_1"]["Bins"], made[name]["Hist_1"]["Counts"], strict=True):
            assert n == sum(int(h) for cell, h in enumerate(hits) if left <= first + cell < left + 5)
    assert made["Total Count"] == made["Chamber_1"]["Count"] + made["Chamber_7"]["Count"]
