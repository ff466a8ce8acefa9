from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.run.account import Account

KINDS = [one.name for one in fields(Account) if one.name != "words"]


def test_nothing_is_balanced() -> None:
    assert Account().balanced
    assert Account().residual == 0


@given(st.dictionaries(st.sampled_from(KINDS), st.integers(0, 2**62)), st.integers(-5, 5))
def test_the_residual_is_what_is_nowhere(kinds: dict[str, int], lost: int) -> None:
    account = Account(words=sum(kinds.values()) + lost, **kinds)
    assert account.residual == lost
    assert account.balanced == (lost == 0)
    assert account.as_dict() == {"words": sum(kinds.values()) + lost, **dict.fromkeys(KINDS, 0), **kinds}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_counts(kind: str) -> None:
    assert Account(words=3, **{kind: 3}).balanced
    assert Account(**{kind: 3}).residual == -3


def test_the_words_come_first() -> None:
    assert next(iter(Account().as_dict())) == "words"
    assert len(Account().as_dict()) == 10
