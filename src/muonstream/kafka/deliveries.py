"""From messages to the words and frames of one run, in order, each once; all other messages are counted by name."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from operator import attrgetter
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from muonstream.formats.block import counted
from muonstream.formats.hit_messages import words_of_text
from muonstream.formats.hits_json import KEYS, scan_objects
from muonstream.frames import Frames
from muonstream.kafka.grouping import FRAME_HEADER, LooseHeaders, Message, groups
from muonstream.kafka.messages import EndMessage, FrameMessage, Headers, Kind, MessageError, dma_words, kind_of
from muonstream.sources.identity import Run
from muonstream.words import Words

LARGEST_BYTES: Final = 1 << 22
"""The largest message that muonstream sends."""
TOLD: Final = frozenset({"duplicate", "another run", "run cut off", "incomplete window", "lost"})
"""Findings that are reported but are not malformed words."""


@dataclass(slots=True)
class Tally:
    """How often each kind of fault was found, and the last of each."""

    counts: dict[str, int] = field(default_factory=dict)
    last: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, text: str, n: int = 1) -> None:
        """Found n more of these."""
        self.counts[name] = self.counts.get(name, 0) + n
        self.last[name] = text

    @property
    def malformed(self) -> int:
        """How many messages could not be words."""
        return sum(n for name, n in self.counts.items() if name not in TOLD)

    def lines(self) -> tuple[str, ...]:
        """A line for each."""
        return tuple(f"{name}: {counted(n, 'message')}; {self.last[name]}" for name, n in self.counts.items())

    def state(self) -> dict[str, Any]:
        """As JSON types, for `restore`."""
        return {"counts": dict(self.counts), "last": dict(self.last)}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from a state."""
        self.counts, self.last = dict(state["counts"]), dict(state["last"])


@dataclass(slots=True)
class Part:
    """How far one partition was processed: `next`, the first message not processed, and the last frame."""

    next: int
    key: int = -1
    piece: int = -1
    begun: bool = False
    ended: bool = False
    pieces: list[FrameMessage] = field(default_factory=list)
    """pieces of a window whose others have not come"""
    first: int = 0
    """where the first of them is"""
    newest_to: int = -1
    """the offset up to which no run is newer than the one wanted; -1 if that is not known"""

    @property
    def resume(self) -> tuple[int, int, int]:
        """Where to resume after a restart, and the last complete frame: offset, key, part."""
        if self.pieces:
            return self.first, *self.before
        return self.next, self.key, self.piece

    before: tuple[int, int] = (-1, -1)
    """the last frame before the pieces"""


class Deliveries:
    """Decodes one run's messages, partition by partition.

    The run is the one wanted, else the first that comes; loose words without headers are of any. In each partition
    frames rise by window and part, and loose words by their position: one not above the last is a repeat. A window in
    parts is given when it is whole. A partition takes no more when it has the run's end, or a later run's words.
    """

    def __init__(self, *, wanted: Run | None = None, named: bool = False) -> None:
        """named: the run was asked for by the user, so that other runs between its messages are passed over."""
        self.run = wanted
        self.named = named
        self.tally = Tally()
        self.parts: dict[int, Part] = {}
        self.accounts: dict[int, EndMessage] = {}
        self.framed = False
        """Whether frames have come, after which no loose words are expected."""
        self.reset()

    def reset(self) -> None:
        """Start a new collection."""
        self.words: dict[int, list[Words]] = {}
        self.frames: list[FrameMessage] = []
        self.ended: list[int] = []

    def take(self, partition: int, messages: Sequence[Message]) -> None:
        """Take a partition's next messages in order; what they hold is in `words`, `frames` and `ended`."""
        part = self.parts[partition]
        frames = 0
        for message in messages:
            headers = message.headers()
            if part.ended or not headers or headers[0] != FRAME_HEADER:
                break
            frames += 1
            if not self._other(partition, part, message, headers):
                return
        messages = messages[frames:]
        for mark, first, positions in self._groups(messages):
            if part.ended:
                return
            group = messages[first : first + len(positions)]
            if mark.kind is None:
                for message in group:
                    if not self._other(partition, part, message, message.headers()):
                        return
                continue
            run = mark.run
            if run is not None and not self._is_ours(partition, part, group[0].offset(), run, len(group)):
                if not part.ended:
                    part.next = group[-1].offset() + 1
                continue
            part.begun = True
            part.next = group[-1].offset() + 1
            if run is not None:
                group = self._risen(partition, part, group, positions)
            if group:
                words = self._json(partition, group) if mark.kind is Kind.JSON else self._dma(partition, group)
                self.words.setdefault(partition, []).append(words)

    def skip(self, partition: int, first: int, last: int) -> None:
        """Continue after deleted messages, offsets first to last - 1; an incomplete window is given as it is."""
        text = f"the last: partition {partition}, offsets {first} to {last - 1} were not read"
        self.tally.add("lost", text, last - first)
        part = self.parts.get(partition)
        if part is not None and not part.ended:
            self._let_go(partition, part)
            part.next = last

    def end_without_message(self, partition: int, low: int) -> None:
        """Note that a partition has no more of the run, although its end was deleted; low: the oldest offset kept."""
        part = self.parts[partition]
        self.tally.add("lost", f"the last: partition {partition}: the run's end, deleted before offset {low}")
        self._let_go(partition, part)
        part.ended = True
        self.ended.append(partition)

    def _risen(
        self, partition: int, part: Part, messages: Sequence[Message], positions: NDArray[np.int64]
    ) -> Sequence[Message]:
        """The loose messages that are above those before, by their positions; those that have none as they come."""
        before = np.maximum.accumulate(np.concatenate([[part.key], positions[:-1]]))
        part.key = max(int(before[-1]), int(positions[-1]))
        fresh = (positions > before) | (positions < 0)
        if fresh.all():
            return messages
        again = np.flatnonzero(~fresh).tolist()
        text = f"word {positions[again[-1]]} came again"
        self._fault(partition, messages[again[-1]].offset(), "duplicate", text, n=len(again))
        return [messages[index] for index in np.flatnonzero(fresh).tolist()]

    def _fault(self, partition: int, offset: int, name: str, text: str, n: int = 1) -> None:
        self.tally.add(name, f"the last: partition {partition}, offset {offset}: {text}"[:300], n)

    def _groups(self, messages: Sequence[Message]) -> Iterator[tuple[LooseHeaders, int, NDArray[np.int64]]]:
        """Consecutive messages of one kind and run: see `groups`."""
        return groups(messages)

    def _value_of_frame(self, message: Message) -> bytes | memoryview | None:
        """A message's value, as a view."""
        value: bytes | None = message.value()
        return value

    def _scan(self, messages: Sequence[Message], unusual: NDArray[np.int64]) -> Words:
        """The words of messages that are JSON objects; `unusual` as `scan_objects` has it."""
        values: list[bytes] = [message.value() or b"" for message in messages]
        stops = np.cumsum(np.fromiter(map(len, values), np.int64, len(values)))
        starts = np.concatenate([[0], stops[:-1]])
        words = np.empty(len(values), np.uint64)
        n = scan_objects(np.frombuffer(b"".join(values), np.uint8), starts, stops, KEYS, words, unusual)
        return words[:n]

    def _json(self, partition: int, messages: Sequence[Message]) -> Words:
        unusual = np.empty((len(messages), 2), np.int64)
        words = self._scan(messages, unusual)
        extra: list[int] = []
        where: list[int] = []
        for index, before in unusual[: len(messages) - len(words)].tolist():
            offset, value = messages[index].offset(), messages[index].value()
            try:
                _check_size(value)
            except MessageError as error:
                self._fault(partition, offset, error.fault, str(error))
                continue
            found, faults = words_of_text(value or b"")
            extra += found
            where += [before] * len(found)
            for reason in faults:
                self._fault(partition, offset, fault_name(reason), reason)
        return np.insert(words, where, np.array(extra, np.uint64)) if extra else words

    def _dma(self, partition: int, messages: Sequence[Message]) -> Words:
        good: list[Words] = []
        for message in messages:
            try:
                value = message.value()
                _check_size(value)
                good.append(dma_words(value))
            except MessageError as error:
                self._fault(partition, message.offset(), error.fault, str(error))
        return np.concatenate(good) if good else np.empty(0, np.uint64)

    def _other(self, partition: int, part: Part, message: Message, headers: Headers | None) -> bool:
        """A frame, an end, or something that is nothing; says whether the partition goes on."""
        offset = message.offset()
        try:
            decoded: EndMessage | FrameMessage
            if headers and headers[0] == FRAME_HEADER:
                seen = self._value_of_frame(message)
                _check_size(seen)
                decoded = FrameMessage.decode(headers, seen)
            else:
                value = message.value()
                _check_size(value)
                form = EndMessage if kind_of(headers, value) is Kind.END else FrameMessage
                decoded = form.decode(headers or (), value)
        except MessageError as error:
            self._fault(partition, offset, error.fault, str(error))
            part.next = offset + 1
            return True
        if not self._is_ours(partition, part, offset, decoded.run):
            if part.ended:
                return False
            part.next = offset + 1
            return True
        part.begun = True
        part.next = offset + 1
        if isinstance(decoded, EndMessage):
            self._let_go(partition, part)
            self.accounts[partition] = decoded
            part.ended = True
            self.ended.append(partition)
            return False
        self._frame(partition, part, offset, decoded)
        return True

    def _is_ours(self, partition: int, part: Part, offset: int, run: Run, n: int = 1) -> bool:
        """Whether a run, with n messages of it, is the one that is taken; another's words after ours are our end."""
        if self.run is None:
            self.run = run
        if self.named and not part.begun and self.run == Run(run.number):
            self.run = run  # asked for by its number
        if run == self.run:
            return True
        # numbers need not rise in time: a run may have none, which is 0, or be sent again after later ones
        later = part.begun or (offset >= part.newest_to if part.newest_to >= 0 else self.run.number < run.number)
        if later and not self.named:
            self._fault(partition, offset, "run cut off", f"found run {run.number} before the end of this one")
            part.next = offset
            self._let_go(partition, part)
            part.ended = True
            self.ended.append(partition)
        else:
            self.tally.add("another run", f"the last: run {run.number} {run.name}".rstrip(), n)
        return False

    def _frame(self, partition: int, part: Part, offset: int, frame: FrameMessage) -> None:
        self.framed = True
        if frame.order <= (part.key, part.piece):
            text = f"window {frame.key}, part {frame.part} came again"
            self._fault(partition, offset, "duplicate", text)
            return
        if part.pieces and part.pieces[0].key != frame.key:
            self._let_go(partition, part)
        if not part.pieces:
            part.first, part.before = offset, (part.key, part.piece)
        part.key, part.piece = frame.order
        part.pieces.append(frame)
        if frame.part == frame.parts - 1:
            self._let_go(partition, part)

    def _let_go(self, partition: int, part: Part) -> None:
        """Give the parts of a window, since no more will come."""
        if part.pieces and len(part.pieces) < part.pieces[0].parts:
            found, last = len(part.pieces), part.pieces[-1]
            self._fault(
                partition, part.next, "incomplete window", f"found {found} of {last.parts} parts of window {last.key}"
            )
        self.frames += part.pieces
        part.pieces = []

    def joined(self) -> Frames:
        """The frames that have come, by key; those of one window as one."""
        frames = sorted(self.frames, key=attrgetter("key", "part"))
        if not frames:
            return Frames.empty()
        keys = np.array([frame.key for frame in frames], np.int64)
        ends = np.cumsum([len(frame.words) for frame in frames])
        last = np.append(np.flatnonzero(np.diff(keys)), len(keys) - 1)
        words = np.concatenate([frame.words for frame in frames]) if len(frames) > 1 else frames[0].words
        return Frames(words, np.concatenate([[0], ends[last]]), keys[last])

    @property
    def account(self) -> EndMessage | None:
        """The gateway's message at the end of the run."""
        return next(iter(self.accounts.values()), None)


def _check_size(value: bytes | memoryview | None) -> None:
    """Raise MessageError for a message that muonstream cannot have sent."""
    if value is None:
        raise MessageError("tombstone", "found no value")
    if not len(value):
        raise MessageError("empty value", "found 0 bytes")
    if len(value) > LARGEST_BYTES:
        raise MessageError("oversized value", f"found {len(value)} bytes, expected at most {LARGEST_BYTES}")


_NAMES: Final = {
    "not JSON": "bad JSON",
    "not a row": "bad row",
    "found nothing but": "empty value",
    "found more than": "too much in one",
    "found a": "no object",
}


def fault_name(reason: str) -> str:
    """The name of what is wrong with a hit's text, by the reason that its parser gives."""
    for begin, name in _NAMES.items():
        if reason.startswith(begin):
            return name
    if "found nothing" in reason:
        return "missing field"
    if "found twice" in reason:
        return "field twice"
    value = re.search(r"found (.*), expected", reason)
    found = value.group(1) if value else ""
    if re.fullmatch(r"NaN|-?Infinity", found):
        return "no number"
    if re.fullmatch(r"'\s*-?[0-9.]+\s*'", found):
        return "number as text"
    if re.fullmatch(r"-?[0-9]+(\.0)?", found):
        return "out of range"
    return "fraction" if re.fullmatch(r"-?[0-9.]+(e[-+]?[0-9]+)?", found) else "wrong type"
