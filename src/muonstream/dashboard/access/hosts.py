"""Names and addresses of hosts: which are loopback, which are local, and parsing of Host headers and web addresses."""

from __future__ import annotations

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

LOOPBACK_NAMES: Final = ("localhost", "127.0.0.1", "::1")
PORTS: Final = {"http": 80, "https": 443}
_HOST: Final = re.compile(r"[A-Za-z0-9._-]+|[0-9A-Fa-f:.]+")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)*/?")


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server bound to this host."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def is_address(host: str) -> bool:
    """Whether it is an IP address, which no foreign name server can point elsewhere."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def own_hosts(bound_to: str) -> frozenset[str]:
    """Names, in lower case, by which a server bound to this host may be called, besides addresses."""
    bound_to = bound_to.lower()
    if is_loopback(bound_to):
        return frozenset({*LOOPBACK_NAMES, bound_to})
    return frozenset({*LOOPBACK_NAMES, bound_to, socket.gethostname().lower(), socket.getfqdn().lower()})


def split_host(value: str) -> tuple[str, int | None]:
    """Name (lower case, IPv6 without brackets) and port of a Host header. Raises ValueError for anything else."""
    parts = urlsplit(f"//{value}")
    if parts.netloc != value or "@" in value or not parts.hostname or any(c.isspace() for c in value):
        raise ValueError(f"no host: {value!r}")
    return parts.hostname.rstrip("."), parts.port


@dataclass(frozen=True, slots=True)
class Origin:
    """Scheme (http or https), host (lower case, IPv6 without brackets) and port of a web address."""

    scheme: str
    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Origin:
        """From http://host or https://host, with a port or without. Raises ValueError for anything else."""
        parts = urlsplit(text)
        if parts.scheme not in PORTS or parts.path or parts.query or parts.fragment or text.endswith(("?", "#")):
            raise ValueError(f"no origin: {text!r}")
        host, port = split_host(parts.netloc)
        if _HOST.fullmatch(host) is None or port == 0:
            raise ValueError(f"no origin: {text!r}")
        return cls(parts.scheme, host, PORTS[parts.scheme] if port is None else port)

    def __str__(self) -> str:
        """As browsers write it: without the scheme's own port."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == PORTS[self.scheme] else f":{self.port}")


@dataclass(frozen=True, slots=True)
class PublicUrl:
    """The address under which viewers reach the page through a proxy; the prefix begins and ends with a slash."""

    origin: Origin
    prefix: str = "/"

    @classmethod
    def parse(cls, text: str) -> PublicUrl:
        """From an address such as https://lab.it/muon/. Raises ValueError for anything else."""
        scheme, separator, rest = text.partition("://")
        host, slash, path = rest.partition("/")
        prefix = slash + path
        if not separator or _PREFIX.fullmatch(prefix) is None:
            raise ValueError(f"no public address: {text!r}")
        return cls(Origin.parse(f"{scheme.lower()}://{host}"), prefix if prefix.endswith("/") else f"{prefix}/")

    def __str__(self) -> str:
        return f"{self.origin}{self.prefix}"
