"""The health check: data arrive, the engine keeps up, all words are accounted for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from muonstream.run.monitor import Snapshot

STALE_AFTER_S: Final = 30.0
"""By default a running engine without new data for this long is unhealthy."""
STALL_AFTER_S: Final = 10.0
"""An engine without a new snapshot for this long has stalled."""


def health(
    snapshot: Snapshot | None,
    *,
    now: float,
    viewers: int = 0,
    stale_after_s: float = STALE_AFTER_S,
    problems: Sequence[str] = (),
    connections: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    """The report of GET /healthz as plain types: `healthy`, and the `reasons` if it is not.

    now: unix seconds; problems: what else is wrong, a line each; connections: to the page, now and in all
    """
    reasons = list(problems)
    report: dict[str, Any] = {"state": "starting", "viewers": viewers}
    if connections:
        report["connections"] = dict(connections)
    if snapshot is not None:
        snapshot_age_s, data_age_s = now - snapshot.wall_time, now - snapshot.data_wall_time
        if snapshot.state != "ended" and snapshot_age_s > STALL_AFTER_S:
            reasons.append(f"the engine has published nothing for {snapshot_age_s:.0f} s (allowed {STALL_AFTER_S:g} s)")
        if snapshot.state == "running" and data_age_s > stale_after_s:
            reasons.append(f"no data have come for {data_age_s:.0f} s (allowed {stale_after_s:g} s)")
        if not snapshot.account.balanced:
            reasons.append(f"the account does not balance: {snapshot.account.residual} words are missing")
        report |= {
            "state": snapshot.state,
            "run": snapshot.run,
            "snapshot_age_s": snapshot_age_s,
            "data_age_s": data_age_s,
            "words": snapshot.account.words,
            "words_per_second": snapshot.words_per_second,
            "lag_messages": snapshot.lag_messages,
            "restarts": snapshot.restarts,
        }
    return {"healthy": not reasons, "reasons": reasons, **report}
