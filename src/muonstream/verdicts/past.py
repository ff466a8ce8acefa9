"""What later data are compared with: the run so far, without its newest part and without what was not good."""

from __future__ import annotations

from collections.abc import Set
from typing import Any, Final

from muonstream.counting.catalogue import Counts
from muonstream.verdicts.judge import Exposure
from muonstream.verdicts.kept import Ends, Kept

BEFORE_S: Final = 30.0
"""Data to compare with are older than this, and at least this long."""


class Past:
    """Collects the part of a run that later data are compared with.

    Data are held back until the stretches that are compared no longer reach back to them: a loss that takes minutes to
    be seen is not taken for what is usual before it is seen. A step at which something is wrong is left out, with all
    that was held back then: a fault that is over does not stay in what later data are compared with. What is wrong from
    the beginning is excused, or a run with one dead cell would have nothing to compare with. When that is over for
    BEFORE_S, collecting starts again.
    """

    def __init__(self, nothing: Counts) -> None:
        self.exposure: Exposure | None = None
        """The data to compare with; None until there are enough."""
        self._nothing = nothing
        self._good = Exposure(nothing, 0.0)
        self._good_data_s = 0.0
        self._start = Kept(0.0, nothing)  # up to where the run has been taken, or left out
        self._excused: dict[str, float] = {}  # when each was last there, in seconds of live time

    def judged(self, ends: Ends, held_s: float, wrong: Set[str]) -> None:
        """Take a step that ended just now.

        ends: of steps, this the last; held_s: how far back the stretches reach that are compared
        wrong: what is wrong at it, by names that stay the same while it lasts
        """
        now = ends.last
        excused = set(wrong) if self.exposure is None else wrong & self._excused.keys()
        self._excused |= dict.fromkeys(excused, now.live_s)
        over = [name for name, last_s in self._excused.items() if now.live_s - last_s > BEFORE_S]
        if over:
            last_s = max(self._excused.pop(name) for name in over)
            self._good, self._good_data_s, self.exposure = Exposure(self._nothing, 0.0), 0.0, None
            self._start = next(end for end in ends if end.live_s >= max(last_s, self._start.live_s))
        if wrong - self._excused.keys():
            self._start = now
            return
        until = ends.until(now.live_s - max(held_s, BEFORE_S))
        if until is not None and until.live_s > self._start.live_s:
            start, self._start = self._start, until
            seconds = until.live_s - start.live_s
            self._good = Exposure(self._good.counts + until.counts - start.counts, self._good.seconds + seconds)
            self._good_data_s += until.data_s - start.data_s
        if self._good.seconds >= BEFORE_S:
            self.exposure = self._good

    @property
    def gap_share(self) -> float | None:
        """Which part of its data time was without words; None as long as there is nothing to compare with."""
        if self.exposure is None or self._good_data_s <= 0:
            return None
        return max(0.0, 1 - self.exposure.seconds / self._good_data_s)

    def state(self) -> dict[str, Any]:
        """What a restarted engine goes on from, as plain numbers and arrays."""
        return {
            "good": self._good.counts.copy(),
            "good_s": self._good.seconds,
            "good_data_s": self._good_data_s,
            "there": self.exposure is not None,
            "start": self._start.counts.copy(),
            "start_s": self._start.live_s,
            "start_data_s": self._start.data_s,
            "excused": dict(self._excused),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a state of the same catalogue."""
        self._good = Exposure(state["good"].copy(), float(state["good_s"]))
        self.exposure = self._good if state["there"] else None
        self._good_data_s = float(state["good_data_s"])
        self._start = Kept(float(state["start_s"]), state["start"].copy(), data_s=float(state["start_data_s"]))
        self._excused = {str(name): float(last_s) for name, last_s in state["excused"].items()}
