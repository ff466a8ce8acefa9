from __future__ import annotations

import os
import re
import signal
import socket
import struct
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from muonstream.spark.master import check_reached
from muonstream.spark.session import SparkError
from tools.kafka_broker import HOST
from tools.machine import JAVA_HINT, find_java, in_ci
from tools.processes import descendants, gone, listening, running
from tools.spark_cluster import Cluster, ClusterError

ROOT = Path(__file__).parents[2]
# one line a job: the sum of squares that executors computed, and how many processes computed it
JOB = """
import sys
from muonstream.spark.session import SparkSettings, spark_session
pairs = {"spark.ui.enabled": "true", "spark.driver.host": "127.0.0.1", "spark.executor.memory": "512m"}
session = spark_session(SparkSettings(sys.argv[1], pairs))
context = session.__enter__().sparkContext
def squares(rows):
    import os, time
    time.sleep(0.5)  # long enough for each executor to get one of the two
    return [(os.getppid(), sum(x * x for x in rows))]
for _ in sys.stdin:
    found = context.parallelize(range(1000), 2).mapPartitions(squares).collect()
    print(sum(n for _, n in found), len({pid for pid, _ in found}), flush=True)
session.__exit__(None, None, None)
"""


@pytest.fixture(scope="module")
def java() -> None:
    if find_java() is None:
        reason = f"needs Java: {JAVA_HINT}"
        pytest.fail(reason) if in_ci() else pytest.skip(reason)


@pytest.fixture
def cluster(java: None, tmp_path: Path) -> Iterator[Cluster]:
    with Cluster(tmp_path / "cluster") as started:
        yield started


@pytest.fixture
def driver(cluster: Cluster, spark_available: Path, tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A driver that runs a job for each line it gets."""
    with (tmp_path / "driver.log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-c", JOB, cluster.address],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
            env={**os.environ, **cluster.environment},
        )
    yield process
    process.communicate(timeout=60)


def job(driver: subprocess.Popen[str]) -> list[int]:
    assert driver.stdin is not None
    assert driver.stdout is not None
    driver.stdin.write("\n")
    driver.stdin.flush()
    return [int(number) for number in driver.stdout.readline().split()]


KILLS = ("/app/kill/?id=x&terminate=true", "/workers/kill/?host=127.0.0.1")
SPARK, PY4J, WORKER = b"Expected SaslMessage", b"Authentication error", b"\x03err"
"""How Spark's ports, the driver's gateway and Python's workers refuse who does not know the secret."""


def asked(port: int, message: bytes) -> bytes:
    """What a port answers to somebody who knows nothing."""
    answer = b""
    with socket.create_connection((HOST, port), 10) as connection, suppress(ConnectionError, TimeoutError):
        connection.settimeout(5)
        connection.sendall(message)
        while not any(refusal in answer for refusal in (SPARK, PY4J, WORKER)) and (data := connection.recv(1 << 12)):
            answer += data
    return answer


def posted(port: int, path: str) -> bytes:
    """The status of an HTTP request."""
    head = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
    return asked(port, head.encode()).split()[1]


def guard(port: int) -> str:
    """What keeps others from having something run by a port."""
    # a request in Spark's own protocol: length, type, number, length of the body, body
    answer = asked(port, struct.pack(">QBQI", 21 + 80, 3, 7, 80) + b"\n" * 80)
    if answer.startswith(b"HTTP/1.1 "):
        # a page that only shows knows no path of what could be done
        done = [path for path in KILLS if posted(port, path) != posted(port, path.replace("kill", "none"))]
        return f"does {done}" if done else "shows only"
    if answer.startswith(b"!"):
        answer = asked(port, b"c\nt\ngetSystem\ne\n")  # the gateway's protocol: call a method
    refused = {SPARK: "Spark's secret", PY4J: "the gateway's secret", WORKER: "a worker's secret"}
    return next((name for text, name in refused.items() if text in answer), f"{answer!r}")


SQUARES = sum(x * x for x in range(1000))


def test_jobs_run_on_both_workers_and_survive_an_executor_and_a_worker(
    cluster: Cluster, driver: subprocess.Popen[str]
) -> None:
    found = [(one["cores"], one["memory"], one["state"]) for one in cluster.state()["workers"]]
    assert found == [(1, 1024, "ALIVE")] * 2  # as large as asked for
    with pytest.raises(ClusterError, match="runs already"):
        cluster.start()
    assert job(driver) == [SQUARES, 2]
    executors = cluster.executors()
    assert len(executors) == 2
    assert [len(cluster.executors(number)) for number in (0, 1)] == [1, 1]

    ours = [pid for own in (*cluster.pids, driver.pid) for pid in (own, *descendants(own))]
    (secret,) = cluster.environment.values()
    check_reached(cluster.address, secret)
    with pytest.raises(SparkError, match="wants a secret: put it into the variable MUONSTREAM_SPARK_SECRET"):
        check_reached(cluster.address)
    assert not [pid for pid in ours if secret in Path(f"/proc/{pid}/cmdline").read_text("utf-8")]
    ports = listening(ours)
    assert {port.host.removeprefix("::ffff:") for port in ports} == {HOST}
    guards = Counter(guard(port.port) for port in ports)
    assert guards.pop("a worker's secret") >= 1
    assert guards == {
        "Spark's secret": 7,  # master, two workers, two executors, the driver's two
        "shows only": 4,  # the pages of master, workers and driver
        "the gateway's secret": 1,
        "b''": 1,  # Python's sums of what tasks count: serves one, which is the driver's own Java
    }

    killed = cluster.kill_executor(0)
    assert killed in executors
    assert gone([killed], 30)
    assert job(driver)[0] == SQUARES

    cluster.kill_worker(1)
    assert job(driver)[0] == SQUARES
    cluster.start_worker(1)
    assert job(driver)[0] == SQUARES

    everything = [pid for own in cluster.pids for pid in (own, *descendants(own))]
    assert len(everything) > 3
    driver.communicate(timeout=60)
    assert driver.returncode == 0
    cluster.stop()
    assert running(everything) == []
    with pytest.raises(ClusterError, match="no executor runs"):
        cluster.kill_executor()


@pytest.mark.parametrize("end", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.long), signal.SIGKILL])
def test_a_developers_cluster_leaves_nothing_behind(java: None, tmp_path: Path, end: signal.Signals) -> None:
    command = [sys.executable, "-m", "tools.spark_cluster", "--workers", "1", "--memory-mib", "512"]
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    process = subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stdout is not None
    try:
        said = process.stdout.readline()
        assert re.search(r"spark://127\.0\.0\.1:\d+", said), said
        below = descendants(process.pid)
        assert len(below) == 2
        process.send_signal(end)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert gone(below, 30)
    if end != signal.SIGKILL:
        assert (process.returncode, errors) == (0, "")
        assert list(tmp_path.iterdir()) == []
