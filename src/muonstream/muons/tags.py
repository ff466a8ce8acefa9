"""Efficiency of chambers by tag and probe: how many muons that all others saw, in both views, each saw."""

from __future__ import annotations

from typing import Any

from muonstream.compiled import compiled
from muonstream.muons.agreement import LOOSE, agree


@compiled
def _other_view(first: int, last: int, a: int, view: Any, full: Any, t0: Any, limits: Any) -> int:
    """A segment of the other view that passed when segment a did, the nearest in time; or -1."""
    best = -1
    for b in range(first, last):
        apart = abs(t0[b] - t0[a])
        other = view[b] != view[a] and full[b] and apart <= limits[0]
        if other and (best < 0 or apart < abs(t0[best] - t0[a])):
            best = b
    return best


@compiled
def tagged(
    first: int,
    last: int,
    segments: Any,
    lines: Any,
    chambers: Any,
    limits: Any,
    inside: float,
    crossed: Any,
    found: Any,
) -> None:
    """Chambers that a muon crossed which all others saw, and whether they saw it too, for one orbit's segments.

    All others: each with hits in all layers, those of one view on one line, and both views at one time. The line comes
    from the farthest two of the chamber's own view, or from the only other one; where along its wires, from the other
    view. A view without other chambers, or a telescope of one view, has no tags.
    """
    chamber, view, full = segments
    x, z, tan, t0 = lines
    chamber_view, chamber_z, chamber_half, in_view, origin, has = chambers
    for c in range(len(chamber_view)):
        v = chamber_view[c]
        if not has[c] or in_view[v] < 2 or in_view[1 - v] < 1:
            continue
        for a in range(first, last):
            if view[a] != v or chamber[a] == c or not full[a]:
                continue
            b = _other_view(first, last, a, view, full, t0, limits)
            if b < 0:
                continue
            # one of every other chamber that goes with a, or with b
            far, far_along, whole = a, b, True
            for k in range(len(chamber_view)):
                if k == c or not has[k] or k == chamber[a] or k == chamber[b]:
                    continue
                base, there = (a if chamber_view[k] == v else b), -1
                for s in range(first, last):
                    if chamber[s] == k and full[s] and agree(base, s, x, z, tan, t0, limits):
                        there = s
                        break
                if there < 0:
                    whole = False
                    break
                if chamber_view[k] == v:
                    far = there if abs(z[there] - z[a]) > abs(z[far] - z[a]) else far
                else:
                    far_along = there if abs(z[there] - z[b]) > abs(z[far_along] - z[b]) else far_along
            if not whole:
                continue
            slope = tan[a] if far == a else (x[far] - x[a]) / (z[a] - z[far])
            slope_along = tan[b] if far_along == b else (x[far_along] - x[b]) / (z[b] - z[far_along])
            at = x[a] + slope * (z[a] - chamber_z[c])
            along = x[b] + slope_along * (z[b] - chamber_z[c])
            if abs(at - origin[c]) > chamber_half[c] - inside or abs(along) > chamber_half[c] - inside:
                continue
            crossed[c] += 1
            for s in range(first, last):
                if chamber[s] == c and abs(t0[s] - t0[a]) <= LOOSE * limits[0] and abs(x[s] - at) <= inside:
                    found[c] += 1
                    break
            # a muon crosses a chamber once
            break
