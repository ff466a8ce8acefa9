"""What judging costs a live run: processor time of the engine with and without verdicts, at 5 kHz.

Words of some minutes in pieces of a second, each followed by what a live run waits for, with and without
reconstruction. Processor time is read, so that a busy machine does not matter much.
"""

from __future__ import annotations

import time
from itertools import pairwise

import numpy as np

from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.timeline import Timeline
from muonstream.verdicts.verdicts import Change
from muonstream.words import Words

RATE_HZ = 5000.0
SECONDS = 180
ROUNDS = 3


def engine_s(pieces: list[Words], *, verdicts: bool, reconstruct: bool) -> tuple[float, float]:
    """Processor seconds of a run, and of its judging alone."""
    judging_s = 0.0

    class Timed(Timeline):
        def _judged(self, data_time_s: float, *, ended: bool) -> list[Change]:
            nonlocal judging_s
            began = time.process_time()
            changes = super()._judged(data_time_s, ended=ended)
            judging_s += time.process_time() - began
            return changes

    began = time.process_time()
    with Pipeline(
        Detector.default(),
        workers=0,
        reconstruct=reconstruct,
        pairs=verdicts,
        timeline=Timed if verdicts else None,
    ) as pipeline:
        for piece in pieces:
            pipeline.push(piece)
            pipeline.settle()
        pipeline.finish()
    return time.process_time() - began, judging_s


def main() -> None:
    """Measure and print."""
    n = round(RATE_HZ)
    words = simulate_words(n * SECONDS, rate_hz=RATE_HZ)
    pieces = [words[first:last] for first, last in pairwise(range(0, len(words) + 1, n))]
    print(f"\nJudging live at {RATE_HZ:,.0f} words a second, in per cent of a core (medians of {ROUNDS} runs)")
    for reconstruct in (False, True):
        engine_s(pieces[:10], verdicts=True, reconstruct=reconstruct)
        with_, without, alone = [], [], []
        for _ in range(ROUNDS):
            without.append(engine_s(pieces, verdicts=False, reconstruct=reconstruct)[0])
            total, judging = engine_s(pieces, verdicts=True, reconstruct=reconstruct)
            with_.append(total)
            alone.append(judging)
        share = [100 * float(np.median(seconds)) / SECONDS for seconds in (without, with_, alone)]
        what = "with reconstruction" if reconstruct else "without reconstruction"
        print(
            f"{what:24} engine {share[0]:5.2f} %, with verdicts {share[1]:5.2f} %, of which judging {share[2]:5.2f} %"
        )


if __name__ == "__main__":
    main()
