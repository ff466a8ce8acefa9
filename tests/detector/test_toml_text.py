from __future__ import annotations

import pytest

from muonstream.detector.model import Detector, DetectorError, parse
from muonstream.detector.toml_text import MOST_DOTS, MOST_NESTED, MOST_TEXT, table_of


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("a = " + "[" * 3000 + "]" * 3000, "x.toml: found lists or tables nested too deep, expected at most 20"),
        ("a = " + "[" * 60 + "]" * 60, "x.toml: found lists or tables nested too deep, expected at most 20"),
        ("a" + ".b" * 500 + " = 1", "x.toml: found lists or tables nested too deep, expected at most 20"),
        ("a = 1" + "0" * 5000, "x.toml: found an integer of thousands of digits"),
        ("name = 0x" + "F" * 5000, "x.toml: name: found <int, too large to show>, expected text"),
        ("name = 'a'\nboards = [0x" + "F" * 5000 + "]", "x.toml: boards[0]: found <int, too large to show>"),
        ("\na" + ".b" * 50_000 + " = 1", "x.toml:2: found 50,000 dots, expected at most 1,000"),
        ("#" * (MOST_TEXT + 1), "x.toml: found 262,145 characters, expected at most 262,144"),
        ("a = [1", "x.toml: not TOML: "),
    ],
)
def test_hostile_text_is_refused_in_a_line(text: str, wrong: str) -> None:
    with pytest.raises(DetectorError) as raised:
        parse(text, "x.toml")
    assert str(raised.value).startswith(wrong)


def test_ordinary_files_are_far_below_the_limits() -> None:
    assert table_of("a = " + "[" * (MOST_NESTED - 1) + "]" * (MOST_NESTED - 1))
    assert table_of("a = [" + "0.5," * (MOST_DOTS - 1) + "]")
    for name in Detector.bundled():
        assert Detector.load(name).name
