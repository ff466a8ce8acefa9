"""A simulated telescope: muons, noise, scintillator and triggers, as the boards would send them.

Time goes in slabs, each with random numbers of its own, so that a seed gives the same words however they are asked for.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.detector import Chamber, Detector
from muonstream.readout import CellNoise, disorder, merged, sent
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


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """What to simulate. Raises ValueError naming the key, what was found and what is allowed.

    seed: the same seed gives the same words
    rate_hz: words a second in all, 1 to 4e7; noise makes up what muons and ancillary words leave of it, and where they
        would be more than that, they are as many fewer
    muon_rate_hz: muons a second through a chamber, on the average of the chambers
    ancillary_hz: words a second that are no hits, with orbits some 10 s ahead
    words, duration_s: where to end (None: never); start_orbit: the counter at the beginning, which wraps after 2**32
    block_words: words in a board's packet
    gap_after_s, gap_s: a pause of gap_s once the data has lasted gap_after_s (0: none); duration_s leaves it out
    dead_cell, hot_cell: (chamber number, cell) without hits, or with hot_factor times the noise of the mean cell
    disorder: the share of steps inside a board that go back in time, as far as there are words close enough
    """

    seed: int = 1
    rate_hz: float = 5000.0
    muon_rate_hz: float = 60.0
    ancillary_hz: float = 0.0
    words: int | None = None
    duration_s: float | None = None
    start_orbit: int = 0
    block_words: int = 4
    gap_after_s: float = 0.0
    gap_s: float = 0.0
    dead_cell: tuple[int, int] | None = None
    hot_cell: tuple[int, int] | None = None
    hot_factor: float = 20.0
    drift_smearing_ns: float = 4.0
    hit_efficiency: float = 0.97
    scintillator_efficiency: float = 0.95
    scintillator_jitter_ns: float = 1.5
    disorder: float = 0.08

    def __post_init__(self) -> None:
        """Check every value."""
        for key, low, high in (
            ("rate_hz", 1, 4e7),
            ("muon_rate_hz", 0, 1e6),
            ("ancillary_hz", 0, 1e6),
            ("gap_after_s", 0, 1e9),
            ("gap_s", 0, 3e5),
            ("hot_factor", 0, 1e6),
            ("drift_smearing_ns", 0, 100),
            ("hit_efficiency", 0, 1),
            ("scintillator_efficiency", 0, 1),
            ("scintillator_jitter_ns", 0, 50),
            ("disorder", 0, 0.5),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                raise ValueError(f"{key}: found {value}, allowed are {low:g} to {high:g}")
        for key, low, high in (("seed", 0, 2**63 - 1), ("start_orbit", 0, ORBIT_MASK), ("block_words", 1, 4096)):
            value = getattr(self, key)
            if not (isinstance(value, int) and low <= value <= high):
                raise ValueError(f"{key}: found {value}, allowed are whole numbers {low} to {high}")
        if self.words is not None and not (isinstance(self.words, int) and self.words > 0):
            raise ValueError(f"words: found {self.words}, allowed are whole numbers from 1")
        if self.duration_s is not None and not 0 < self.duration_s <= 1e9:
            raise ValueError(f"duration_s: found {self.duration_s}, allowed is more than 0, up to 1e9")


@dataclass(frozen=True, slots=True)
class Muons:
    """Muons as they were: arrays of one length, in order of nothing.

    begin_tdc: int64, the time that time_tdc counts from; time_tdc: float64, when they pass, in TDC counts
    x_mm, y_mm: float64, where they cross the height z_mm of the simulation's plane
    tan_x, tan_y: float64, how far they go in x and y for each step down
    """

    begin_tdc: NDArray[np.int64]
    time_tdc: NDArray[np.float64]
    x_mm: NDArray[np.float64]
    y_mm: NDArray[np.float64]
    tan_x: NDArray[np.float64]
    tan_y: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.time_tdc)

    def chosen(self, mask: NDArray[np.bool_]) -> Muons:
        """Those of a mask."""
        return Muons(
            begin_tdc=self.begin_tdc[mask],
            time_tdc=self.time_tdc[mask],
            x_mm=self.x_mm[mask],
            y_mm=self.y_mm[mask],
            tan_x=self.tan_x[mask],
            tan_y=self.tan_y[mask],
        )


@dataclass(frozen=True, slots=True)
class Signals:
    """Words, uint64[n], with their times time_tdc, int64[n], and which muon brought each, int64[n] (-1: none)."""

    time_tdc: NDArray[np.int64]
    words: Words
    muon: NDArray[np.int64]

    @staticmethod
    def joined(parts: list[Signals]) -> Signals:
        """All of them, in order of time."""
        time_tdc = np.concatenate([part.time_tdc for part in parts])
        order = np.argsort(time_tdc, kind="stable")
        words, muon = np.concatenate([p.words for p in parts]), np.concatenate([p.muon for p in parts])
        return Signals(time_tdc[order], words[order], muon[order])


class Simulation:
    """The stream of words of a simulated detector. Raises ValueError for a cell that the detector has not."""

    def __init__(self, config: SimulationConfig, detector: Detector) -> None:
        self.config = config
        self.detector = detector
        self._slab_tdc = round(min(max(SLAB_WORDS / config.rate_hz, 1e-3), LONGEST_SLAB_S) * SECOND_TDC)
        self._alive = [self._alive_cells(chamber) for chamber in detector.chambers]
        self._noise = CellNoise(self._cell_weights(), self._cell_words())

        low = min(c.z_mm for c in detector.chambers)
        high = max(c.z_mm + c.layers * c.cell_height_mm for c in detector.chambers)
        self._bottom_mm = low - 50.0
        self.plane_mm = (low + high) / 2
        """Height of the plane through which the muons are drawn."""
        # wide enough for muons of up to 60 degrees that reach the highest or the lowest chamber's edge
        edge = max(abs(c.x_mm) + _half_width(c) for c in detector.chambers)
        self._half_plane_mm = edge + 1.75 * (high - low) / 2
        area = np.mean([(2 * _half_width(c)) ** 2 for c in detector.chambers])
        muon_hz = config.muon_rate_hz * float((2 * self._half_plane_mm) ** 2 / area)

        # what muons bring, so that noise can make up the rest
        probe = np.random.default_rng([config.seed, 1 << 41])
        brought = len(self._signals(probe, self._muons(probe, PROBE_MUONS, 0, SECOND_TDC)).words) / PROBE_MUONS
        fixed_hz = muon_hz * brought + config.ancillary_hz
        share = min(1.0, config.rate_hz / fixed_hz) if fixed_hz else 1.0
        self._muon_hz, self._ancillary_hz = muon_hz * share, config.ancillary_hz * share
        self._noise_hz = max(0.0, config.rate_hz - fixed_hz) if self._noise.possible else 0.0

    def _alive_cells(self, chamber: Chamber) -> NDArray[np.bool_]:
        alive = np.ones(chamber.cells, dtype=np.bool_)
        alive[list(chamber.dead_cells)] = False
        if self.config.dead_cell is not None and self.config.dead_cell[0] == chamber.number:
            alive[self._checked("dead_cell", self.config.dead_cell)] = False
        return alive

    def _checked(self, key: str, cell: tuple[int, int]) -> int:
        if not any(c.number == cell[0] and 0 <= cell[1] < c.cells for c in self.detector.chambers):
            known = ", ".join(f"{c.number} (cells 0 to {c.cells - 1})" for c in self.detector.chambers)
            raise ValueError(f"{key}: found chamber {cell[0]} cell {cell[1]}, allowed are chambers {known}")
        return cell[1]

    def _cell_weights(self) -> NDArray[np.float64]:
        """Share of the noise of each cell, in order of chambers."""
        config = self.config
        rng = np.random.default_rng([config.seed, 1 << 40])
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
            across, along = self._at(muons, chamber, chamber.z_mm + chamber.layers * chamber.cell_height_mm / 2)
            # a little wider than the chamber, since its layers stand above and below its middle
            reach = _half_width(chamber) + 2 * chamber.cell_width_mm
            near |= (np.abs(across) < reach) & (np.abs(along) < reach)
        return muons.chosen(near)

    def _at(self, muons: Muons, chamber: Chamber, z_mm: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Where muons are at a height, in mm from a chamber's middle: across its wires, and along them."""
        angle = np.radians(chamber.rotation_deg)
        fall = self.plane_mm - z_mm
        x, y = muons.x_mm + muons.tan_x * fall, muons.y_mm + muons.tan_y * fall
        return x * np.cos(angle) + y * np.sin(angle) - chamber.x_mm, y * np.cos(angle) - x * np.sin(angle)

    def _signals(self, rng: np.random.Generator, muons: Muons) -> Signals:
        """All words that muons bring."""
        config, n = self.config, len(muons)
        parts: list[Signals] = []

        def add(
            seen: NDArray[np.bool_], late_ns: NDArray[np.float64], board: int, channel: object, tdc: int = 0
        ) -> None:
            muon = np.flatnonzero(seen)
            time = muons.begin_tdc[muon] + np.floor(muons.time_tdc[muon] + late_ns[muon] / NS_PER_TDC).astype(np.int64)
            time = np.maximum(time, 0)
            parts.append(Signals(time, self._hit_words(time, board, channel, tdc), muon))

        triggered: dict[int, NDArray[np.bool_]] = {}
        for chamber, alive in zip(self.detector.chambers, self._alive, strict=True):
            in_chamber = np.zeros(n, np.int64)
            for layer in range(chamber.layers):
                cell, distance_mm = self._crossed(chamber, layer, muons)
                drift_ns = distance_mm * 1000 / chamber.drift_velocity_um_per_ns
                drift_ns = np.abs(drift_ns + rng.normal(0, config.drift_smearing_ns, n))
                seen = (cell >= 0) & (rng.random(n) < config.hit_efficiency) & alive[cell]
                late_ns = drift_ns + SCINTILLATOR_DELAY_NS - chamber.time_offset_ns
                add(seen, late_ns, chamber.board, chamber.first_channel + cell[seen])
                in_chamber += seen
            enough = in_chamber >= TRIGGER_LAYERS
            triggered[chamber.board] = triggered.get(chamber.board, enough) & enough
        fall = self.plane_mm - self._bottom_mm
        x, y = muons.x_mm + muons.tan_x * fall, muons.y_mm + muons.tan_y * fall
        crossed = (np.abs(x) < SCINTILLATOR_MM) & (np.abs(y) < SCINTILLATOR_MM)
        for scintillator in self.detector.scintillators:
            seen = crossed & (rng.random(n) < config.scintillator_efficiency)
            late_ns = SCINTILLATOR_DELAY_NS + rng.normal(0, config.scintillator_jitter_ns, n)
            add(seen, late_ns, scintillator.board, scintillator.channel)
        for trigger in self.detector.triggers:
            late_ns = TRIGGER_DELAY_NS + rng.normal(0, TRIGGER_SPREAD_NS, n)
            # triggers know the bunch crossing only
            seen = triggered.get(trigger.board, np.zeros(n, np.bool_))
            add(seen, late_ns, trigger.board, trigger.channel, 1)
        return Signals.joined(parts)

    def _crossed(self, chamber: Chamber, layer: int, muons: Muons) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The cell of a layer that each muon crosses (-1: none), and its distance from the wire in mm.

        Chambers are taken to be square, so wires are as long as a layer is wide.
        """
        across, along = self._at(muons, chamber, chamber.z_mm + (chamber.layers - layer - 0.5) * chamber.cell_height_mm)
        local = across + _half_width(chamber) - chamber.layer_shift_mm[layer]
        column = np.floor(local / chamber.cell_width_mm).astype(np.int64)
        inside = (column >= 0) & (column < chamber.cells_per_layer) & (np.abs(along) < _half_width(chamber))
        cell = np.where(inside, column * chamber.layers + chamber.layer_of_channel.index(layer), -1)
        return cell, np.abs(local - (column + 0.5) * chamber.cell_width_mm)

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
        """Words that are no hits, with orbits of another time."""
        n = int(rng.poisson(self._ancillary_hz * (end_tdc - begin_tdc) / SECOND_TDC))
        time = self._with_gap(rng.integers(begin_tdc, end_tdc, n))
        board = rng.choice(np.asarray(self.detector.boards), n)
        head = np.asarray(ANCILLARY_HEADS)[rng.integers(0, len(ANCILLARY_HEADS), n)]
        # the payload of those that are no time is any bits at all
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
        return Signals(time, words, np.full(n, -1))

    def _slab(self, index: int) -> Words:
        """All words of one slab of time, as the boards send them."""
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
        return sent(time_tdc, words, config.block_words, HOLD_ORBITS_A_WORD * config.block_words * TDC_PER_ORBIT)

    def _slabs(self) -> Iterator[Words]:
        config, done = self.config, 0
        for index in count():
            if config.duration_s is not None and index * self._slab_tdc >= round(config.duration_s * SECOND_TDC):
                return
            words = self._slab(index)
            if config.words is not None and done + len(words) >= config.words:
                yield words[: config.words - done]
                return
            done += len(words)
            if len(words):
                yield words

    def blocks(self, size: int | None = None) -> Iterator[Words]:
        """The words, uint64, until the configured end, or for ever: a slab of time at once, or `size` words at once.

        Raises ValueError for a size less than 1.
        """
        if size is None:
            yield from self._slabs()
            return
        if size < 1:
            raise ValueError(f"size: found {size}, allowed are whole numbers from 1")
        rest: Words = np.empty(0, dtype=np.uint64)
        for slab in self._slabs():
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
    """
    config = SimulationConfig(words=n, **options)
    return np.concatenate(list(Simulation(config, detector or Detector.default()).blocks()))


def _half_width(chamber: Chamber) -> float:
    return chamber.cells_per_layer * chamber.cell_width_mm / 2


def _sorted_times(rng: np.random.Generator, n: int, begin_tdc: int, end_tdc: int) -> NDArray[np.int64]:
    """n times, uniform and in order: sums of exponential steps, which need no sorting."""
    sums = np.cumsum(rng.standard_exponential(n + 1))
    times: NDArray[np.int64] = (sums[:-1] * ((end_tdc - begin_tdc) / sums[-1])).astype(np.int64)
    return begin_tdc + times
