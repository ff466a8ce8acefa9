"""The summary of a run: all counts, as plain JSON types."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np

from muonstream.run.account import Account
from muonstream.run.monitor import Snapshot
from muonstream.sources.identity import Run
from muonstream.verdicts.verdicts import verdicts_summary


@dataclass(frozen=True, slots=True)
class CountedRun:
    """A run that was read: its name and number, its files, and its counts."""

    run: Run
    files: tuple[str, ...]
    snapshot: Snapshot


def total_of(snapshots: Sequence[Snapshot]) -> Snapshot:
    """The sum of several runs of one detector: counts, account, live time, gaps, resets and others. Values that have no
    sum, such as rates against time, are the last run's.
    Raises ValueError for no runs.
    """
    if not snapshots:
        raise ValueError("found no runs, expected at least one")
    if len(snapshots) == 1:
        return snapshots[0]
    accounts = [snapshot.account.as_dict() for snapshot in snapshots]
    late_by_input: dict[str, int] = {}
    for snapshot in snapshots:
        for name, late in snapshot.late_by_input.items():
            late_by_input[name] = late_by_input.get(name, 0) + late
    return replace(
        snapshots[-1],
        run=", ".join(snapshot.run for snapshot in snapshots),
        source=", ".join(snapshot.source for snapshot in snapshots),
        account=Account(**{name: sum(account[name] for account in accounts) for name in accounts[0]}),
        total=np.sum([snapshot.total for snapshot in snapshots], axis=0),
        live_time_s=sum(snapshot.live_time_s for snapshot in snapshots),
        data_time_s=sum(snapshot.data_time_s for snapshot in snapshots),
        gaps=sum(snapshot.gaps for snapshot in snapshots),
        resets=sum(snapshot.resets for snapshot in snapshots),
        forced=sum(snapshot.forced for snapshot in snapshots),
        epoch=sum(snapshot.epoch + 1 for snapshot in snapshots) - 1,
        late_by_input=late_by_input,
        faults=tuple(fault for snapshot in snapshots for fault in snapshot.faults),
        inputs=tuple(report for snapshot in snapshots for report in snapshot.inputs),
        verdicts=None,
    )


def summary_of_runs(runs: Sequence[CountedRun]) -> dict[str, Any]:
    """The summary of all runs together, and under `runs` that of each with its name, number and files."""
    each = [
        {"name": one.run.name, "number": one.run.number, "files": list(one.files), **summary(one.snapshot)}
        for one in runs
    ]
    return {**summary(total_of([one.snapshot for one in runs])), "runs": each}


def summary(snapshot: Snapshot) -> dict[str, Any]:
    """The snapshot's counts as a dictionary of plain types.

    The course's quantities have the course's names: `unmapped_hit_words` are all hit words of no chamber and no
    scintillator, internal triggers among them, and chambers go by number. `inputs` are the files behind the words, with
    what their bytes became; a topic or a simulation has none. `verdicts` are there where steps were judged.
    """
    catalogue, total, account = snapshot.catalogue, snapshot.total, snapshot.account
    orbits = catalogue.view(total, "orbits")
    out: dict[str, Any] = {
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
        "forced_windows": snapshot.forced,
        "epochs": snapshot.epoch + 1,
        "faults": list(snapshot.faults),
        "inputs": [{**asdict(report), "balanced": report.balanced} for report in snapshot.inputs],
        "chambers": {
            str(chamber.number): _chamber(snapshot, index) for index, chamber in enumerate(snapshot.detector.chambers)
        },
    }
    if catalogue.muon_shapes:
        # imported only where it is needed, since it loads the reconstruction
        from muonstream.run.muon_summary import muon_summary

        out["muons"] = muon_summary(snapshot)
    if snapshot.verdicts is not None:
        out["verdicts"] = verdicts_summary(snapshot.verdicts)
    return out


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
