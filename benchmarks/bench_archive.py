"""An archive of 10,000 runs: table and trend on the terminal, rebuild, the page's table, and the cost of a save.

python -m benchmarks.bench_archive             # 10,000 runs
python -m benchmarks.bench_archive --runs 500
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

from playwright.sync_api import sync_playwright
from starlette.testclient import TestClient

from muonstream.archive import container
from muonstream.archive.archive import REFRESH_S, Archive, file_stem
from muonstream.archive.contents import Provenance
from muonstream.dashboard.app import create_app
from muonstream.dashboard.archived.view import ArchiveView
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.server import Dashboard
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.run.monitor import Snapshot
from muonstream.simulation.telescope import simulate_words
from muonstream.verdicts.timeline import Timeline
from tools.machine import find_chromium

RUNS = 10_000
ROUNDS = 5
SPACING_S = 8_000.0


def main(arguments: list[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=RUNS)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    options = parser.parse_args([] if arguments is None else arguments)
    with tempfile.TemporaryDirectory() as folder:
        snapshot = counted_run()
        saves(Path(folder) / "one", snapshot, options.rounds)
        archive = Path(folder) / "many"
        fill(archive, next((Path(folder) / "one").glob(f"*{container.SUFFIX}")), options.runs)
        rebuild(archive, options.runs)
        terminal(archive, options.rounds)
        page(archive, options.rounds)


def counted_run() -> Snapshot:
    """A run with muons and verdicts."""
    with Pipeline(Detector.default(), run="bench", workers=0, reconstruct=True, timeline=Timeline) as pipeline:
        pipeline.push(simulate_words(1_000_000, muon_rate_hz=76))
        pipeline.finish()
        return pipeline.snapshot("ended")


def saves(folder: Path, snapshot: Snapshot, rounds: int) -> None:
    """Processor time of writing a run, once a minute."""
    archive = Archive(folder, make=True)
    provenance = Provenance.of(snapshot, command="muonstream run", engine="local")
    path = archive.save(snapshot, provenance)
    used, elapsed = timed(lambda: archive.save(snapshot, provenance), rounds)
    share = 100 * used / REFRESH_S
    size = path.stat().st_size / 1024
    print(f"a save: {used * 1e3:.0f} ms of processor time, {elapsed * 1e3:.0f} ms elapsed, {size:.0f} KiB;", end=" ")
    print(f"{share:.2f} % of a core at one a minute")


def fill(folder: Path, one: Path, runs: int) -> None:
    """Files with what the table, trends and sparklines are made from; the other entries are not read for these."""
    folder.mkdir()
    entries = container.read(one, container.RUN, container.PEOPLE, container.RATES)
    run = json.loads(entries[container.RUN])
    chance = random.Random(22)
    values = [quantity["value"] for quantity in run["quantities"]]
    for number in range(runs):
        begun = 1.7e9 + number * SPACING_S
        run |= {"id": f"{number:016x}", "name": f"Run{number:06d}", "number": number, "begun_wall_time": begun}
        run["verdict"]["worst"] = chance.choices(["good", "medium", "bad", "null"], [70, 20, 5, 5])[0]
        for quantity, value in zip(run["quantities"], values, strict=True):
            quantity["value"] = value * chance.gauss(1, 0.05)
        with zipfile.ZipFile(folder / f"{file_stem(begun, run['name'])}{container.SUFFIX}", "w") as made:
            for name, content in (entries | {container.RUN: container.as_json(run)}).items():
                made.writestr(name, content)
    print(f"{runs:,} runs of {len(values)} quantities")


def rebuild(folder: Path, runs: int) -> None:
    """Runs that the index takes in a second."""
    used, elapsed = timed(lambda: Archive(folder).rebuild(), 1)
    print(f"rebuild: {runs / used:,.0f} runs a second of processor time, {runs / elapsed:,.0f} elapsed")


def terminal(folder: Path, rounds: int) -> None:
    """What `runs list` and `runs trend` take more than `--version`, interleaved."""
    commands = {
        "--version": ["--version"],
        "runs list": ["runs", "list", str(folder)],
        "runs trend": ["runs", "trend", str(folder), "hit rate"],
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            before, began = children(), time.perf_counter()
            subprocess.run([sys.executable, "-m", "muonstream", *command], stdout=subprocess.DEVNULL, check=True)
            found[name].append((children() - before, time.perf_counter() - began))
    base_used, base_elapsed = medians(found["--version"][1:])
    print(f"muonstream --version: {base_used:.2f} s of processor time, {base_elapsed:.2f} s elapsed")
    for name in list(commands)[1:]:
        used, elapsed = medians(found[name][1:])
        print(f"{name}: {used - base_used:.2f} s more of processor time, {elapsed - base_elapsed:.2f} s more elapsed")


def page(folder: Path, rounds: int) -> None:
    """The answer with the table's rows, and the time until it is drawn in Chromium."""
    view = ArchiveView(Archive(folder), live=False)
    browser = TestClient(create_app(Feed(), archive=view), base_url="http://127.0.0.1")
    size = len(browser.get("/api/runs").content)
    used, elapsed = timed(lambda: browser.get("/api/runs"), rounds)
    print(f"page's answer: {used:.2f} s of processor time, {elapsed:.2f} s elapsed, {size / 1024:.0f} KiB")
    chromium = find_chromium()
    if chromium is None:
        print("page drawn: no Chromium here")
        return
    dashboard = Dashboard(port=0, archive=view)
    dashboard.start()
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        drawn, tasks = [], []
        for _ in range(rounds):
            tab = opened.new_context().new_page()
            session = tab.context.new_cdp_session(tab)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            tab.goto(f"{dashboard.url}runs")
            tab.wait_for_selector("html[data-rows]")
            drawn.append(float(tab.evaluate("performance.now()")) / 1e3)
            metrics = {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}
            tasks.append(float(metrics["TaskDuration"]))
            tab.context.close()
        opened.close()
    dashboard.stop()
    print(f"page drawn: {statistics.median(drawn):.2f} s elapsed from the request of the page on;", end=" ")
    print(f"{statistics.median(tasks):.2f} s of the page's thread")


def timed(work: Callable[[], object], rounds: int) -> tuple[float, float]:
    """Medians of processor time and time elapsed, in seconds."""
    found = []
    for _ in range(rounds):
        used, began = time.process_time(), time.perf_counter()
        work()
        found.append((time.process_time() - used, time.perf_counter() - began))
    return medians(found)


def medians(found: list[tuple[float, float]]) -> tuple[float, float]:
    """The median of each."""
    return statistics.median(used for used, _ in found), statistics.median(elapsed for _, elapsed in found)


def children() -> float:
    """Processor time of the processes that were started and have ended, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1:])
