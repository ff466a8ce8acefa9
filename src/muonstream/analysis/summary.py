"""The summary of a run: everything counted, as plain JSON types."""

from __future__ import annotations

from typing import Any

import numpy as np

from muonstream.analysis.monitor import Snapshot
from muonstream.analysis.muon_summary import muon_summary


def summary(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot's counts as a dictionary of plain types.

    The course's quantities have the course's names: `unmapped_hit_words` are all hit words of no chamber and no
    scintillator, internal triggers among them, and chambers go by number.
    """
    catalogue, total, account = snapshot.catalogue, snapshot.total, snapshot.account
    orbits = catalogue.view(total, "orbits")
    out = {
        "run": snapshot.run,
        "source": snapshot.source,
        "words": account.words,
        "words_by_head": {str(head): n for head, n in catalogue.words_by_head(total).items()},
        "hits": account.hits,
        "scintillator_words": account.scintillator,
        "unmapped_hit_words": account.trigger + account.unmapped,
        "orbits_with_hits": int(orbits[0]),
        "orbits_with_scintillator": int(orbits[1]),
        "orbits_with_scintillator_near_the_end": int(orbits[2]),
        "account": {**account.as_dict(), "balanced": account.balanced},
        "late_by_input": dict(snapshot.late_by_input),
        "live_time_s": snapshot.live_time_s,
        "gaps": snapshot.gaps,
        "resets": snapshot.resets,
        "epochs": snapshot.epoch + 1,
        "faults": list(snapshot.faults),
        "chambers": {
            str(chamber.number): _chamber(snapshot, index) for index, chamber in enumerate(snapshot.detector.chambers)
        },
    }
    return out | {"muons": muon_summary(snapshot)} if catalogue.muon_shapes else out


def _chamber(snapshot: Snapshot, index: int) -> dict[str, Any]:
    catalogue, total = snapshot.catalogue, snapshot.total
    active = catalogue.view(total, "active_cells")[index]
    with_scintillator = catalogue.hits_per_cell_with_scintillator(total, index)
    course = catalogue.course_histograms(total, index)
    return {
        "hits": int(catalogue.hits_per_cell(total, index).sum()),
        "hits_per_cell": catalogue.hits_per_cell(total, index).tolist(),
        "orbits_by_active_cells": {str(n): int(active[n]) for n in np.flatnonzero(active)},
        "hits_with_scintillator": int(with_scintillator.sum()),
        "hits_per_cell_with_scintillator": with_scintillator.tolist(),
        **{name: counts.tolist() for name, (_, counts) in course.items()},
    }
