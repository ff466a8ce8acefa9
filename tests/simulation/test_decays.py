from __future__ import annotations

import numpy as np

from muonstream.detector.model import Detector
from muonstream.simulation.decays import LIFETIME_NS
from muonstream.simulation.drift import Origin
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation
from muonstream.simulation.truth import Truth, with_truth
from muonstream.words import TDC_PER_ORBIT, time_tdc

TELESCOPE = Detector.default()
TRUTH = Truth.joined(
    list(
        with_truth(
            Simulation(
                SimulationConfig(seed=2, duration_s=20, rate_hz=20_000, muon_rate_hz=500, stopping=0.3), TELESCOPE
            )
        )
    )
)
HEIGHTS = {chamber.number: chamber.z_mm for chamber in TELESCOPE.chambers}


def test_electrons_are_in_the_chamber_below_which_their_muon_stopped() -> None:
    decays = np.flatnonzero(TRUTH.origin == Origin.DECAY)
    assert len(decays) > 1000
    stopped_in = dict(zip(TRUTH.muon[decays].tolist(), TRUTH.chamber[decays].tolist(), strict=True))
    own = np.flatnonzero(np.isin(TRUTH.origin, (Origin.MUON, Origin.DELTA, Origin.SCINTILLATOR)))
    for muon, number in zip(TRUTH.muon[own].tolist(), TRUTH.chamber[own].tolist(), strict=True):
        if muon in stopped_in:
            assert number, "a muon that stopped does not reach the scintillator"
            assert HEIGHTS[number] >= HEIGHTS[stopped_in[muon]]
    assert np.isnan(TRUTH.distance_mm[decays]).all()


def test_electrons_are_as_late_as_muons_live() -> None:
    muons = np.flatnonzero(TRUTH.origin == Origin.MUON)
    times = time_tdc(TRUTH.words) * (25 / 30)
    passage_ns = dict(
        zip(
            TRUTH.muon[muons].tolist(),
            (TRUTH.passage_ns + TRUTH.orbit * (TDC_PER_ORBIT * 25 / 30))[muons].tolist(),
            strict=True,
        )
    )
    late: dict[int, float] = {}
    for at in np.flatnonzero(TRUTH.origin == Origin.DECAY).tolist():
        muon = int(TRUTH.muon[at])
        if muon in passage_ns:
            late[muon] = min(late.get(muon, np.inf), float(times[at]) - passage_ns[muon])
    lived = np.array(list(late.values()))
    lived = lived[lived > 600] - 600
    assert len(lived) > 500
    assert abs(lived.mean() - LIFETIME_NS) < 4 * LIFETIME_NS / np.sqrt(len(lived))
