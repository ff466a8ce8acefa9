"""The request to a Spark task and its result: one micro-batch's share of a run."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from muonstream.counting.kernel import RECENT_SLOTS, Contribution
from muonstream.kafka.deliveries import Part
from muonstream.kafka.messages import EndMessage
from muonstream.muons.events import MuonContribution, newest
from muonstream.sources.identity import Run
from muonstream.words import Words

SCHEMA: Final = "share binary"
"""Of what tasks give back: a row is a pickle, which is how Spark itself sends Python's objects."""
PIECE_WORDS: Final = 1 << 20
"""Loose words are returned in rows of at most this many."""


@dataclass(frozen=True, slots=True)
class TaskSpec:
    """The state of a run before the micro-batch, as far as tasks need it.

    every_slot: whether every step of data time is judged, so that all slots' counts are needed
    detector: as JSON; muons: whether to look for them; windows: of one of the course's intervals, 0 where none are made
    run, named: see `Deliveries`; parts: how far each partition was taken
    """

    detector: str
    windows: int
    run: Run | None
    named: bool
    parts: Mapping[int, Part]
    muons: bool = False
    every_slot: bool = False


@dataclass(slots=True)
class TaskResult:
    """The result of one task for its partitions.

    parts: how far they are taken now; tally: see `Tally.state`; frames: words in them; contributions: what they add,
    one for each of the course's intervals if these are made
    words: loose words by partition, in order
    """

    parts: dict[int, Part] = field(default_factory=dict)
    tally: Mapping[str, Any] = field(default_factory=dict)
    run: Run | None = None
    framed: bool = False
    accounts: dict[int, EndMessage] = field(default_factory=dict)
    ended: list[int] = field(default_factory=list)
    frames: int = 0
    contributions: list[Contribution] = field(default_factory=list)
    words: dict[int, list[Words]] = field(default_factory=dict)

    def rows(self) -> Iterator[bytes]:
        """As rows of bytes: first the loose words in pieces, then one row with the rest."""
        for partition, several in self.words.items():
            words = several[0] if len(several) == 1 else np.concatenate(several)
            for begin in range(0, len(words), PIECE_WORDS):
                yield pickle.dumps((partition, words[begin : begin + PIECE_WORDS]), protocol=5)
        self.words = {}
        yield pickle.dumps(self, protocol=5)


def read_shares(rows: Iterable[Any]) -> list[TaskResult]:
    """The shares of all tasks from their rows (bytes), a task's one after another."""
    shares: list[TaskResult] = []
    words: dict[int, list[Words]] = {}
    for row in rows:
        found = pickle.loads(row)
        if isinstance(found, TaskResult):
            found.words, words = words, {}
            shares.append(found)
        else:
            words.setdefault(found[0], []).append(found[1])
    return shares


def merged(contributions: Sequence[Contribution], *, every_slot: bool = False) -> Contribution:
    """Several contributions as one, of which at most the newest slots are kept, or all. Raises ValueError for none."""
    if not contributions:
        raise ValueError("contributions: found none, expected one or more")
    if len(contributions) == 1:
        return contributions[0]
    slots = np.unique(np.concatenate([one.slots for one in contributions]))
    if len(slots) and not every_slot:
        slots = slots[slots > slots[-1] - RECENT_SLOTS]
    total = np.sum([one.total for one in contributions], axis=0)
    recent = np.zeros((len(slots), len(total)), np.int64)
    for one in contributions:
        kept = np.isin(one.slots, slots)
        recent[np.searchsorted(slots, one.slots[kept])] += one.recent[kept]
    keys = np.concatenate([one.keys for one in contributions])
    rows = np.concatenate([one.rows for one in contributions])
    events = [event for one in contributions if isinstance(one, MuonContribution) for event in one.events]
    if any(isinstance(one, MuonContribution) for one in contributions):
        return MuonContribution(total, slots, recent, keys, rows, newest(events))
    return Contribution(total, slots, recent, keys, rows)
