"""Snapshots and archived runs for tests: small, with muons, verdicts and something to find."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

from muonstream.archive.contents import Provenance
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.timeline import Timeline

PROVENANCE = Provenance("a1b2", 7, "local", "muonstream run", "daq", 1, "boot")


@cache
def counted(seed: int = 1, words: int = 40_000, part: int = 0) -> Snapshot:
    """A run of simulated words, counted with muons and verdicts; part: which stretch of the telescope's words."""
    with Pipeline(
        Detector.default(),
        run=f"sim{seed}",
        source=f"/data/sim{seed}.dat",
        workers=0,
        reconstruct=True,
        timeline=Timeline,
    ) as pipeline:
        pipeline.push(simulate_words(words * (part + 1), seed=seed, muon_rate_hz=200.0)[words * part :])
        pipeline.finish()
        return replace(
            pipeline.snapshot("ended"), begun_wall_time=1.7e9 + 3600 * seed, wall_time=1.7e9 + 3600 * seed + 60
        )
