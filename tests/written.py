"""Tables of hits as all kinds of programs write them, with the words that they are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from hypothesis import strategies as st

from muonstream.formats.encoding import Encoding
from muonstream.formats.layout import Dialect
from muonstream.formats.rows import COLUMNS, EVENT_NUMBER_CHANNELS
from muonstream.words import encode

Rows = list[tuple[int, ...]]
NOTATIONS = ["{}", "{}", "{}.0", "+{}", "00{}", "{}.", "{:.18e}", "{}e0"]
ENDS = ["\n", "\r\n", "\r", " \n", "\t\r\n", "\n\n", "\n# T = 21 \u00b0C\n", "\n// note\n", "\n%\n", "\0\n", "\n\0\0\0"]
HEADERS = ["{}", "{}", "# {}", "#{}", "\ufeff{}", "sep={1}\n{0}", "# run 591\n\n{}", " {} "]
NAMES = [str.upper, str.lower, str.title, lambda name: f'"{name}"', lambda name: f" {name.replace('_', ' ')} "]
ENCODINGS: list[Encoding] = ["utf-8", "utf-8", "utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"]


def hit_rows(n: int, seed: int, dialect: Dialect) -> tuple[Rows, list[int]]:
    """Rows of hits that an hour's run may hold, and their words."""
    random = np.random.default_rng(seed)
    orbit = 2_000_000_000 + np.cumsum(random.integers(0, 9, n))
    fpga, bx = random.integers(0, 2, n), random.integers(1, 3564, n)
    channel, tdc = random.integers(0, 128, n), random.integers(1, 31, n)
    # values that only one numbering has
    channel[::5], tdc[::5] = 0, 1
    tdc[2::5] = 30
    words = encode(fpga=fpga, channel=channel, orbit=orbit, bx=bx, tdc=tdc).tolist()
    head = np.full(n, 2 if dialect == "course" else 1)
    if dialect == "firmware2019":
        channel = channel + 1
        tdc = tdc - ~np.isin(channel, EVENT_NUMBER_CHANNELS)
    columns = (head, fpga, channel, orbit, bx, tdc)
    return list(zip(*(column.tolist() for column in columns), strict=True)), words


@dataclass(frozen=True)
class Written:
    """A table's bytes, and the words that its rows are."""

    data: bytes
    words: list[int]
    dialect: Dialect
    encoding: Encoding


@st.composite
def tables(draw: st.DrawFn, n_rows: int = 40) -> Written:
    """Tables of hits in any notation that leaves no doubt."""
    dialect: Dialect = draw(st.sampled_from(["course", "firmware2019", "head1"]))
    rows, words = hit_rows(n_rows, draw(st.integers(0, 99)), dialect)
    delimiter = draw(st.sampled_from([",", ",", ";", "\t", " ", "|"]))
    notation = draw(st.sampled_from(NOTATIONS))
    decimal = draw(st.sampled_from([".", ","])) if delimiter != "," else "."
    quote = draw(st.sampled_from(["", "", '"', "'"]))
    around = draw(st.sampled_from(["", "", " ", "\u00a0", "  "])) if delimiter != "\t" else ""
    order = list(range(len(COLUMNS)))
    headed = draw(st.booleans())
    names = list(COLUMNS)
    if headed:
        order = draw(st.permutations(order))
        if draw(st.booleans()):
            names, order = [*names, "RUN"], [*order, len(COLUMNS)]
            rows = [(*row, 591) for row in rows]
    change = draw(st.sampled_from(NAMES)) if delimiter != " " else draw(st.sampled_from(NAMES[:4]))
    index = draw(st.sampled_from(["", "", "names", "column"]))

    def cell(value: int) -> str:
        return around + quote + notation.format(value).replace(".", decimal) + quote + around

    lines = [delimiter.join(cell(row[of]) for of in order) for row in rows]
    header = delimiter.join(change(names[of]) for of in order)
    if index:
        lines = [f"{at}{delimiter}{line}" for at, line in enumerate(lines, start=draw(st.integers(0, 3)))]
        header = header if index == "names" or delimiter == " " else f"{delimiter}{header}"
    if headed:
        lines.insert(0, draw(st.sampled_from(HEADERS)).format(header, delimiter))
        if draw(st.booleans()):
            lines.insert(draw(st.integers(1, n_rows)), header)
    ends = draw(st.lists(st.sampled_from(ENDS), min_size=1, max_size=4))
    text = "".join(line + ends[at % len(ends)] for at, line in enumerate(lines))
    text = draw(st.sampled_from(["", "", "\ufeff", "\n", "\0" * 64])) + text
    encoding = draw(st.sampled_from(ENCODINGS))
    return Written(text.encode(encoding), words, dialect, encoding)
