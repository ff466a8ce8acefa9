"""Connections to Kafka: creating clients, waiting for brokers, errors in one line. Needs the extra `kafka`."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Event
from typing import TYPE_CHECKING, Any, Final

from muonstream.kafka.address import KafkaAccessError, KafkaAddress, Login
from muonstream.kafka.patience import Patience

if TYPE_CHECKING:
    from confluent_kafka import Consumer, KafkaError, Producer
    from confluent_kafka.admin import AdminClient

LOGGER: Final = logging.getLogger(__name__)
MISSING: Final = "Kafka needs the extra: pip install '.[kafka]'"
GROUP: Final = "muonstream"
"""The consumer group whose offsets show how far was read; `topics list` shows its lag."""
TIMEOUT_S: Final = 60.0
"""The default time to wait for a broker that does not answer."""
ASK_S: Final = 1.0
COMMON: Final[Mapping[str, Any]] = {
    "client.id": "muonstream",
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 2000,
    "topic.metadata.refresh.interval.ms": 30_000,
    "allow.auto.create.topics": False,
}
PRODUCER: Final[Mapping[str, Any]] = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 5,
    # wait for a broker that is away: messages are delivered in order, or named at the end
    "message.timeout.ms": 0,
}
CONSUMER: Final[Mapping[str, Any]] = {
    "group.id": GROUP,
    "enable.auto.commit": False,
    "enable.auto.offset.store": False,
    # messages of aborted transactions are not read
    "isolation.level": "read_committed",
    # a deleted offset is an error, not silently replaced
    "auto.offset.reset": "error",
}


def client_library() -> Any:
    """The module confluent_kafka. Raises KafkaAccessError, saying what to install, without it."""
    try:
        import confluent_kafka
        import confluent_kafka.admin
    except ImportError:
        raise KafkaAccessError(MISSING) from None
    return confluent_kafka


class Connection:
    """One Kafka cluster and how to log in there; makes clients.

    on_error is called, from the clients that are polled, when no broker is reachable any more and when one refuses us;
    clients retry automatically.
    """

    def __init__(
        self,
        address: KafkaAddress,
        login: Login | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
        on_error: Callable[[KafkaAccessError], None] | None = None,
    ) -> None:
        self.address = address
        self.login = login or Login()
        self.timeout_s = timeout_s
        self._library = client_library()
        self._on_error = on_error
        self._refusal: KafkaAccessError | None = None
        self._latest = "no answer"
        self._admin: AdminClient | None = None

    def __repr__(self) -> str:
        return f"Connection({str(self.address)!r})"

    def consumer(self, **overrides: Any) -> Consumer:
        """A consumer; overrides have librdkafka's keys, _ for the dots. Raises KafkaAccessError for bad properties."""
        made: Consumer = self._make(self._library.Consumer, CONSUMER, overrides)
        return made

    def producer(self, **overrides: Any) -> Producer:
        """An idempotent producer, acks=all, which never gives up a message; overrides as with `consumer`."""
        made: Producer = self._make(self._library.Producer, PRODUCER, overrides)
        return made

    def admin(self) -> AdminClient:
        """An administrator's client. Raises KafkaAccessError for bad properties."""
        made: AdminClient = self._make(self._library.admin.AdminClient, {}, {})
        return made

    def _make(self, client: Any, role: Mapping[str, Any], overrides: Mapping[str, Any]) -> Any:
        config: dict[str, Any] = {"bootstrap.servers": self.address.servers, **COMMON, **role}
        config |= {key.replace("_", "."): value for key, value in overrides.items()}
        if "debug" not in self.login.properties:
            config["log_level"] = 0  # its lines go to standard error directly; errors are reported to our callback
        config |= self.login.properties
        config["error_cb"] = self._take_error
        try:
            return client(config)
        except (self._library.KafkaException, ValueError, TypeError) as error:
            # a value in the wrong place may be a secret
            text = re.sub(r'Invalid value ".*" for', "Invalid value for", _text(error), flags=re.DOTALL)
            raise self.fault(f"--kafka-properties: {text}") from None

    def _take_error(self, error: KafkaError) -> None:
        """Handle an error that librdkafka meets in the background: refusals are final, anything else may pass."""
        codes = self._library.KafkaError
        line = self._told(error)
        if error.code() in (codes._AUTHENTICATION, codes.SASL_AUTHENTICATION_FAILED):
            self._refusal = self.fault(f"{self.address.brokers}: authentication refused: {line}")
        elif error.code() == codes._SSL:
            self._refusal = self.fault(f"{self.address.brokers}: no secure connection: {line}")
        elif error.code() != codes._ALL_BROKERS_DOWN:
            self._latest = line
            return
        if self._on_error is not None:
            self._on_error(
                self._refusal or self.fault(f"{self.address.brokers}: no broker can be reached ({self._latest})")
            )

    def reachable(self) -> bool:
        """Whether a broker answers within a moment."""
        if self._admin is None:
            self._admin = self.admin()
        try:
            return bool(self._admin.list_topics(timeout=ASK_S).brokers)
        except self._library.KafkaException:
            return False

    def _told(self, error: KafkaError) -> str:
        """librdkafka's message without the name and state of its connection around it."""
        text = self.login.redacted(error.str() or error.name())
        text = re.sub(r"^(\w+://)?[^\s/]+/(bootstrap|\d+): ", "", text)
        return " ".join(text.split(" (after ")[0].split())

    def fault(self, text: str) -> KafkaAccessError:
        """A KafkaAccessError of one line without secrets."""
        return KafkaAccessError(" ".join(self.login.redacted(text).split()))

    @contextmanager
    def faults(self) -> Iterator[None]:
        """Turn what a client raises, whichever call or callback it comes from, into KafkaAccessError."""
        try:
            yield
        except self._library.KafkaException as error:
            self.check()
            raise self.fault(f"{self.address}: {_text(error)}") from None

    def check(self) -> None:
        """Raise the refusal (authentication, TLS) that a client has met, if any."""
        if self._refusal is not None:
            raise self._refusal

    def wait(self, *, stop: Event | None = None) -> AdminClient | None:
        """Wait until a broker answers, and give an administrator's client; None when `stop` was set first.

        Logs one line when the broker does not answer at once. Raises KafkaAccessError when it refuses us, or has not
        answered in the time allowed.
        """
        admin = self.admin()
        patience = Patience(self.timeout_s)
        logged = False
        while stop is None or not stop.is_set():
            try:
                if admin.list_topics(timeout=min(ASK_S, max(self.timeout_s, 0.1))).brokers:
                    return admin
            except self._library.KafkaException:
                pass
            admin.poll(0)
            self.check()
            if not logged:
                logged = True
                LOGGER.info("Waiting for %s, up to %g s (%s)", self.address.brokers, self.timeout_s, self._latest)
            if patience.over():
                raise self.fault(
                    f"{self.address.brokers}: no broker answered in {self.timeout_s:g} s ({self._latest}); is it "
                    "running, is the address right, does it want TLS (--kafka-properties)?"
                )
        return None

    def partitions(self, admin: AdminClient) -> list[int]:
        """The partitions of the address' topic, rising. Raises KafkaAccessError when the topic is not available."""
        name = self.address.topic
        try:
            topics = admin.list_topics(timeout=max(self.timeout_s, ASK_S)).topics
        except self._library.KafkaException as error:
            raise self.fault(f"{self.address}: {_text(error)}") from None
        if name not in topics:
            there = ", ".join(sorted(topic for topic in topics if not topic.startswith("__"))) or "none"
            raise self.fault(
                f"{self.address}: no such topic; topics there: {there}; to make ours: "
                f"muonstream topics create {self.address.brokers}"
            )
        found = topics[name].error
        if found is not None:
            raise self.fault(f"{self.address}: {found.str()}")
        return sorted(topics[name].partitions)


def _text(error: BaseException) -> str:
    """The message of an error of the client library."""
    first = error.args[0] if error.args else error
    return str(first.str()) if hasattr(first, "str") else str(first)
