from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from threading import Event

import pytest
from log_lines import heard

from muonstream.kafka.address import KafkaAccessError, KafkaAddress, Login
from muonstream.kafka.client import Connection
from tools.kafka_broker import USER, Broker, free_ports

SECRET = "correct-horse-battery-staple"


def login(broker: Broker, **changes: str) -> Login:
    properties = {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "PLAIN",
        "sasl.username": USER,
        "sasl.password": broker.password,
        "ssl.ca.location": str(broker.certificate),
    }
    return Login(properties | {key.replace("_", "."): value for key, value in changes.items()})


def connection(address: str, login: Login | None = None, timeout_s: float = 30.0, topic: str = "") -> Connection:
    return Connection(KafkaAddress(address, topic), login, timeout_s=timeout_s)


def refusal(connection: Connection) -> str:
    with pytest.raises(KafkaAccessError) as raised:
        connection.wait()
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_a_broker_with_tls_and_password_is_reached(broker: Broker) -> None:
    assert connection(broker.secure_address, login(broker)).wait() is not None


def test_a_wrong_password_is_refused_in_one_line_without_it(broker: Broker) -> None:
    text = refusal(connection(broker.secure_address, login(broker, sasl_password=SECRET)))
    assert "authentication refused" in text
    assert SECRET not in text


def test_a_certificate_nobody_vouches_for_is_refused(broker: Broker) -> None:
    trusting = {key: value for key, value in login(broker).properties.items() if key != "ssl.ca.location"}
    assert "certificate verify failed" in refusal(connection(broker.secure_address, Login(trusting)))


def test_an_absent_broker_is_waited_for_then_given_up(kafka_available: None) -> None:
    said: list[str] = []
    address = f"127.0.0.1:{free_ports(1)[0]}"
    with heard(said.append), pytest.raises(KafkaAccessError, match=r"no broker answered in 0\.5 s .*is it running"):
        connection(address, timeout_s=0.5).wait()
    assert len(said) == 1
    assert f"Waiting for kafka://{address}, up to 0.5 s" in said[0]


def test_a_broker_that_comes_late_is_found(kafka_available: None, tmp_path: Path) -> None:
    late = Broker(tmp_path)
    late.start()
    late.stop()
    try:
        # it starts only when we have said that we wait
        with heard(lambda line: late.start()):
            assert connection(late.address, timeout_s=60).wait() is not None
    finally:
        late.stop()


def test_waiting_ends_when_it_is_told_to(kafka_available: None) -> None:
    stop = Event()
    waiting = connection(f"127.0.0.1:{free_ports(1)[0]}", timeout_s=1e6)
    with heard(lambda line: stop.set()):
        assert waiting.wait(stop=stop) is None


def test_a_missing_topic_is_named_with_those_that_are_there(broker: Broker) -> None:
    there = connection(broker.address, topic="nowhere")
    admin = there.wait()
    assert admin is not None
    with pytest.raises(KafkaAccessError, match=r"/nowhere: no such topic; topics there: .*muonstream topics create"):
        there.partitions(admin)


@pytest.mark.parametrize(
    ("key", "wrong"),
    [("sasl.pasword", "No such configuration property"), ("security.protocol", "Invalid value for")],
)
def test_wrong_properties_are_named_without_their_values(kafka_available: None, key: str, wrong: str) -> None:
    for make in (Connection.admin, Connection.consumer, Connection.producer):
        with pytest.raises(KafkaAccessError, match=f"--kafka-properties: {wrong}.*{key}") as raised:
            make(connection("127.0.0.1:1", Login({key: SECRET})))
        assert SECRET not in str(raised.value)


def test_librdkafkas_own_lines_have_no_secret(broker: Broker, tmp_path: Path) -> None:
    file = tmp_path / "kafka.properties"
    properties = login(broker, sasl_password=SECRET, debug="all").properties
    file.write_text("".join(f"{key}={value}\n" for key, value in properties.items()), "utf-8")
    command = [sys.executable, "-m", "muonstream", "topics", "list", f"kafka://{broker.secure_address}"]
    done = subprocess.run(
        [*command, "--kafka-properties", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 1
    assert "authentication refused" in done.stderr
    assert "Initializing security" in done.stderr or "SASL" in done.stderr
    assert SECRET not in done.stderr + done.stdout


def test_without_the_client_library_one_line_says_what_to_install() -> None:
    program = "import sys; sys.modules['confluent_kafka'] = None; import muonstream.cli.app; muonstream.cli.app.main()"
    command = [sys.executable, "-c", program, "topics", "list", "kafka://127.0.0.1:1"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (1, "muonstream: Kafka needs the extra: pip install '.[kafka]'\n")
