"""Simulated words by chunks of data time, healthy or with a fault."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np

from muonstream.detector.model import Detector
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.words import Words
from tools.faults.fault import Fault
from tools.faults.stream import SECOND_TDC, piece_of


def simulated(
    scenario: SimulationConfig,
    seconds: float,
    rate_hz: float,
    seed: int,
    *,
    detector: Detector | None = None,
    chunk_s: float = 1.0,
) -> Iterator[Words]:
    """Healthy words (uint64) of a scenario, with another length, rate and seed, in chunks of chunk_s of data time.

    Never more than a slab of the simulation and a chunk are held: a day is possible. Raises ValueError for a value
    that is not allowed.
    """
    config = replace(scenario, duration_s=seconds, rate_hz=rate_hz, seed=seed)
    return by_time(Simulation(config, detector or Detector.default()).blocks(), chunk_s)


def with_fault(
    fault: Fault,
    size: float,
    at_s: float,
    scenario: SimulationConfig,
    *,
    detector: Detector | None = None,
    chunk_s: float = 1.0,
) -> Iterator[Words]:
    """Words of a scenario, as it stands, with a fault of a size from at_s on, in chunks of chunk_s of data time.

    at_s: data time since orbit 0; the chance of the fault comes from the scenario's seed. Raises ValueError for a size
    that the fault cannot have, and for what the scenario cannot.
    """
    detector = detector or Detector.default()
    simulation = fault.simulation(size, at_s, scenario, detector)
    if simulation is not None:
        return by_time(simulation.blocks(), chunk_s)
    injection = fault.begin(size, at_s, scenario.seed, detector)
    return injection.over(by_time(Simulation(scenario, detector).blocks(), chunk_s))


def by_time(blocks: Iterable[Words], chunk_s: float) -> Iterator[Words]:
    """The same words, cut where their hits first come past each multiple of chunk_s of data time since orbit 0.

    Raises ValueError for a chunk_s that is not above 0.
    """
    if not chunk_s > 0:
        raise ValueError(f"chunk_s: found {chunk_s}, expected more than 0")
    return _by_time(blocks, chunk_s * SECOND_TDC)


def _by_time(blocks: Iterable[Words], chunk_tdc: float) -> Iterator[Words]:
    rest: list[Words] = []
    newest: int | None = None
    for words in blocks:
        if not len(words):
            continue
        piece = piece_of(words, newest, 0, 0)
        chunk = np.append(piece.before_tdc, piece.newest_tdc) // chunk_tdc
        newest = int(piece.newest_tdc[-1])
        parts = np.split(words, np.flatnonzero(np.diff(chunk)))
        for part in parts[:-1]:
            whole = np.concatenate([*rest, part])
            rest = []
            if len(whole):
                yield whole
        rest.append(parts[-1])
    if rest:
        yield np.concatenate(rest)
