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
from muonstream.words import NS_PER_TDC, ORBIT_MASK, TDC_PER_BX, TDC_PER_ORBIT, Words, encode

SECOND_TDC: Final = round(1e9 / NS_PER_TDC)
SLAB_WORDS: Final = 50_000
PLANE_MM: Final = 500.0
"""Half side of the square at mid-height through which the muons go."""
SCINTILLATOR_MM: Final = 450.0
"""Half side of the scintillator, under the lowest chamber."""
SCINTILLATOR_DELAY_NS: Final = 200.0
"""How much later than the muon the scintillator's signal is; chambers' offsets refer to it."""
TRIGGER_DELAY_NS: Final = 377.0


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """What to simulate.

    rate_hz: hit words a second in all, 1 to 4e7; muon_rate_hz: muons through the plane; noise makes up the rest
    words, duration_s: where to end (None: never); start_orbit: the counter at the beginning
    gap_after_s, gap_s: a pause of gap_s once the data has lasted gap_after_s (0: none)
    dead_cell, hot_cell: (chamber number, cell) without hits, or with hot_factor times the noise of the others
    """

    seed: int = 1
    rate_hz: float = 5000.0
    muon_rate_hz: float = 60.0
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
        """Raise ValueError naming the key, what was found and what is allowed."""
        for key, low, high in (
            ("seed", 0, 2**63),
            ("rate_hz", 1, 4e7),
            ("muon_rate_hz", 0, 1e6),
            ("start_orbit", 0, ORBIT_MASK),
            ("block_words", 1, 4096),
            ("gap_after_s", 0, 1e9),
            ("gap_s", 0, 3e5),
            ("hot_factor", 0, 1e6),
            ("drift_smearing_ns", 0, 100),
            ("hit_efficiency", 0, 1),
            ("scintillator_efficiency", 0, 1),
            ("scintillator_jitter_ns", 0, 100),
            ("disorder", 0, 0.5),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                raise ValueError(f"{key}: found {value}, allowed are {low:g} to {high:g}")
        for key in ("words", "duration_s"):
            value = getattr(self, key)
            if value is not None and value <= 0:
                raise ValueError(f"{key}: found {value}, allowed is more than 0")


class Simulation:
    """The stream of words of a simulated detector. Raises ValueError for a cell that the detector has not."""

    def __init__(self, config: SimulationConfig, detector: Detector) -> None:
        self.config = config
        self.detector = detector
        self._slab_tdc = round(min(max(SLAB_WORDS / config.rate_hz, 1e-3), 10.0) * SECOND_TDC)
        board, channel, weight = [], [], []
        rng = np.random.default_rng([config.seed, 1 << 40])
        for key in ("dead_cell", "hot_cell"):
            cell = getattr(config, key)
            if cell is not None and not any(c.number == cell[0] and 0 <= cell[1] < c.cells for c in detector.chambers):
                numbers = ", ".join(f"{c.number} (cells 0 to {c.cells - 1})" for c in detector.chambers)
                raise ValueError(f"{key}: found chamber {cell[0]} cell {cell[1]}, allowed are chambers {numbers}")
        for chamber in detector.chambers:
            board.append(np.full(chamber.cells, chamber.board))
            channel.append(chamber.first_channel + np.arange(chamber.cells))
            weights = rng.lognormal(0.0, 0.4, chamber.cells)
            weights[list(chamber.dead_cells)] = 0.0
            if config.hot_cell is not None and config.hot_cell[0] == chamber.number:
                weights[config.hot_cell[1]] = config.hot_factor
            if config.dead_cell is not None and config.dead_cell[0] == chamber.number:
                weights[config.dead_cell[1]] = 0.0
            weight.append(weights)
        self._board = np.concatenate(board)
        self._channel = np.concatenate(channel)
        weights = np.concatenate(weight)
        self._noise_cdf = np.cumsum(weights) / weights.sum()
        low = min(c.z_mm for c in detector.chambers)
        high = max(c.z_mm + c.layers * c.cell_height_mm for c in detector.chambers)
        self._middle_mm, self._bottom_mm = (low + high) / 2, low - 50.0
        # what muons bring, so that noise can make up the rest: measured on a short stretch without noise
        probe = 200
        times, *_ = self._muons(np.random.default_rng([config.seed, 1 << 41]), probe, 0, SECOND_TDC)
        self._noise_hz = max(0.0, config.rate_hz - config.muon_rate_hz * len(times) / probe)

    def _muons(
        self, rng: np.random.Generator, n: int, begin_tdc: int, end_tdc: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Words of n muons: times in TDC counts, boards, channels."""
        t_ns = rng.uniform(begin_tdc, end_tdc, n) * NS_PER_TDC
        # flux through a horizontal plane: cos^2 of the zenith angle, and one more cosine for the plane
        cos_zenith = rng.uniform(0, 1, n) ** 0.25
        azimuth = rng.uniform(0, 2 * np.pi, n)
        tan = np.sqrt(1 - cos_zenith**2) / cos_zenith
        tan_x, tan_y = tan * np.cos(azimuth), tan * np.sin(azimuth)
        x, y = rng.uniform(-PLANE_MM, PLANE_MM, (2, n))
        times, boards, channels = [], [], []
        hits_of_board = {board: np.zeros(n, np.int64) for board in self.detector.boards}
        for chamber in self.detector.chambers:
            for layer in range(chamber.layers):
                cell, distance_mm = self._cell_crossed(chamber, layer, x, y, tan_x, tan_y)
                drift_ns = distance_mm * 1000 / chamber.drift_velocity_um_per_ns
                drift_ns = np.abs(drift_ns + rng.normal(0, self.config.drift_smearing_ns, n))
                alive = (cell >= 0) & (rng.uniform(0, 1, n) < self.config.hit_efficiency)
                alive &= ~np.isin(cell, list(chamber.dead_cells))
                if self.config.dead_cell is not None and self.config.dead_cell[0] == chamber.number:
                    alive &= cell != self.config.dead_cell[1]
                times.append((t_ns + drift_ns + SCINTILLATOR_DELAY_NS - chamber.time_offset_ns)[alive])
                boards.append(np.full(int(alive.sum()), chamber.board))
                channels.append(chamber.first_channel + cell[alive])
                hits_of_board[chamber.board] += alive
        below = self._middle_mm - self._bottom_mm
        seen = (np.abs(x + tan_x * below) < SCINTILLATOR_MM) & (np.abs(y + tan_y * below) < SCINTILLATOR_MM)
        for scintillator in self.detector.scintillators:
            mine = seen & (rng.uniform(0, 1, n) < self.config.scintillator_efficiency)
            jitter = rng.normal(0, self.config.scintillator_jitter_ns, n)
            times.append((t_ns + SCINTILLATOR_DELAY_NS + jitter)[mine])
            boards.append(np.full(int(mine.sum()), scintillator.board))
            channels.append(np.full(int(mine.sum()), scintillator.channel))
        for trigger in self.detector.triggers:
            mine = hits_of_board[trigger.board] >= 3
            times.append((t_ns + TRIGGER_DELAY_NS + rng.normal(0, 45, n))[mine])
            boards.append(np.full(int(mine.sum()), trigger.board))
            channels.append(np.full(int(mine.sum()), trigger.channel))
        times_tdc = np.maximum(np.concatenate(times) / NS_PER_TDC, begin_tdc).astype(np.int64)
        return times_tdc, np.concatenate(boards), np.concatenate(channels)

    def _cell_crossed(
        self,
        chamber: Chamber,
        layer: int,
        x: NDArray[np.float64],
        y: NDArray[np.float64],
        tan_x: NDArray[np.float64],
        tan_y: NDArray[np.float64],
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """The cell of a layer that each muon crosses (-1: none), and its distance from the wire in mm."""
        z_mm = chamber.z_mm + (chamber.layers - layer - 0.5) * chamber.cell_height_mm
        fall = self._middle_mm - z_mm
        angle = np.radians(chamber.rotation_deg)
        across = (x + tan_x * fall) * np.cos(angle) + (y + tan_y * fall) * np.sin(angle)
        half = chamber.cells_per_layer * chamber.cell_width_mm / 2
        local = across - chamber.x_mm + half - chamber.layer_shift_mm[layer]
        column = np.floor(local / chamber.cell_width_mm).astype(np.int64)
        inside = (column >= 0) & (column < chamber.cells_per_layer)
        offset = list(chamber.layer_of_channel).index(layer)
        cell = np.where(inside, column * chamber.layers + offset, -1)
        return cell, np.abs(local - (column + 0.5) * chamber.cell_width_mm)

    def _slab(self, index: int) -> Words:
        """All words of one slab of time, as the boards send them."""
        config = self.config
        rng = np.random.default_rng([config.seed, index])
        begin = index * self._slab_tdc
        end = begin + self._slab_tdc
        if config.duration_s is not None:
            end = min(end, round(config.duration_s * SECOND_TDC))
        seconds = (end - begin) / SECOND_TDC
        n_noise = int(rng.poisson(self._noise_hz * seconds))
        noise_tdc = rng.integers(begin, end, n_noise)
        noise_cell = np.searchsorted(self._noise_cdf, rng.uniform(0, 1, n_noise))
        muon_tdc, muon_board, muon_channel = self._muons(
            rng, int(rng.poisson(config.muon_rate_hz * seconds)), begin, end
        )
        times = np.concatenate([noise_tdc, muon_tdc])
        board = np.concatenate([self._board[noise_cell], muon_board])
        channel = np.concatenate([self._channel[noise_cell], muon_channel])
        order = np.argsort(times, kind="stable")
        times, board, channel = times[order], board[order], channel[order]
        if config.gap_s:
            times = times + np.where(times >= config.gap_after_s * SECOND_TDC, round(config.gap_s * SECOND_TDC), 0)
        orbit = (config.start_orbit + times // TDC_PER_ORBIT) & ORBIT_MASK
        inside = times % TDC_PER_ORBIT
        words = encode(fpga=board, channel=channel, orbit=orbit, bx=inside // TDC_PER_BX, tdc=1 + inside % TDC_PER_BX)
        return self._interleaved(rng, words, board)

    def _interleaved(self, rng: np.random.Generator, words: Words, board: NDArray[np.int64]) -> Words:
        """Words in order of time as the boards' blocks bring them: in blocks by board, now and then out of order."""
        arrival = np.empty(len(words), np.int64)
        for number in self.detector.boards:
            mine = np.flatnonzero(board == number)
            swapped = mine.copy()
            first = np.flatnonzero(rng.uniform(0, 1, max(len(mine) // 2, 0)) < 2 * self.config.disorder) * 2
            first = first[first + 1 < len(mine)]
            swapped[first], swapped[first + 1] = mine[first + 1], mine[first]
            words[mine] = words[swapped]
            # a block leaves when its last word is there
            block = np.arange(len(mine)) // self.config.block_words
            last = np.minimum((block + 1) * self.config.block_words, len(mine)) - 1
            arrival[mine] = mine[last] if len(mine) else mine
        return words[np.argsort(arrival, kind="stable")]

    def blocks(self) -> Iterator[Words]:
        """The words (uint64), a slab of time at a time, until the configured end, or for ever."""
        config, sent = self.config, 0
        for index in count():
            if config.duration_s is not None and index * self._slab_tdc >= config.duration_s * SECOND_TDC:
                return
            words = self._slab(index)
            if config.words is not None and sent + len(words) >= config.words:
                yield words[: config.words - sent]
                return
            sent += len(words)
            yield words


def simulate_words(n: int, detector: Detector | None = None, **options: Any) -> Words:
    """n simulated words at once, uint64[n]; options are those of `SimulationConfig`."""
    config = SimulationConfig(words=n, **options)
    return np.concatenate(list(Simulation(config, detector or Detector.default()).blocks()))
