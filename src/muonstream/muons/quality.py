"""The quality of a segment: by its hits, and by whether another chamber saw a muon at the same time."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from muonstream.compiled import compiled
from muonstream.counting.muon_entries import Quality
from muonstream.muons.agreement import CONFIRMED_NS
from muonstream.muons.segments import Segments


@compiled
def _confirmed(frame: Any, orbit: Any, chamber: Any, t0: Any, within_ns: float, out: Any) -> None:
    for a in range(len(orbit)):
        b = a + 1
        while b < len(orbit) and orbit[b] == orbit[a] and frame[b] == frame[a]:
            if chamber[b] != chamber[a] and abs(t0[b] - t0[a]) < within_ns:
                out[a] = True
                out[b] = True
            b += 1


def qualities(segments: Segments, full: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The class of each segment, as `Quality`, int64[n]; full: bool[n], whether it has hits in all layers."""
    confirmed = np.zeros(len(segments), np.bool_)
    _confirmed(segments.frame, segments.orbit, segments.chamber, segments.t0_ns, CONFIRMED_NS, confirmed)
    sure = np.where(full, Quality.FULL_CONFIRMED, Quality.CONFIRMED)
    return np.where(confirmed, sure, np.where(full, Quality.FULL_ALONE, Quality.ALONE)).astype(np.int64)
