"""The quantities of a run: its numbers with unit and error, as a table of runs and a trend need them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from muonstream.detector.level import Level
from muonstream.run.monitor import Snapshot
from muonstream.run.muon_summary import muon_summary
from muonstream.verdicts.timebox import fit_time_box


@dataclass(frozen=True, slots=True)
class Quantity:
    """A number of a run.

    subject: the chamber by its name, "" for the detector; error: one standard deviation, None where none is known
    """

    name: str
    value: float
    unit: str = ""
    error: float | None = None
    subject: str = ""

    @property
    def key(self) -> tuple[str, str]:
        """Its key in all runs: name and subject."""
        return self.name, self.subject

    def as_plain(self) -> dict[str, object]:
        """Plain JSON types."""
        return {
            "name": self.name,
            "subject": self.subject,
            "value": self.value,
            "error": self.error,
            "unit": self.unit,
        }


def quantities(snapshot: Snapshot) -> list[Quantity]:
    """All quantities of a run's present state; unknown numbers are left out.

    Errors of rates are those of Poisson counts, sqrt(N) / T, and of shares half of Wilson's interval of 68.3 %.
    """
    found = [*_of_words(snapshot), *_of_chambers(snapshot), *_of_times(snapshot), *_of_verdicts(snapshot)]
    if snapshot.catalogue.muon_shapes:
        found += _of_muons(snapshot)
    return [one for one in found if math.isfinite(one.value)]


def _of_words(snapshot: Snapshot) -> Iterator[Quantity]:
    account = snapshot.account
    lost = account.late + account.stray + account.malformed
    yield Quantity("words", account.words, "words")
    yield Quantity("hits", account.hits, "words")
    yield Quantity("lost words", lost, "words")
    if account.words:
        yield Quantity("lost share", lost / account.words, "", _share_error(lost, account.words))
        yield Quantity(
            "unmapped share", account.unmapped / account.words, "", _share_error(account.unmapped, account.words)
        )
    yield Quantity("live time", snapshot.live_time_s, "s")
    yield Quantity("data time", snapshot.data_time_s, "s")
    yield Quantity("gaps", snapshot.gaps)
    yield Quantity("resets", snapshot.resets)
    yield from _rate("hit rate", account.hits, snapshot.live_time_s)
    yield from _rate("scintillator rate", account.scintillator, snapshot.live_time_s)


def _of_chambers(snapshot: Snapshot) -> Iterator[Quantity]:
    catalogue, total = snapshot.catalogue, snapshot.total
    for index, chamber in enumerate(snapshot.detector.chambers):
        cells = catalogue.hits_per_cell(total, index)
        yield from _rate("hit rate", int(cells.sum()), snapshot.live_time_s, chamber.name)
        silent = np.flatnonzero(cells == 0)
        unknown = np.setdiff1d(silent, np.asarray(chamber.dead_cells, dtype=np.int64))
        yield Quantity("cells without a hit", len(unknown), "cells", subject=chamber.name)
        active = catalogue.view(total, "active_cells")[index]
        orbits, numbers = int(active.sum()), np.arange(len(active))
        if orbits:
            mean = float((active * numbers).sum() / orbits)
            spread = math.sqrt(max(float((active * numbers**2).sum() / orbits) - mean**2, 0.0))
            yield Quantity("active cells per orbit", mean, "cells", spread / math.sqrt(orbits), chamber.name)


def _of_times(snapshot: Snapshot) -> Iterator[Quantity]:
    """Where each chamber's box of drift times begins, and how long the longest drift time is."""
    for index, chamber in enumerate(snapshot.detector.chambers):
        edges_ns, counts = snapshot.catalogue.drift_histogram_ns(snapshot.total, index)
        box = fit_time_box(edges_ns, counts, chamber.t_max_ns)
        if box is not None:
            yield Quantity("t0", box.begin.position_ns, "ns", box.begin.error_ns, chamber.name)
            yield Quantity("longest drift time", box.width_ns, "ns", box.width_error_ns, chamber.name)


def _of_verdicts(snapshot: Snapshot) -> Iterator[Quantity]:
    verdicts = snapshot.verdicts
    if verdicts is None:
        return
    yield Quantity("worst verdict", float(int(verdicts.worst)))
    yield Quantity("time judged", verdicts.judged_s, "s")
    new = [spell.level for spell in verdicts.spells if not spell.known]
    yield Quantity("alarms", len(new))
    yield Quantity("bad alarms", sum(level is Level.BAD for level in new))
    for check in ("dead cell", "noisy cell"):
        yield Quantity(f"{check}s", sum(spell.check == check for spell in verdicts.spells), "cells")


def _of_muons(snapshot: Snapshot) -> Iterator[Quantity]:
    found = muon_summary(snapshot)
    names = {str(chamber.number): chamber.name for chamber in snapshot.detector.chambers}
    yield from _rate("track rate", found["tracks"], snapshot.live_time_s)
    yield from _rate("muon rate", found["muons_in_both_views"], snapshot.live_time_s)
    for number, one in found["chambers"].items():
        subject = names[number]
        yield from _rate("segment rate", one["segments"], snapshot.live_time_s, subject)
        for name, share in (("chamber efficiency", one["efficiency"]), ("cell efficiency", one["cell_efficiency"])):
            if share["share"] is not None:
                yield Quantity(name, share["share"], "", (share["high"] - share["low"]) / 2, subject)
        if one["drift_velocity_um_per_ns"] is not None:
            yield Quantity(
                "drift velocity",
                one["drift_velocity_um_per_ns"],
                "um/ns",
                one["drift_velocity_error_um_per_ns"],
                subject,
            )
        resolution = one["resolution"]
        if resolution["core_um"] is not None:
            yield Quantity("core resolution", resolution["core_um"], "um", resolution["core_error_um"], subject)


def _rate(name: str, n: int, live_s: float, subject: str = "") -> Iterator[Quantity]:
    if live_s > 0:
        yield Quantity(name, n / live_s, "Hz", math.sqrt(n) / live_s, subject)


def _share_error(n: int, total: int) -> float:
    share = n / total
    return math.sqrt(max(share * (1 - share), 1 / total) / total)
