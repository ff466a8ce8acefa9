"""Memory of the server and of the page over many snapshots, and over viewers who come and go."""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import time

from playwright.sync_api import CDPSession, Page, sync_playwright
from websockets.asyncio.client import connect

from benchmarks.bench_viewers import line
from tools.machine import find_chromium

STEPS = 10
VIEWERS = 200

# the server in a process of its own: for each line with a number it publishes so many snapshots of a run that goes on,
# as fast as it can, and says how much memory it then has, in KiB
SERVER = """
import gc, os, sys, time
from dataclasses import replace
from muonstream.dashboard.feed import Feed
from muonstream.dashboard.server import Dashboard
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.simulation.telescope import simulate_words

WORDS = 5000
words = simulate_words(400_000)
pieces = [words[first : first + WORDS] for first in range(0, len(words), WORDS)]
snapshots = []
with Pipeline(Detector.default(), run="memory", workers=0) as pipeline:
    for piece in pieces:
        pipeline.push(piece)
        snapshots.append(pipeline.snapshot())
dashboard = Dashboard(port=0)
dashboard.feed = Feed(interval_s=0.1)  # as often as the page can draw, and no second of waiting
dashboard.start()
print(dashboard.url, flush=True)
number = 0
for text in sys.stdin:
    for _ in range(int(text)):
        again, place = divmod(number, len(snapshots))
        number += 1
        now = time.time()
        dashboard.publish(replace(snapshots[place], run=f"memory {again}", sequence=number, wall_time=now,
                                  data_wall_time=now))
    gc.collect()
    with open("/proc/self/statm") as file:
        print(int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE") // 1024, number, flush=True)
"""


def published(server: subprocess.Popen[str], n: int) -> tuple[float, int]:
    """Publish n snapshots more: MiB of the server afterwards, and the number of the last."""
    assert server.stdin is not None
    print(n, file=server.stdin, flush=True)
    kib, number = line(server.stdout).split()
    return int(kib) / 1024, int(number)


def heap_mib(session: CDPSession) -> float:
    """What the page's script holds once all rubbish is gone, MiB."""
    session.send("HeapProfiler.collectGarbage")
    return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 2**20


async def come_and_go(url: str) -> None:
    """Viewers who connect, one after another, take a message, and leave: every second one without a word."""
    for i in range(VIEWERS):
        socket = await connect(url.replace("http", "ws") + "ws", compression=None)
        while not isinstance(await socket.recv(), bytes):
            pass
        if i % 2:
            socket.transport.abort()
        else:
            await socket.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--snapshots", type=int, default=10_000, help="snapshots to publish in all")
    parser.add_argument("--view", default="overview", help="the view that the page shows meanwhile")
    options = parser.parse_args()
    chromium = find_chromium()
    if chromium is None:
        sys.exit("bench_memory: no Chromium here")
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        url = line(server.stdout)
        published(server, 1)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
            page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
            page.goto(f"{url}#{options.view}")
            watch_page(page, server, options.snapshots // STEPS)
            browser.close()
        before, _ = published(server, 1)
        for _ in range(3):
            asyncio.run(come_and_go(url))
            after, _ = published(server, 1)
            print(f"{VIEWERS} viewers came and went: server {before:.1f} MiB before, {after:.1f} MiB after", flush=True)
        server.terminate()


def watch_page(page: Page, server: subprocess.Popen[str], each: int) -> None:
    """Publish `each` snapshots ten times, and print after each time what server and page have."""
    session = page.context.new_cdp_session(page)
    page.evaluate(
        "() => { window.drawn = 0; new MutationObserver(() => { window.drawn += 1; })"
        ".observe(document.documentElement, { attributeFilter: ['data-sequence'] }); }"
    )
    for _ in range(STEPS):
        began = time.perf_counter()
        server_mib, number = published(server, each)
        page.wait_for_function("n => Number(document.documentElement.dataset.sequence) === n", arg=number)
        seconds = time.perf_counter() - began
        print(
            f"{number:6} snapshots: server {server_mib:.1f} MiB, page {heap_mib(session):.1f} MiB "
            f"({page.evaluate('window.drawn')} drawn; {1000 * seconds / each:.0f} ms each)",
            flush=True,
        )


if __name__ == "__main__":
    main()
