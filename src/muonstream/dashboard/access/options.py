"""Options of access: who may see the page and act on it, and under which addresses; checked before all else."""

from __future__ import annotations

import ipaddress
import re
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, TypeVar

from muonstream.dashboard.access.hosts import Origin, PublicUrl, is_loopback, own_hosts, split_host
from muonstream.dashboard.access.tokens import (
    Token,
    TokenError,
    made_up,
    token_of_environment,
    token_of_file,
)
from muonstream.errors import MuonstreamError

TOKEN_VARIABLE: Final = "MUONSTREAM_TOKEN"
OPERATOR_VARIABLE: Final = "MUONSTREAM_OPERATOR_TOKEN"
LONGEST_USER: Final = 100
NOT_A_USER: Final = frozenset(
    {
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "forwarded",
        "host",
        "origin",
        "upgrade",
    }
)
"""Headers with another meaning, which cannot name a user."""
Network = ipaddress.IPv4Network | ipaddress.IPv6Network
_Made = TypeVar("_Made")


class AccessError(MuonstreamError):
    """An error in an option on the page's address or access, in one line."""


@dataclass(frozen=True, slots=True)
class PageOptions:
    """The options on the page's address and access, as typed.

    port: 0 for a free one; operator: users, by the user header, who may act
    """

    host: str = "127.0.0.1"
    port: int = 8765
    token_file: Path | None = None
    operator_token_file: Path | None = None
    public_url: str = ""
    allow_host: Sequence[str] = ()
    allow_frame: Sequence[str] = ()
    user_header: str = ""
    trusted_proxy: Sequence[str] = ()
    operator: Sequence[str] = ()
    tls_cert: Path | None = None
    tls_key: Path | None = None


@dataclass(frozen=True, slots=True)
class Caller:
    """The sender of a request: the user named by a trusted proxy, or ""; whether it may act, or why not."""

    user: str = ""
    may_act: bool = True
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Access:
    """Who may see the page and act on it.

    bound_to: the address that is served; token: what viewers need, None when all may see it; operator_token: what those
    need who act, None when viewers may; hosts: further names of ours; frames: sites that may show the page in a frame;
    user_header: in which trusted proxies (loopback among them) name the user, "" for none, in lower case; operators:
    users who may act
    """

    bound_to: str = "127.0.0.1"
    token: Token | None = None
    operator_token: Token | None = None
    public: PublicUrl | None = None
    hosts: frozenset[str] = frozenset()
    frames: tuple[Origin, ...] = ()
    user_header: str = ""
    proxies: tuple[Network, ...] = ()
    operators: frozenset[str] = frozenset()
    tls: ssl.SSLContext | None = None

    @classmethod
    def of(cls, options: PageOptions) -> Access:
        """The access that options ask for. Raises AccessError, which says which of them is wrong.

        A token file that does not exist is made, after all else is checked.
        """
        public = None
        if options.public_url:
            public = _parsed(
                "--public-url", options.public_url, PublicUrl.parse, "an address such as https://lab.it/muon/"
            )
        hosts = [
            _parsed("--allow-host", name, _host_name, "a name such as lab.it, without a port")
            for name in options.allow_host
        ]
        frames = [
            _parsed("--allow-frame", text, Origin.parse, "an origin such as https://wall.lab.it, without a path")
            for text in options.allow_frame
        ]
        proxies = [
            _parsed(
                "--trusted-proxy", text, ipaddress.ip_network, "an address or network such as 10.0.0.5 or 10.0.0.0/24"
            )
            for text in options.trusted_proxy
        ]
        if options.user_header:
            _parsed("--user-header", options.user_header, _user_header, "a header's name such as X-Remote-User")
        for option, found in (("--trusted-proxy", options.trusted_proxy), ("--operator", options.operator)):
            if found and not options.user_header:
                raise AccessError(f"{option}: found {found[0]} without --user-header, expected with it only")
        access = cls(
            bound_to=options.host,
            public=public,
            hosts=frozenset(hosts),
            frames=tuple(frames),
            user_header=options.user_header.lower(),
            proxies=tuple(proxies),
            operators=frozenset(
                _parsed("--operator", name, checked_user, "a user's name") for name in options.operator
            ),
            tls=_tls(options.tls_cert, options.tls_key),
        )
        try:
            return access._with_tokens(options)
        except TokenError as error:
            raise AccessError(str(error)) from None

    def _with_tokens(self, options: PageOptions) -> Access:
        """Read the tokens of files or the environment; else create one if other machines can see the page."""
        token = _named_token("--token-file", options.token_file, TOKEN_VARIABLE)
        operator_token = _named_token("--operator-token-file", options.operator_token_file, OPERATOR_VARIABLE)
        if operator_token is not None and token is not None and operator_token.text == token.text:
            raise AccessError(f"--operator-token-file: found the token of {token.place} again, expected another one")
        if token is None and self.seen_from_elsewhere:
            token = Token(made_up())
        return replace(self, token=token, operator_token=operator_token)

    @property
    def seen_from_elsewhere(self) -> bool:
        """Whether other machines can reach the page, directly or through a proxy."""
        through_proxy = self.public is not None and not is_loopback(self.public.origin.host)
        return not is_loopback(self.bound_to) or through_proxy or bool(self.user_header)

    @property
    def names(self) -> frozenset[str]:
        """Names, in lower case, by which the page may be called, besides addresses."""
        public = () if self.public is None else (self.public.origin.host,)
        return own_hosts(self.bound_to) | self.hosts | frozenset(public)

    @property
    def apart(self) -> bool:
        """Whether acting requires more than seeing."""
        return self.operator_token is not None or bool(self.operators)

    @property
    def refusal(self) -> str:
        """What viewers need in order to act, in one sentence."""
        needs = ["the operators' token"] if self.operator_token is not None else []
        needs += ["a user whom --operator names"] if self.operators else []
        return f"You may see this page, but not act: this needs {' or '.join(needs)}."

    def believes(self, address: str) -> bool:
        """Whether the user header from this address is trusted: loopback, and the named proxies."""
        try:
            ip = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped is not None:
            ip = ip.ipv4_mapped
        return ip.is_loopback or any(ip in network for network in self.proxies)

    def caller(self, token: Token | None, user: str) -> Caller:
        """The sender with this token, or this user named by a trusted proxy."""
        operator = self.operator_token is not None and token is self.operator_token
        may_act = not self.apart or operator or user in self.operators
        return Caller(user, may_act, "" if may_act else self.refusal)


def checked_user(text: str) -> str:
    """A valid user's name. Raises ValueError."""
    if not 0 < len(text) <= LONGEST_USER or not text.isprintable() or text != text.strip():
        raise ValueError(f"no user: {text!r}")
    return text


def _parsed(option: str, text: str, parse: Callable[[str], _Made], expected: str) -> _Made:
    try:
        return parse(text)
    except ValueError:
        raise AccessError(f"{option}: found {text!r}, expected {expected}") from None


def _host_name(text: str) -> str:
    origin = Origin.parse(f"http://{text}")
    if split_host(text)[1] is not None:
        raise ValueError(f"a port: {text!r}")
    return origin.host


def _user_header(text: str) -> str:
    if re.fullmatch(r"[A-Za-z][A-Za-z0-9-]{0,63}", text) is None or text.lower() in NOT_A_USER:
        raise ValueError(f"no header: {text!r}")
    return text


def _named_token(option: str, path: Path | None, variable: str) -> Token | None:
    return token_of_environment(variable) if path is None else token_of_file(path, option)


def _tls(cert: Path | None, key: Path | None) -> ssl.SSLContext | None:
    """The TLS context of a certificate (followed by its chain) and its key. Raises AccessError."""
    if cert is None:
        if key is not None:
            raise AccessError(f"--tls-key: found {key} without --tls-cert, expected both or neither")
        return None
    if key is None:
        raise AccessError(f"--tls-cert: found {cert} without --tls-key, expected both or neither")
    for option, path in (("--tls-cert", cert), ("--tls-key", key)):
        try:
            text = path.read_bytes()
        except OSError as error:
            raise AccessError(f"{option}: {path}: cannot be read: {error.strerror or error}") from None
        if b"-----BEGIN " not in text:
            raise AccessError(f"{option}: {path}: found no PEM in it, expected -----BEGIN … lines")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

    def no_password() -> str:
        raise AccessError(f"--tls-key: {key}: found an encrypted key, expected one without a password")

    try:
        context.load_cert_chain(cert, key, no_password)
    except (ssl.SSLError, OSError) as error:
        reason = getattr(error, "reason", None) or "not a certificate and its key"
        what = str(reason).replace("_", " ").lower()
        raise AccessError(f"--tls-cert: {cert} with {key}: found {what}, expected a certificate and its key") from None
    return context
