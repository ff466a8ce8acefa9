"""How an engine spends its time: seconds in each phase, seconds in kernels, and histograms of durations."""

from __future__ import annotations

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final, Literal, ParamSpec, TypeVar, get_args

P = ParamSpec("P")
R = TypeVar("R")

Phase = Literal["reading", "building", "counting", "merging", "judging", "snapshot", "saving", "publishing"]
"""reading: waiting for words, reading and decoding them, and all else that is not named; building: words into frames;
counting: kernels in the engine's own thread, and waiting for those in others; merging: adding up what they counted;
judging: steps of data time; snapshot: making one, held words counted provisionally; saving: the run's state for the
store; publishing: handing a snapshot to the page, alarms and topics"""
Lasting = Literal["snapshot", "publishing", "delay"]
"""Durations with a histogram: making a snapshot, publishing it, and how long its oldest new words waited for it."""
PHASES: Final[tuple[Phase, ...]] = get_args(Phase)
LASTING: Final[tuple[Lasting, ...]] = get_args(Lasting)
BOUNDS_S: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""Upper edges of a histogram's bins, seconds; one more bin is unbounded."""


@dataclass(frozen=True, slots=True)
class Spread:
    """A histogram of durations: how often by bin of BOUNDS_S, and their sum in seconds."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)
    sum_s: float = 0.0

    def __post_init__(self) -> None:
        if len(self.counts) != len(BOUNDS_S) + 1:
            raise ValueError(f"found {len(self.counts)} bins, expected {len(BOUNDS_S) + 1}")


@dataclass(frozen=True, slots=True)
class EngineTimes:
    """How an engine spent its time since it was started.

    phases: seconds of the engine's own thread, which together are all of its time; kernels_s: seconds in kernels of all
    threads; spreads: histograms of durations, by name
    """

    phases: Mapping[str, float] = field(default_factory=dict)
    kernels_s: float = 0.0
    spreads: Mapping[str, Spread] = field(default_factory=dict)

    def as_plain(self) -> dict[str, Any]:
        """Plain types, for `of_plain`."""
        spreads = {name: [list(spread.counts), spread.sum_s] for name, spread in self.spreads.items()}
        return {"phases": dict(self.phases), "kernels_s": self.kernels_s, "spreads": spreads}

    @classmethod
    def of_plain(cls, plain: Mapping[str, Any]) -> EngineTimes:
        """The inverse of `as_plain`. Raises ValueError, KeyError or TypeError for something else."""
        spreads = {
            str(name): Spread(tuple(int(n) for n in counts), float(sum_s))
            for name, (counts, sum_s) in dict(plain["spreads"]).items()
        }
        phases = {str(name): float(seconds) for name, seconds in dict(plain["phases"]).items()}
        return cls(phases, float(plain["kernels_s"]), spreads)


class _During:
    """A context that is a phase. Steps of data time come by the thousand a second; a generator takes twice as long."""

    __slots__ = ("_before", "_phase", "_switch")

    def __init__(self, switch: Callable[[Phase], Phase], phase: Phase) -> None:
        self._switch, self._phase = switch, phase
        self._before = phase

    def __enter__(self) -> None:
        self._before = self._switch(self._phase)

    def __exit__(self, *_: object) -> None:
        self._switch(self._before)


class Stopwatch:
    """Takes the times of one engine. Phases are of one thread at a time; `kernel` may be used in several at once.

    A phase within another one counts for itself alone: the sum of all is the time since the stopwatch was made.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._phases: dict[Phase, float] = dict.fromkeys(PHASES, 0.0)
        self._now: Phase = "reading"
        self._since = clock()
        self._kernels_s = 0.0
        self._lock = Lock()
        self._spreads = {name: ([0] * (len(BOUNDS_S) + 1), [0.0]) for name in LASTING}
        self._oldest: float | None = None

    def _switch(self, phase: Phase) -> Phase:
        now, before = self._clock(), self._now
        self._phases[before] += now - self._since
        self._now, self._since = phase, now
        return before

    def phase(self, phase: Phase) -> _During:
        """A context whose time counts as this phase, except for phases within it."""
        return _During(self._switch, phase)

    def during(self, phase: Phase, function: Callable[P, R], *args: P.args, **kwargs: P.kwargs) -> R:
        """Call a function, with its time counted as this phase; gives its result."""
        with self.phase(phase):
            return function(*args, **kwargs)

    @contextmanager
    def lasting(self, what: Literal["snapshot", "publishing"]) -> Iterator[None]:
        """A context of a phase with a histogram of durations, those of phases within it included."""
        begun = self._clock()
        with self.phase(what):
            yield
        self._note(what, self._clock() - begun)

    @contextmanager
    def kernel(self) -> Iterator[None]:
        """A context whose time counts as a kernel's, in any thread."""
        begun = self._clock()
        try:
            yield
        finally:
            with self._lock:
                self._kernels_s += self._clock() - begun

    def came(self) -> None:
        """New words have come."""
        if self._oldest is None:
            self._oldest = self._clock()

    def shown(self) -> None:
        """All words that have come are in a snapshot."""
        if self._oldest is not None:
            self._note("delay", self._clock() - self._oldest)
            self._oldest = None

    def _note(self, what: Lasting, seconds: float) -> None:
        counts, sum_s = self._spreads[what]
        counts[bisect_left(BOUNDS_S, seconds)] += 1
        sum_s[0] += seconds

    def times(self) -> EngineTimes:
        """The times up to now."""
        self._switch(self._now)
        spreads = {str(name): Spread(tuple(counts), sum_s[0]) for name, (counts, sum_s) in self._spreads.items()}
        phases = {str(name): seconds for name, seconds in self._phases.items()}
        return EngineTimes(phases, self._kernels_s, spreads)
