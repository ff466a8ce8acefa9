"""Addresses of Kafka, `kafka://...`, and logins from properties files."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Self

from muonstream.errors import MuonstreamError

SCHEME: Final = "kafka://"
DEFAULT_PORT: Final = 9092
TOPIC: Final = re.compile(r"[A-Za-z0-9._-]{1,249}")
HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?|\[[0-9A-Fa-f:.]+\]")
FORM: Final = "kafka://host:port[,host:port]/topic"
SECRET_WORDS: Final = ("password", "secret", "token", "jaas", "key.pem", "oauthbearer.config")
"""A property with one of these in its key is never shown."""
OURS: Final = frozenset(
    {
        "bootstrap.servers",
        "metadata.broker.list",
        "group.id",
        "acks",
        "request.required.acks",
        "enable.idempotence",
        "enable.gapless.guarantee",
        "transactional.id",
        "enable.auto.commit",
        "enable.auto.offset.store",
        "auto.offset.reset",
        "isolation.level",
    }
)
"""Properties that the guarantees depend on."""


class KafkaAccessError(MuonstreamError):
    """An error of Kafka or of the options to reach it: one line, without secrets."""


def is_kafka(name: str) -> bool:
    """Whether this is an address of Kafka."""
    return name.startswith(SCHEME)


@dataclass(frozen=True, slots=True)
class KafkaAddress:
    """An address of Kafka: the brokers to connect to first, and a topic, "" where none was named."""

    servers: str
    topic: str = ""

    @classmethod
    def parse(cls, text: str, *, default_topic: str = "", brokers_only: bool = False, option: str = "") -> Self:
        """Parse an address; option: its name in messages. Raises KafkaAccessError, which never repeats the part before
        an @.
        """
        form = FORM.partition("/topic")[0] if brokers_only else FORM
        try:
            found = cls._parse(text, default_topic, form)
        except KafkaAccessError as error:
            raise KafkaAccessError(f"{option}: {error}" if option else str(error)) from None
        if brokers_only and found.topic:
            raise KafkaAccessError(f"found {text!r}, expected {form}, without a topic")
        return found

    @classmethod
    def _parse(cls, text: str, default_topic: str, form: str) -> Self:
        if not is_kafka(text):
            raise KafkaAccessError(f"found {text!r}, expected {form}")
        where, _, topic = text.removeprefix(SCHEME).partition("/")
        if "@" in where:
            raise KafkaAccessError(
                f"found a user in the address, expected {form}; names and passwords go into a file for "
                "--kafka-properties"
            )
        servers = [cls._server(server, text) for server in where.split(",")]
        if topic and (not TOPIC.fullmatch(topic) or topic in {".", ".."}):
            raise KafkaAccessError(f"{text}: found the topic {topic!r}, expected 1 to 249 of A-Z a-z 0-9 . _ -")
        return cls(",".join(servers), topic or default_topic)

    @staticmethod
    def _server(text: str, whole: str) -> str:
        host, colon, port = text, "", ""
        if not text.endswith("]"):
            host, colon, port = text.rpartition(":") if ":" in text else (text, "", "")
        if not HOST.fullmatch(host):
            raise KafkaAccessError(f"{whole}: found the host {host!r}, expected {FORM}")
        if colon and not (port.isascii() and port.isdigit() and 1 <= int(port) <= 65535):
            raise KafkaAccessError(f"{whole}: found the port {port!r}, expected 1 to 65535")
        return f"{host}:{port or DEFAULT_PORT}"

    @property
    def brokers(self) -> str:
        """The brokers' part of the address."""
        return f"{SCHEME}{self.servers}"

    def __str__(self) -> str:
        return f"{self.brokers}/{self.topic}" if self.topic else self.brokers


def read_properties(path: Path) -> dict[str, str]:
    """A file of librdkafka's own keys, `key=value` a line, # for comments: TLS, SASL and the like.

    Raises KafkaAccessError, naming file, line and key, never a value.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise KafkaAccessError(f"{path}: cannot be read: {reason}") from None
    properties: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        stripped = line.strip()
        if not stripped or stripped.startswith(("#", "!")):
            continue
        key, equals, value = (part.strip() for part in stripped.partition("="))
        where = f"{path}, line {number}"
        if not equals or not key:
            raise KafkaAccessError(f"{where}: found no 'key=value'")
        if not re.fullmatch(r"[a-z0-9._]+", key):
            raise KafkaAccessError(f"{where}: found a key that is none of librdkafka's")
        if key in OURS:
            raise KafkaAccessError(f"{where}: {key} is set by muonstream itself")
        if key in properties:
            raise KafkaAccessError(f"{where}: {key} stands there twice")
        properties[key] = value
    return properties


def is_secret(key: str) -> bool:
    """Whether a property's value must never be shown."""
    return any(word in key for word in SECRET_WORDS)


@dataclass(frozen=True, slots=True)
class Login:
    """Properties of a connection, in librdkafka's keys; their values do not show in `repr`."""

    properties: Mapping[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def read(cls, path: Path | None) -> Self:
        """Read a properties file; no properties without one. Raises KafkaAccessError."""
        return cls({} if path is None else read_properties(path))

    def redacted(self, text: str) -> str:
        """A text with every secret value in it replaced."""
        secrets = {value for key, value in self.properties.items() if value and is_secret(key)}
        for secret in sorted(secrets, key=len, reverse=True):
            text = text.replace(secret, "***")
        return text
