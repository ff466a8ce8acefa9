"""The API keeps to its own description, whatever is sent: schemathesis makes requests of it, and judges the answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from archived_runs import PROVENANCE, counted
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from muonstream.archive.archive import Archive
from muonstream.archive.index import Row
from muonstream.dashboard.access.options import Access
from muonstream.dashboard.api import openapi
from muonstream.dashboard.app import create_app
from muonstream.dashboard.archived.api import described
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.feed import Feed
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.account import Account
from muonstream.simulation.telescope import simulate_words

EXAMPLES = 15
PATHS = {**openapi()["paths"], **described()}
OPERATIONS = [(method.upper(), path) for path, methods in PATHS.items() for method in methods]
ANY_TEXT = "/api/runs/{run}"
"""Any text may be a run's name, so that nothing given here is not as described."""
TAKING = [(method, path) for method, path in OPERATIONS if method == "POST" or ("{" in path and path != ANY_TEXT)]
"""Those to which something can be given that is not as described."""


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The description as it is served, of a run whose account is wrong, which is an alarm, with an archive of two."""
    archive = Archive(tmp_path_factory.mktemp("archive"))
    for seed in (1, 2):
        archive.save(counted(seed), replace(PROVENANCE, id=f"id{seed}", number=590 + seed))

    def refer(rows: Sequence[Row], by: str) -> None:
        feed.refer_to(counted(1), {"runs": [row.name for row in rows], "by": by, "since": 1.7e9})

    feed = Feed()
    with Pipeline(Detector.default(), run="described", workers=0) as pipeline:
        pipeline.push(simulate_words(5_000, seed=1))
        snapshot = replace(pipeline.snapshot(), account=Account(words=5))
    for second in range(4):
        feed.publish(replace(snapshot, data_time_s=float(second)))
    assert feed.board.verdicts.alarms
    view = ArchiveView(archive, refer=refer)
    app = create_app(feed, access=Access(hosts=frozenset({"testserver"})), archive=view)
    return schemathesis.openapi.from_asgi("/api/openapi.json", app)


def send(schema: Any, method: str, path: str, mode: GenerationMode) -> None:
    cases = schema[path][method].as_strategy(generation_mode=mode)
    # 503 is an answer like others here, which the description has
    excluded = [schemathesis.checks.not_a_server_error]
    if path.endswith("/flag"):
        # a schema cannot say that a range must end after it begins
        excluded.append(schemathesis.checks.positive_data_acceptance)

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def one(data: st.DataObject) -> None:
        data.draw(cases).call_and_validate(excluded_checks=excluded)

    one()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_is_as_described_is_answered_as_described(schema: Any, method: str, path: str) -> None:
    send(schema, method, path, GenerationMode.POSITIVE)


@pytest.mark.parametrize(("method", "path"), TAKING)
def test_what_is_not_as_described_is_refused_as_described(schema: Any, method: str, path: str) -> None:
    send(schema, method, path, GenerationMode.NEGATIVE)
