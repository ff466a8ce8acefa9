"""`muonstream topics create` and `muonstream topics list`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from rich.table import Table

from muonstream.commands import common
from muonstream.kafka import topics
from muonstream.kafka.address import KafkaAccessError, KafkaAddress, Login
from muonstream.kafka.client import TIMEOUT_S, Connection
from muonstream.kafka.topics import HOUR_MS, TopicState


@dataclass(frozen=True, slots=True)
class KafkaOptions:
    """How brokers are reached; properties: a file of librdkafka's keys."""

    properties: Path | None = None
    timeout_s: float = TIMEOUT_S


def connect(
    address: str,
    *,
    default_topic: str = "",
    brokers_only: bool = False,
    option: str = "",
    properties: Path | None,
    timeout_s: float,
    on_error: Callable[[KafkaAccessError], None] | None = None,
) -> Connection:
    """The connection that an address and the Kafka options ask for. Raises KafkaAccessError."""
    return Connection(
        KafkaAddress.parse(address, default_topic=default_topic, brokers_only=brokers_only, option=option),
        Login.read(properties),
        timeout_s=timeout_s,
        on_error=on_error,
    )


def create_topics(
    address: str, *, properties: Path | None, timeout_s: float, prefix: str, retention_hours: float, replication: int
) -> None:
    """Create muonstream's topics where they are missing. Raises KafkaAccessError."""
    connection = connect(address, brokers_only=True, properties=properties, timeout_s=timeout_s)
    admin = connection.wait()
    assert admin is not None
    wanted = topics.specs(prefix=prefix, retention_hours=retention_hours, replication=replication)
    for line in topics.create(connection, admin, wanted, replication):
        common.out.print(line, markup=False)


def list_topics(address: str, *, properties: Path | None, timeout_s: float, group: str, prefix: str = "") -> None:
    """Show the cluster's topics whose names start with `prefix`. Raises KafkaAccessError."""
    connection = connect(address, brokers_only=True, properties=properties, timeout_s=timeout_s)
    admin = connection.wait()
    assert admin is not None
    found = topics.states(connection, admin, group=group, prefix=prefix)
    table = Table(box=None, pad_edge=False)
    # names are never truncated: they are copied into addresses
    table.add_column("topic", no_wrap=True, min_width=max((len(state.name) for state in found), default=0))
    for heading in ("partitions", "kept", "messages", "lag"):
        table.add_column(heading, justify="left" if heading == "kept" else "right")
    for state in found:
        lag = "-" if state.lag is None else f"{state.lag:,}"
        table.add_row(state.name, str(state.partitions), _kept(state), f"{state.messages:,}", lag)
    common.out.print(table)
    for state in found:
        if state.run is not None:
            common.out.print(f"{state.name}: {state.run.line()}", markup=False, highlight=False, soft_wrap=True)


def _kept(state: TopicState) -> str:
    """How long messages are kept, as text."""
    if "compact" in state.cleanup:
        return "newest a key"
    if state.retention_ms < 0:
        return "for ever"
    hours = state.retention_ms / HOUR_MS
    return f"{hours / 24:g} days" if hours >= 48 else f"{hours:g} h"
