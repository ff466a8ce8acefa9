"""Spark's own cluster, standalone, for developers and tests: a master and workers on this machine, out of pyspark.

python -m tools.spark_cluster                          two workers of a core each, until Ctrl-C
python -m tools.spark_cluster --workers 1 --cores 2 --memory-mib 2048
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from muonstream.spark.session import SECRET_VARIABLE
from tools.kafka_broker import HOST, ROOT, free_ports
from tools.machine import JAVA_HINT, find_java
from tools.processes import children, descendants, gone, guarded, kill

LOG4J: Final = ROOT / "src" / "muonstream" / "spark" / "log4j2.xml"
DAEMON_MIB: Final = 256
START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 20.0
LOOK_EVERY_S: Final = 0.05
CLOSED: Final = {
    "spark.authenticate": "true",
    # its REST server runs whatever jar it is sent, and without a password
    "spark.master.rest.enabled": "false",
    "spark.ui.killEnabled": "false",
    "spark.master.ui.decommission.allow.mode": "DENY",
}
"""Settings of master and workers: only who knows the secret has something run; their pages only show."""
EXECUTOR: Final = "CoarseGrainedExecutorBackend"


class ClusterError(Exception):
    """The cluster does not start; the message says why."""


class Cluster:
    """A standalone master and its workers on loopback. Not for several threads at once.

    folder: logs, and what executors write; workers: how many; cores, memory_mib: of each.
    `address` is what Spark is given as its master.
    """

    def __init__(self, folder: Path, *, workers: int = 2, cores: int = 1, memory_mib: int = 1024) -> None:
        """Raises ClusterError without Java or pyspark."""
        java = find_java()
        if java is None:
            raise ClusterError(f"needs Java: {JAVA_HINT}")
        try:
            import pyspark
        except ImportError:
            raise ClusterError("needs pyspark: pip install '.[spark]'") from None
        self.folder = folder.absolute()
        self.memory_mib = memory_mib
        self._java = java
        self._home = Path(pyspark.__file__).parent
        self._sizes = [cores] * workers
        self._port = self._web = 0
        self._master: subprocess.Popen[bytes] | None = None
        self._workers: dict[int, subprocess.Popen[bytes]] = {}
        self._orphans: set[int] = set()
        self._secret = secrets.token_hex(32)

    @property
    def environment(self) -> dict[str, str]:
        """What a driver needs in its environment: the secret without which the cluster refuses a driver."""
        return {SECRET_VARIABLE: self._secret}

    @property
    def address(self) -> str:
        """spark://host:port of the master."""
        return f"spark://{HOST}:{self._port}"

    @property
    def page(self) -> str:
        """The master's own page."""
        return f"http://{HOST}:{self._web}"

    @property
    def pids(self) -> list[int]:
        """The processes of the master and the workers that run."""
        processes = [*([self._master] if self._master is not None else []), *self._workers.values()]
        return [process.pid for process in processes]

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Start all, and return when the master knows its workers. Raises ClusterError.

        To be called in a thread that outlives it: the cluster ends when that thread does (see `_launch`).
        """
        if self._master is not None:
            raise ClusterError("runs already")
        self.folder.mkdir(parents=True, exist_ok=True)
        for attempt in range(3):
            self._port, self._web = free_ports(2)
            self._master = self._launch(
                "master", "org.apache.spark.deploy.master.Master", "--port", self._port, "--webui-port", self._web
            )
            try:
                self._wait(lambda: self._state() is not None, "the master does not answer")
                break
            except ClusterError:
                # Between looking for free ports and listening on them, somebody else may have taken one.
                self.stop()
                if attempt == 2:
                    raise
        for number in range(len(self._sizes)):
            self._start_worker(number)
        self._wait_for_workers()

    def start_worker(self, number: int) -> None:
        """Start a worker that was killed, and return when the master knows it. Raises ClusterError."""
        if number in self._workers:
            raise ClusterError(f"worker {number} runs already")
        self._start_worker(number)
        self._wait_for_workers()

    def _start_worker(self, number: int) -> None:
        port, web = free_ports(2)
        self._workers[number] = self._launch(
            f"worker-{number}",
            "org.apache.spark.deploy.worker.Worker",
            *("--port", port, "--webui-port", web, "--cores", self._sizes[number]),
            *("--memory", f"{self.memory_mib}m", "--work-dir", self.folder / f"work-{number}", self.address),
        )

    def _launch(self, name: str, main: str, *arguments: object) -> subprocess.Popen[bytes]:
        """Start Java; where the system can, it ends with its parent, however that ends, and executors with it."""
        options = [f"-Xmx{DAEMON_MIB}m", "-XX:+UseSerialGC", "-XX:-UsePerfData", "-XX:TieredStopAtLevel=1"]
        options += [f"-Dlog4j2.configurationFile={LOG4J}", "-Dspark.worker.cleanup.enabled=false"]
        options += [f"-D{key}={value}" for key, value in CLOSED.items()]
        options += ["--add-opens=java.base/sun.nio.ch=ALL-UNNAMED", "-cp", f"{self._home / 'jars'}/*"]
        environment = {key: value for key, value in os.environ.items() if not key.startswith("SPARK_")}
        environment |= {
            "SPARK_HOME": str(self._home),
            "SPARK_SCALA_VERSION": self._scala(),  # in a distribution that is not pyspark's, a file tells
            "SPARK_LOCAL_IP": HOST,
            "SPARK_LOCAL_DIRS": str(self.folder / "local"),
            "SPARK_CONF_DIR": str(self._configuration()),
            "_SPARK_AUTH_SECRET": self._secret,  # Spark's own variable, by which workers tell their executors
        }
        with (self.folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                guarded([str(self._java), *options, main, "--host", HOST, *map(str, arguments)]),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.folder,
                env=environment,
                start_new_session=True,  # Ctrl-C is for who started it, who stops it in its turn
            )

    def _scala(self) -> str:
        """The version of Scala that pyspark's jars were built with."""
        return next((self._home / "jars").glob("spark-core_*.jar")).name.split("_")[1].split("-")[0]

    def _configuration(self) -> Path:
        """A folder in which executors find how much to log."""
        folder = self.folder / "conf"
        folder.mkdir(exist_ok=True)
        shutil.copyfile(LOG4J, folder / "log4j2.xml")
        return folder

    def _state(self) -> dict[str, Any] | None:
        """What the master says of itself, as JSON; None when it does not answer."""
        try:
            with urllib.request.urlopen(f"{self.page}/json/", timeout=5) as answer:
                found: dict[str, Any] = json.load(answer)
        except (OSError, ValueError):
            return None
        return found if found.get("url") == self.address else None

    def state(self) -> dict[str, Any]:
        """What the master says of itself: `workers`, `activeapps`, `completedapps`, ... Raises ClusterError."""
        found = self._state()
        if found is None:
            raise ClusterError(f"the master does not answer: {self._last_line('master')}")
        return found

    def _wait(self, ready: Any, complaint: str) -> None:
        end = time.monotonic() + START_TIMEOUT_S
        while not ready():
            assert self._master is not None
            ended = [name for name, process in self._named() if process.poll() is not None]
            if ended:
                raise ClusterError(f"the {ended[0]} ended as it started: {self._last_line(ended[0])}")
            if time.monotonic() > end:
                raise ClusterError(f"{complaint} in {START_TIMEOUT_S:.0f} s: {self._last_line('master')}")
            time.sleep(LOOK_EVERY_S)

    def _wait_for_workers(self) -> None:
        def all_known() -> bool:
            state = self._state()
            alive = [one for one in state["workers"] if one["state"] == "ALIVE"] if state else []
            return len(alive) >= len(self._workers)

        self._wait(all_known, "the workers do not register")

    def _named(self) -> Iterable[tuple[str, subprocess.Popen[bytes]]]:
        if self._master is not None:
            yield "master", self._master
        for number, process in self._workers.items():
            yield f"worker-{number}", process

    def _last_line(self, name: str) -> str:
        lines = (self.folder / f"{name}.log").read_text("utf-8", "replace").splitlines()
        telling = [line for line in lines if "Exception" in line or " ERROR " in line]
        return (telling or lines or ["its log is empty"])[-1].strip()

    def executors(self, worker: int | None = None) -> list[int]:
        """The processes of executors that run now, of one worker or of all."""
        workers = list(self._workers.values()) if worker is None else [self._workers[worker]]
        return [pid for process in workers for pid, command in children(process.pid) if EXECUTOR in command]

    def kill_executor(self, worker: int | None = None) -> int:
        """End one executor at once (SIGKILL), as a lack of memory does; gives its process. Raises ClusterError."""
        there = self.executors(worker)
        if not there:
            raise ClusterError("no executor runs")
        self._orphans.update(descendants(there[0]))
        os.kill(there[0], signal.SIGKILL)
        return there[0]

    def kill_worker(self, number: int) -> None:
        """End a worker and all its executors at once, as a machine that fails does."""
        process = self._workers.pop(number)
        below = descendants(process.pid)
        process.kill()
        process.wait()
        kill(below)

    def stop(self) -> None:
        """Stop all, so that no process is left; the folder stays."""
        processes = [process for _, process in self._named()]
        below = {*self._orphans, *(pid for process in processes for pid in descendants(process.pid))}
        for process in reversed(processes):
            process.terminate()
        for process in processes:
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        if not gone(below, STOP_TIMEOUT_S / 4):
            kill(below)
        self._master = None
        self._workers.clear()
        self._orphans.clear()


def main(arguments: list[str]) -> int:
    """Run a cluster until Ctrl-C."""
    parser = argparse.ArgumentParser(prog="python -m tools.spark_cluster", description="A Spark cluster on loopback.")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--cores", type=int, default=1, help="of each worker")
    parser.add_argument("--memory-mib", type=int, default=1024, help="of each worker")
    options = parser.parse_args(arguments)
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    size = {"workers": options.workers, "cores": options.cores, "memory_mib": options.memory_mib}
    try:
        with tempfile.TemporaryDirectory(prefix="muonstream-cluster-") as folder, Cluster(Path(folder), **size) as own:
            secret = Path(folder) / "secret"
            secret.touch(mode=0o600)
            secret.write_text(own.environment[SECRET_VARIABLE], "utf-8")
            print(f"Spark's master is {own.address}, its page {own.page}. Ctrl-C stops it.")
            print(f"Its drivers need the secret: export {SECRET_VARIABLE}=$(cat {secret})", flush=True)
            signal.pause()
    except ClusterError as error:
        print(f"spark: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        pass
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
