from __future__ import annotations

import numpy as np
import pytest

from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.summary import summary
from tools.adversarial import STREAMS


@pytest.mark.parametrize("name", STREAMS)
def test_every_word_is_accounted_for_and_no_cut_changes_anything(name: str) -> None:
    words = STREAMS[name](20_000)
    found = []
    for cuts in ([], [1, 7000, 7003, 15_001]):
        with Pipeline(Detector.default(), workers=0, reconstruct=True) as pipeline:
            for part in np.split(words, cuts):
                pipeline.push(part)
            pipeline.finish()
            last = pipeline.snapshot("ended")
        assert last.account.balanced
        assert last.account.words == len(words)
        found.append((summary(last), last.total.tolist()))
    assert found[0] == found[1]
