"""What later data are compared with: the run so far, without its last half minute and without what was not good."""

from __future__ import annotations

from collections import deque
from collections.abc import Set
from typing import Any, Final

import numpy as np

from muonstream.counting.catalogue import Counts
from muonstream.verdicts.judge import Exposure

BEFORE_S: Final = 30.0
"""What is compared with is older than this, and at least this long."""


class Past:
    """Collects the steps of a run that later ones are compared with.

    A step at which something is wrong is left out, with the BEFORE_S before it: a fault that is over does not stay in
    what later data are compared with. What is wrong from the beginning is excused, or a run with one dead cell would
    have nothing to compare with. When that is over for BEFORE_S, collecting starts again.
    """

    def __init__(self, nothing: Counts) -> None:
        self.exposure: Exposure | None = None
        """What is compared with; None until there is enough."""
        self._nothing = nothing
        self._good = Exposure(nothing, 0.0)
        self._recent: deque[tuple[float, Exposure]] = deque()
        self._excused: dict[str, float] = {}  # when each was last there, in seconds of live time

    def add(self, live_s: float, step: Exposure) -> None:
        """A step that ended at this live time."""
        self._recent.append((live_s, step))

    def judged(self, live_s: float, wrong: Set[str]) -> None:
        """What is wrong at the newest step, by names that stay the same while it lasts."""
        excused = set(wrong) if self.exposure is None else wrong & self._excused.keys()
        self._excused |= dict.fromkeys(excused, live_s)
        over = [name for name, last_s in self._excused.items() if live_s - last_s > BEFORE_S]
        for name in over:
            del self._excused[name]
        if over:
            self._good, self.exposure = Exposure(self._nothing, 0.0), None
        if wrong - self._excused.keys():
            self._recent.clear()
            return
        while self._recent and self._recent[0][0] <= live_s - BEFORE_S:
            _, step = self._recent.popleft()
            self._good = Exposure(self._good.counts + step.counts, self._good.seconds + step.seconds)
        if self._good.seconds >= BEFORE_S:
            self.exposure = self._good

    def state(self) -> dict[str, Any]:
        """What a restarted engine goes on from, as plain numbers and arrays."""
        good = self._good
        return {
            "before": good.counts.copy() if good.seconds else np.empty(0, np.int64),
            "before_s": good.seconds,
            "excused": dict(self._excused),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same catalogue."""
        seconds = float(state["before_s"])
        if seconds:
            self._good = Exposure(state["before"].copy(), seconds)
        self.exposure = self._good if seconds >= BEFORE_S else None
        # states written before there was such a thing have none
        self._excused = {str(name): float(last_s) for name, last_s in state.get("excused", {}).items()}
