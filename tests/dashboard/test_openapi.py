"""The API keeps to its own description, whatever is sent: schemathesis makes requests of it, and judges the answers."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode

from muonstream.dashboard.access.options import Access
from muonstream.dashboard.api import openapi
from muonstream.dashboard.app import create_app
from muonstream.dashboard.feed import Feed
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.account import Account
from muonstream.simulation.telescope import simulate_words

EXAMPLES = 15
OPERATIONS = [(method.upper(), path) for path, methods in openapi()["paths"].items() for method in methods]
TAKING = [(method, path) for method, path in OPERATIONS if method == "POST" or "{" in path]
"""Those to which something can be given that is not as described."""


@pytest.fixture(scope="module")
def schema() -> Any:
    """The description as it is served, of a run whose account is wrong, which is an alarm."""
    feed = Feed()
    with Pipeline(Detector.default(), run="described", workers=0) as pipeline:
        pipeline.push(simulate_words(5_000, seed=1))
        snapshot = replace(pipeline.snapshot(), account=Account(words=5))
    for second in range(4):
        feed.publish(replace(snapshot, data_time_s=float(second)))
    assert feed.board.verdicts.alarms
    app = create_app(feed, access=Access(hosts=frozenset({"testserver"})))
    return schemathesis.openapi.from_asgi("/api/openapi.json", app)


def send(schema: Any, method: str, path: str, mode: GenerationMode) -> None:
    cases = schema[path][method].as_strategy(generation_mode=mode)

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(st.data())
    def one(data: st.DataObject) -> None:
        # 503 is an answer like others here, which the description has
        data.draw(cases).call_and_validate(excluded_checks=[schemathesis.checks.not_a_server_error])

    one()


@pytest.mark.parametrize(("method", "path"), OPERATIONS)
def test_what_is_as_described_is_answered_as_described(schema: Any, method: str, path: str) -> None:
    send(schema, method, path, GenerationMode.POSITIVE)


@pytest.mark.parametrize(("method", "path"), TAKING)
def test_what_is_not_as_described_is_refused_as_described(schema: Any, method: str, path: str) -> None:
    send(schema, method, path, GenerationMode.NEGATIVE)
