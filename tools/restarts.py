"""Kill what counts a run in Kafka, again and again, and see whether anything was lost or counted twice.

python -m tools.restarts                     20 kills of the engine on frames and on loose hits, and every other fault
python -m tools.restarts --kills 3 --words 300000

Everything is real: a broker, `muonstream replay`, `muonstream run`, SIGKILL. The last summary is compared with that of
`muonstream process` of the same words and with that of an undisturbed engine.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from muonstream.simulation.telescope import simulate_words
from tools.kafka_broker import Broker

PATIENCE_S: Final = 300.0
PARTITIONS: Final = 4
RUN: Final = ("--run-number", "7", "--run-name", "cosmics")
APART: Final = ("source", "run", "runs", "inputs", "verdicts")
"""Keys of a summary that say how it was asked for and read, not what was counted, and verdicts: their stretches of data
begin again after a restart."""


@dataclass
class Scene:
    """One run under test: words in a file, a gateway that sends them, an engine that counts them."""

    broker: Broker
    topic: str
    folder: Path
    file: Path
    form: str
    random: random.Random
    engine_life_s: float
    gateway_options: Sequence[str] = ("--fast",)
    engine_options: Sequence[str] = ()
    engine: subprocess.Popen[str] | None = None
    gateway: subprocess.Popen[str] | None = None
    kills: int = 0
    resumed_at: list[str] = field(default_factory=list)
    said: str = ""

    @property
    def summary(self) -> Path:
        return self.folder / "summary.json"

    def start_gateway(self) -> None:
        """Send the run, or what is missing of it."""
        to = f"kafka://{self.broker.address}/{self.topic}"
        command = ["replay", str(self.file), "--to", to, "--as", self.form, *RUN, *self.gateway_options]
        self.gateway = _muonstream(command)

    def start_engine(self) -> str:
        """Count the run, or go on with it; gives the line that says where, "" when it has ended before it could."""
        source = f"kafka://{self.broker.address}/{self.topic}"
        options = [
            "--no-page",
            "--store",
            str(self.folder / "store.db"),
            "--store-every",
            "0.05",
            "--run-number",
            RUN[1],
            *self.engine_options,
        ]
        self.engine = _muonstream(["run", source, *options, "--summary", str(self.summary)])
        assert self.engine.stderr is not None
        self.said = ""
        for line in self.engine.stderr:
            self.said += line
            if line.startswith("Reading"):
                self.resumed_at.append(line.strip().rpartition(", ")[2])
                return line
        return ""

    def kill_engine(self) -> None:
        """SIGKILL, at a random moment of its reading; nothing when it has ended."""
        assert self.engine is not None
        try:
            self.engine.wait(self.random.uniform(0, self.engine_life_s))
        except subprocess.TimeoutExpired:
            self.engine.send_signal(signal.SIGKILL)
            self.kills += 1
        self.engine.communicate()

    def kill_gateway(self) -> None:
        """SIGKILL of the gateway at a random moment; nothing when it has ended."""
        assert self.gateway is not None
        try:
            self.gateway.wait(self.random.uniform(0.3, 4.0))
        except subprocess.TimeoutExpired:
            self.gateway.send_signal(signal.SIGKILL)
            self.kills += 1
        self.gateway.communicate()

    def finish(self) -> dict[str, Any]:
        """Wait until gateway and engine have ended, and give the summary. Raises RuntimeError."""
        for name, process in (("gateway", self.gateway), ("engine", self.engine)):
            if process is None:
                continue
            said, complaint = process.communicate(timeout=PATIENCE_S)
            if process.returncode not in (0, -signal.SIGKILL):
                raise RuntimeError(f"the {name} ended with {process.returncode}: {self.said}{complaint or said}")
        return read_summary(self.summary)

    def stop(self) -> None:
        """Leave no process behind."""
        for process in (self.gateway, self.engine):
            if process is not None and process.poll() is None:
                process.kill()
                process.communicate()


def _muonstream(command: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "muonstream", *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def engine_killed(scene: Scene, times: int) -> None:
    """The engine, again and again while it drains what is there; each new one goes on."""
    scene.start_gateway()
    assert scene.gateway is not None
    scene.gateway.communicate(timeout=PATIENCE_S)
    for _ in range(times):
        scene.start_engine()
        scene.kill_engine()
    scene.start_engine()


def engine_killed_live(scene: Scene, times: int) -> None:
    """The engine, while the gateway sends."""
    scene.start_gateway()
    for _ in range(times):
        scene.start_engine()
        scene.kill_engine()
    scene.start_engine()


def gateway_killed(scene: Scene, times: int) -> None:
    """The gateway, again and again; each new one sends what is missing."""
    scene.start_gateway()
    scene.start_engine()
    for _ in range(times):
        scene.kill_gateway()
        scene.start_gateway()


def broker_killed(scene: Scene, times: int) -> None:
    """The broker, while gateway and engine go on."""
    scene.start_gateway()
    scene.start_engine()
    for _ in range(times):
        time.sleep(scene.random.uniform(0.1, 1.0))
        scene.broker.kill()
        scene.kills += 1
        scene.broker.start()


def broker_paused(scene: Scene, times: int) -> None:
    """The broker, for 10 s, while gateway and engine go on."""
    scene.start_gateway()
    scene.start_engine()
    for _ in range(times):
        time.sleep(scene.random.uniform(0.1, 1.0))
        scene.broker.pause()
        scene.kills += 1
        time.sleep(10)
        scene.broker.resume()


def everything_killed(scene: Scene, times: int) -> None:
    """Engine, broker and gateway in turn."""
    scene.start_gateway()
    for _ in range(times):
        scene.start_engine()
        scene.kill_gateway()
        scene.broker.kill()
        scene.kill_engine()
        scene.broker.start()
        scene.start_gateway()
    scene.start_engine()


@dataclass(frozen=True)
class Fault:
    """One way in which things go wrong: how often in a long round and in a short one; whether the gateway is paced."""

    act: Callable[[Scene, int], None]
    times: int
    short: int
    paced: bool = True

    @property
    def name(self) -> str:
        return self.act.__name__.replace("_", " ")


FAULTS: Final = (
    Fault(engine_killed, 20, 3, paced=False),
    Fault(engine_killed_live, 20, 2),
    Fault(gateway_killed, 5, 2),
    Fault(broker_killed, 3, 1),
    Fault(broker_paused, 1, 1),
    Fault(everything_killed, 3, 1),
)
FORMS: Final = ("frames", "json")


def read_summary(path: Path) -> dict[str, Any]:
    """What was counted, without what was asked for."""
    found: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return {key: value for key, value in found.items() if key not in APART}


def differences(a: Any, b: Any) -> int:
    """How many numbers or texts of two summaries differ."""
    if isinstance(a, dict) and isinstance(b, dict):
        return sum(differences(a.get(key), b.get(key)) for key in {*a, *b})
    if isinstance(a, list) and isinstance(b, list) and len(a) == len(b):
        return sum(differences(x, y) for x, y in zip(a, b, strict=True))
    return int(a != b)


def processed(file: Path, folder: Path, options: Sequence[str] = ()) -> dict[str, Any]:
    """The summary of `muonstream process` with these options. Raises CalledProcessError."""
    out = folder / "processed.json"
    command = [sys.executable, "-m", "muonstream", "process", str(file), "--summary", str(out), *options]
    subprocess.run(command, check=True, capture_output=True)
    return read_summary(out)


def make_scene(broker: Broker, folder: Path, file: Path, form: str, *, seed: int, life_s: float, rate: float) -> Scene:
    """A scene with a topic of its own; rate 0 is as fast as possible."""
    from confluent_kafka.admin import AdminClient, NewTopic

    folder.mkdir(parents=True)
    topic = folder.name
    admin = AdminClient({"bootstrap.servers": broker.address})
    admin.create_topics([NewTopic(topic, PARTITIONS, 1)])[topic].result(30)
    options = ["--rate", f"{rate:.0f}"] if rate else ["--fast"]
    return Scene(broker, topic, folder, file, form, random.Random(seed), life_s, options)


def undisturbed(scene: Scene) -> dict[str, Any]:
    """The summary of an undisturbed engine on the same topic, without a store."""
    source, out = f"kafka://{scene.broker.address}/{scene.topic}", scene.folder / "undisturbed.json"
    command = [sys.executable, "-m", "muonstream", "run", source, "--no-page", "--run-number", RUN[1]]
    command += ["--summary", str(out), *scene.engine_options]
    subprocess.run(command, check=True, capture_output=True, timeout=PATIENCE_S)
    return read_summary(out)


def main() -> int:
    """Do all, print the table; the exit code says whether anything differed."""
    parser = argparse.ArgumentParser(prog="python -m tools.restarts", description=__doc__.splitlines()[0])
    parser.add_argument("--kills", type=int, default=0, help="of the engine, in place of 20")
    parser.add_argument("--words", type=int, default=4_000_000)
    parser.add_argument("--seed", type=int, default=int.from_bytes(os.urandom(3)))
    parser.add_argument("--fault", choices=[fault.name.replace(" ", "-") for fault in FAULTS])
    parser.add_argument("--form", choices=FORMS)
    parser.add_argument("--life", type=float, default=1.0, help="longest life of an engine, s")
    chosen = parser.parse_args()
    print(f"seed {chosen.seed}, {chosen.words:,} words, {PARTITIONS} partitions\n")
    print(f"{'fault':22} {'form':7} {'kills':>5} {'words':>12} {'differences to process':>23} {'to undisturbed':>15}")
    total = 0
    with tempfile.TemporaryDirectory(prefix="muonstream-") as temporary:
        folder = Path(temporary)
        file = folder / "run7.dat"
        simulate_words(chosen.words, rate_hz=20_000).tofile(file)
        wanted = processed(file, folder)
        with Broker(folder / "kafka") as broker:
            for fault in FAULTS:
                if chosen.fault and fault.name.replace(" ", "-") != chosen.fault:
                    continue
                for form in [chosen.form] if chosen.form else FORMS:
                    total += _one(broker, folder, file, fault, form, chosen, wanted)
    return int(total > 0)


def _one(
    broker: Broker,
    folder: Path,
    file: Path,
    fault: Fault,
    form: str,
    chosen: argparse.Namespace,
    wanted: dict[str, Any],
) -> int:
    times = chosen.kills or fault.times if "engine" in fault.name else fault.times
    rate = chosen.words / 30 if fault.paced else 0.0
    name = f"{fault.name.replace(' ', '-')}-{form}"
    scene = make_scene(broker, folder / name, file, form, seed=chosen.seed, life_s=chosen.life, rate=rate)
    try:
        fault.act(scene, times)
        found = scene.finish()
        to_process, to_other = differences(found, wanted), differences(found, undisturbed(scene))
    finally:
        scene.stop()
    print(
        f"{fault.name:22} {form:7} {scene.kills:5} {found['words']:12,} {to_process:23} {to_other:15}"
        + (f"   went on {', '.join(scene.resumed_at)}" if "engine" in fault.name else ""),
        flush=True,
    )
    return to_process + to_other


if __name__ == "__main__":
    sys.exit(main())
