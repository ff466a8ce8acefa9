"""The aftermath of a fault: stretches of data that still reach back to it say nothing new of what it was about."""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import replace
from math import inf
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.counting.steps import STEP_S
from muonstream.detector.level import Level
from muonstream.detector.model import Detector
from muonstream.verdicts.cells import cell_name
from muonstream.verdicts.findings import Finding, Judgement
from muonstream.verdicts.judge import Windows

OF_BRIEF: Final = frozenset({"rate", "noise", "active cells"})
OF_CROSSED: Final = frozenset({"segments", "layer efficiency"})
OF_LONG: Final = frozenset({"efficiency", "occupancy"})
"""Checks of a chamber by the stretch that they look at: while it reaches back to when the chamber was silent, what they
find is that silence."""
GATHERED: Final = frozenset({"dead row", "dead layer", "dead cells"})
"""Alarms of a chamber that stand for its dead cells."""
OF_SCINTILLATOR: Final = frozenset({"t0", "board step"})
LATE_FOR_S: Final = 120.0
"""Chambers with few hits show this much later than the others that the scintillator is in time again."""
NEARLY_NS: Final = 5.0


class Aftermath:
    """Remembers when cells and chambers last had a fault of their own, in seconds of live time."""

    def __init__(self, detector: Detector) -> None:
        self._detector = detector
        self._odd_s = [np.full(chamber.cells, -inf) for chamber in detector.chambers]
        self._gathered_s = [np.full(chamber.cells, -inf) for chamber in detector.chambers]
        self._silent_s = {chamber.name: -inf for chamber in detector.chambers}
        self._silent_before: set[str] = set()
        self._late_s, self._late_ns = -inf, 0.0

    @property
    def silent(self) -> Set[str]:
        """The names of the chambers that were silent in the last step."""
        return self._silent_before

    def state(self) -> dict[str, Any]:
        """What a restarted engine goes on from, as plain numbers and arrays."""
        return {
            "odd_s": [last_s.copy() for last_s in self._odd_s],
            "gathered_s": [last_s.copy() for last_s in self._gathered_s],
            "silent_s": dict(self._silent_s),
            "silent_before": sorted(self._silent_before),
            "late_s": self._late_s,
            "late_ns": self._late_ns,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same detector."""
        self._odd_s = [np.array(last_s, np.float64) for last_s in state["odd_s"]]
        if "gathered_s" in state:  # earlier versions did not keep it
            self._gathered_s = [np.array(last_s, np.float64) for last_s in state["gathered_s"]]
        self._silent_s = {str(name): float(last_s) for name, last_s in state["silent_s"].items()}
        self._silent_before = {str(name) for name in state["silent_before"]}
        self._late_s, self._late_ns = float(state["late_s"]), float(state["late_ns"])

    def of(self, judgement: Judgement, windows: Windows, live_s: float) -> Judgement:
        """The judgement of a step that ends now, without what is left of faults that are over."""
        silent: set[str] = set()
        for finding in judgement.findings:
            if finding.check == "silent" and finding.level is Level.BAD:
                for chamber in self._detector.chambers:
                    if finding.subject in (chamber.name, f"Board {chamber.board}"):
                        silent.add(chamber.name)
            if finding.check == "scintillator time" and finding.level > Level.GOOD and finding.value is not None:
                # the boxes of all chambers have moved the other way
                self._late_s, self._late_ns = live_s, -finding.value
        # a silence of a single step is not shown: then what it leaves behind is what tells of it
        self._silent_s |= dict.fromkeys(silent & self._silent_before, live_s)
        self._silent_before = silent
        findings = tuple(self._left(judgement, windows, live_s))
        gathered = {one.part for one in judgement.findings if one.check in GATHERED and one.level > Level.GOOD}
        for c, (chamber, levels) in enumerate(zip(self._detector.chambers, judgement.cells, strict=True)):
            self._odd_s[c][levels > Level.GOOD] = live_s
            if chamber.name in gathered:
                self._gathered_s[c][levels == Level.BAD] = live_s
        return replace(judgement, findings=findings)

    def _left(self, judgement: Judgement, windows: Windows, live_s: float) -> Iterator[Finding]:
        # the end of a fault is known to within a step
        reach_s = {
            **dict.fromkeys(OF_BRIEF, windows.brief.seconds + STEP_S),
            **dict.fromkeys(OF_CROSSED, windows.crossed.seconds + STEP_S),
            **dict.fromkeys(OF_LONG, windows.long.seconds + STEP_S),
        }
        odd = self._cells_since(self._odd_s, live_s - windows.long.seconds - STEP_S)
        gathered = self._cells_since(self._gathered_s, live_s - windows.brief.seconds - STEP_S)
        for finding in judgement.findings:
            if finding.check == "cell efficiency" and finding.subject in odd:
                continue
            # a cell of a dead row that has hits again lacks those from before, until the stretch has only new data
            if finding.check == "dead cell" and finding.level is Level.MEDIUM and finding.subject in gathered:
                continue
            since_s = live_s - self._silent_s.get(finding.part, -inf)
            if finding.level > Level.GOOD and since_s < reach_s.get(finding.check, 0.0):
                reason = f"not judged: the chamber was silent until {since_s:.0f} s ago"
                finding = replace(finding, level=Level.NULL, reason=reason, value=None, limit=None)
            elif self._is_of_scintillator(finding, live_s):
                reason = f"not judged: the scintillator was late until {live_s - self._late_s:.0f} s ago"
                finding = replace(finding, level=Level.NULL, reason=reason, value=None, limit=None)
            yield finding

    def _cells_since(self, last_s: list[NDArray[np.float64]], from_s: float) -> set[str]:
        """The names of cells of which this was the case later than `from_s`."""
        return {
            cell_name(chamber, int(cell))
            for chamber, times in zip(self._detector.chambers, last_s, strict=True)
            for cell in np.flatnonzero(times > from_s)
        }

    def _is_of_scintillator(self, finding: Finding, live_s: float) -> bool:
        """Whether a shift of time agrees with the scintillator's, or is a part of it."""
        if finding.check not in OF_SCINTILLATOR or finding.level <= Level.GOOD or finding.value is None:
            return False
        shift, late = finding.value, self._late_ns
        return 0 < live_s - self._late_s < LATE_FOR_S and shift * late > 0 and abs(shift) <= abs(late) + NEARLY_NS
