"""The topics: the purpose of each, creating them, and their state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final

from muonstream.kafka.client import GROUP, Connection
from muonstream.kafka.patience import Patience
from muonstream.kafka.runs import RunInTopic, newest_runs

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

HITS, FRAMES, RESULTS, SNAPSHOTS = "Experiment_measurements", "frames", "results", "snapshots"
HOUR_MS: Final = 3_600_000
MIB: Final = 1 << 20
ADMIN_TIMEOUT_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """A topic as muonstream needs it; config has Kafka's own keys."""

    name: str
    purpose: str
    partitions: int
    config: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class TopicState:
    """A topic as it is: messages held, and how many of them the consumer group has not passed (None: none stored)."""

    name: str
    partitions: int
    cleanup: str
    retention_ms: int
    messages: int
    lag: int | None
    run: RunInTopic | None = None
    """the newest, of topics whose messages name one"""


def in_sync(replication: int) -> dict[str, str]:
    """How many replicas must have a message before it counts as written: more than half, so that losing one loses no
    message. Of two, one is enough, or nothing could be written without both. -1, the cluster's default, is the
    cluster's.
    """
    return {"min.insync.replicas": str(replication // 2 + 1 if replication > 2 else 1)} if replication > 0 else {}


def specs(*, prefix: str = "", retention_hours: float = 168.0, replication: int = -1) -> tuple[TopicSpec, ...]:
    """muonstream's topics; retention is that of hits and frames, the large ones; replication: see `in_sync`."""
    kept = str(round(retention_hours * HOUR_MS))
    data = {"cleanup.policy": "delete", "retention.ms": kept}
    made = (
        TopicSpec(prefix + HITS, "loose hits, one JSON object each", 16, {**data, "max.message.bytes": str(MIB)}),
        TopicSpec(prefix + FRAMES, "whole windows of words", 16, {**data, "max.message.bytes": str(2 * MIB)}),
        TopicSpec(
            prefix + RESULTS,
            "the course's histograms, an object an interval",
            1,
            {"cleanup.policy": "delete", "retention.ms": str(30 * 24 * HOUR_MS), "max.message.bytes": str(MIB)},
        ),
        TopicSpec(
            prefix + SNAPSHOTS,
            "each run's newest snapshot",
            1,
            # a new one every second: small segments, so that the old ones are soon compacted away
            {"cleanup.policy": "compact", "max.message.bytes": str(MIB), "segment.bytes": str(64 * MIB)},
        ),
    )
    return tuple(replace(spec, config={**spec.config, **in_sync(replication)}) for spec in made)


def create(connection: Connection, admin: AdminClient, wanted: tuple[TopicSpec, ...], replication: int) -> list[str]:
    """Create missing topics and change none; gives one line for each.

    replication: copies of each, -1 for the cluster's default. Raises KafkaAccessError.
    """
    from confluent_kafka import KafkaError, KafkaException
    from confluent_kafka.admin import NewTopic

    new = [NewTopic(spec.name, spec.partitions, replication, config=dict(spec.config)) for spec in wanted]
    existing = set()
    made = admin.create_topics(new, operation_timeout=ADMIN_TIMEOUT_S, request_timeout=ADMIN_TIMEOUT_S)
    for spec in wanted:
        try:
            made[spec.name].result()
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise connection.fault(f"{spec.name}: cannot be made: {error.args[0].str()}") from None
            existing.add(spec.name)
    there = _appeared(connection, admin, {spec.name for spec in wanted})
    configs = _configs(connection, admin, [spec.name for spec in wanted])
    lines = []
    for spec in wanted:
        found = f"made, {spec.partitions} partition{'s' if spec.partitions != 1 else ''}"
        if spec.name in existing:
            differences = _differences(spec, len(there[spec.name]), configs[spec.name])
            found = f"there, but {'; '.join(differences)}" if differences else "there, as it should be"
        lines.append(f"{spec.name}: {found} ({spec.purpose})")
    return lines


def _appeared(connection: Connection, admin: AdminClient, names: set[str]) -> dict[str, list[int]]:
    """The topics, once all brokers know them, which is a little after the controller has created them."""
    patience = Patience(ADMIN_TIMEOUT_S)
    while True:
        topics = _metadata(connection, admin)
        missing = sorted(names - topics.keys())
        if not missing:
            return topics
        if patience.over():
            raise connection.fault(f"{connection.address.brokers}: made, but not to be seen: {', '.join(missing)}")
        admin.poll(0.1)


def _differences(spec: TopicSpec, partitions: int, config: Mapping[str, str]) -> list[str]:
    out = [f"{partitions} partitions, not {spec.partitions}"] if partitions != spec.partitions else []
    return out + [
        f"{key} {config.get(key)}, not {value}" for key, value in spec.config.items() if config.get(key) != value
    ]


def _metadata(connection: Connection, admin: AdminClient) -> dict[str, list[int]]:
    """Partitions of every topic that is not Kafka's own."""
    from confluent_kafka import KafkaException

    try:
        topics = admin.list_topics(timeout=ADMIN_TIMEOUT_S).topics
    except KafkaException as error:
        raise connection.fault(f"{connection.address.brokers}: {error.args[0].str()}") from None
    return {name: sorted(topic.partitions) for name, topic in topics.items() if not name.startswith("__")}


def _configs(connection: Connection, admin: AdminClient, names: list[str]) -> dict[str, dict[str, str]]:
    from confluent_kafka import KafkaException
    from confluent_kafka.admin import ConfigResource, ResourceType

    asked = {name: ConfigResource(ResourceType.TOPIC, name) for name in names}
    if not asked:
        return {}
    answers = admin.describe_configs(list(asked.values()), request_timeout=ADMIN_TIMEOUT_S)
    try:
        found = {resource.name: answer.result() for resource, answer in answers.items()}
    except KafkaException as error:
        raise connection.fault(f"{connection.address.brokers}: {error.args[0].str()}") from None
    return {name: {key: entry.value for key, entry in config.items()} for name, config in found.items()}


def states(connection: Connection, admin: AdminClient, *, group: str = GROUP, prefix: str = "") -> list[TopicState]:
    """Every topic that is not Kafka's own, by name, with the lag of a consumer group. Raises KafkaAccessError.

    Only topics whose names start with `prefix` are asked for and read: a large cluster takes long.
    """
    topics = {name: found for name, found in _metadata(connection, admin).items() if name.startswith(prefix)}
    configs = _configs(connection, admin, list(topics))
    low, high = _offsets(connection, admin, topics)
    committed = _committed(connection, admin, group)
    runs = newest_runs(connection, {place: (low[place], high[place]) for place in low})
    out = []
    for name, partitions in sorted(topics.items()):
        keys = [(name, partition) for partition in partitions]
        # without a committed offset the whole partition counts as lag; deleted messages never do
        lag = sum(high[key] - max(committed.get(key, low[key]), low[key]) for key in keys)
        out.append(
            TopicState(
                name=name,
                partitions=len(partitions),
                cleanup=configs[name].get("cleanup.policy", ""),
                retention_ms=int(configs[name].get("retention.ms", -1)),
                messages=sum(high[key] - low[key] for key in keys),
                lag=lag if any(key in committed for key in keys) else None,
                run=runs.get(name),
            )
        )
    return out


Offsets = dict[tuple[str, int], int]


def _offsets(connection: Connection, admin: AdminClient, topics: Mapping[str, list[int]]) -> tuple[Offsets, Offsets]:
    """First offset held and next offset to come, of each partition."""
    from confluent_kafka import KafkaError, KafkaException, TopicPartition
    from confluent_kafka.admin import OffsetSpec

    no_leader_yet = (KafkaError.NOT_LEADER_FOR_PARTITION, KafkaError.LEADER_NOT_AVAILABLE)
    any_spec: Any = OffsetSpec  # has no types
    both: list[Offsets] = []
    patience = Patience(ADMIN_TIMEOUT_S)
    while len(both) < 2:
        spec = any_spec.latest() if both else any_spec.earliest()
        asked: dict[Any, Any] = {
            TopicPartition(name, partition): spec for name, partitions in topics.items() for partition in partitions
        }
        answers = admin.list_offsets(asked, request_timeout=ADMIN_TIMEOUT_S) if asked else {}
        try:
            both.append({(at.topic, at.partition): answer.result().offset for at, answer in answers.items()})
        except KafkaException as error:
            # new partitions, and those of a restarting broker, have no leader yet
            if error.args[0].code() not in no_leader_yet or patience.over():
                raise connection.fault(f"{connection.address.brokers}: {error.args[0].str()}") from None
            admin.poll(0.1)
    return both[0], both[1]


def _committed(connection: Connection, admin: AdminClient, group: str) -> Offsets:
    """Offsets that a consumer group has stored in Kafka; none where it is unknown."""
    from confluent_kafka import ConsumerGroupTopicPartitions, KafkaException

    try:
        groups = admin.list_consumer_groups(request_timeout=ADMIN_TIMEOUT_S).result().valid
        if group not in {known.group_id for known in groups}:
            return {}
    except KafkaException as error:
        raise connection.fault(f"{connection.address.brokers}: {error.args[0].str()}") from None
    asked = [ConsumerGroupTopicPartitions(group)]
    answers = admin.list_consumer_group_offsets(asked, request_timeout=ADMIN_TIMEOUT_S)
    try:
        found = answers[group].result().topic_partitions or []
    except KafkaException as error:
        raise connection.fault(f"{connection.address.brokers}: group {group}: {error.args[0].str()}") from None
    return {(at.topic, at.partition): at.offset for at in found if at.offset >= 0}
