"""Options about the page's address and access: what is wrong with them, what tokens they make."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from certificates import certificate
from typer.testing import CliRunner

from muonstream.cli.app import app
from muonstream.cli.options import PAGE_OPTIONS
from muonstream.dashboard.access.hosts import Origin, PublicUrl
from muonstream.dashboard.access.options import Access, AccessError, PageOptions
from muonstream.dashboard.access.tokens import SHORTEST, Token

__all__ = ["certificate"]  # a fixture

TOKEN = "a-token-that-lasts"
RUNNER = CliRunner()


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tokens of whoever runs the tests are not theirs."""
    for variable in ("MUONSTREAM_TOKEN", "MUONSTREAM_OPERATOR_TOKEN"):
        monkeypatch.delenv(variable, raising=False)


def secret(path: Path, text: str = TOKEN) -> Path:
    path.write_text(f"{text}\n", "utf-8")
    path.chmod(0o600)
    return path


def test_a_token_file_is_made_once_and_read_after_that(tmp_path: Path) -> None:
    path = tmp_path / "token"
    first = Access.of(PageOptions(token_file=path))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.token is not None
    assert path.read_text("ascii") == f"{first.token.text}\n"
    assert len(first.token.text) >= SHORTEST
    assert first.token.text not in repr(first)
    again = Access.of(PageOptions(token_file=path))
    assert again.token == first.token
    assert list(tmp_path.iterdir()) == [path]


def test_the_environment_has_a_token_unless_a_file_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("MUONSTREAM_TOKEN", TOKEN)
    monkeypatch.setenv("MUONSTREAM_OPERATOR_TOKEN", TOKEN + "2")
    access = Access.of(PageOptions())
    assert (access.token, access.operator_token) == (
        Token(TOKEN, "$MUONSTREAM_TOKEN"),
        Token(TOKEN + "2", "$MUONSTREAM_OPERATOR_TOKEN"),
    )
    named = Access.of(PageOptions(token_file=secret(tmp_path / "token", "another-token-here")))
    assert named.token is not None
    assert named.token.text == "another-token-here"


@pytest.mark.parametrize(
    ("options", "asked"),
    [
        (PageOptions(), False),
        (PageOptions(host="::1"), False),
        (PageOptions(host="0.0.0.0"), True),
        (PageOptions(public_url="https://lab.it/muon/"), True),
        (PageOptions(public_url="http://localhost/muon/"), False),
        (PageOptions(user_header="X-Remote-User"), True),
    ],
)
def test_a_token_is_made_up_where_others_reach_the_page(options: PageOptions, asked: bool) -> None:
    token = Access.of(options).token
    assert (token is not None) == asked
    assert token is None or token != Access.of(options).token


@pytest.mark.parametrize(
    ("prepare", "line"),
    [
        (lambda path: secret(path).chmod(0o640), "found mode 640, which others can read, expected 600: chmod 600 "),
        (lambda path: secret(path).chmod(0o604), "found mode 604, which others can read, expected 600: chmod 600 "),
        (lambda path: secret(path, "short"), "found a token of 5 characters, expected 12 to 200"),
        (lambda path: secret(path, ""), "found a token of 0 characters, expected 12 to 200"),
        (lambda path: secret(path, "x" * 201), "found a token of 201 characters, expected 12 to 200"),
        (lambda path: secret(path, "twelve or more"), "found a token with other characters than expected: "),
        (lambda path: secret(path, "one-token-here\nand-another"), "found a token with other characters than "),
        (lambda path: secret(path, "é" * 20), "found something other than ASCII, expected a token"),
        (os.mkfifo, "found something other than a file, expected a file with a token"),
        (os.mkdir, "cannot be read or made: Is a directory"),
    ],
)
def test_a_token_file_that_cannot_be_used_is_refused(
    tmp_path: Path, prepare: Callable[[Path], None], line: str
) -> None:
    path = tmp_path / "token"
    prepare(path)
    for option, options in (
        ("--token-file", PageOptions(token_file=path)),
        ("--operator-token-file", PageOptions(operator_token_file=path)),
    ):
        with pytest.raises(AccessError) as caught:
            Access.of(options)
        assert str(caught.value).startswith(f"{option}: {path}: {line}")
        assert TOKEN not in str(caught.value)


def test_a_token_file_whose_folder_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(AccessError, match=r"--token-file: .*none/token: cannot be read or made: No such file"):
        Access.of(PageOptions(token_file=tmp_path / "none" / "token"))


def test_an_empty_variable_is_no_token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MUONSTREAM_TOKEN", "")
    with pytest.raises(AccessError, match="MUONSTREAM_TOKEN: found a token of 0 characters, expected 12 to 200"):
        Access.of(PageOptions())


def test_whoever_acts_needs_another_token_than_whoever_sees(tmp_path: Path) -> None:
    one, other = secret(tmp_path / "one"), secret(tmp_path / "other")
    with pytest.raises(AccessError, match=r"--operator-token-file: found the token of .*one again, expected another"):
        Access.of(PageOptions(token_file=one, operator_token_file=other))


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (PageOptions(public_url="lab.it/muon/"), "--public-url: found 'lab.it/muon/', expected an address such as "),
        (PageOptions(public_url="ftp://lab.it/"), "--public-url: found 'ftp://lab.it/', expected "),
        (PageOptions(public_url="https://lab.it/a/../b"), "--public-url: found "),
        (PageOptions(public_url="https://lab.it//b"), "--public-url: found "),
        (PageOptions(public_url="https://lab.it/b?x=1"), "--public-url: found "),
        (PageOptions(public_url="https://me@lab.it/"), "--public-url: found "),
        (PageOptions(public_url="https://lab.it:x/"), "--public-url: found "),
        (PageOptions(public_url="https://"), "--public-url: found "),
        (PageOptions(allow_host=["lab.it", "lab.it:80"]), "--allow-host: found 'lab.it:80', expected a name such as "),
        (PageOptions(allow_host=["*"]), "--allow-host: found '*', expected "),
        (PageOptions(allow_frame=["https://wall/x"]), "--allow-frame: found 'https://wall/x', expected an origin "),
        (PageOptions(allow_frame=["*"]), "--allow-frame: found '*', expected "),
        (PageOptions(allow_frame=["https://a;script-src *"]), "--allow-frame: found "),
        (PageOptions(user_header="X Remote"), "--user-header: found 'X Remote', expected a header's name such as "),
        (PageOptions(user_header="Host"), "--user-header: found 'Host', expected "),
        (PageOptions(trusted_proxy=["10.0.0.1"]), "--trusted-proxy: found 10.0.0.1 without --user-header, expected "),
        (PageOptions(operator=["ann"]), "--operator: found ann without --user-header, expected with it only"),
        (PageOptions(user_header="X-U", trusted_proxy=["proxy"]), "--trusted-proxy: found 'proxy', expected an addr"),
        (PageOptions(user_header="X-U", trusted_proxy=["10.0.0.1/8"]), "--trusted-proxy: found '10.0.0.1/8', expect"),
        (PageOptions(user_header="X-U", operator=[""]), "--operator: found '', expected a user's name"),
        (PageOptions(tls_key=Path("k")), "--tls-key: found k without --tls-cert, expected both or neither"),
        (PageOptions(tls_cert=Path("c")), "--tls-cert: found c without --tls-key, expected both or neither"),
        (PageOptions(tls_cert=Path("/none"), tls_key=Path("k")), "--tls-cert: /none: cannot be read: No such file"),
    ],
)
def test_a_wrong_option_says_which_what_was_found_and_what_is_expected(
    tmp_path: Path, options: PageOptions, line: str
) -> None:
    token = tmp_path / "token"
    with pytest.raises(AccessError) as caught:
        Access.of(replace(options, token_file=token))
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)
    assert not token.exists()


def test_a_certificate_that_does_not_fit_is_refused(tmp_path: Path, certificate: tuple[Path, Path]) -> None:
    cert, key = certificate
    assert Access.of(PageOptions(tls_cert=cert, tls_key=key)).tls is not None
    with pytest.raises(AccessError, match=r"--tls-cert: .* with .*, expected a certificate and its key"):
        Access.of(PageOptions(tls_cert=cert, tls_key=cert))
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", other], check=True, capture_output=True)
    with pytest.raises(AccessError, match=r"--tls-cert: .* with .*other.pem: found .*, expected a certificate and its"):
        Access.of(PageOptions(tls_cert=cert, tls_key=other))
    locked = tmp_path / "locked.pem"
    subprocess.run(
        ["openssl", "pkcs8", "-topk8", "-in", key, "-out", locked, "-passout", "pass:secret"],
        check=True,
        capture_output=True,
    )
    with pytest.raises(AccessError, match=r"--tls-key: .*: found an encrypted key, expected one without a password"):
        Access.of(PageOptions(tls_cert=cert, tls_key=locked))
    text = secret(tmp_path / "text.pem")
    with pytest.raises(AccessError, match=r"--tls-key: .*: found no PEM in it, expected -----BEGIN"):
        Access.of(PageOptions(tls_cert=cert, tls_key=text))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://lab.it/muon/", "https://lab.it/muon/"),
        ("HTTPS://Lab.IT:443/muon", "https://lab.it/muon/"),
        ("http://lab.it:8080", "http://lab.it:8080/"),
        ("http://[::1]/a/b/", "http://[::1]/a/b/"),
    ],
)
def test_a_public_address_has_one_form(text: str, shown: str) -> None:
    assert str(PublicUrl.parse(text)) == shown


def test_an_origin_is_written_as_browsers_do() -> None:
    assert [str(Origin.parse(text)) for text in ("https://A.b:443", "http://a:443", "http://[::1]:80")] == [
        "https://a.b",
        "http://a:443",
        "http://[::1]",
    ]


@pytest.mark.parametrize(
    ("address", "believed"),
    [
        ("127.0.0.1", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("10.1.2.3", True),
        ("::ffff:10.1.2.3", True),
        ("fd00::5", True),
        ("10.2.0.1", False),
        ("192.168.0.1", False),
        ("testclient", False),
    ],
)
def test_users_are_believed_from_this_machine_and_from_named_proxies(address: str, believed: bool) -> None:
    options = PageOptions(user_header="X-Remote-User", trusted_proxy=["10.1.0.0/16", "fd00::/64"])
    assert Access.of(options).believes(address) == believed


@pytest.mark.parametrize("command", [["demo"], ["run", "sim:"], ["dashboard", "kafka://127.0.0.1:9/snapshots"]])
def test_commands_refuse_a_wrong_option_before_anything_starts(command: list[str]) -> None:
    found = RUNNER.invoke(app, [*command, "--allow-frame", "https://wall.it", "--allow-frame", "wall"])
    assert found.exit_code == 1
    assert found.stderr == (
        "muonstream: --allow-frame: found 'wall', expected an origin such as https://wall.lab.it, without a path\n"
    )


def test_options_of_a_page_that_is_not_served_are_refused() -> None:
    found = RUNNER.invoke(app, ["run", "sim:", "--no-page", "--tls-cert", "x"])
    assert (found.exit_code, found.stderr) == (
        1,
        "muonstream: --tls-cert: found --no-page, allowed with the page only\n",
    )


def test_the_command_line_has_the_options_that_the_page_knows() -> None:
    known = {name: getattr(PageOptions(), name) for name in PageOptions.__dataclass_fields__}
    assert {name: default or known[name] for name, (_, default) in PAGE_OPTIONS.items()} == known


@pytest.mark.parametrize(
    ("token", "operators", "needs"),
    [
        (Token(TOKEN), frozenset(), "the operators' token"),
        (None, frozenset({"ann"}), "a user whom --operator names"),
        (Token(TOKEN), frozenset({"ann"}), "the operators' token or a user whom --operator names"),
    ],
)
def test_whoever_may_not_act_is_told_what_it_needs(token: Token | None, operators: frozenset[str], needs: str) -> None:
    access = Access(operator_token=token, operators=operators)
    assert access.caller(None, "bob").why_not == f"You may see this page, but not act: this needs {needs}."
    assert access.caller(None, "ann").why_not == ("" if operators else access.refusal)
