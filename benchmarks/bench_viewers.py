"""The live page of a run with muons and 200 viewers, one of them stuck: what they cost the server, and the browser."""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import time
from typing import IO

from playwright.sync_api import Page, Response, sync_playwright
from websockets.asyncio.client import connect

from tools.machine import find_chromium

VIEWERS = 200
SECONDS = 20
FRAMES = 20
VIEWS = ("overview", "occupancy", "timing", "muons", "course")

# the server in a process of its own: says where it is, then once a line is read what it has used so far
SERVER = """
import resource, sys, time
from dataclasses import replace
from threading import Thread
from muonstream.dashboard.server import Dashboard
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.simulation.telescope import simulate_words

with Pipeline(Detector.default(), run="viewers", workers=0, reconstruct=True) as pipeline:
    pipeline.push(simulate_words(1_000_000, muon_rate_hz=76))
    snapshot = pipeline.snapshot()
dashboard = Dashboard(port=0)
dashboard.start()
dashboard.publish(snapshot)
print(dashboard.url, flush=True)

def publish():
    number = snapshot.sequence
    while True:
        time.sleep(1)
        number += 1
        dashboard.publish(replace(snapshot, sequence=number, wall_time=time.time(), data_wall_time=time.time(),
                                  data_time_s=snapshot.data_time_s + number))

Thread(target=publish, daemon=True).start()
for line in sys.stdin:
    print(time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, flush=True)
"""


def used(server: subprocess.Popen[str]) -> tuple[float, int]:
    """Seconds of processor and peak KiB of memory that the server has used."""
    assert server.stdin is not None
    print(file=server.stdin, flush=True)
    seconds, peak_kib = line(server.stdout).split()
    return float(seconds), int(peak_kib)


def line(stream: IO[str] | None) -> str:
    """The next line of the server."""
    assert stream is not None
    return stream.readline().strip()


async def watch(url: str, server: subprocess.Popen[str]) -> tuple[float, int, list[int], int]:
    """Viewers for some seconds: processor seconds meanwhile, peak KiB, messages of each, bytes of one."""
    address = url.replace("http", "ws") + "ws"
    counts = [0] * VIEWERS
    size = 0

    async def view(i: int) -> None:
        nonlocal size
        async with connect(address, compression=None, max_queue=1) as socket:
            async for message in socket:
                if isinstance(message, bytes):
                    counts[i] += 1
                    size = len(message)
                    if i == 0:  # the stuck one: it takes a message, and never another
                        await asyncio.sleep(3600)

    viewers = [asyncio.create_task(view(i)) for i in range(VIEWERS)]
    while min(counts) == 0:
        await asyncio.sleep(0.1)
    counts[:] = [0] * VIEWERS
    before, _ = used(server)
    await asyncio.sleep(SECONDS)
    after, peak_kib = used(server)
    for viewer in viewers:
        viewer.cancel()
    await asyncio.gather(*viewers, return_exceptions=True)
    return after - before, peak_kib, counts, size


def heard(page: Page) -> list[Response]:
    """The answers that the page gets from now on."""
    answers: list[Response] = []

    def hear(answer: Response) -> None:
        answers.append(answer)

    page.on("response", hear)
    return answers


def frames(url: str) -> None:
    """Time until all plots are drawn, and of a frame of each view, in Chromium."""
    chromium = find_chromium()
    if chromium is None:
        print("frames: no Chromium here")
        return
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for view in VIEWS:
            page = browser.new_context(viewport={"width": 1400, "height": 900}).new_page()
            received = heard(page)
            began = time.perf_counter()
            page.goto(f"{url}#{view}")
            page.wait_for_function("() => Number(document.documentElement.dataset.sequence) > 0")
            first_s = time.perf_counter() - began
            weight = sum(int(answer.headers.get("content-length", 0)) for answer in received)
            times_ms = page.evaluate(f"() => window.muonstream.frames({FRAMES})")
            print(
                f"{view:10} all plots after {first_s:.2f} s, page {weight / 1e6:.2f} MB, "
                f"frame {statistics.median(times_ms):.0f} ms (longest {max(times_ms):.0f} ms)"
            )
            page.context.close()
        browser.close()


def main() -> None:
    """Measure and print."""
    with subprocess.Popen(
        [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        url = line(server.stdout)
        before, _ = used(server)
        time.sleep(SECONDS)
        alone, peak_alone_kib = used(server)
        alone -= before
        seconds, peak_kib, counts, size = asyncio.run(watch(url, server))
        others = counts[1:]
        print(
            f"{VIEWERS} viewers at 1 Hz: {100 * (seconds - alone) / SECONDS:.1f} % of a core "
            f"(the engine's own share, verdicts among it: {100 * alone / SECONDS:.1f} %), a message has {size} bytes"
        )
        print(
            f"one is stuck: the others got {min(others)} to {max(others)} messages in {SECONDS} s; "
            f"peak memory {peak_alone_kib / 1024:.0f} MiB without viewers, {peak_kib / 1024:.0f} MiB with them"
        )
        frames(url)
        server.terminate()


if __name__ == "__main__":
    main()
