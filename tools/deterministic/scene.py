"""What a seed draws: words, how they travel, how small the bounds are, which faults come and how often."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from muonstream.counting.rates import MAX_BINS, RateBins
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka import gateway, messages
from muonstream.kafka.messages import Kind
from muonstream.run import monitor
from muonstream.words import Words
from tools.deterministic.words import mixed, ordinary, resets

NEWEST_EPOCHS: Final = 4
FAULTS: Final = ("engine", "gateway", "leader", "clock", "retention", "partition", "disk", "slow")


@dataclass(frozen=True, slots=True)
class Bounds:
    """Bounds of the program, small enough that a scene reaches them; None where they are as they always are."""

    open_windows: int | None = None
    held_words: int | None = None
    epochs: int | None = None
    bins: int | None = None

    @classmethod
    def drawn(cls, rng: random.Random, *, small_rates: bool = False) -> Bounds:
        """Each of them small or not; small_rates: those of the rates are, smaller still."""

        def one(low: int, high: int, probability: float = 0.5) -> int | None:
            return rng.randrange(low, high) if rng.random() < probability else None

        rates = (1.0, 32) if small_rates else (0.5, 64)
        return cls(
            open_windows=one(2, 64),
            held_words=one(20, 2000),
            epochs=one(2, 8, rates[0]),
            bins=one(8, rates[1], rates[0]),
        )

    def builder(self, boards: tuple[int, ...]) -> FrameBuilder:
        """A frame builder with these bounds."""
        small = {"max_open_windows": self.open_windows, "max_held_words": self.held_words}
        return FrameBuilder(boards, **{name: bound for name, bound in small.items() if bound is not None})

    @contextmanager
    def everywhere(self) -> Iterator[None]:
        """Let gateways, rehearsals and monitors have them."""
        rates: dict[str, Any] = {}
        if self.bins is not None or self.epochs is not None:
            epochs = self.epochs or 8
            rates = {"max_bins": self.bins or MAX_BINS, "max_epochs": epochs, "newest_epochs": NEWEST_EPOCHS}
        before = vars(gateway)["FrameBuilder"], vars(monitor)["RateBins"]
        vars(gateway)["FrameBuilder"] = self.builder
        vars(monitor)["RateBins"] = partial(RateBins, **rates)
        try:
            yield
        finally:
            vars(gateway)["FrameBuilder"], vars(monitor)["RateBins"] = before


@dataclass(frozen=True, slots=True)
class Scene:
    """All that a seed decides before it begins."""

    seed: int
    kind: Kind
    partitions: int
    words: Words
    pieces: int
    boundary: int | None
    """where a second file of the run begins"""
    bounds: Bounds
    faults: tuple[str, ...]
    an_earlier_run: bool
    named: bool
    """the engine was asked for the run by its number"""
    store_every_s: float
    engine_share: float
    markers: float

    @classmethod
    def of(cls, seed: int, words: int) -> Scene:
        """The scene of a seed, with about so many words."""
        rng = random.Random(seed)
        kind = rng.choice((Kind.FRAME, Kind.FRAME, Kind.JSON, Kind.DMA))
        partitions = rng.randrange(1, 5)
        n = int(words * rng.uniform(0.1, 1))
        an_earlier_run = rng.random() < 0.3
        # loose words of several partitions come in another order than they were read: with odd times, others are late
        faults = tuple(fault for fault in FAULTS if rng.random() < 0.4)
        whole = kind is Kind.FRAME or (partitions == 1 and "partition" not in faults)
        of_resets = whole and rng.random() < 0.25
        make = resets if of_resets else mixed if whole and rng.random() < 0.8 else ordinary
        return cls(
            seed=seed,
            kind=kind,
            partitions=partitions,
            words=make(n, rng),
            pieces=rng.choice((1, 5, 40)),
            boundary=rng.randrange(n) if kind is Kind.FRAME and rng.random() < 0.2 else None,
            bounds=Bounds.drawn(rng, small_rates=of_resets)
            if whole and rng.random() < 0.7 + 0.3 * of_resets
            else Bounds(),
            faults=faults,
            an_earlier_run=an_earlier_run,
            named=an_earlier_run or rng.random() < 0.5,
            store_every_s=rng.choice((0.0, 0.01, 0.2)),
            engine_share=rng.choice((0.1, 0.5, 0.9)),
            markers=rng.choice((0.0, 0.0, 0.05)),
        )

    def line(self) -> str:
        """All of it but the words, for people."""
        bounds = [f"{name} {value}" for name in Bounds.__slots__ if (value := getattr(self.bounds, name)) is not None]
        return (
            f"{len(self.words):,} words as {self.kind} to {self.partitions} partitions, {self.pieces} pieces; bounds: "
            f"{', '.join(bounds) or 'usual'}; faults: {', '.join(self.faults) or 'none'}"
        )


PART_WORDS: Final = 50
"""Windows of more words go in parts."""


@contextmanager
def small_messages() -> Iterator[None]:
    """Let windows go in parts of few words, and loose words in short blocks."""
    before = vars(gateway)["window_messages"], vars(gateway)["part_counts"]
    vars(gateway)["window_messages"] = partial(messages.window_messages, part_words=PART_WORDS)
    vars(gateway)["part_counts"] = partial(messages.part_counts, part_words=PART_WORDS)
    try:
        yield
    finally:
        vars(gateway)["window_messages"], vars(gateway)["part_counts"] = before
