"""Apache Kafka itself, one node, for developers and tests: fetched by Maven, run with Java, no container.

python -m tools.kafka_broker                 start one, print its address, stop it at Ctrl-C
python -m tools.kafka_broker --fetch         only fetch what it needs
python -m tools.kafka_broker --data FOLDER --port 9092
"""

from __future__ import annotations

import argparse
import base64
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tools.machine import JAVA_HINT, find_java
from tools.maven import MavenError, fetched

ROOT: Final = Path(__file__).resolve().parents[1]
POM: Final = ROOT / "tools" / "kafka" / "pom.xml"
LOG4J: Final = ROOT / "tools" / "kafka" / "log4j2.xml"
HOME: Final = ROOT / ".kafka"
"""Jars, and a developer's data; git ignores it."""
HOST: Final = "127.0.0.1"
USER: Final = "muon"
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 30.0
PORTS: Final = (20000, 30000)
"""Below the ports that systems hand to outgoing connections: a stopped broker finds its own again."""


class BrokerError(Exception):
    """The broker cannot be fetched or does not start; the message says why."""


def fetch() -> Path:
    """The folder of Kafka's jars, fetched with Maven the first time and when pom.xml changes. Raises BrokerError."""
    try:
        return fetched(POM, HOME, "Kafka")
    except MavenError as error:
        raise BrokerError(str(error)) from None


def free_ports(n: int) -> list[int]:
    """Ports on which nothing listens now."""
    taken: list[socket.socket] = []
    try:
        while len(taken) < n:
            candidate = socket.socket()
            try:
                candidate.bind((HOST, random.randrange(*PORTS)))
            except OSError:
                candidate.close()
            else:
                taken.append(candidate)
        return [int(held.getsockname()[1]) for held in taken]
    finally:
        for held in taken:
            held.close()


class Broker:
    """One node of Kafka (KRaft) with its data in a folder. Not for several threads at once.

    `address` is its PLAINTEXT listener. With `secure=True`, `secure_address` is a SASL_SSL listener with a certificate
    of its own (`certificate`, PEM), user `USER` and password `password`. Ports and data stay the same over restarts.
    With `quick_start` it is up in half the time and slower afterwards: benchmarks set it to False.
    """

    def __init__(
        self,
        folder: Path,
        *,
        port: int | None = None,
        secure: bool = False,
        password: str = "",
        heap_mib: int = 512,
        quick_start: bool = True,
    ) -> None:
        self.folder = folder
        self.password = password or uuid.uuid4().hex
        self.secure = secure
        self._port = port
        self._heap_mib = heap_mib
        self._quick_start = quick_start
        self._jars = fetch()
        java = find_java()
        if java is None:
            raise BrokerError(f"needs Java: {JAVA_HINT}")
        self._java = java
        self._process: subprocess.Popen[bytes] | None = None
        self._paused = False
        self.port, self._controller_port, self.secure_port = 0, 0, 0

    @property
    def address(self) -> str:
        """host:port of the listener without encryption."""
        return f"{HOST}:{self.port}"

    @property
    def secure_address(self) -> str:
        """host:port of the listener with TLS and a password."""
        return f"{HOST}:{self.secure_port}"

    @property
    def certificate(self) -> Path:
        """The certificate (PEM) that clients of the secure listener must trust."""
        return self.folder / "certificate.pem"

    @property
    def pid(self) -> int | None:
        """The broker's process, while it runs."""
        return self._process.pid if self._process is not None else None

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:  # Ctrl-C, too
            self.kill()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start, the first time on new ports, and return when it answers. Raises BrokerError.

        To be called in a thread that outlives it: the broker ends when that thread does (see `_command`).
        """
        if self._process is not None:
            raise BrokerError("runs already")
        new = self.port == 0
        for attempt in range(3):
            if new:
                self._prepare()
            self._launch()
            try:
                self._wait_until_ready()
                return
            except BrokerError as error:
                # Between looking for free ports and listening on them, somebody else may have taken one.
                if not new or attempt == 2 or "in use" not in str(error):
                    raise

    def _prepare(self) -> None:
        """Choose ports, write the configuration, format the storage unless it has data."""
        self.folder.mkdir(parents=True, exist_ok=True)
        self.port, self._controller_port, self.secure_port = free_ports(3)
        if self._port is not None:
            self.port = self._port
        if self.secure and not self.certificate.exists():
            self._make_certificate()
        config = self.folder / "server.properties"
        config.touch(mode=0o600)
        config.write_text("".join(f"{key}={value}\n" for key, value in self._properties().items()), "utf-8")
        if (self.folder / "data" / "meta.properties").exists():
            return
        identity = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=").replace("-", "A")
        done = subprocess.run(
            [*self._command("kafka.tools.StorageTool"), "format", "--standalone", "-t", identity, "-c", str(config)],
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode != 0:
            raise BrokerError(f"cannot format its storage: {(done.stderr or done.stdout).strip()}")

    def _properties(self) -> dict[str, str]:
        listeners = {"PLAINTEXT": self.port, "CONTROLLER": self._controller_port}
        if self.secure:
            listeners["SASL_SSL"] = self.secure_port
        own = ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items())
        advertised = ",".join(f"{name}://{HOST}:{port}" for name, port in listeners.items() if name != "CONTROLLER")
        properties = {
            "process.roles": "broker,controller",
            "node.id": "1",
            "controller.quorum.bootstrap.servers": f"{HOST}:{self._controller_port}",
            "listeners": own,
            "advertised.listeners": advertised,
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SASL_SSL:SASL_SSL",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "log.dirs": str(self.folder / "data"),
            "auto.create.topics.enable": "false",
            "offsets.topic.num.partitions": "1",
            "offsets.topic.replication.factor": "1",
            "transaction.state.log.num.partitions": "1",
            "transaction.state.log.replication.factor": "1",
            "transaction.state.log.min.isr": "1",
            "share.coordinator.state.topic.num.partitions": "1",
            "share.coordinator.state.topic.replication.factor": "1",
            "share.coordinator.state.topic.min.isr": "1",
            # one that was killed may come back under its name as soon as its old session has expired
            "broker.session.timeout.ms": "2000",
            "broker.heartbeat.interval.ms": "500",
            "group.initial.rebalance.delay.ms": "0",
        }
        if self.secure:
            login = "org.apache.kafka.common.security.plain.PlainLoginModule required"
            properties |= {
                "sasl.enabled.mechanisms": "PLAIN",
                "listener.name.sasl_ssl.plain.sasl.jaas.config": f'{login} user_{USER}="{self.password}";',
                "ssl.keystore.type": "PKCS12",
                "ssl.keystore.location": str(self.folder / "keystore.p12"),
                "ssl.keystore.password": self.password,
                "ssl.key.password": self.password,
            }
        return properties

    def _make_certificate(self) -> None:
        """A key pair and its self-signed certificate, with the keytool that is part of Java."""
        keytool = str(self._java.resolve().parent / "keytool")
        store = ["-keystore", str(self.folder / "keystore.p12"), "-storepass", self.password, "-alias", "broker"]
        names = f"SAN=ip:{HOST},dns:localhost"
        made = [keytool, "-genkeypair", *store, "-storetype", "PKCS12", "-keyalg", "EC", "-groupname", "secp256r1"]
        made += ["-validity", "30", "-dname", "CN=muonstream test broker", "-ext", names, "-ext", "bc=ca:true"]
        exported = [keytool, "-exportcert", "-rfc", *store, "-file", str(self.certificate)]
        for command in (made, exported):
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode != 0:
                raise BrokerError(f"keytool cannot make a certificate: {done.stdout.strip()}")

    def _command(self, main: str) -> list[str]:
        """How Java is called; where the system can, it ends this process with its parent, however that ends."""
        setpriv = shutil.which("setpriv")
        guard = [setpriv, "--pdeathsig", "KILL"] if setpriv else []
        options = [f"-Xmx{self._heap_mib}m", "-XX:+UseSerialGC", "-XX:-UsePerfData"]
        options += ["-XX:TieredStopAtLevel=1"] if self._quick_start else []
        options += [f"-Dlog4j2.configurationFile={LOG4J}", "-cp", f"{self._jars}/*"]
        return [*guard, str(self._java), *options, main]

    def _launch(self) -> None:
        with (self.folder / "broker.log").open("ab") as log:
            self._process = subprocess.Popen(
                [*self._command("kafka.Kafka"), str(self.folder / "server.properties")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                start_new_session=True,  # Ctrl-C is for who started it, who stops it in its turn
            )
        self._paused = False

    def _wait_until_ready(self) -> None:
        """Ask it for its metadata until it names itself a broker. Raises BrokerError."""
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        assert self._process is not None
        admin = AdminClient({"bootstrap.servers": self.address, "reconnect.backoff.max.ms": 200, "log_level": 0})
        end = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < end:
            if self._process.poll() is not None:
                self._process = None
                raise BrokerError(f"ended as it started: {self._last_error()}")
            try:
                if admin.list_topics(timeout=1).brokers:
                    return
            except KafkaException:
                continue
        self.kill()
        raise BrokerError(f"did not answer in {START_TIMEOUT_S:.0f} s: {self._last_error()}")

    def _last_error(self) -> str:
        lines = (self.folder / "broker.log").read_text("utf-8", "replace").splitlines()
        errors = [line for line in lines if "Exception" in line or " ERROR " in line or " FATAL " in line]
        return (errors or lines or ["its log is empty"])[-1].strip()

    def stop(self) -> None:
        """Stop it in order, as an administrator does."""
        if self._process is None:
            return
        if self._paused:
            self.resume()
        self._process.terminate()
        try:
            self._process.wait(STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process = None

    def kill(self) -> None:
        """End it at once (SIGKILL), as a power cut does; data the system has taken stay."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def pause(self) -> None:
        """Hold it (SIGSTOP): connections stay open and nothing answers."""
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)
            self._paused = True

    def resume(self) -> None:
        """Let it go on (SIGCONT)."""
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)
            self._paused = False

    def restart(self) -> None:
        """Stop it if it runs, and start it on the same data and ports."""
        self.stop()
        self.start()


def main(arguments: list[str]) -> int:
    """Run a broker until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tools.kafka_broker", description="A Kafka broker on this machine.")
    parser.add_argument("--fetch", action="store_true", help="only fetch what the broker needs")
    parser.add_argument("--data", type=Path, default=HOME / "data", help="folder of its data (default .kafka/data)")
    parser.add_argument("--port", type=int, default=9092, help="port on loopback (default 9092)")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        if options.fetch:
            print(fetch())
            return 0
        with Broker(options.data, port=options.port, heap_mib=1024, quick_start=False) as broker:
            print(f"Kafka listens at {broker.address}; its data are in {broker.folder}. Ctrl-C stops it.", flush=True)
            signal.pause()
    except BrokerError as error:
        print(f"kafka: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(main(sys.argv[1:]))
