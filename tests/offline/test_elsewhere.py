"""A run that an engine elsewhere counts is opened by its page's address; a page that gives none is said in a line."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import muonstream
from muonstream.dashboard.access.options import Access
from muonstream.dashboard.access.tokens import Token
from muonstream.dashboard.server import Dashboard
from muonstream.engines.pipeline import Pipeline
from muonstream.errors import MuonstreamError
from muonstream.offline.elsewhere import ElsewhereError
from muonstream.run.summary import summary

TOKEN = "a-token-for-this-page-alone"


@pytest.fixture(scope="module")
def page() -> Iterator[Dashboard]:
    dashboard = Dashboard(port=0, access=Access(token=Token(TOKEN)))
    dashboard.start()
    try:
        yield dashboard
    finally:
        dashboard.stop()


def plain(page: Dashboard) -> str:
    """The page's address without its token."""
    return page.url.partition("?")[0]


def test_a_live_run_is_opened_by_the_address_of_its_page(page: Dashboard) -> None:
    with pytest.raises(ElsewhereError, match=r"found the answer 503 .*, expected a page"):
        muonstream.open(page.url)
    with Pipeline(muonstream.Detector.default(), run="served", workers=0) as pipeline:
        pipeline.push(muonstream.simulate_words(5000))
        snapshot = pipeline.snapshot()
    page.publish(snapshot)
    for run in (muonstream.open(page.url), muonstream.open(plain(page), token=TOKEN)):
        assert run.summary == summary(snapshot)
        assert run.hists["counts"].sum() == 5000
        assert TOKEN not in run._source


def test_a_page_that_refuses_says_so_and_no_token_is_told(page: Dashboard) -> None:
    for wrong in ("", "not-the-token-of-this-page"):
        with pytest.raises(
            ElsewhereError, match=r"refused us \(401\), expected its token: open\(address, token="
        ) as told:
            muonstream.open(plain(page), token=wrong)
        assert "not-the-token" not in str(told.value)


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/?token=abcd", "http://[/", "http://127.0.0.1:port/"])
def test_what_is_no_page_is_said_in_a_line(address: str) -> None:
    with pytest.raises(MuonstreamError, match=r"cannot be re(ached|ad)") as told:
        muonstream.open(address, timeout_s=5)
    assert "\n" not in str(told.value)
    assert "abcd" not in str(told.value)


def test_a_topic_without_a_broker_is_said_in_a_line() -> None:
    pytest.importorskip("confluent_kafka")
    with pytest.raises(MuonstreamError, match="no broker answered"):
        muonstream.open("kafka://127.0.0.1:9/snapshots", timeout_s=0.1)


def test_options_of_addresses_are_not_for_files() -> None:
    with pytest.raises(TypeError, match="open: found token, expected them with an address alone"):
        muonstream.open("cosmics.json", token="t")
