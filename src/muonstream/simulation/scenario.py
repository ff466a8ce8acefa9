"""What to simulate: rates, faults and efficiencies of a simulated telescope, validated."""

from __future__ import annotations

from dataclasses import dataclass

from muonstream.words import ORBIT_MASK


@dataclass(frozen=True, slots=True)
class SimulationConfig:
    """What to simulate. Raises ValueError naming the key, what was found and what is allowed.

    seed: the same seed gives the same words
    cells_seed: of the cells' noise, so that runs of different seeds are of one telescope (None: the seed itself)
    rate_hz: words a second in all, 1 to 4e7; noise fills up what muons and ancillary words leave of it; if these exceed
    it, they are reduced
    muon_rate_hz: muons a second through a chamber, on the average of the chambers
    ancillary_hz: words a second that are not hits, with orbits about 10 s ahead
    words, duration_s: where to end (None: never); start_orbit: the counter at the beginning, which wraps after 2**32
    block_words: words in a board's packet
    gap_after_s, gap_s: a pause of gap_s once the data has lasted gap_after_s (0: none); duration_s leaves it out
    dead_cell, hot_cell: (chamber number, cell) without hits, or with hot_factor times the noise of the mean cell
    deltas: chance, a cell crossed, of a knock-on electron; afterpulses: chance that another hit follows a hit
    delta_range_mm: with 0 a knock-on electron's hit comes at any time before its muon's; else electrons are freed by
        path in the cell, `deltas` for a vertical muon, reach this far at least, and are nearer to the wire by it
    radiation_lengths: of material in each chamber, which scatters muons (0: none)
    wire_ns_per_m: how late hits are for each metre along the wire, from its middle (0: not; CMS has 4.1)
    flight_ns_per_m: how late muons are for each metre of their way, from the plane of the simulation (0: not; 3.336)
    stopping: chance, for a muon that crosses a chamber, of stopping below its layers; half of the electrons that these
        muons decay into go up through the chamber (0: none stop)
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
    deltas: float = 0.03
    afterpulses: float = 0.03
    scintillator_efficiency: float = 0.95
    scintillator_jitter_ns: float = 1.5
    disorder: float = 0.08
    delta_range_mm: float = 0.0
    radiation_lengths: float = 0.0
    wire_ns_per_m: float = 0.0
    flight_ns_per_m: float = 0.0
    stopping: float = 0.0
    cells_seed: int | None = None

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
            ("deltas", 0, 1),
            ("afterpulses", 0, 1),
            ("scintillator_efficiency", 0, 1),
            ("scintillator_jitter_ns", 0, 50),
            ("disorder", 0, 0.5),
            ("delta_range_mm", 0, 10),
            ("radiation_lengths", 0, 100),
            ("wire_ns_per_m", 0, 100),
            ("flight_ns_per_m", 0, 100),
            ("stopping", 0, 1),
        ):
            value = getattr(self, key)
            if not low <= value <= high:
                raise ValueError(f"{key}: found {value}, expected {low:g} to {high:g}")
        for key, low, high in (("seed", 0, 2**63 - 1), ("start_orbit", 0, ORBIT_MASK), ("block_words", 1, 4096)):
            value = getattr(self, key)
            if not (isinstance(value, int) and low <= value <= high):
                raise ValueError(f"{key}: found {value}, expected whole numbers {low} to {high}")
        if self.cells_seed is not None and not (isinstance(self.cells_seed, int) and 0 <= self.cells_seed < 2**63):
            raise ValueError(f"cells_seed: found {self.cells_seed}, expected whole numbers 0 to {2**63 - 1}")
        if self.words is not None and not (isinstance(self.words, int) and self.words > 0):
            raise ValueError(f"words: found {self.words}, expected whole numbers from 1")
        if self.duration_s is not None and not 0 < self.duration_s <= 1e9:
            raise ValueError(f"duration_s: found {self.duration_s}, expected more than 0, up to 1e9")
