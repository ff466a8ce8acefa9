"""The course's results: one object an interval, with the course's keys, bins and four histograms a chamber."""

from __future__ import annotations

from typing import Any

from muonstream.counting.catalogue import Catalogue
from muonstream.run.intervals import Interval


def course_results(interval: Interval, catalogue: Catalogue, *, run: str, unix_time: float) -> dict[str, Any]:
    """An interval as plain types.

    Index (unix time), Run, Sequence, Total Count (hits of all chambers), and Chamber_N with Count and Hist_1 to Hist_4,
    each with Bins (left edges) and Counts: TDC channel, active cells by orbit, TDC channel with scintillator, drift
    time in ns. A consumer that drops repeated Run and Sequence counts nothing twice.
    """
    counts = interval.counts
    chambers = catalogue.chamber_hits(counts).tolist()
    out: dict[str, Any] = {
        "Index": unix_time,
        "Run": run,
        "Sequence": interval.sequence,
        "Total Count": sum(chambers),
    }
    for index, (chamber, hits) in enumerate(zip(catalogue.detector.chambers, chambers, strict=True)):
        histograms = catalogue.course_histograms(counts, index)
        out[f"Chamber_{chamber.number}"] = {
            "Count": hits,
            **{
                name.capitalize(): {"Bins": bins.tolist(), "Counts": values.tolist()}
                for name, (bins, values) in histograms.items()
            },
        }
    return out
