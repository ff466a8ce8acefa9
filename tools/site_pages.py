"""Hooks of MkDocs: pages from files outside docs/, links between them, and the reference of `import muonstream`."""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page

ROOT: Final = Path(__file__).resolve().parents[1]
PAGES: Final = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "deploy/README.md": "deploy.md",
}
"""Documents outside docs/, and their pages on the site."""
LINK: Final = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\[\]]*\])*)\]\((?![a-z]+:)([^)#\s]*)(#[^)\s]*)?\)")
FACE: Final = (
    "analyse",
    "open",
    "Run",
    "Archive",
    "read_words",
    "WordReader",
    "hits",
    "segments",
    "tracks",
    "muons",
    "Table",
    "simulate_words",
    "Detector",
    "MuonstreamError",
)


def reference() -> str:
    """The page with the reference of every public name."""
    from muonstream import _PLACES

    lines = ["# Reference", "", "What `import muonstream` has; [From Python](python.md) shows how it is used."]
    for name in FACE:
        module, _, what = _PLACES[name].partition(":")
        lines += ["", f"::: muonstream.{module}.{what}", "    options:", f"      heading: muonstream.{name}"]
        lines += ["      members: [load, bundled, default]"] if name == "Detector" else []
    return "\n".join(lines) + "\n"


def page_of(name: str) -> str | None:
    """The page or picture of the site that a file of the project is, None if it is not on the site."""
    return PAGES.get(name) or (name.removeprefix("docs/") if name.startswith("docs/") else None)


def with_links(text: str, source: str) -> str:
    """A document's text with its links as the site has them; source: its name within the project.

    A link to a file that is not on the site becomes plain text.
    """
    here = page_of(source)
    assert here is not None

    def link(found: re.Match[str]) -> str:
        picture, label, target, anchor = found[1], found[2], found[3], found[4] or ""
        if not target:
            return found[0]
        there = page_of(posixpath.normpath(posixpath.join(posixpath.dirname(source), target)))
        if there is None:
            return label
        return f"{picture}[{label}]({posixpath.relpath(there, posixpath.dirname(here) or '.')}{anchor})"

    return LINK.sub(link, text)


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are not in docs/."""
    from mkdocs.structure.files import File

    for name, page in PAGES.items():
        files.append(File.generated(config, page, content=(ROOT / name).read_text("utf-8")))
    files.append(File.generated(config, "reference.md", content=reference()))
    return files


def on_page_markdown(markdown: str, page: Page, **_: object) -> str:
    """A page's text with links that lead somewhere on the site."""
    name = next((name for name, of in PAGES.items() if of == page.file.src_uri), f"docs/{page.file.src_uri}")
    return with_links(markdown, name)
