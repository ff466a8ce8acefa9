"""JSROOT, which draws ROOT's objects in a browser or with Node.js: fetched from npm once, for a test."""

from __future__ import annotations

import json
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final

from tools.machine import NODE_HINT, find_node

VERSION: Final = "7.11.2"
HOME: Final = Path(__file__).resolve().parents[1] / ".jsroot"

# The statistics box of each object of standard input, as JSROOT draws it, with more digits than it usually has.
_DRAW: Final = """
import { parse, makeSVG, gStyle } from "jsroot";
import { readFileSync } from "fs";
gStyle.fStatFormat = "16.12g";
const boxes = [];
for (const one of JSON.parse(readFileSync(0))) {
  const svg = await makeSVG({ object: parse(JSON.stringify(one)), width: 900, height: 600 });
  const texts = [...svg.matchAll(/<text[^>]*>([^<]*)/g)].map(found => found[1]);
  const box = {};
  texts.forEach((text, i) => { if (/^(Entries|Mean|Std Dev)/.test(text)) box[text] = Number(texts[i + 1]); });
  boxes.push(box);
}
console.log(JSON.stringify(boxes));
"""

# Of a file of ROOT: the statistics box of each histogram that is named, entries and sums of the columns of each tree.
_READ: Final = """
import { openFile, makeSVG, gStyle, TSelector, treeProcess } from "jsroot";
import { readFileSync } from "fs";
gStyle.fStatFormat = "16.12g";
const { path, histograms, columns } = JSON.parse(readFileSync(0));
const content = readFileSync(path);
const file = await openFile(content.buffer.slice(content.byteOffset, content.byteOffset + content.byteLength));
const found = { boxes: {}, entries: {}, sums: {} };
for (const name of histograms) {
  const svg = await makeSVG({ object: await file.readObject(name), width: 900, height: 600 });
  const texts = [...svg.matchAll(/<text[^>]*>([^<]*)/g)].map(text => text[1]);
  const box = (found.boxes[name] = {});
  texts.forEach((text, i) => { if (/^(Entries|Mean|Std Dev)/.test(text)) box[text] = Number(texts[i + 1]); });
}
for (const [name, column] of Object.entries(columns)) {
  const tree = await file.readObject(name);
  found.entries[name] = Number(tree.fEntries);
  const selector = new TSelector();
  selector.addBranch(column, "value");
  found.sums[name] = 0;
  selector.Process = function () { found.sums[name] += Number(this.tgtobj.value); };
  await treeProcess(tree, selector);
}
console.log(JSON.stringify(found));
"""


class JsrootError(Exception):
    """JSROOT is not available; the message says why."""


def fetched() -> Path:
    """The folder with JSROOT's modules, fetched the first time. Raises JsrootError."""
    folder = HOME / f"jsroot-{VERSION}"
    if folder.is_dir():
        return folder
    npm = shutil.which("npm")
    if npm is None or find_node() is None:
        raise JsrootError(f"needs Node.js and npm: {NODE_HINT}")
    HOME.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=HOME, prefix="fetching-") as temporary:
        place = Path(temporary) / "jsroot"
        place.mkdir()
        command = [
            npm,
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--omit=optional",
            f"jsroot@{VERSION}",
        ]
        done = subprocess.run(command, cwd=place, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise JsrootError(f"npm could not fetch JSROOT: {(done.stderr.splitlines() or ['no reason given'])[0]}")
        try:
            place.rename(folder)
        except OSError:  # another process was quicker
            if not folder.is_dir():
                raise
    return folder


def statistics_boxes(objects: list[dict[str, Any]]) -> list[dict[str, float]]:
    """What JSROOT writes into the statistics box of each object: Entries, Mean, Std Dev, ... Raises JsrootError."""
    boxes: list[dict[str, float]] = _run("draw.mjs", _DRAW, objects)
    return boxes


def file_content(path: Path, histograms: list[str], columns: dict[str, str]) -> dict[str, dict[str, Any]]:
    """What JSROOT reads in a file of ROOT. Raises JsrootError.

    histograms: by name; boxes: their statistics boxes, as above
    columns: a column of each tree that is read; entries: of each tree; sums: of that column
    """
    given = {"path": str(path.resolve()), "histograms": histograms, "columns": columns}
    found: dict[str, dict[str, Any]] = _run("read.mjs", _READ, given)
    return found


def _run(name: str, program: str, given: object) -> Any:
    folder, node = fetched(), find_node()
    if node is None:
        raise JsrootError(f"needs Node.js: {NODE_HINT}")
    (folder / name).write_text(program, encoding="utf-8")
    done = subprocess.run(
        [str(node), name], cwd=folder, input=json.dumps(given), capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise JsrootError(f"JSROOT failed in {name}: {done.stderr.strip()[:500]}")
    return json.loads(done.stdout.splitlines()[-1])
