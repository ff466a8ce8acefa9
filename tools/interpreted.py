"""A plugin of pytest for coverage: kernels run as Python, so that the tracer sees their lines.

python -m pytest -p tools.interpreted --cov --cov-append TESTS

Python is hundreds of times slower than a kernel, so only small tests of kernels are run this way, with few examples.
They are run compiled as well, which is what has to be right; here arithmetic that wraps around may warn.
"""

from __future__ import annotations

import os
from typing import Any, Final

import numpy as np
import pytest
from hypothesis import settings

EXAMPLES: Final = 5

TESTS: Final = (
    "tests/counting/test_pairs.py",
    "tests/counting/test_passages.py",
    "tests/counting/test_tally.py",
    "tests/formats/test_content.py",
    "tests/formats/test_hits_json.py",
    "tests/formats/test_jumps.py",
    "tests/formats/test_markers.py",
    "tests/formats/test_plausible.py",
    "tests/formats/test_rows.py",
    "tests/formats/test_step.py",
    "tests/framing/test_scan.py",
    "tests/framing/test_windows.py",
    "tests/muons/test_search.py",
    "tests/test_bits.py",  # which holds for the functions below, too
)
"""What `make coverage` runs so: small tests of kernels, three minutes in all."""


def popcount(value: Any) -> int:
    """As `muonstream.bits.popcount`."""
    return int(value).bit_count()


def leading_zeros(value: Any) -> int:
    """As `muonstream.bits.leading_zeros`."""
    return 64 - int(value).bit_length()


def trailing_zeros(value: Any) -> int:
    """As `muonstream.bits.trailing_zeros`."""
    number = int(value)
    return (number & -number).bit_length() - 1 if number else 64


def any_of_eight(words: Any, first: Any, shift: Any, members: Any) -> bool:
    """As `muonstream.bits.any_of_eight`."""
    begin = int(first)
    return any(int(members) >> (int(word) >> int(shift) & 63) & 1 for word in words[begin : begin + 8])


def bytes_between(data: Any, first: Any, low: Any, high: Any) -> np.uint64:
    """As `muonstream.bits.bytes_between`."""
    begin = int(first)
    return np.uint64(sum(1 << i for i in range(32) if int(low) <= int(data[begin + i]) <= int(high)))


def eight_bytes(data: Any, first: Any) -> np.uint64:
    """As `muonstream.bits.eight_bytes`."""
    begin = int(first)
    return np.uint64(int.from_bytes(data[begin : begin + 8].tobytes(), "little"))


STAND_INS: Final = (popcount, leading_zeros, trailing_zeros, any_of_eight, bytes_between, eight_bytes)


def pytest_load_initial_conftests() -> None:
    """Switch compilation off, before anything that is tested is imported."""
    os.environ["NUMBA_DISABLE_JIT"] = "1"
    from muonstream import bits

    for stand_in in STAND_INS:
        setattr(bits, stand_in.__name__, stand_in)


def pytest_configure(config: pytest.Config) -> None:
    """Let arithmetic wrap around, as it does in kernels."""
    for what in ("overflow encountered", "divide by zero", "invalid value"):
        config.addinivalue_line("filterwarnings", f"ignore:{what}:RuntimeWarning")


def pytest_collection_finish() -> None:
    """Few examples for each property, now that the tests' own profile is loaded."""
    own = settings.get_profile(settings.get_current_profile_name())
    settings.register_profile("interpreted", parent=own, max_examples=EXAMPLES)
    settings.load_profile("interpreted")
