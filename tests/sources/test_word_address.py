"""Addresses for words: errors are explained, and other machines may not send without a token."""

from __future__ import annotations

from pathlib import Path

import pytest

from muonstream.formats.block import SourceError
from muonstream.sources.word_address import WordAddress


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("tcp://", "expected tcp://host:port"),
        ("tcp://host", "expected tcp://host:port"),
        ("tcp://host:99999", "Port out of range"),
        ("tcp://host:9900/path", "expected tcp://host:port"),
        ("tcp://user@host:9900", "expected tcp://host:port"),
        ("tcp://host:9900?sender=3", "found 'sender', expected senders, name, token_file"),
        ("tcp://host:9900?senders=0", "senders: found '0', expected 1 to 64"),
        ("tcp://host:9900?senders=many", "senders: found 'many'"),
        ("tcp://host:9900?token_file=/nowhere/token", "No such file"),
    ],
)
def test_wrong_addresses_are_explained_in_one_line(address: str, said: str) -> None:
    with pytest.raises(SourceError, match=said) as raised:
        WordAddress.of(address)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.1.2.3", "[::1]", "localhost"])
def test_on_this_machine_no_token_is_required(host: str) -> None:
    WordAddress.of(f"tcp://{host}:9900").check_listening()


@pytest.mark.parametrize("host", ["0.0.0.0", "[::]", "192.168.1.5", "daq.example"])
def test_beyond_this_machine_a_token_is_required(host: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="a token is required"):
        WordAddress.of(f"tcp://{host}:9900").check_listening()
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    token.chmod(0o600)
    address = WordAddress.of(f"tcp://{host}:9900?token_file={token}")
    address.check_listening()
    assert address.token == b"0123456789abcdef"
    assert "0123456789abcdef" not in address.name


@pytest.mark.parametrize(
    ("text", "mode", "said"), [("short", 0o600, "found 5 characters"), ("x" * 16, 0o644, "mode 644")]
)
def test_a_token_is_long_and_of_its_owner_alone(text: str, mode: int, said: str, tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text(text)
    token.chmod(mode)
    with pytest.raises(SourceError, match=said):
        WordAddress.of(f"tcp://host:9900?token_file={token}")
