"""The messages between a sender and a receiver of words: each comes back as it was, and nothing else is accepted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from muonstream.sources.word_protocol import (
    CREDIT_BYTES,
    FRAME_BYTES,
    HELLO_BYTES,
    MOST_FRAME_WORDS,
    WELCOME_BYTES,
    Credit,
    FrameHead,
    Hello,
    Kind,
    ProtocolError,
    Status,
    Welcome,
    is_token,
)

NUMBERS = st.integers(0, 1 << 62)
MESSAGES = st.one_of(
    st.builds(Hello, st.from_regex(r"[a-z0-9]{1,32}", fullmatch=True), st.integers(0, 256)),
    st.builds(Welcome, st.sampled_from(Status), NUMBERS, NUMBERS),
    st.builds(FrameHead, st.just(Kind.WORDS), st.integers(0, MOST_FRAME_WORDS), NUMBERS),
    st.builds(FrameHead, st.just(Kind.END), st.just(0), NUMBERS),
    st.builds(Credit, NUMBERS, NUMBERS, st.booleans()),
)
TYPES = {Hello: HELLO_BYTES, Welcome: WELCOME_BYTES, FrameHead: FRAME_BYTES, Credit: CREDIT_BYTES}


@given(MESSAGES)
def test_messages_come_back_as_they_were(message: Hello | Welcome | FrameHead | Credit) -> None:
    packed = message.pack()
    assert len(packed) == TYPES[type(message)]
    assert type(message).unpack(packed) == message


@given(st.sampled_from(list(TYPES)), st.data())
def test_other_bytes_are_refused_or_are_a_message_within_its_bounds(
    kind: type[Hello] | type[Welcome] | type[FrameHead] | type[Credit], data: st.DataObject
) -> None:
    head = data.draw(st.sampled_from([b"MUONWORD", b"MUWF\1\0\0\0", b"MUWC", b""]))
    packed = (head + data.draw(st.binary(min_size=TYPES[kind], max_size=TYPES[kind])))[: TYPES[kind]]
    try:
        message = kind.unpack(packed)
    except ProtocolError:
        return
    if isinstance(message, FrameHead):
        assert message.words <= MOST_FRAME_WORDS
    if isinstance(message, Hello):
        assert message.token_bytes <= 256
        assert message.name.isprintable()


def test_a_senders_name_is_short() -> None:
    with pytest.raises(ProtocolError, match="expected 1 to 32"):
        Hello("x" * 33, 0).pack()


def test_a_token_must_be_the_expected_one_where_one_is_expected() -> None:
    assert is_token(b"", b"")
    assert is_token(b"anything", b"")
    assert is_token(b"secret", b"secret")
    assert not is_token(b"", b"secret")
    assert not is_token(b"Secret", b"secret")
