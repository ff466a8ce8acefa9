from __future__ import annotations

from muonstream.formats.block import ByteAccount, InputReport
from muonstream.run.inputs import SHOWN, InputTotals, inputs_json


def report(name: str = "a", **values: object) -> InputReport:
    return InputReport(**{"name": name, "status": "read", **values})  # type: ignore[arg-type]


def test_totals_add_up_what_is_read_and_count_the_rest() -> None:
    totals = InputTotals.of(
        [
            report(size=30, waiting=2, bytes=ByteAccount(words=16, padding=8, headers=4), repeated=1),
            report("b", size=8, bytes=ByteAccount(words=8), steps_lost=2, broken=1),
            report("c", status="passed over", size=100, bytes=ByteAccount(passed_over=100)),
            report("d", status="waiting", size=5, waiting=5),
            report("e", size=9),
        ]
    )
    assert (totals.seen, totals.read, totals.undecided, totals.passed_over) == (5, 3, 1, 1)
    assert (totals.size, totals.waiting, totals.bytes.words, totals.unbalanced) == (47, 2, 24, 1)
    assert totals.suspect == [
        (8, "bytes of padding"),
        (1, "repeated words"),
        (2, "times out of step"),
        (1, "time that compressed data were damaged, cut, or followed by other bytes"),
        (2, "inputs passed over"),
        (1, "inputs whose bytes do not add up"),
    ]
    assert totals.line == (
        "47 bytes of 3 inputs (2 more passed over or undecided): 24 words, 4 headers, 8 padding, 2 waiting"
    )


def test_good_inputs_have_nothing_suspect() -> None:
    good = report(size=20, bytes=ByteAccount(words=8, run_words=8, headers=4))
    assert InputTotals.of([good]).suspect == []
    assert InputTotals.of([]).line == "0 bytes of 0 inputs: 0 words"


def test_the_page_gets_the_newest_inputs_and_those_passed_over() -> None:
    reports = [report(str(i), status="passed over" if i % 2 else "read") for i in range(100)]
    shown = inputs_json(reports)
    assert [one["name"] for one in shown["newest"]] == [str(i) for i in range(98, 98 - 2 * SHOWN, -2)]
    assert [one["name"] for one in shown["over"]] == [str(i) for i in range(99, 99 - 2 * SHOWN, -2)]
    assert (shown["seen"], shown["read"], shown["passed_over"]) == (100, 50, 50)
