from __future__ import annotations

from pathlib import Path

import pytest

from muonstream.kafka.address import KafkaAccessError, Login
from muonstream.kafka.java import java_properties


def test_nothing_becomes_nothing() -> None:
    assert java_properties(Login()) == {}


def test_a_login_with_a_certificate_travels(tmp_path: Path) -> None:
    pem = tmp_path / "ca.pem"
    pem.write_text("-----BEGIN CERTIFICATE-----\n", "utf-8")
    given = {
        "security.protocol": "sasl_ssl",
        "sasl.mechanisms": "SCRAM-SHA-512",
        "sasl.username": "muon",
        "sasl.password": 'a"b\\c',
        "ssl.ca.location": str(pem),
        "ssl.endpoint.identification.algorithm": "none",
    }
    assert java_properties(Login(given)) == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.jaas.config": "org.apache.kafka.common.security.scram.ScramLoginModule required "
        'username="muon" password="a\\"b\\\\c";',
        "ssl.truststore.type": "PEM",
        "ssl.truststore.certificates": "-----BEGIN CERTIFICATE-----\n",
        "ssl.endpoint.identification.algorithm": "",
    }


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"sasl.mechanisms": "GSSAPI"}, "sasl.mechanisms: found GSSAPI, with Spark allowed: PLAIN, "),
        ({"debug": "all"}, "debug: there is no such setting with --engine spark"),
        ({"ssl.ca.location": "/no/such/file"}, "ssl.ca.location: /no/such/file: cannot be read: No such file"),
    ],
)
def test_what_java_does_not_know_is_refused(given: dict[str, str], line: str) -> None:
    with pytest.raises(KafkaAccessError) as error:
        java_properties(Login(given))
    assert str(error.value).startswith(f"--kafka-properties: {line}")
