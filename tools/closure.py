"""python -m tools.closure: whether the lifetime and the intensity of simulated muons come back as they were put in.

The lifetime: muons of which 0.3 stop, 1,000 a second and chamber in 20,000 words a second, with and without knock-on
electrons and afterpulses. The intensity: muons alone in cells that miss nothing, and with the scenario's own response.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Iterator
from typing import Any, Final

import numpy as np

from muonstream.counting.catalogue import Catalogue, Counts
from muonstream.detector.model import Detector
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.muons.acceptance import aperture_m2_sr
from muonstream.muons.delays import fitted_decays
from muonstream.muons.reconstruction import Reconstruction
from muonstream.simulation.decays import LIFETIME_NS
from muonstream.simulation.scenario import SimulationConfig
from muonstream.simulation.telescope import Simulation

CATALOGUE: Final = Catalogue(Detector.default(), muons=True)
CLEAN: Final = {"deltas": 0.0, "afterpulses": 0.0}
EFFICIENT: Final = {**CLEAN, "hit_efficiency": 1.0}
RUN_S: Final = 20.0
FIRST_SEED: Final = 100
MUONS_ONLY_HZ: Final = 1e5
"""So many muons fill the stream, which leaves no room for noise."""


def reconstructed(config: SimulationConfig) -> tuple[Counts, float]:
    """The counts of simulated words, and the intensity that was put in, in /m2/s/sr."""
    detector = CATALOGUE.detector
    simulation, builder = Simulation(config, detector), FrameBuilder(detector.boards)
    parts = [builder.push(words) for words in simulation.blocks()]
    return Reconstruction(CATALOGUE)(Frames.join([*parts, builder.finish()])).total, simulation.vertical_intensity


def runs(seeds: int, **options: Any) -> Iterator[tuple[Counts, float]]:
    """So many runs of RUN_S."""
    for seed in range(FIRST_SEED, FIRST_SEED + seeds):
        yield reconstructed(SimulationConfig(seed=seed, duration_s=RUN_S, **options))


def lifetime(seeds: int, **options: Any) -> str:
    """The lifetime found in several runs together, with its difference from the true one."""
    total = np.sum(
        [counts for counts, _ in runs(seeds, rate_hz=20_000, muon_rate_hz=1000, stopping=0.3, **options)],
        axis=0,
    )
    _, fit = fitted_decays(CATALOGUE, total)
    if fit is None:
        return "too few decays"
    pull = (fit.lifetime - LIFETIME_NS) / fit.lifetime_error
    return f"{fit.lifetime:.0f} ± {fit.lifetime_error:.0f} ns ({pull:+.1f} sigma), {fit.decays:,.0f} decays"


def intensity(seeds: int, **options: Any) -> str:
    """The share of the intensity that is found in several runs."""
    found, expected = 0, 0.0
    for counts, put_in in runs(seeds, rate_hz=3000, muon_rate_hz=MUONS_ONLY_HZ, ancillary_hz=0, **options):
        found += int(CATALOGUE.view(counts, "zenith").sum())
        expected += put_in * RUN_S * aperture_m2_sr(CATALOGUE.detector)
    return f"{100 * found / expected:.1f} ± {100 * math.sqrt(found) / expected:.1f} %"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=60, help=f"runs of {RUN_S:g} s each")
    seeds = parser.parse_args().seeds
    print(
        f"lifetime ({LIFETIME_NS:.0f} ns), no knock-on electrons and afterpulses: {lifetime(seeds, **CLEAN)}",
        flush=True,
    )
    print(f"lifetime, with both:                                      {lifetime(seeds)}", flush=True)
    print(f"intensity, cells that miss nothing:                       {intensity(seeds, **EFFICIENT)}", flush=True)
    print(f"intensity, cells of 97 %, knock-ons, afterpulses:         {intensity(seeds)}", flush=True)


if __name__ == "__main__":
    main()
