"""One input from its raw bytes to blocks of words: unpacked, recognised, decoded, and every byte accounted for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import replace

import numpy as np

from muonstream.formats.binary import BinaryDecoder
from muonstream.formats.block import Block, ByteAccount, InputReport, SourceError, counted
from muonstream.formats.content import ContentCheck
from muonstream.formats.continuation import SAMPLE_BYTES, continues, is_cut
from muonstream.formats.recognise import MOST_HELD, Decoder, Form, Recogniser, Wanted, decoder
from muonstream.formats.unpack import Unpacker
from muonstream.words import HEAD_SHIFT, Head, Words


def hits_of(words: Words) -> Words:
    """The words of HEAD 2 among words (uint64[n])."""
    found: Words = words[words >> np.uint64(HEAD_SHIFT) == np.uint64(Head.HIT)]
    return found


class InputReader:
    """Takes an input's raw bytes in order and gives blocks; it knows no file.

    previous: the reader of the part before, of the same run, not finished yet: this reader goes on with its decoder
    where the content shows that it was cut in two, and finishes it otherwise unless `keep_previous` says that it may
    still grow; content: follows the words of the whole run, if this input is but a part of it
    earlier: what became of the input's earlier content, which was overwritten; it is part of the report, and names it
    form: the content's form, None while undecided
    take_hits: is given all hits (uint64[n]) of the content, also those that are left out
    """

    def __init__(
        self,
        name: str,
        wanted: Wanted,
        previous: InputReader | None = None,
        content: ContentCheck | None = None,
        *,
        keep_previous: bool = False,
        earlier: InputReport | None = None,
    ) -> None:
        self.name = name
        self._report = InputReport(name)
        self._earlier = earlier
        self.form: Form | None = None
        self._unpack = Unpacker(name)
        self._recogniser: Recogniser | None = Recogniser(name, wanted)
        self._decoder: Decoder | None = None
        self._previous = previous
        self._keep_previous = keep_previous
        self.take_hits: Callable[[Words], None] | None = None
        self._content_check = content or ContentCheck(name)
        self._alone = content is None
        self._joint: list[bytes | memoryview] = []
        self._heads: list[tuple[InputReader, int]] = []  # parts before that show nothing alone, and their bytes
        self._alone_refused: SourceError | None = None  # what such a part alone would be refused with
        self._raw = 0
        self._begins = True
        self._left_out = 0
        self._unchecked: list[bytes | memoryview] = []  # content that waits for the check of the compressed data
        self._checks = False  # whether the content check is fed here, not by the decoder

    @property
    def report(self) -> InputReport:
        """The input's report so far; each block carries it."""
        return self._report if self._earlier is None else self._report.after(self._earlier)

    @property
    def raw_bytes(self) -> int:
        """Bytes taken so far, before decompression."""
        return self._raw

    @property
    def content_bytes(self) -> int:
        """Bytes of content so far, after decompression."""
        return self._unpack.content

    @property
    def missing(self) -> str:
        """What would decide the content's form, "" once it is decided."""
        return "" if self._recogniser is None else self._recogniser.missing

    @property
    def ended(self) -> bool:
        """Whether its end was decoded, so that it can take no more."""
        return self._recogniser is None and self._decoder is None

    @property
    def rest(self) -> bytes:
        """Bytes of content that wait for the bytes after them."""
        return getattr(self._decoder, "rest", b"")

    def leave_out(self, hits: int) -> None:
        """Leave out the words up to so many hits, which another input had; their bytes are passed over."""
        self._left_out = hits

    def feed(self, data: bytes | memoryview) -> Iterator[Block]:
        """Take bytes; give the blocks they complete. Raises SourceError for what is not data, or is broken."""
        self._raw += len(data)
        try:
            for piece in self._unpack.feed(data):
                yield from self._content(piece)
        except SourceError as error:
            if self._unpack.damaged:
                yield from self._lose(error)
            raise
        if not self._unpack.unchecked:
            yield from self._release()
        yield from self._notes()

    def finish(self) -> Iterator[Block]:
        """No more bytes come. Raises SourceError where the content shows no format."""
        for piece in self._unpack.finish():
            yield from self._content(piece)
        yield from self.settle()
        if self._decoder is not None:
            self._content_check.name = self.name
            block = self._decoder.feed(b"", last=True)
            self._check(block)
            if self._alone:
                self._content_check.into(block, last=True)
            yield self._account(block, 0)
            self._decoder = None
        yield from self._notes()

    def settle(self) -> Iterator[Block]:
        """Decide the form by the content so far, as if it were all. Raises SourceError where the content shows none."""
        if self._previous is not None:
            yield from self._join(last=True)
        if self._recogniser is not None:
            try:
                decided = self._recogniser.end()
            except SourceError as error:
                raise self._alone_refused or error from None
            if decided:
                yield from self._decode_held()
        yield from self._release()

    def expect(self, before: Form) -> None:
        """Take the form of another part of the same run as known, if this one's is still undecided."""
        if self._recogniser is not None:
            self._recogniser.expect(before)

    def _release(self) -> Iterator[Block]:
        """Decode what waited behind an odd value: since the compressed data are intact, the content really holds it."""
        binary = self._decoder
        if not isinstance(binary, BinaryDecoder) or not binary.halted:
            return
        pieces, self._unchecked = self._unchecked, []
        binary.be_careful(False)
        for piece in (b"", *pieces):
            self._content_check.name = self.name
            yield self._account(self._checked(binary.feed(piece)), 0)
        binary.be_careful(self._unpack.unchecked)

    def _lose(self, error: SourceError) -> Iterator[Block]:
        """The compressed data are damaged: what was not decoded of their content is lost."""
        self._previous, self._unchecked = None, []
        if self._recogniser is not None:
            with suppress(SourceError):
                yield from self.settle()
        if self._decoder is None:
            yield self.pass_over(str(error).removeprefix(f"{self.name}: "))
            return
        end, lost = self._unpack.content, self._report.waiting
        note = (
            f"byte {end - lost:,}: the {self._unpack.compression} data are broken at or before this place of the "
            "content; words shortly before it may be damaged"
        )
        if lost:
            note += f", and the {counted(lost, 'byte')} up to byte {end:,} are lost: passed over"
        block = Block(bytes=ByteAccount(passed_over=lost), notes=[f"{self.name}: {note}"])
        if self._alone:
            self._content_check.into(block, last=True)
        yield self._account(block, 0)
        self._decoder = None

    def lose(self, words: int, where: str) -> Block:
        """Words that were sent can no longer be read: they are counted as lost, and a note says where."""
        self._report = replace(self._report, lost=self._report.lost + words)
        return Block(report=self.report, notes=[f"{self.name}: {where}: {counted(words, 'word')} lost"])

    def conclude(self, content: ContentCheck) -> Block:
        """This was the run's last input: what is found of the run's words at their end, in this input's report."""
        block = Block()
        content.into(block, last=True)
        return self._account(block, 0)

    def pass_over(self, why: str, size: int | None = None) -> Block:
        """Leave out the whole input: gives a block without words that says why. size: in bytes"""
        size = max(self._report.size, self._unpack.content) if size is None else size
        self._report = InputReport(
            self.name, status="passed over", why=why, size=size, bytes=ByteAccount(passed_over=size)
        )
        return Block(report=self.report, notes=[f"{self.name}: {why}; passed over"])

    def _notes(self) -> Iterator[Block]:
        notes = self._unpack.take_notes()
        if notes:
            yield self._account(Block(notes=notes), 0)

    def _content(self, piece: bytes | memoryview) -> Iterator[Block]:
        previous = self._previous
        if previous is not None:
            self._joint.append(piece)
            if not self._keep_previous:
                try:
                    yield from previous.settle()
                except SourceError as error:
                    self._take_over(previous, error)
                    yield from self._content(self._joint.pop())
                    return
            whole = previous._decoder is None or previous.form is None or not is_cut(previous._decoder, previous.form)
            whole |= bool(previous._unchecked)
            if whole or sum(map(len, self._joint)) >= SAMPLE_BYTES:
                yield from self._join(last=False)
            return
        if self._decoder is not None:
            yield self._decode(piece)
            if sum(map(len, self._unchecked)) > MOST_HELD:
                yield from self._release()
            return
        recogniser = self._recogniser
        if recogniser is None:
            # another input continues with its decoder, so these bytes no longer have a place in the stream
            over = Block(bytes=ByteAccount(passed_over=len(piece)))
            over.notes = [
                f"{self.name}: grew by {counted(len(piece), 'byte')} after the input that follows it had completed its "
                "last word, transfer or row; passed over"
            ]
            yield self._account(over, len(piece))
            return
        try:
            decided = recogniser.feed(piece)
        except SourceError as error:
            raise self._alone_refused or error from None
        size = recogniser.size - sum(n for _, n in self._heads)
        self._report = replace(self._report, size=size, waiting=size, why=recogniser.missing)
        if decided:
            yield from self._decode_held()

    def _take_over(self, previous: InputReader, error: SourceError) -> None:
        """Recognise the part before, which shows nothing alone, together with this one. Raises `error` otherwise."""
        recogniser = previous._recogniser
        if recogniser is None or not recogniser.shows_nothing or previous._unpack.broken:
            raise error
        self._heads = [*previous._heads, (previous, previous._report.waiting)]
        self._alone_refused = previous._alone_refused or error
        self._previous, self._recogniser, previous._recogniser = None, recogniser, None

    def _join(self, *, last: bool) -> Iterator[Block]:
        """With the first bytes: continue the decoder of the part before, or finish that part and begin a new one."""
        previous, self._previous = self._previous, None
        pieces, self._joint = self._joint, []
        assert previous is not None
        sample = b"".join(pieces)[: SAMPLE_BYTES if not last else None]
        before, form = previous._decoder, previous.form
        if before is not None and form is not None and sample and continues(before, form, sample):
            cut = "transfer" if form.format == "dma" else "word" if form.format == "words" else "row"
            yield from self._adopt(previous, f"the rest of {previous.name}, which ends inside a {cut}")
        elif not self._keep_previous:
            yield from previous.finish()
        for piece in pieces:
            yield from self._content(piece)

    def _adopt(self, previous: InputReader, why: str) -> Iterator[Block]:
        """Go on with the decoder of the part before; the bytes that waited there are that part's."""
        waiting = previous._report.waiting
        yield previous._account(Block(bytes=ByteAccount(words=waiting)), 0)
        self.form, self._decoder, previous._decoder = previous.form, previous._decoder, None
        assert self.form is not None
        self._recogniser, self._begins = None, False
        self._report = replace(
            self._report,
            status="read",
            format=str(self.form.format),
            why=why,
            size=0,
            bytes=ByteAccount(words=-waiting),
        )

    def _decode_held(self) -> Iterator[Block]:
        """Begin to decode, with the bytes that waited; those of parts before that showed nothing alone come first."""
        recogniser = self._recogniser
        assert recogniser is not None
        assert recogniser.form is not None
        heads, self._heads = self._heads, []
        first, previous, at = heads[0][0] if heads else self, self, 0
        first._begin_decoding(recogniser.form)
        for held in recogniser.held():
            for part, n in [*heads, (self, len(held))]:
                if part is not first:
                    yield from part._adopt(previous, f"a part of the same run as {first.name}")
                yield part._decode(held[at : at + n])
                previous, at = part, at + n

    def _begin_decoding(self, form: Form) -> None:
        """Have a decoder of a form that is decided."""
        self.form = form
        packed = f"{self._unpack.compression}, " if self._unpack.compression else ""
        self._report = replace(
            self._report, status="read", format=str(form.format), why=packed + form.why, size=0, waiting=0
        )
        # the content check must not count what is left out here as repeated
        content = None if self._left_out else self._content_check
        self._decoder, self._recogniser = decoder(form, self.name, content), None
        self._checks = content is None

    def _decode(self, piece: bytes | memoryview) -> Block:
        assert self._decoder is not None
        # a decoder may follow the content by itself
        self._content_check.name = self.name
        if isinstance(self._decoder, BinaryDecoder):
            if self._decoder.halted:
                self._unchecked.append(piece)
                return self._account(Block(), len(piece))
            self._decoder.be_careful(self._unpack.unchecked)
        return self._account(self._checked(self._decoder.feed(piece)), len(piece))

    def _checked(self, block: Block) -> Block:
        """A block of the decoder, with the findings about its words."""
        self._check(block)
        return block

    def _check(self, block: Block) -> None:
        """Leave out what is left out, and follow the rest where the decoder does not."""
        if self.take_hits is not None:
            self.take_hits(hits_of(block.words))
        if self._left_out:
            self._drop(block)
        if self._checks:
            self._content_check.see(block.words)
        self._content_check.into(block)

    def _account(self, block: Block, size: int) -> Block:
        """Count a block, made of so many more bytes of content, in the report."""
        before = self._report
        bytes_ = before.bytes + block.bytes
        self._report = replace(
            before,
            size=before.size + size,
            waiting=before.size + size - bytes_.total,
            bytes=bytes_,
            words=before.words + len(block.words),
            malformed=before.malformed + block.malformed,
            repeated=before.repeated + block.repeated,
            steps_lost=before.steps_lost + block.steps_lost,
            broken=self._unpack.broken,
        )
        block.report = self.report
        if self._begins and self._decoder is not None:
            block.begins, self._begins = True, False
        return block

    def _drop(self, block: Block) -> None:
        """Leave out the block's words up to the number of hits that are left out."""
        n = len(block.words)
        where = np.flatnonzero(block.words >> np.uint64(HEAD_SHIFT) == np.uint64(Head.HIT))
        cut = n if len(where) <= self._left_out else int(where[self._left_out])
        if len(where) == self._left_out:
            cut = int(where[-1]) + 1 if len(where) else n
        self._left_out -= min(self._left_out, len(where))
        if cut:
            moved = block.bytes.words * cut // n
            block.words = block.words[cut:]
            block.bytes += ByteAccount(words=-moved, passed_over=moved)
