"""The site of documents: links between pages of different folders, docstrings as Markdown."""

from __future__ import annotations

import pytest

import muonstream
from tools.site_pages import FACE, reference, with_links


@pytest.mark.parametrize(
    ("source", "text", "made"),
    [
        ("README.md", "[How](docs/architecture.md#the-account)", "[How](architecture.md#the-account)"),
        ("README.md", "![page](docs/pictures/page.png)", "![page](pictures/page.png)"),
        ("README.md", "[deploy](deploy/README.md), [law](LICENSE)", "[deploy](deploy.md), law"),
        ("docs/page.md", "[rules](../deploy/README.md#prometheus)", "[rules](deploy.md#prometheus)"),
        ("docs/page.md", "[below](#muons), [there](https://a.b/c.md)", "[below](#muons), [there](https://a.b/c.md)"),
        ("docs/decisions/0002.md", "[when](../architecture.md#when)", "[when](../architecture.md#when)"),
        ("docs/python.md", "[Contributing](../CONTRIBUTING.md)", "[Contributing](contributing.md)"),
    ],
)
def test_links_lead_to_pages_of_the_site(source: str, text: str, made: str) -> None:
    assert with_links(text, source) == made


def test_every_public_name_is_in_the_reference() -> None:
    assert {*FACE, "__version__"} == set(muonstream.__all__)
    assert reference().count("\n::: muonstream.") == len(FACE)


def test_docstrings_become_lists_and_code() -> None:
    pytest.importorskip("griffe", reason="needs the extra docs")
    from tools.site_docstrings import as_markdown

    docstring = "Do it.\n\na, b: numbers\nc: more\n of it\nRaises no error.\n\n>>> 1\n1\n\nEnd."
    lines = ["Do it.", "", "- `a, b`: numbers", "- `c`: more", " of it", "", "Raises no error.", "", "", "```python"]
    assert as_markdown(docstring).splitlines() == [*lines, ">>> 1", "1", "```", "", "", "End."]
    assert as_markdown("Two:\n\n>>> 1\n1").endswith("```python\n>>> 1\n1\n```")
