"""What is fuzzed: each target takes any bytes, and raises for what must not be.

An input may be refused with the error that the decoder's docstring names, in one line. Any other exception, and a
result that is not balanced or not plain, is a fault.
"""

from __future__ import annotations

import os
import tempfile
import zlib
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final
from urllib.parse import parse_qsl

from muonstream.archive import container
from muonstream.archive.contents import snapshot_of
from muonstream.archive.people import People, PeopleError
from muonstream.dashboard.access.hosts import split_host
from muonstream.dashboard.archived.table import Query, QueryError
from muonstream.detector.model import Detector, DetectorError, parse
from muonstream.errors import MuonstreamError
from muonstream.formats.block import SourceError
from muonstream.formats.evidence import Expected
from muonstream.formats.hit_messages import words_of_text
from muonstream.formats.recognise import Wanted, decide
from muonstream.kafka.deliveries import Deliveries, Part
from muonstream.kafka.messages import EndMessage, FrameMessage, MessageError
from muonstream.run.checkpoint import MAGIC as STATE_MAGIC
from muonstream.run.checkpoint import VERSION as STATE_VERSION
from muonstream.run.checkpoint import CheckpointError, unpack
from muonstream.run.snapshot_codec import MAGIC as SNAPSHOT_MAGIC
from muonstream.run.snapshot_codec import VERSION as SNAPSHOT_VERSION
from muonstream.run.snapshot_codec import SnapshotError, decode
from muonstream.sinks.store import Store, StoreError
from muonstream.sources.reader import InputReader

EXPECTED: Final = Expected.of(Detector.default().channel_map())
SEPARATOR: Final = b"\x00\xff\x00"
"""Between messages, and between the headers and the value of one."""
SOURCE: Final = "kafka://h:1/t"


class WrongError(Exception):
    """A result that must not be."""


def _one_line(error: MuonstreamError) -> None:
    """Raise WrongError for an error whose text would end a line of a log."""
    if not isinstance(error, DetectorError) and "\n" in str(error):
        raise WrongError(f"more than one line: {error!r}")


def _read(data: bytes, wanted: Wanted) -> None:
    """Read a file in two pieces; the account of bytes must balance."""
    reader = InputReader("f", wanted)
    cut = data[0] * len(data) // 256 if data else 0
    try:
        for piece in (data[:cut], data[cut:]):
            for _ in reader.feed(piece) if piece else ():
                pass
        for _ in reader.finish():
            pass
    except SourceError as error:
        _one_line(error)
        return
    if not reader.report.balanced or reader.report.waiting:
        raise WrongError(f"{reader.report.residual} bytes left over, {reader.report.waiting} waiting")


def input_file(data: bytes) -> None:
    """Any file, whose form is to be recognised."""
    _read(data, Wanted(EXPECTED))


def text_table(data: bytes) -> None:
    """A table of text, behind the course's header where the input begins with a digit."""
    header = b"HEAD,FPGA,TDC_CHANNEL,ORBIT_CNT,BX_COUNTER,TDC_MEAS\n"
    _read(header + data if data[:1].isdigit() else data, Wanted(EXPECTED))


def recognition(data: bytes) -> None:
    """The decision about a sample, at its end and before; later bytes may settle what is undecided."""
    for last in (False, True):
        try:
            decide(data, Wanted(EXPECTED), last=last)
        except SourceError as error:
            _one_line(error)


def json_hits(data: bytes) -> None:
    """A loose message's text."""
    words, faults = words_of_text(data)
    if any(not 0 <= word < 1 << 64 for word in words) or any("\n" in fault for fault in faults):
        raise WrongError(f"{words[:3]} {faults[:3]}")


@dataclass(frozen=True, slots=True)
class Message:
    """A message of a topic."""

    place: int
    said: list[tuple[str, bytes]]
    content: bytes | None

    def offset(self) -> int:
        return self.place

    def headers(self) -> list[tuple[str, bytes]]:
        return self.said

    def value(self) -> bytes | None:
        return self.content


def _message(data: bytes, place: int) -> Message:
    """Lines `name=value` before the separator are headers."""
    head, found, value = data.partition(SEPARATOR[:2])
    if not found:
        return Message(place, [], data or None)
    pairs = [line.partition(b"=") for line in head.split(b"\n") if line]
    return Message(place, [(name.decode("latin-1"), text) for name, _, text in pairs], value or None)


def frame_message(data: bytes) -> None:
    """One frame, and one end of a run."""
    message = _message(data, 0)
    with suppress(MessageError):
        frame = FrameMessage.decode(message.said, message.content)
        if FrameMessage.decode(frame.headers(), bytes(frame.value())).order != frame.order:
            raise WrongError(f"{frame} does not come back")
    with suppress(MessageError):
        end = EndMessage.decode(message.said, message.content)
        if EndMessage.decode(end.headers(), end.value()) != end:
            raise WrongError(f"{end} does not come back")


def loose_messages(data: bytes) -> None:
    """A partition's messages, of any kinds and runs; the next offset must never fall."""
    deliveries = Deliveries()
    part = deliveries.parts[0] = Part(0)
    messages = [_message(one, place) for place, one in enumerate(data.split(SEPARATOR + b"\n"))]
    for message in messages:
        before = part.next
        deliveries.reset()
        if not part.ended:
            deliveries.take(0, [message])
        deliveries.joined()
        if part.next < before:
            raise WrongError(f"offset {part.next} after {before}")
    together = Deliveries()
    together.parts[0] = Part(0)
    together.take(0, messages)
    if any("\n" in line for line in together.tally.lines()):
        raise WrongError(f"more than one line: {together.tally.lines()}")
    if together.tally.counts != deliveries.tally.counts:
        raise WrongError(f"together {together.tally.counts}, one by one {deliveries.tally.counts}")


def snapshot(data: bytes) -> None:
    """The body of a snapshot, which is compressed here, so that damage reaches its header and arrays."""
    try:
        decode(SNAPSHOT_MAGIC + bytes([SNAPSHOT_VERSION]) + zlib.compress(data, 1))
        decode(data)
    except SnapshotError as error:
        _one_line(error)


def state(data: bytes) -> None:
    """A run's stored state, with a check sum that is right."""
    head = STATE_VERSION.to_bytes(8, "little") + zlib.crc32(data).to_bytes(8, "little")
    for whole in (STATE_MAGIC + head + data, data):
        try:
            unpack(whole)
        except CheckpointError as error:
            _one_line(error)


def store(data: bytes) -> None:
    """A store's file."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / "s.db"
        path.write_bytes(data)
        try:
            with Store(path) as opened:
                opened.runs()
                opened.load(SOURCE)
        except StoreError as error:
            _one_line(error)


def toml(data: bytes) -> None:
    """A detector file."""
    try:
        parse(data.decode("utf-8", "replace"), "f.toml")
    except DetectorError as error:
        if not all(line.startswith("f.toml") for line in str(error).split("\n")):
            raise WrongError(f"a line without its file: {error!r}") from error


def archived_run(data: bytes) -> None:
    """An archived run's file: a zip, or, where the input begins with a brace, the two objects in it."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / "r.zip"
        if data[:1] == b"{":
            run, _, people = data.partition(SEPARATOR)
            container.write(path, {container.RUN: run, container.PEOPLE: people, container.SNAPSHOT: people})
        else:
            path.write_bytes(data)
        for read in (container.read_header, snapshot_of):
            try:
                read(path)
            except container.ArchiveError as error:
                _one_line(error)
        try:
            People.of_plain(container.read_header(path)[1])
        except (container.ArchiveError, PeopleError) as error:
            _one_line(error)


def query(data: bytes) -> None:
    """A query of archived runs, and a Host header."""
    text = data.decode("latin-1")
    try:
        Query.of(dict(parse_qsl(text, keep_blank_values=True))).answer([])
    except QueryError as error:
        _one_line(error)
    try:
        split_host(text)
    except ValueError:
        return


def _memory() -> str | None:
    """Where files cost no writing to a disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


TARGETS: Final[Mapping[str, Callable[[bytes], None]]] = MappingProxyType(
    {
        "input": input_file,
        "table": text_table,
        "recognition": recognition,
        "json": json_hits,
        "frame": frame_message,
        "messages": loose_messages,
        "snapshot": snapshot,
        "state": state,
        "store": store,
        "toml": toml,
        "archive": archived_run,
        "query": query,
    }
)
