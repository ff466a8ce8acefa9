"""A simulated telescope: muons, noise, scintillator and triggers, as the boards would send them.

Time goes in slabs, each with random numbers of its own, so that a seed gives the same words however they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector.geometry import crossed_cells, half_width_mm, middle_mm
from muonstream.detector.model import Chamber, Detector
from muonstream.simulation.decays import Stops, stopped
from muonstream.simulation.drift import CellResponse, Origin, drift_hits
from muonstream.simulation.matter import scattered
from muonstream.simulation.particles import Muons, Signals
from muonstream.simulation.readout import CellNoise, disorder, merged, sent
from muonstream.simulation.scenario import SimulationConfig
from muonstream.words import (
    BX_MASK,
    CHANNEL_MASK,
    NS_PER_TDC,
    ORBIT_MASK,
    TDC_MASK,
    TDC_PER_BX,
    TDC_PER_ORBIT,
    Head,
    Words,
    encode,
)

SECOND_TDC: Final = round(1e9 / NS_PER_TDC)
SLAB_WORDS: Final = 131_072
LONGEST_SLAB_S: Final = 10.0
HOLD_ORBITS_A_WORD: Final = 12
"""A board's packet leaves when it is full, or this many orbits for each word it could hold after its first: 48 orbits
for packets of 4, which is how far orbits step back between boards in real data."""
PROBE_MUONS: Final = 20_000

SCINTILLATOR_MM: Final = 450.0
"""Half side of the scintillator, which lies 50 mm under the lowest chamber."""
SCINTILLATOR_DELAY_NS: Final = 200.0
"""How much later than the muon the scintillator's signal is; chambers' time offsets refer to it."""
TRIGGER_DELAY_NS: Final = 377.0
TRIGGER_SPREAD_NS: Final = 45.0
TRIGGER_LAYERS: Final = 3
"""Layers that the internal trigger of a board asks for, in each of its chambers."""
ANCILLARY_HEADS: Final = (Head.MASK_B, Head.MASK_A, Head.TRIGGER_T0, Head.TAN_PSI, Head.LOCAL_X)
ANCILLARY_AHEAD_S: Final = (12.3, 10.2)
"""How far the orbits of ancillary words are ahead of the hits around them, by board modulo 2."""


class Simulation:
    """The stream of words of a simulated detector. Raises ValueError for a cell that the detector has not."""

    def __init__(self, config: SimulationConfig, detector: Detector) -> None:
        self.config = config
        self.detector = detector
        self.delay_ns = SCINTILLATOR_DELAY_NS
        """From a muon to the signal of a scintillator without jitter."""
        self._slab_tdc = round(min(max(SLAB_WORDS / config.rate_hz, 1e-3), LONGEST_SLAB_S) * SECOND_TDC)
        self._alive = [self._alive_cells(chamber) for chamber in detector.chambers]
        self._noise = CellNoise(self._cell_weights(), self._cell_words())

        low = min(c.z_mm for c in detector.chambers)
        high = max(c.z_mm + c.layers * c.cell_height_mm for c in detector.chambers)
        self._bottom_mm = low - 50.0
        self.plane_mm = (low + high) / 2
        """Height of the plane through which the muons are drawn."""
        # wide enough for muons of up to 60 degrees that reach the highest or the lowest chamber's edge
        edge = max(abs(c.x_mm) + half_width_mm(c) for c in detector.chambers)
        self._half_plane_mm = edge + 1.75 * (high - low) / 2
        area = np.mean([(2 * half_width_mm(c)) ** 2 for c in detector.chambers])
        muon_hz = config.muon_rate_hz * float((2 * self._half_plane_mm) ** 2 / area)

        # the words of muons, so that noise can fill up the rest
        probe = np.random.default_rng([config.seed, 1 << 41])
        brought = len(self._signals(probe, self._muons(probe, PROBE_MUONS, 0, SECOND_TDC)).words) / PROBE_MUONS
        fixed_hz = muon_hz * brought + config.ancillary_hz
        share = min(1.0, config.rate_hz / fixed_hz) if fixed_hz else 1.0
        self._muon_hz, self._ancillary_hz = muon_hz * share, config.ancillary_hz * share
        self._noise_hz = max(0.0, config.rate_hz - fixed_hz) if self._noise.possible else 0.0

    @property
    def vertical_intensity(self) -> float:
        """Of the muons, in /m2/s/sr: the integral of cos3 over the half space is pi / 2."""
        return self._muon_hz / (np.pi / 2 * (2 * self._half_plane_mm / 1000) ** 2)

    def _alive_cells(self, chamber: Chamber) -> NDArray[np.bool_]:
        alive = np.ones(chamber.cells, dtype=np.bool_)
        alive[list(chamber.dead_cells)] = False
        if self.config.dead_cell is not None and self.config.dead_cell[0] == chamber.number:
            alive[self._checked("dead_cell", self.config.dead_cell)] = False
        return alive

    def _checked(self, key: str, cell: tuple[int, int]) -> int:
        if not any(c.number == cell[0] and 0 <= cell[1] < c.cells for c in self.detector.chambers):
            known = ", ".join(f"{c.number} (cells 0 to {c.cells - 1})" for c in self.detector.chambers)
            raise ValueError(f"{key}: found chamber {cell[0]} cell {cell[1]}, expected chambers {known}")
        return cell[1]

    def _cell_weights(self) -> NDArray[np.float64]:
        """Share of the noise of each cell, in order of chambers."""
        config = self.config
        seed = config.seed if config.cells_seed is None else config.cells_seed
        rng = np.random.default_rng([seed, 1 << 40])
        parts = []
        for key, cell in (("dead_cell", config.dead_cell), ("hot_cell", config.hot_cell)):
            if cell is not None:
                self._checked(key, cell)
        for chamber, alive in zip(self.detector.chambers, self._alive, strict=True):
            # cells of real chambers differ about as much, apart from a few hot ones; the mean is 1
            weights = rng.lognormal(-0.08, 0.4, chamber.cells)
            if config.hot_cell is not None and config.hot_cell[0] == chamber.number:
                weights[config.hot_cell[1]] = config.hot_factor
            parts.append(weights * alive)
        return np.concatenate(parts)

    def _cell_words(self) -> Words:
        """The head, board and channel bits of each cell's hits."""
        return np.concatenate(
            [
                encode(fpga=c.board, channel=c.first_channel + np.arange(c.cells), orbit=0, bx=0, tdc=0)
                for c in self.detector.chambers
            ]
        )

    def _with_gap(self, time_tdc: NDArray[np.int64]) -> NDArray[np.int64]:
        """Times with the pause put in."""
        if not self.config.gap_s:
            return time_tdc
        begins = round(self.config.gap_after_s * SECOND_TDC)
        return time_tdc + np.where(time_tdc >= begins, round(self.config.gap_s * SECOND_TDC), 0)

    def _muons(self, rng: np.random.Generator, n: int, begin_tdc: int, end_tdc: int) -> Muons:
        """Of n muons through the plane, those that cross a chamber."""
        # flux through a horizontal plane: cos^2 of the zenith angle, and one more cosine for the plane
        cos_zenith = (1.0 - rng.random(n)) ** 0.25
        tan = np.sqrt(1.0 - cos_zenith**2) / cos_zenith
        azimuth = rng.uniform(0.0, 2 * np.pi, n)
        x, y = rng.uniform(-self._half_plane_mm, self._half_plane_mm, (2, n))
        time_tdc = rng.uniform(0.0, end_tdc - begin_tdc, n)
        begin = self._with_gap(begin_tdc + time_tdc.astype(np.int64)) - time_tdc.astype(np.int64)
        muons = Muons(begin, time_tdc, x, y, tan * np.cos(azimuth), tan * np.sin(azimuth))
        near = np.zeros(n, dtype=np.bool_)
        for chamber in self.detector.chambers:
            across, _, along = muons.in_frame(chamber, self.plane_mm)
            # a little wider than the chamber, since its layers stand above and below its middle
            reach = half_width_mm(chamber) + 2 * chamber.cell_width_mm
            near |= (np.abs(across) < reach) & (np.abs(along) < reach)
        muons = muons.chosen(near)
        if self.config.radiation_lengths:
            heights = np.array([middle_mm(chamber) for chamber in self.detector.chambers])
            muons = scattered(rng, muons, heights, self.plane_mm, self.config.radiation_lengths)
        return muons

    def _signals(self, rng: np.random.Generator, muons: Muons) -> Signals:
        """All words caused by muons."""
        config, n = self.config, len(muons)
        parts: list[Signals] = []

        def add(
            muon: NDArray[np.int64],
            late_ns: NDArray[np.float64],
            board: int,
            channel: object,
            origin: Any,
            tdc: int = 0,
        ) -> None:
            time = muons.begin_tdc[muon] + np.floor(muons.time_tdc[muon] + late_ns / NS_PER_TDC).astype(np.int64)
            time = np.maximum(time, 0)
            origins = np.full(len(muon), origin, np.int8)
            parts.append(Signals(time, self._hit_words(time, board, channel, tdc), muon, origins))

        response = CellResponse(
            config.drift_smearing_ns, config.hit_efficiency, config.deltas, config.afterpulses, config.delta_range_mm
        )
        triggered: dict[int, NDArray[np.bool_]] = {}
        stops = self._stops(rng, muons)
        metres = np.sqrt(1 + muons.tan_x**2 + muons.tan_y**2) / 1000
        for c, (chamber, alive) in enumerate(zip(self.detector.chambers, self._alive, strict=True)):
            here = muons.in_chamber(c)
            cell, distance_mm = self._crossed(chamber, here)
            _, tan, along_mm = here.in_frame(chamber, self.plane_mm)
            hits = stops.above(c, drift_hits(rng, chamber, alive, cell, distance_mm, tan, response))
            later_ns = config.flight_ns_per_m * (self.plane_mm - middle_mm(chamber)) * metres
            later_ns += config.wire_ns_per_m * along_mm / 1000
            late_ns = hits.late_ns + later_ns[hits.muon] + SCINTILLATOR_DELAY_NS - chamber.time_offset_ns
            add(hits.muon, late_ns, chamber.board, chamber.first_channel + hits.cell, hits.origin)
            which, electrons, decay_ns = stops.electrons(rng, c, muons)
            if len(which):
                cell, distance_mm = self._crossed(chamber, electrons)
                _, tan, _ = electrons.in_frame(chamber, self.plane_mm)
                more = drift_hits(rng, chamber, alive, cell, distance_mm, tan, response)
                late_ns = more.late_ns + decay_ns[more.muon] + SCINTILLATOR_DELAY_NS - chamber.time_offset_ns
                add(which[more.muon], late_ns, chamber.board, chamber.first_channel + more.cell, Origin.DECAY)
            layers = np.zeros((n, chamber.layers), np.bool_)
            layers[hits.muon, chamber.layer_of_cell()[hits.cell]] = True
            in_chamber = layers.sum(axis=1)
            enough = in_chamber >= TRIGGER_LAYERS
            triggered[chamber.board] = triggered.get(chamber.board, enough) & enough
        fall = self.plane_mm - self._bottom_mm
        x, y = muons.x_mm + muons.tan_x * fall, muons.y_mm + muons.tan_y * fall
        crossed = (np.abs(x) < SCINTILLATOR_MM) & (np.abs(y) < SCINTILLATOR_MM) & ~stops.any
        for scintillator in self.detector.scintillators:
            muon = np.flatnonzero(crossed & (rng.random(n) < config.scintillator_efficiency))
            late_ns = SCINTILLATOR_DELAY_NS + rng.normal(0, config.scintillator_jitter_ns, len(muon))
            late_ns += config.flight_ns_per_m * fall * metres[muon]
            add(muon, late_ns, scintillator.board, scintillator.channel, Origin.SCINTILLATOR)
        for trigger in self.detector.triggers:
            muon = np.flatnonzero(triggered.get(trigger.board, np.zeros(n, np.bool_)))
            late_ns = TRIGGER_DELAY_NS + rng.normal(0, TRIGGER_SPREAD_NS, len(muon))
            # triggers know the bunch crossing only
            add(muon, late_ns, trigger.board, trigger.channel, Origin.TRIGGER, 1)
        return Signals.joined(parts)

    def _crossed(self, chamber: Chamber, muons: Muons) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The cells that muons cross, and where, see `crossed_cells`."""
        across, slope, along = muons.in_frame(chamber, self.plane_mm)
        return crossed_cells(chamber, across, slope, along)

    def _stops(self, rng: np.random.Generator, muons: Muons) -> Stops:
        """Where muons stop."""
        if not self.config.stopping:
            return Stops.none(len(muons), self.detector.chambers, self.plane_mm)
        crossed = [
            (self._crossed(chamber, muons.in_chamber(c))[0] >= 0).any(axis=1)
            for c, chamber in enumerate(self.detector.chambers)
        ]
        return stopped(rng, np.array(crossed), self.detector.chambers, self.plane_mm, self.config.stopping)

    def _hit_words(self, time_tdc: NDArray[np.int64], board: int, channel: object, tdc: int) -> Words:
        """Words of hits at their times; a tdc other than 0 is that of them all."""
        inside = time_tdc % TDC_PER_ORBIT
        return encode(
            fpga=board,
            channel=np.asarray(channel),
            orbit=(self.config.start_orbit + time_tdc // TDC_PER_ORBIT) & ORBIT_MASK,
            bx=inside // TDC_PER_BX,
            tdc=tdc or 1 + inside % TDC_PER_BX,
        )

    def _ancillary(self, rng: np.random.Generator, begin_tdc: int, end_tdc: int) -> Signals:
        """Words that are not hits, with orbits of another time."""
        n = int(rng.poisson(self._ancillary_hz * (end_tdc - begin_tdc) / SECOND_TDC))
        time = self._with_gap(rng.integers(begin_tdc, end_tdc, n))
        board = rng.choice(np.asarray(self.detector.boards), n)
        head = np.asarray(ANCILLARY_HEADS)[rng.integers(0, len(ANCILLARY_HEADS), n)]
        # the payload of words that are not a time is random bits
        is_time = head == Head.TRIGGER_T0
        ahead = np.asarray(ANCILLARY_AHEAD_S)[board % 2] + rng.normal(0, 0.2, n)
        words = encode(
            head=head,
            fpga=board,
            channel=np.where(is_time, rng.integers(0, 5, n), 0) & CHANNEL_MASK,
            orbit=(self.config.start_orbit + (time + (ahead * SECOND_TDC).astype(np.int64)) // TDC_PER_ORBIT)
            & ORBIT_MASK,
            bx=np.where(is_time, rng.integers(0, 3564, n), rng.integers(0, BX_MASK + 1, n)),
            tdc=np.where(is_time, rng.integers(1, 31, n), rng.integers(0, TDC_MASK + 1, n)),
        )
        return Signals(time, words, np.full(n, -1), np.full(n, Origin.ANCILLARY, np.int8))

    def slab(self, index: int) -> tuple[Words, Signals, Muons]:
        """All words of one slab of time, as the boards send them, which of them are not noise, and the muons."""
        config = self.config
        rng = np.random.default_rng([config.seed, index])
        begin = index * self._slab_tdc
        end = begin + self._slab_tdc
        if config.duration_s is not None:
            end = min(end, round(config.duration_s * SECOND_TDC))
        seconds = (end - begin) / SECOND_TDC
        muons = self._muons(rng, int(rng.poisson(self._muon_hz * seconds)), begin, end)
        parts = [self._signals(rng, muons)]
        if self._ancillary_hz:
            parts.append(self._ancillary(rng, begin, end))
        signals = Signals.joined(parts)
        noise_tdc = self._with_gap(_sorted_times(rng, int(rng.poisson(self._noise_hz * seconds)), begin, end))
        time_tdc, words = merged(
            noise_tdc,
            rng.integers(0, 2**64 - 1, len(noise_tdc), dtype=np.uint64, endpoint=True),
            self._noise.limit,
            self._noise.alias,
            self._noise.words,
            signals.time_tdc,
            signals.words,
            config.start_orbit,
        )
        disorder(time_tdc, words, rng.random(len(words), dtype=np.float32), config.disorder)
        hold_tdc = HOLD_ORBITS_A_WORD * config.block_words * TDC_PER_ORBIT
        return sent(time_tdc, words, config.block_words, hold_tdc), signals, muons

    def slabs(self) -> Iterator[tuple[Words, Signals, Muons]]:
        """The slabs, until the configured end, or for ever; `words` of the configuration cuts the last one's words."""
        config, done = self.config, 0
        for index in count():
            if config.duration_s is not None and index * self._slab_tdc >= round(config.duration_s * SECOND_TDC):
                return
            words, signals, muons = self.slab(index)
            if config.words is not None and done + len(words) >= config.words:
                yield words[: config.words - done], signals, muons
                return
            done += len(words)
            yield words, signals, muons

    def blocks(self, size: int | None = None) -> Iterator[Words]:
        """The words, uint64, until the configured end, or for ever: a slab of time at once, or `size` words at once.

        Raises ValueError for a size less than 1.
        """
        if size is None:
            yield from (words for words, _, _ in self.slabs() if len(words))
            return
        if size < 1:
            raise ValueError(f"size: found {size}, expected whole numbers from 1")
        rest: Words = np.empty(0, dtype=np.uint64)
        for slab, _, _ in self.slabs():
            words = np.concatenate([rest, slab])
            whole = len(words) - len(words) % size
            for begin in range(0, whole, size):
                yield words[begin : begin + size]
            rest = words[whole:]
        if len(rest):
            yield rest


def simulate_words(n: int, detector: Detector | None = None, **options: Any) -> Words:
    """n simulated words at once, uint64[n]; options are those of `SimulationConfig`.

    Raises ValueError for an option that is not allowed.

    >>> words = simulate_words(1000, seed=7)
    >>> words.dtype, words.shape
    (dtype('uint64'), (1000,))
    """
    config = SimulationConfig(words=n, **options)
    return np.concatenate(list(Simulation(config, detector or Detector.default()).blocks()))


def _sorted_times(rng: np.random.Generator, n: int, begin_tdc: int, end_tdc: int) -> NDArray[np.int64]:
    """n times, uniform and in order: sums of exponential steps, which need no sorting."""
    sums = np.cumsum(rng.standard_exponential(n + 1))
    times: NDArray[np.int64] = (sums[:-1] * ((end_tdc - begin_tdc) / sums[-1])).astype(np.int64)
    return begin_tdc + times
