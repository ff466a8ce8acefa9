"""Inputs to begin with, made by the program's own writers: good ones, from which a fuzzer makes others."""

from __future__ import annotations

import io
import json
import sqlite3
import tempfile
import zipfile
import zlib
from pathlib import Path
from typing import Final

import numpy as np

from muonstream.archive import container
from muonstream.detector.file import source_text
from muonstream.detector.model import Detector
from muonstream.engines.pipeline import Pipeline
from muonstream.formats.loose_hits import hits_json
from muonstream.frames import Frames
from muonstream.framing.builder import FrameBuilder
from muonstream.kafka.messages import EndMessage, Kind, frame_messages, loose_headers, position_header
from muonstream.run.checkpoint import MAGIC as STATE_MAGIC
from muonstream.run.checkpoint import pack
from muonstream.run.snapshot_codec import encode
from muonstream.simulation.telescope import simulate_words
from muonstream.sinks.store import Position, Saved, Store
from muonstream.sources.identity import Run
from tools.coverage_fuzz.targets import SEPARATOR, SOURCE
from tools.streams import WRITERS

RUN: Final = Run(7, "cosmics")
FIELDS: Final = ("HEAD", "FPGA", "TDC_CHANNEL", "ORBIT_CNT", "BX_COUNTER", "TDC_MEAS")
HIT: Final = dict(zip(FIELDS, (2, 0, 17, 3_387_200_947, 2869, 24), strict=True))


def _as_input(headers: list[tuple[str, bytes]], value: bytes) -> bytes:
    return b"\n".join(name.encode() + b"=" + text for name, text in headers) + SEPARATOR[:2] + value


def _json() -> list[bytes]:
    hit = json.dumps(HIT)
    row = ",".join(map(str, HIT.values()))
    envelope = json.dumps({"schema": {"type": "struct"}, "payload": HIT})
    texts = [hit, f"[{hit},{hit}]", str(HIT), row, f"{','.join(FIELDS)}\n{row}\n", json.dumps(hit), envelope]
    texts.append(json.dumps({key.lower(): f"{value}.0" for key, value in HIT.items()}))
    return [*(text.encode() for text in texts), b"\xef\xbb\xbf" + hit.encode(), hit.encode("utf-16")]


def _messages() -> tuple[list[bytes], list[bytes]]:
    """Single messages, and sequences of some."""
    words = simulate_words(30, rate_hz=5000, seed=1)
    builder = FrameBuilder(Detector.default().boards)
    frames = Frames.join([builder.push(words), builder.finish()])
    single = [_as_input(one.headers(), bytes(one.value())) for one in frame_messages(frames, RUN, part_words=4)][:4]
    end = EndMessage(RUN, 30, late=1, faults=("x",), partitions=2, offsets=(4, 5))
    single.append(_as_input(end.headers(), end.value()))
    text, ends = hits_json(words[:3])
    loose = [
        _as_input([*loose_headers(Kind.JSON, RUN, 1), position_header(at)], text[ends[at] : ends[at + 1]])
        for at in range(3)
    ]
    dma = np.concatenate([[np.uint64(7)], simulate_words(128, rate_hz=5000, seed=1)]).astype("<u8").tobytes()
    loose.append(_as_input([*loose_headers(Kind.DMA, RUN), position_header(3)], dma[:80]))
    between = SEPARATOR + b"\n"
    return single, [between.join(loose), between.join([*single[:2], single[-1]]), dma, between.join([dma, *loose[:1]])]


def _snapshot() -> tuple[bytes, bytes]:
    """A snapshot, and the body that is compressed in it; without counts: kernels that count run compiled alone."""
    with Pipeline(Detector.default(), workers=0) as pipeline:
        pipeline.finish()
        found = encode(pipeline.snapshot("ended"))
    return found, zlib.decompress(found[5:])


def _store() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "s.db"
        with Store(path) as made:
            made.save(Saved(SOURCE, "7 cosmics", False, {"n": 1, "a": np.arange(3)}, {0: Position(4)}, {"tally": {}}))
        # without the log that was not yet written back
        with sqlite3.connect(path) as database:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        return path.read_bytes()


def _archive(snapshot: bytes) -> list[bytes]:
    run = json.dumps({"format": "muonstream-run", "schema": container.SCHEMA, "name": "r"}).encode()
    people = json.dumps({"comments": [], "flags": []}).encode()
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        for name, content in ((container.RUN, run), (container.PEOPLE, people), (container.SNAPSHOT, snapshot)):
            made.writestr(zipfile.ZipInfo(name), content)
    return [out.getvalue(), run + SEPARATOR + people]


def seeds() -> dict[str, list[bytes]]:
    """Good inputs of each target, by its name."""
    words = simulate_words(40, rate_hz=5000, seed=1)
    files = [write(words) for write in WRITERS.values()]
    single, several = _messages()
    snapshot, body = _snapshot()
    states = [pack({"n": 1, "x": {"a": [1.5, None, "t"], "b": np.arange(40)}}), pack({})]
    queries = [
        b"matching=cos&state=ended&level=bad&flag=none&sort=-words&limit=5&offset=1",
        b"localhost:8765",
        b"[::1]:1",
    ]
    return {
        "input": files,
        "table": [data for name, data in zip(WRITERS, files, strict=True) if "words" not in name and "dma" not in name],
        "recognition": files,
        "json": _json(),
        "frame": single,
        "messages": several,
        "snapshot": [body],
        "state": [one[len(STATE_MAGIC) + 16 :] for one in states],
        "store": [_store()],
        "toml": [source_text(name).encode() for name in Detector.bundled()],
        "archive": _archive(snapshot),
        "query": queries,
    }
