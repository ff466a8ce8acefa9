from __future__ import annotations

from pathlib import Path

import pytest

from muonstream.kafka.address import KafkaAccessError, KafkaAddress, Login, read_properties

SECRET = "correct-horse-battery-staple"


@pytest.mark.parametrize(
    ("text", "servers", "topic"),
    [
        ("kafka://lab:9093/frames", "lab:9093", "frames"),
        ("kafka://lab/frames", "lab:9092", "frames"),
        ("kafka://a:1,b.c.d:2/x_y-1.z", "a:1,b.c.d:2", "x_y-1.z"),
        ("kafka://10.0.0.1:9092", "10.0.0.1:9092", ""),
        ("kafka://[::1]:9094/t", "[::1]:9094", "t"),
        ("kafka://[::1]/t", "[::1]:9092", "t"),
        ("kafka://lab:9092/", "lab:9092", ""),
    ],
)
def test_addresses_are_taken_apart(text: str, servers: str, topic: str) -> None:
    address = KafkaAddress.parse(text)
    assert (address.servers, address.topic) == (servers, topic)
    assert KafkaAddress.parse(str(address)) == address


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("http://lab/frames", "expected kafka://host:port[,host:port]/topic"),
        ("kafka://", "found the host ''"),
        ("kafka://lab:/x", "found the port ''"),
        ("kafka://lab:0/x", "found the port '0'"),
        ("kafka://lab:70000/x", "expected 1 to 65535"),
        ("kafka://a:1,,b:2/x", "found the host ''"),
        ("kafka://la b:1/x", "found the host 'la b'"),
        ("kafka://lab:1/a/b", "found the topic 'a/b'"),
        ("kafka://lab:1/..", "found the topic '..'"),
        (f"kafka://lab:1/{'x' * 250}", "expected 1 to 249"),
    ],
)
def test_a_wrong_address_is_named_in_one_line(text: str, wrong: str) -> None:
    with pytest.raises(KafkaAccessError) as raised:
        KafkaAddress.parse(text)
    assert wrong in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_password_in_an_address_is_refused_and_not_repeated() -> None:
    with pytest.raises(KafkaAccessError, match="--kafka-properties") as raised:
        KafkaAddress.parse(f"kafka://muon:{SECRET}@lab:9092/frames")
    assert SECRET not in str(raised.value)


def test_a_topic_that_is_not_named_is_the_default() -> None:
    assert str(KafkaAddress.parse("kafka://lab", default_topic="frames")) == "kafka://lab:9092/frames"


def test_properties_are_read(tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(f"# login\n\nsecurity.protocol = SASL_SSL\nsasl.password={SECRET}=x\n! more\n", "utf-8")
    assert read_properties(file) == {"security.protocol": "SASL_SSL", "sasl.password": f"{SECRET}=x"}


@pytest.mark.parametrize(
    ("line", "wrong"),
    [
        (SECRET, "line 2: found no 'key=value'"),
        (f"{SECRET.upper()}=1", "line 2: found a key that is none of librdkafka's"),
        (f"acks={SECRET}", "line 2: acks is set by muonstream itself"),
        (f"sasl.username={SECRET}", "line 2: sasl.username stands there twice"),
    ],
)
def test_wrong_properties_are_named_without_their_values(tmp_path: Path, line: str, wrong: str) -> None:
    file = tmp_path / "kafka.properties"
    file.write_text(f"sasl.username=muon\n{line}\n", "utf-8")
    with pytest.raises(KafkaAccessError, match=wrong) as raised:
        read_properties(file)
    assert SECRET.lower() not in str(raised.value).lower()


def test_a_properties_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(KafkaAccessError, match=r"none\.properties: cannot be read: No such file"):
        read_properties(tmp_path / "none.properties")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(KafkaAccessError, match="binary: cannot be read: not UTF-8 text"):
        read_properties(tmp_path / "binary")


def test_a_login_shows_no_secret() -> None:
    login = Login({"sasl.password": SECRET, "ssl.key.password": f"{SECRET}2", "sasl.username": "muon"})
    assert SECRET not in repr(login)
    assert login.redacted(f"muon said {SECRET}2, then {SECRET}") == "muon said ***, then ***"
