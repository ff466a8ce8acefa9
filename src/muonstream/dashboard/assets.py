"""The assets of the page: our own files, and BokehJS out of the installed package."""

from __future__ import annotations

import gzip
import hashlib
from dataclasses import dataclass
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Final

from bokeh.settings import settings
from starlette.requests import Request
from starlette.responses import Response

TYPES: Final = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
}
BOKEH_BUNDLES: Final = ("bokeh.min.js",)


@dataclass(frozen=True, slots=True)
class Asset:
    """Bytes to serve, also compressed, with their type and the tag for browsers' caches."""

    plain: bytes
    compressed: bytes
    media_type: str
    tag: str

    @classmethod
    def of(cls, plain: bytes, media_type: str) -> Asset:
        """Compress and tag the bytes."""
        return cls(plain, gzip.compress(plain, 6), media_type, f'"{hashlib.sha256(plain).hexdigest()[:20]}"')

    def response(self, request: Request) -> Response:
        """The answer to a request for it: 304 when the browser has it already."""
        headers = {"ETag": self.tag, "Cache-Control": "no-cache", "Vary": "Accept-Encoding"}
        if request.headers.get("if-none-match") == self.tag:
            return Response(status_code=304, headers=headers)
        if "gzip" in request.headers.get("accept-encoding", ""):
            return Response(
                self.compressed, headers={**headers, "Content-Encoding": "gzip"}, media_type=self.media_type
            )
        return Response(self.plain, headers=headers, media_type=self.media_type)


@cache
def static_asset(name: str) -> Asset | None:
    """Our own file of this name, or None; names with a path are none."""
    folder = resources.files("muonstream.dashboard") / "static"
    for file in folder.iterdir():
        if file.name == name and file.is_file() and Path(name).suffix in TYPES:
            return Asset.of(file.read_bytes(), TYPES[Path(name).suffix])
    return None


@cache
def bokeh_asset(name: str) -> Asset | None:
    """BokehJS's bundle of this name, or None for those that the page does not use."""
    if name not in BOKEH_BUNDLES:
        return None
    return Asset.of((Path(settings.bokehjs_path()) / "js" / name).read_bytes(), TYPES[".js"])
