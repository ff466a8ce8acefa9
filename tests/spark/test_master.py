"""Masters of Spark: which addresses pass, what is said of one that does not answer, and waiting for it."""

from __future__ import annotations

import socket
from threading import Event, Thread

import pytest
from log_lines import heard

from muonstream.spark.master import check_master, check_reached, wait_reached
from muonstream.spark.session import SparkError


@pytest.mark.parametrize(
    "master",
    [
        "local",
        "local[2]",
        "local[*]",
        "local[4, 2]",
        "spark://here:7077",
        "spark://a:1,b:2",
        "yarn",
        "k8s://https://a:6443",
    ],
)
def test_masters_of_spark_pass(master: str) -> None:
    check_master(master)


@pytest.mark.parametrize("master", ["", "local[0]", "local[two]", "sparks://a:1", "mesos://a", "spark://", "here:7077"])
def test_other_masters_are_refused(master: str) -> None:
    with pytest.raises(SparkError, match=r"--master: found .*, expected local\[N\]"):
        check_master(master)


def test_a_master_at_which_nobody_answers_is_found_at_once() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        check_reached(f"spark://127.0.0.1:{port}", "secret")
        check_reached(f"spark://127.0.0.1:1,127.0.0.1:{port}", "secret")
    with pytest.raises(SparkError, match=rf"--master: spark://127.0.0.1:{port} cannot be reached .*refused"):
        check_reached(f"spark://127.0.0.1:{port}")
    for elsewhere in ("local[2]", "yarn", "k8s://https://127.0.0.1:1"):
        check_reached(elsewhere)


@pytest.mark.parametrize(
    ("answer", "wanted"), [(b"Expected SaslMessage, received", True), (b"other", False), (b"", False)]
)
def test_a_master_that_wants_a_secret_says_so(answer: bytes, wanted: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            connection, _ = listening.accept()
            with connection:
                connection.recv(100)
                connection.sendall(answer)

        master = Thread(target=serve)
        master.start()
        address = f"spark://127.0.0.1:{listening.getsockname()[1]}"
        if wanted:
            with pytest.raises(SparkError, match=r"--master: 127.0.0.1:\d+ wants a secret: put it into the variable"):
                check_reached(address)
        else:
            check_reached(address)
        master.join()


def test_a_master_that_is_not_started_yet_is_waited_for() -> None:
    said: list[str] = []
    stop = Event()
    with socket.socket() as master:
        master.bind(("127.0.0.1", 0))  # nobody listens yet
        address = f"spark://127.0.0.1:{master.getsockname()[1]}"

        def start(line: str) -> None:
            said.append(line)
            master.listen()

        with heard(start):
            assert wait_reached(address, "secret", stop)
    assert len(said) == 1
    assert "refused" in said[0]
    stop.set()
    assert not wait_reached(address, "secret", stop)
