from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import as_options, run_command

from muonstream.detector.model import Detector
from muonstream.formats.block import SourceError
from muonstream.formats.evidence import Expected
from muonstream.formats.recognise import Wanted
from muonstream.sources.reader import InputReader
from muonstream.words import decode
from tools.streams import COLUMNS, StreamConfig, make_words

WANTED = Wanted(Expected.of(Detector.default().channel_map()))
WORDS = make_words(StreamConfig(words=1500, seed=3))
COLUMN_NAMES = ("head", "fpga", "channel", "orbit", "bx", "tdc")
FIELDS = np.stack([getattr(decode(WORDS), one) for one in COLUMN_NAMES])
ROWS: list[list[int]] = FIELDS.T.tolist()


def table(write: Callable[[int], str], delimiter: str = ",", *, headed: bool = True, only: int | None = None) -> bytes:
    """The rows with each number written in a way, or only those of one column."""
    rows = [
        delimiter.join(write(value) if only in (None, field) else str(value) for field, value in enumerate(row))
        for row in ROWS
    ]
    return "\n".join([*([delimiter.join(COLUMNS)] if headed else []), *rows, ""]).encode()


def read(data: bytes) -> tuple[int, int]:
    """Words and malformed rows."""
    reader = InputReader("f", WANTED)
    blocks = [*reader.feed(data), *reader.finish()]
    return sum(len(block.words) for block in blocks), sum(block.malformed for block in blocks)


@pytest.mark.parametrize("headed", [True, False])
@pytest.mark.parametrize("only", [None, 3, 4], ids=["all", "orbits", "bunch crossings"])
@pytest.mark.parametrize(
    ("mark", "delimiter"), [(".", ","), (".", ";"), (",", ";"), (",", "\t"), ("'", ","), (" ", ","), (".", " ")]
)
def test_thousands_separators_are_refused_with_what_to_do(
    mark: str, delimiter: str, only: int | None, headed: bool
) -> None:
    data = table(lambda value: f"{value:,}".replace(",", mark), delimiter, headed=headed, only=only)
    with pytest.raises(SourceError) as error:
        read(data)
    line = str(error.value)
    if only == 4 and mark in "' ":
        assert "found" in line
        return
    assert "found numbers with thousands separators, such as '" in line or 'such as "' in line
    assert "write the table again without separators" in line


@pytest.mark.parametrize("quote", ['"', ""])
def test_commas_as_separators_and_between_cells_are_refused(quote: str) -> None:
    with pytest.raises(SourceError, match="found numbers with thousands separators"):
        read(table(lambda value: f"{quote}{value:,}{quote}"))


@pytest.mark.parametrize("digits", range(1, 6))
@pytest.mark.parametrize(("mark", "delimiter"), [(".", ","), (".", ";"), (",", ";")])
def test_whole_numbers_with_a_fraction_of_zeros_are_read(mark: str, delimiter: str, digits: int) -> None:
    assert read(table(lambda value: f"{value:.{digits}f}".replace(".", mark), delimiter)) == (len(WORDS), 0)


def test_fractions_of_three_digits_in_ancillary_rows_are_read() -> None:
    rows = [",".join(map(str, row)) + f"\n4,{row[1]},{i % 9 + 1}.{i % 900 + 99},0,0,0" for i, row in enumerate(ROWS)]
    assert read("\n".join([",".join(COLUMNS), *rows, ""]).encode()) == (2 * len(WORDS), 0)


@pytest.mark.parametrize(("one", "other"), [(a, b) for a in range(6) for b in range(a + 1, 6) if a or b == 1])
def test_a_header_with_two_names_exchanged_is_refused(one: int, other: int) -> None:
    names = list(COLUMNS)
    names[one], names[other] = names[other], names[one]
    data = table(str).replace(",".join(COLUMNS).encode(), ",".join(names).encode())
    expected = f"found a header that seems to have {COLUMNS[one]} and {COLUMNS[other]} exchanged"
    with pytest.raises(SourceError, match=expected):
        read(data)


def test_columns_that_a_header_names_in_another_order_are_read() -> None:
    order = [3, 0, 5, 1, 4, 2]
    rows = [",".join(str(row[field]) for field in order) for row in ROWS]
    assert read("\n".join([",".join(COLUMNS[field] for field in order), *rows, ""]).encode()) == (len(WORDS), 0)


@pytest.mark.parametrize("begins", [0, 300])
def test_a_table_of_mostly_malformed_rows_is_an_error(
    begins: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.csv"
    rows = [",".join(map(str, row)) if i < begins or i % 10 == 0 else f"2,0,x,{i},5,6" for i, row in enumerate(ROWS)]
    path.write_text("\n".join([",".join(COLUMNS), *rows, ""]))
    assert run_command("process", path) == 1
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith(f"muonstream: {path}: found ")
    assert "malformed of 1,500 rows" in last or "that are not six numbers" in last


@pytest.mark.parametrize(
    ("data", "named", "says"),
    [
        (np.random.default_rng(3).bytes(50_000), "words", "found no words of the boards in 49,"),
        (b"1.5,2.5,3.5,4.5,5.5,6.5\n" * 9, "course", "malformed of 9 rows"),
    ],
)
def test_an_input_of_which_hardly_anything_was_counted_is_an_error(
    data: bytes, named: str, says: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "t.dat"
    path.write_bytes(data)
    assert run_command("process", path, *as_options(format=named)) == 1
    assert says in capsys.readouterr().err.splitlines()[-1]
