"""How the engine on Spark scales: more cores, more workers, more data; and a model of many workers.

python -m benchmarks.spark_scaling              writes the tables and pictures of docs/scaling.md: half an hour
python -m benchmarks.spark_scaling --quick      small amounts, nothing is written

A fixed amount is drained from a topic, so that each is at its limit: at a fixed rate of data nothing would scale.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.plot import lines_svg
from benchmarks.spark_works import PARTITIONS, Drained, driver_seconds, fill, fill_bare, fresh, messages_in, spark_drain
from muonstream.simulation.telescope import simulate_words
from tools.kafka_broker import Broker
from tools.spark_cluster import Cluster

ROOT: Final = Path(__file__).resolve().parents[1]
DOCUMENT: Final = ROOT / "docs" / "scaling.md"
PICTURES: Final = ROOT / "docs" / "pictures"
BEGIN, END = "<!-- measured: begin -->", "<!-- measured: end -->"
AMOUNTS: Final = (1_000_000, 3_000_000, 10_000_000, 30_000_000, 100_000_000)
FRAMED: Final = 400_000_000
LOOSE: Final = 4_000_000
"""Words with which cores and workers are compared: enough to be warm for most of the time."""
BATCHES: Final = 10
AMOUNT_BATCHES: Final = 5
MANY_TASKS: Final = 16
NETWORK_BYTES_PER_S: Final = 1.25e9
"""What the model gives the broker: 10 Gbit/s."""
WORD_BYTES: Final = 8.1
"""A word in a frame, with its share of headers."""
BATCH_WORDS: Final = (20_000_000, 200_000_000)
WORKERS: Final = (1, 2, 10, 100)
MEMORY_MIB: Final = 1024
TITLES: Final = {
    "scaling-cores.svg": "rate against cores and workers",
    "scaling-amount.svg": "seconds against words",
    "scaling-model.svg": "the model",
}


@dataclass(frozen=True)
class Costs:
    """What the model is made of, in seconds.

    batch_s: a micro-batch without data; task_s: a task without data, at its worker, where all are side by side
    driver_s: of each task at the driver, one after another; word_s: a word of a frame on one core of a worker
    """

    batch_s: float
    task_s: float
    driver_s: float
    word_s: float

    def seconds(self, words: float, workers: int, partitions: int) -> float:
        """A micro-batch of so many words on workers of one core each; partitions are read whole, by one task each."""
        tasks = min(workers, partitions)
        largest = math.ceil(partitions / tasks) / partitions
        return self.batch_s + self.task_s + self.driver_s * tasks + words * self.word_s * largest

    def rate(self, words: float, workers: int, partitions: int) -> float:
        """Words a second at most, with micro-batches of so many words."""
        return words / self.seconds(words, workers, partitions)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A table as Markdown's lines."""
    return [f"| {' | '.join(row)} |" for row in (head, ["---"] * len(head), *rows)]


def pin(process: int, core: int) -> None:
    """Give a process, and what it starts from now on, one core of the machine's."""
    for thread in Path(f"/proc/{process}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def median(drains: Sequence[Drained]) -> Drained:
    """The one in the middle, by its time."""
    return sorted(drains, key=lambda one: one.seconds)[len(drains) // 2]


class Measuring:
    """A broker with topics of frames and loose hits, and how often each is measured."""

    def __init__(self, broker: Broker, folder: Path, rounds: int, say: Callable[[str], None]) -> None:
        self._broker = broker
        self._folder = folder
        self._rounds = rounds
        self._say = say

    def fill(self, topic: str, words: int, *, bare: bool = False, rate_hz: float = 1e6) -> None:
        """Make a topic with so many words, as frames or as loose hits without headers."""
        if bare:
            fill_bare(self._broker.address, topic, simulate_words(words, rate_hz=rate_hz))
        else:
            fill(self._broker.address, topic, words, form="frames", rate_hz=rate_hz)
        self._say(f"{topic}: {words:,} words")

    def messages(self, topic: str, batches: int) -> int:
        """How many messages a micro-batch has for there to be so many of them."""
        return max(messages_in(self._broker.address, topic) // batches, 1)

    def drained(self, topic: str, masters: Sequence[str], messages: int, **conf: str) -> list[Drained]:
        """Medians of draining a topic by several masters, interleaved; `N x 1` is a cluster of N workers of a core."""
        found: list[list[Drained]] = [[] for _ in masters]
        for _ in range(self._rounds):
            for i, master in enumerate(masters):
                found[i].append(self._one(topic, master, messages, conf))
                self._say(f"{topic} by {master}: {found[i][-1].seconds:.2f} s, cold {found[i][-1].cold_s:.2f} s")
        return [median(several) for several in found]

    def _one(self, topic: str, master: str, messages: int, conf: dict[str, str]) -> Drained:
        settings = {key.replace("_", "."): value for key, value in conf.items()}
        drain = partial(spark_drain, self._broker.address, topic, messages=messages, conf=settings)
        if master.startswith("local"):
            cores = int(master.removeprefix("local[").removesuffix("]"))
            return fresh(drain, master=master, cores=cores)
        workers = int(master.split()[0])
        with (
            tempfile.TemporaryDirectory(dir=self._folder) as folder,
            Cluster(Path(folder), workers=workers, memory_mib=MEMORY_MIB) as cluster,
        ):
            for core, worker in zip(sorted(os.sched_getaffinity(0)), cluster.pids[1:], strict=False):
                pin(worker, core)
            os.environ.update(cluster.environment)
            return fresh(drain, master=cluster.address)


def cores_and_workers(measuring: Measuring, words: int, loose: int) -> tuple[list[str], dict[str, list[float]]]:
    """Vertical and horizontal: the tables' lines, and the rates for the picture."""
    measuring.fill("frames", words)
    measuring.fill("loose", loose, bare=True, rate_hz=5e3)
    lines: list[str] = []
    rates: dict[str, list[float]] = {}
    for heading, masters, names in (
        ("## Vertical: more cores", ("local[1]", "local[2]"), ("1 core", "2 cores")),
        ("## Horizontal: more workers", ("1 x 1", "2 x 1"), ("1 worker of a core", "2 workers of a core")),
    ):
        rows = []
        for topic in ("frames", "loose"):
            found = measuring.drained(topic, masters, measuring.messages(topic, BATCHES))
            base = found[0].warm_rate
            rates[f"{topic}, {'cores' if 'local' in masters[0] else 'workers'}"] = [one.warm_rate for one in found]
            for name, one in zip(names, found, strict=True):
                rate = f"{one.warm_rate / 1e6:.2f}"
                rows.append([topic, name, f"{one.words:,}", rate, f"{one.warm_rate / base:.2f}", f"{one.cold_s:.1f}"])
        head = ("topic", "on", "words", "M words/s", "of the first", "first micro-batch, s")
        lines += [heading, "", *table(head, rows), ""]
    return lines, rates


def amounts(measuring: Measuring, sizes: Sequence[int]) -> tuple[list[str], list[tuple[float, float]]]:
    """The same on two cores with more and more data: the table's lines, and (words, seconds)."""
    rows, points = [], []
    for words in sizes:
        topic = f"amount-{words}"
        measuring.fill(topic, words)
        [one] = measuring.drained(topic, ["local[2]"], measuring.messages(topic, AMOUNT_BATCHES))
        points.append((float(words), one.seconds))
        rate, warm = words / one.seconds / 1e6, one.warm_rate / 1e6
        rows.append([f"{words:,}", f"{one.seconds:.2f}", f"{one.cold_s:.2f}", f"{rate:.2f}", f"{warm:.2f}"])
    head = ("words", "seconds", "first micro-batch, s", "M words/s", "without the first micro-batch")
    return ["## Amount of data", "", *table(head, rows), ""], points


def costs(measuring: Measuring, rate: float, batch_words: float) -> Costs:
    """What a micro-batch costs without data, what each of its tasks does, and what a word costs beside.

    rate: words a second that one worker of a core did, in micro-batches of batch_words
    """
    measuring.fill("few", 150_000, rate_hz=1e3)
    times = [
        measuring.drained("few", ["local[2]"], PARTITIONS, spark_default_parallelism=str(tasks))[0].typical_s
        for tasks in (2, MANY_TASKS)
    ]
    # two tasks at a time run on two cores
    task_s = max(2 * (times[1] - times[0]) / (MANY_TASKS - 2), 0.0)
    batch_s = max(times[0] - task_s, 0.0)
    # where micro-batches are too small to tell, as in --quick, all of it is the words'
    word_s = 1 / rate - (batch_s + task_s) / batch_words
    return Costs(batch_s, task_s, fresh(driver_seconds), word_s if word_s > 0 else 1 / rate)


def model(found: Costs) -> list[str]:
    """What many workers would carry, by the measured costs: the table's lines."""
    rows = []
    for workers in WORKERS:
        rates = [found.rate(words, workers, workers) for words in BATCH_WORDS]
        few = found.rate(BATCH_WORDS[1], workers, PARTITIONS)
        limit = NETWORK_BYTES_PER_S / WORD_BYTES
        rows.append(
            [
                str(workers),
                *(f"{rate / 1e6:,.0f}" for rate in rates),
                f"{few / 1e6:,.0f}",
                f"{rates[1] * WORD_BYTES / 1e9:.2f} GB/s" + (" (more than a broker has)" if rates[1] > limit else ""),
                f"{found.driver_s * workers / found.seconds(BATCH_WORDS[0], workers, workers):.0%}",
            ]
        )
    small, large = (f"{words / 1e6:.0f} M" for words in BATCH_WORDS)
    head = (
        "workers",
        f"M words/s, {small} a micro-batch",
        f"{large} a micro-batch",
        f"the same, {PARTITIONS} partitions",
        "from the broker",
        f"of the time at the driver, {small}",
    )
    text = (
        f"A model, not a measurement: a micro-batch takes {found.batch_s:.3f} s, a task at its worker "
        f"{found.task_s * 1e3:.0f} ms more, {found.driver_s * 1e3:.1f} ms for each task at the driver, where it is "
        f"started and what it found is added up, and {found.word_s * 1e9:.0f} ns a word on a core of a worker, all "
        "measured on this machine; one task a worker, as many partitions as workers."
    )
    return ["## Many workers: a model", "", text, "", *table(head, rows), ""]


def write(lines: Sequence[str], pictures: dict[str, str], document: Path = DOCUMENT, folder: Path = PICTURES) -> None:
    """Put what was measured in the document, between its two marks, and the pictures beside it."""
    before, _, rest = document.read_text("utf-8").partition(BEGIN)
    _, _, after = rest.partition(END)
    document.write_text("\n".join([f"{before}{BEGIN}\n", *lines, f"{END}{after}"]), "utf-8")
    for name, text in pictures.items():
        (folder / name).write_text(text, "utf-8")


def pictures_of(
    rates: Mapping[str, Sequence[float]], points: Sequence[tuple[float, float]], found: Costs
) -> dict[str, str]:
    """The three pictures, by their files' names."""
    return {
        "scaling-cores.svg": lines_svg(
            "Frames: rate against cores and workers",
            "cores, or workers of a core",
            "M words/s",
            {
                name: [(float(i + 1), rate / 1e6) for i, rate in enumerate(several)]
                for name, several in rates.items()
                if name.startswith("frames")
            },
        ),
        "scaling-amount.svg": lines_svg(
            "Seconds to drain a topic, two cores", "words", "s", {"measured": points}, logarithmic=True
        ),
        "scaling-model.svg": lines_svg(
            "Many workers: a model",
            "workers of a core",
            "M words/s",
            {
                f"{words / 1e6:.0f} M words a micro-batch": [
                    (float(n), found.rate(words, n, max(PARTITIONS, n)) / 1e6) for n in (1, 2, 5, 10, 20, 50, 100)
                ]
                for words in BATCH_WORDS
            },
            logarithmic=True,
        ),
    }


def main() -> None:
    """Measure, print, and write."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.spark_scaling", description="Scaling on Spark.")
    parser.add_argument("--quick", action="store_true", help="small and once, nothing is written")
    parser.add_argument("--words", type=int, default=max(AMOUNTS), help="at most (default 100 M)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", type=float, help="only the model, from so many words a second of one worker")
    asked = parser.parse_args()
    sizes = [words for words in AMOUNTS if words <= asked.words]
    framed, loose, rounds = min(FRAMED, 4 * asked.words), LOOSE, asked.rounds
    if asked.quick:
        sizes, framed, loose, rounds = [300_000, 1_000_000], 1_000_000, 100_000, 1
    with (
        tempfile.TemporaryDirectory(prefix="muonstream-") as folder,
        Broker(Path(folder) / "kafka", quick_start=False, heap_mib=1024) as broker,
    ):
        measuring = Measuring(broker, Path(folder), rounds, lambda line: print(line, flush=True))
        if asked.model:
            found = costs(measuring, asked.model, framed / BATCHES)
            print("\n".join(["", *model(found)]))
            print(json.dumps(asdict(found)))
            return
        lines, rates = cores_and_workers(measuring, framed, loose)
        more, points = amounts(measuring, sizes)
        found = costs(measuring, rates["frames, workers"][0], framed / BATCHES)
    lines += [*more, *model(found)]
    lines += [f"![{title}](pictures/{name})" for name, title in TITLES.items()]
    lines.append("")
    pictures = pictures_of(rates, points, found)
    print("\n".join(["", *lines]))
    print(json.dumps(asdict(found)))
    if not asked.quick:
        write(lines, pictures)


if __name__ == "__main__":
    main()
