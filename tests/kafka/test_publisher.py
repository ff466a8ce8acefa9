"""What is published to Kafka by a client that has met a fatal error: it raises in whatever is called next."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any, cast

import pytest
from confluent_kafka import KafkaError, KafkaException

from muonstream.kafka.address import KafkaAccessError, KafkaAddress
from muonstream.kafka.client import Connection
from muonstream.kafka.publisher import Outlet

REFUSED = KafkaError(KafkaError.CLUSTER_AUTHORIZATION_FAILED, "not authorized: of secret", True)


class Producer:
    """Takes messages until the broker refuses its user, and raises from then on."""

    def __init__(self, raises_in: str) -> None:
        self.held = 0
        self.raises_in = raises_in

    def _call(self, name: str) -> int:
        if name == self.raises_in:
            raise KafkaException(REFUSED)
        return self.held

    def produce(self, topic: str, value: bytes, *, key: bytes, on_delivery: Callable[..., None]) -> None:
        self._call("produce")
        self.held += 1

    def poll(self, timeout_s: float) -> int:
        return self._call("poll")

    def flush(self, timeout_s: float) -> int:
        return self._call("flush")

    def purge(self) -> None:
        self.held = 0

    def __len__(self) -> int:
        return self.held


@pytest.mark.parametrize("where", ["produce", "poll", "flush"])
def test_a_right_that_is_missing_is_said_in_one_line_and_raises_at_the_end_only(where: str) -> None:
    producer = Producer(where)
    made = Connection(KafkaAddress("broker:9092", "results"))
    outlet = Outlet(cast(Any, SimpleNamespace(producer=lambda **_: producer, address=made.address, fault=made.fault)))
    assert outlet.send("run 7", b"one")
    for _ in range(3):  # as a run goes on
        outlet.poll()
    with pytest.raises(KafkaAccessError, match="not authorized") as raised:
        outlet.finish(timeout_s=0.1)
    assert "\n" not in str(raised.value)
    assert "not authorized" in (outlet.problem() or "")
