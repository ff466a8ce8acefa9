"""Verdicts on crowds: so many hits at once that some were left out to bound the work."""

from __future__ import annotations

from collections.abc import Iterator

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.counting.muon_entries import GIVEN_UP, GIVEN_UP_KINDS, SEGMENTS
from muonstream.counting.pairs import MOST_IN_CELL
from muonstream.verdicts.findings import Finding, graded


def judge_crowding(catalogue: Catalogue, counts: Counts) -> Iterator[Finding]:
    """The verdicts on hits and choices that were given up, if any; counts: int64[size], of a stretch of data."""
    limits = catalogue.detector.thresholds.lost_words
    for c, chamber in enumerate(catalogue.detector.chambers):
        given_up = int(catalogue.view(counts, "pair_given_up")[c, 0])
        if given_up:
            share = given_up / (given_up + int(catalogue.cells_of(counts, "pair_hits", c).sum()))
            level, limit = graded(share, limits)
            reason = f"{share:.1%} of the hits were of cells with more than {MOST_IN_CELL} in an orbit: not compared"
            yield Finding("given up", chamber.name, level, reason, chamber.name, share, limit)
    if not catalogue.muon_shapes:
        return
    found = catalogue.view(counts, "muon_counts")
    given = dict(zip(GIVEN_UP_KINDS, found[GIVEN_UP:].tolist(), strict=True))
    hits = max(int(catalogue.chamber_hits(counts).sum()), 1)
    shares = [(given["hits"] + given["choices"]) / hits, given["segments"] / max(int(found[SEGMENTS]), 1)]
    if any(given.values()):
        share = min(max(shares), 1.0)
        level, limit = graded(share, limits)
        what = ", ".join(f"{n:,} {kind}" for kind, n in given.items() if n)
        reason = f"reconstruction gave up {what}: too many hits at once"
        yield Finding("given up", "Reconstruction", level, reason, "", share, limit)
