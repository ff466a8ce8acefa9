"""Count the same words in many ways, and compare the summaries: bit for bit, they must be one.

python -m tools.soak                                     20 M simulated words
python -m tools.soak --words 1000000
python -m tools.soak run.dat other.dat.gz --detector run591   files instead

Each is sent to Kafka as frames and as loose JSON hits, and each topic is counted by the local engine, by Spark in this
machine's process and by Spark on a cluster of two workers. The measure is `muonstream process` of the same words.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from muonstream.simulation.telescope import simulate_words
from tools.kafka_broker import Broker
from tools.restarts import RUN, differences, processed, read_summary
from tools.spark_cluster import Cluster
from tools.spark_jars import fetch

FORMS: Final = ("frames", "json")
PARTITIONS: Final = 16
PATIENCE_S: Final = 3600.0


def engines(cluster: str) -> Mapping[str, Sequence[str]]:
    """The engines by name, and the options that choose them."""
    return {
        "local": (),
        "Spark, local[2]": ("--engine", "spark", "--master", "local[2]"),
        "Spark, 2 workers": ("--engine", "spark", "--master", cluster),
    }


def muonstream(*command: str) -> None:
    """Run it. Raises RuntimeError with what it said."""
    found = subprocess.run(
        [sys.executable, "-m", "muonstream", *command], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    if found.returncode:
        raise RuntimeError(f"muonstream {' '.join(command)} ended with {found.returncode}: {found.stderr}")


def make_topic(broker: str, name: str) -> str:
    """Make it, and give its name."""
    from confluent_kafka.admin import AdminClient, NewTopic

    admin = AdminClient({"bootstrap.servers": broker})  # its answer ends with it
    admin.create_topics([NewTopic(name, PARTITIONS, 1)])[name].result(30)
    return name


def counted(topic: str, folder: Path, options: Sequence[str]) -> dict[str, Any]:
    """The summary of one engine; topic: as kafka://…"""
    out = folder / "counted.json"
    muonstream("run", topic, "--no-page", "--run-number", RUN[1], "--summary", str(out), *options)
    return read_summary(out)


def soak(
    broker: str, files: Sequence[Path], folder: Path, ways: Mapping[str, Sequence[str]], detector: Sequence[str] = ()
) -> int:
    """Count all in all ways, printing a line for each; gives how many numbers differed."""
    total = 0
    print(
        f"{'words of':36} {'sent as':8} {'counted by':18} {'words':>12} {'differences':>12} {'seconds':>8}", flush=True
    )
    for number, file in enumerate(files):
        wanted = processed(file, folder, detector)
        for form in FORMS:
            topic = f"kafka://{broker}/{make_topic(broker, f'soak-{number}-{form}')}"
            muonstream("replay", str(file), "--to", topic, "--as", form, "--fast", *RUN, *detector)
            for name, options in ways.items():
                began = time.monotonic()
                found = counted(topic, folder, [*options, *detector])
                differ = differences(found, wanted)
                total += differ
                seconds = time.monotonic() - began
                line = f"{file.name:36} {form:8} {name:18} {found['words']:12,} {differ:12} {seconds:8.1f}"
                print(line, flush=True)
    return total


def main() -> int:
    """Do all; the exit code says whether anything differed."""
    parser = argparse.ArgumentParser(prog="python -m tools.soak", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("files", nargs="*", type=Path, help="instead of simulated words")
    parser.add_argument("--words", type=int, default=20_000_000)
    parser.add_argument("--detector", help="of the files")
    asked = parser.parse_args()
    os.environ["MUONSTREAM_SPARK_JARS"] = str(fetch())
    with tempfile.TemporaryDirectory(prefix="muonstream-") as temporary:
        folder = Path(temporary)
        files = asked.files
        if not files:
            files = [folder / "simulated.dat"]
            simulate_words(asked.words, rate_hz=20_000).tofile(files[0])
        detector = ("--detector", asked.detector) if asked.detector else ()
        with Broker(folder / "kafka") as broker, Cluster(folder / "cluster", workers=2, memory_mib=1024) as cluster:
            os.environ.update(cluster.environment)
            return int(soak(broker.address, files, folder, engines(cluster.address), detector) > 0)


if __name__ == "__main__":
    sys.exit(main())
