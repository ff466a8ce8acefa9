"""Logins for Java clients, whose keys differ from librdkafka's."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from muonstream.kafka.address import KafkaAccessError, Login

SAME: Final = frozenset({"security.protocol", "client.id", "ssl.endpoint.identification.algorithm", "ssl.key.password"})
USER, PASSWORD = "sasl.username", "sasl.password"
MECHANISMS: Final = {
    "PLAIN": "org.apache.kafka.common.security.plain.PlainLoginModule",
    "SCRAM-SHA-256": "org.apache.kafka.common.security.scram.ScramLoginModule",
    "SCRAM-SHA-512": "org.apache.kafka.common.security.scram.ScramLoginModule",
}


def java_properties(login: Login) -> dict[str, str]:
    """A login in the keys of Kafka's Java clients; certificates travel with it. Raises KafkaAccessError."""
    given = dict(login.properties)
    found: dict[str, str] = {}
    if "security.protocol" in given:
        given["security.protocol"] = given["security.protocol"].upper()
    mechanism = given.pop("sasl.mechanisms", given.pop("sasl.mechanism", ""))
    if mechanism:
        if mechanism not in MECHANISMS:
            allowed = ", ".join(MECHANISMS)
            raise KafkaAccessError(
                f"--kafka-properties: sasl.mechanisms: found {mechanism}, with Spark allowed: {allowed}"
            )
        user, password = (_quoted(given.pop(key, "")) for key in (USER, PASSWORD))
        found["sasl.mechanism"] = mechanism
        found["sasl.jaas.config"] = f"{MECHANISMS[mechanism]} required username={user} password={password};"
    for key, kind, target in (
        ("ssl.ca.location", "ssl.truststore.type", "ssl.truststore.certificates"),
        ("ssl.certificate.location", "ssl.keystore.type", "ssl.keystore.certificate.chain"),
        ("ssl.key.location", "ssl.keystore.type", "ssl.keystore.key"),
    ):
        if key in given:
            found |= {kind: "PEM", target: _read(key, given.pop(key))}
    for key, value in given.items():
        if key not in SAME:
            raise KafkaAccessError(f"--kafka-properties: {key}: there is no such setting with --engine spark")
        found[key] = "" if value == "none" else value
    return found


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _read(key: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise KafkaAccessError(f"--kafka-properties: {key}: {path}: cannot be read: {reason}") from None
