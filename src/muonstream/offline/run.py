"""A counted run for Python programs: from files, a summary, or a snapshot."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from functools import cached_property
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack

from muonstream.archive.archive import Archive
from muonstream.archive.container import SUFFIX, read_header
from muonstream.archive.contents import Provenance, snapshot_of
from muonstream.archive.people import Comment, Flag, People, PeopleError
from muonstream.archive.quantities import Quantity, quantities
from muonstream.archive.report import Reported, report_html, write_report
from muonstream.counting.rates import RateSeries
from muonstream.detector.model import Detector
from muonstream.errors import MuonstreamError, shown
from muonstream.muons.events import MuonEvent
from muonstream.offline.counting import CountOptions, check_there, count_files
from muonstream.offline.elsewhere import PAGES, TOPICS, of_page, of_topic
from muonstream.offline.names import FileNames, detector_of, format_named, names_of, notice
from muonstream.run.account import Account
from muonstream.run.losses import losses, misread
from muonstream.run.monitor import Snapshot
from muonstream.run.snapshot_codec import MAGIC, SnapshotError, decode
from muonstream.run.summary import CountedRun, summary, summary_of_runs, total_of

if TYPE_CHECKING:
    import hist

ZIP_MAGIC: Final = b"PK\x03\x04"
BEGINNING_BYTES: Final = 64
"""Number of bytes that show whether a file may be a summary or a snapshot."""


class RunError(MuonstreamError):
    """A file without a run, or a run without the requested part: one line."""


class Reading(TypedDict, total=False):
    """Further options of `analyse`, with the meaning and default of those of `muonstream process`.

    format: its name, where the content should not decide; together: the files were written side by side;
    merge: the files are one run; run, run_number: its name and number; workers: threads that count;
    idle_seconds: data time after which a silent board is no longer waited for
    """

    format: str | None
    together: bool
    merge: bool
    run: str
    run_number: int | None
    workers: int
    idle_seconds: float


class Elsewhere(TypedDict, total=False):
    """Further options of `open` for what is not a file.

    token: of a page that asks for one; run: of several in a topic; properties: a file with how to log in to Kafka;
    timeout_s: seconds that an answer may take
    """

    token: str
    run: str
    properties: str | os.PathLike[str]
    timeout_s: float


class Run:
    """A run that was counted. `analyse` counts one from files, `open` reads one that was counted before.

    >>> import muonstream
    >>> muonstream.simulate_words(50_000, seed=7).astype("<u8").tofile("cosmics.dat")
    >>> run = muonstream.analyse("cosmics.dat")
    >>> run
    <Run 'cosmics': 50,000 words, 48,733 hits, 4 chambers>
    >>> run.account.words, run.account.balanced
    (50000, True)
    >>> run.verdicts is None
    True
    """

    def __init__(
        self,
        summary: dict[str, Any],
        *,
        snapshot: Snapshot | None = None,
        runs: Sequence[Run] = (),
        source: str = "",
        people: People | None = None,
    ) -> None:
        """Programs get theirs from `analyse` or `open`. source: the name of the file that holds the run."""
        self.summary = summary
        """All counts, as plain JSON types: what `muonstream process --summary` writes."""
        self.runs = tuple(runs)
        """The runs of which this one is the sum, each by itself; one alone is its own sum."""
        self._snapshot = snapshot
        self._source = source
        self._people = people or People()

    @property
    def name(self) -> str:
        """The name of the run."""
        return str(self.summary["run"])

    @cached_property
    def account(self) -> Account:
        """The words received, by what became of them: the parts add up to `words`."""
        return Account(**{name: n for name, n in self.summary["account"].items() if name != "balanced"})

    @property
    def detector(self) -> Detector:
        """The detector that the words were counted for. Raises RunError for a run from a summary."""
        return self._whole("a detector").detector

    @property
    def snapshot(self) -> Snapshot:
        """Everything at once, as the page gets it. Raises RunError for a run from a summary."""
        return self._whole("a snapshot")

    @property
    def rates(self) -> RateSeries:
        """Rates against data time, in Hz, as arrays. Raises RunError for a sum of runs, or one from a summary."""
        snapshot = self._whole("rates against time")
        if len(self.runs) > 1:
            raise RunError(f"rates: found a sum of {len(self.runs)} runs, expected one; they are in `runs`")
        return snapshot.rates

    @property
    def verdicts(self) -> dict[str, Any] | None:
        """Levels, alarms and checks, as in the summary; None where the words were not judged."""
        return self.summary.get("verdicts")

    @cached_property
    def hists(self) -> Mapping[str, hist.Hist[Any]]:
        """All histograms by name, as `hist.Hist`.

        Raises RunError for a run from a summary, and ImportError without the extra `hist`.
        """
        snapshot = self._whole("histograms")
        return snapshot.catalogue.hists(snapshot.total)

    @property
    def quantities(self) -> list[Quantity]:
        """The run's numbers with unit and error, as an archive keeps them. Raises RunError for a run from a summary."""
        return quantities(self._whole("quantities with errors"))

    @property
    def scalars(self) -> Mapping[str, Quantity]:
        """The same by name: `hit rate`, and for a part of the detector `hit rate of Chamber 2`."""
        return {f"{one.name} of {one.subject}" if one.subject else one.name: one for one in self.quantities}

    @property
    def muons(self) -> tuple[MuonEvent, ...]:
        """The newest muons, with their hits, segments and tracks. Raises RunError for a run from a summary.

        `muonstream.muons` gives all muons of files.
        """
        return self._whole("muons").muons

    @property
    def flags(self) -> tuple[Flag, ...]:
        """People's flags on which data may be used; only an archived run has any."""
        return self._people.flags

    @property
    def comments(self) -> tuple[Comment, ...]:
        """People's comments on the run; only an archived run has any."""
        return self._people.comments

    def archive(self, folder: str | os.PathLike[str], *, number: int = 0) -> Path:
        """Keep the run in an archive, a folder that is made if need be; gives its file.

        Raises ArchiveError or RunError.

        >>> import muonstream
        >>> muonstream.simulate_words(50_000, seed=7).astype("<u8").tofile("cosmics.dat")
        >>> path = muonstream.analyse("cosmics.dat").archive("archive")
        >>> muonstream.open(path).account.words
        50000
        >>> [row.name for row in muonstream.Archive("archive").rows()]
        ['cosmics']
        """
        snapshot = self._whole("what an archive keeps")
        provenance = Provenance.of(snapshot, command="muonstream in Python", engine="local", number=number)
        return Archive(Path(folder), make=True).save(snapshot, provenance)

    def report(self, path: str | os.PathLike[str], *, title: str = "") -> None:
        """Write the run's report as one HTML file, as `muonstream report` does. Raises RunError or ArchiveError."""
        snapshot = self._whole("what a report shows")
        text = report_html([Reported(snapshot, {}, snapshot.state, self._people)], title=title)
        write_report(Path(path), text)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the summary as JSON, for `open`. A file that exists is replaced. Raises RunError."""
        text = json.dumps(self.summary, indent=1, allow_nan=False)
        try:
            Path(path).write_text(f"{text}\n", encoding="utf-8")
        except OSError as error:
            raise RunError(f"{os.fspath(path)}: cannot be written: {error.strerror or error}") from None

    def _whole(self, what: str) -> Snapshot:
        if self._snapshot is None:
            raise RunError(f"{self._source}: found a summary, which does not hold {what}, expected a snapshot or words")
        return self._snapshot

    def __repr__(self) -> str:
        account = self.account
        chambers = len(self.summary["chambers"])
        return f"<Run {self.name!r}: {account.words:,} words, {account.hits:,} hits, {chambers} chambers>"

    def _repr_html_(self) -> str:
        """The account and each chamber's hits, for notebooks."""
        parts = {name: n for name, n in self.account.as_dict().items() if n or name in ("words", "hits")}
        live = self.summary["live_time_s"]
        rows = [f"<tr><td>{n:,}</td><td>{escape(name)}</td></tr>" for name, n in parts.items()]
        for number, chamber in self.summary["chambers"].items():
            rate = f", {chamber['hits'] / live:,.0f} Hz" if live > 0 else ""
            rows.append(f"<tr><td>{chamber['hits']:,}</td><td>hits in chamber {escape(str(number))}{rate}</td></tr>")
        lines = [f"{live:,.2f} s live"]
        if self.account.residual:
            lines.append(f"the account does not balance: {self.account.residual:,} words are missing")
        if self.verdicts is not None:
            lines.append(str(self.verdicts["headline"]))
        if faults := self.summary["faults"]:
            lines.append(f"{len(faults):,} remarks, the first: {faults[0]}")
        said = "".join(f"<div>{escape(line)}</div>" for line in lines)
        return f"<div><b>{escape(self.name or 'run')}</b><table>{''.join(rows)}</table>{said}</div>"


def analyse(
    files: FileNames,
    *,
    detector: Detector | str | os.PathLike[str] | None = None,
    reconstruct: bool = False,
    verdicts: bool = False,
    strict: bool = False,
    **options: Unpack[Reading],
) -> Run:
    """Count the words of files, as `muonstream process` does, and give the same numbers.

    files: a name or several, in the order they were taken; a name may be a URL that fsspec knows
    detector: a detector, its file, or the name of a bundled one; None is the default telescope
    reconstruct: look for segments, tracks and muons; verdicts: judge each 3 s of data
    strict: raise RunError when something was lost, left out or counted twice
    options: see `Reading`

    Several runs are told apart as `muonstream process` does: the result is their sum, and `runs` has each.

    Raises MuonstreamError with one line for what cannot be read, or was read as what it is not.

    >>> import muonstream
    >>> muonstream.simulate_words(50_000, seed=7).astype("<u8").tofile("cosmics.dat")
    >>> run = muonstream.analyse("cosmics.dat", reconstruct=True)
    >>> run.summary["muons"]["tracks"] > 0
    True
    >>> muonstream.analyse("cosmics.txt")
    Traceback (most recent call last):
    ...
    muonstream.formats.block.SourceError: cosmics.txt: no such file
    """
    names = names_of(files)
    for name in options:
        if name not in Reading.__annotations__:
            raise TypeError(f"analyse: found the option {name!r}, expected {', '.join(Reading.__annotations__)}")
    format = format_named(options.get("format"))
    others: dict[str, Any] = {name: value for name, value in options.items() if name != "format"}
    chosen = CountOptions(format_name=format, reconstruct=reconstruct, verdicts=verdicts, **others)
    check_there(names)
    counted: list[CountedRun] = []
    count_files(names, detector_of(detector), chosen, counted, say=notice)
    total = total_of([one.snapshot for one in counted])
    if line := misread(total) or (losses(total) if strict else ""):
        raise RunError(line)
    return run_of(counted)


def run_of(counted: Sequence[CountedRun]) -> Run:
    """Runs that were counted, as their sum, which has each of them."""
    made = summary_of_runs(counted)
    each = [Run(of_one, snapshot=one.snapshot) for of_one, one in zip(made["runs"], counted, strict=True)]
    return Run(made, snapshot=total_of([one.snapshot for one in counted]), runs=each)


def open_run(path: str | os.PathLike[str], **elsewhere: Unpack[Elsewhere]) -> Run:
    """A run that was counted before, or is counted elsewhere at this moment.

    path: the address of a live page (http:// or https://), which gives the run as it stands; a topic of snapshots
    (kafka://host:port/topic), which gives the newest; or a file: an archived run (.muonrun), JSON as `muonstream
    process --summary`, `Run.save` or the page's `/api/snapshot` give it, or a snapshot as the page's
    `/api/snapshot.musn` and Kafka's topic of snapshots have it

    A summary has the account, the counts of chambers and cells, and verdicts; a snapshot also has the detector, rates
    against time and all histograms.

    An archived run has all of that, with what people added. elsewhere: see `Elsewhere`.

    Raises RunError, ArchiveError, ElsewhereError or KafkaAccessError for what is none of these.

    >>> import muonstream
    >>> muonstream.simulate_words(50_000, seed=7).astype("<u8").tofile("cosmics.dat")
    >>> muonstream.analyse("cosmics.dat").save("cosmics.json")
    >>> run = muonstream.open("cosmics.json")
    >>> run.account.hits
    48733
    >>> run.hists
    Traceback (most recent call last):
    ...
    muonstream.offline.run.RunError: cosmics.json: found a summary, which does not hold histograms, ...
    """
    name = os.fspath(path)
    if name.startswith((*PAGES, TOPICS)):
        wait_s = elsewhere.get("timeout_s", 10.0)
        if name.startswith(TOPICS):
            login = elsewhere.get("properties")
            snapshot = of_topic(name, run=elsewhere.get("run", ""), properties=login, timeout_s=wait_s)
        else:
            snapshot = of_page(name, token=elsewhere.get("token", ""), timeout_s=wait_s)
        return Run(summary(snapshot), snapshot=snapshot, source=name.partition("?")[0])
    if elsewhere:
        raise TypeError(f"open: found {', '.join(elsewhere)}, expected them with an address alone")
    try:
        with open(name, "rb") as handle:
            data = handle.read(BEGINNING_BYTES)
            # a file of words may be large: no more of it is read than shows that it is one
            if data.startswith(MAGIC) or data.lstrip().startswith(b"{"):
                data += handle.read()
    except OSError as error:
        raise RunError(f"{name}: cannot be read: {error.strerror or error}") from None
    if data.startswith(ZIP_MAGIC) or name.endswith(SUFFIX):
        snapshot = snapshot_of(Path(name))
        try:
            people = People.of_plain(read_header(Path(name))[1])
        except PeopleError as error:
            raise RunError(f"{name}: {error}") from None
        return Run(summary(snapshot), snapshot=snapshot, source=name, people=people)
    if data.startswith(MAGIC):
        try:
            snapshot = decode(data)
        except SnapshotError as error:
            raise RunError(f"{name}: {error}") from None
        return Run(summary(snapshot), snapshot=snapshot, source=name)
    return _of_summary(data, name)


def _of_summary(data: bytes, name: str) -> Run:
    """The run of a summary's text. Raises RunError."""
    expected = "expected a summary or a snapshot; for words there is muonstream.analyse"
    if not data.lstrip().startswith(b"{"):
        raise RunError(f"{name}: found {shown(data[:12])} at its beginning, {expected}")
    try:
        made = json.loads(data)
    except ValueError as error:
        raise RunError(f"{name}: found JSON that is broken ({error}), {expected}") from None
    if fault := _fault(made):
        raise RunError(f"{name}: found JSON {fault}, {expected}")
    runs = made.get("runs", [])
    for i, one in enumerate(runs):
        if fault := _fault(one):
            raise RunError(f"{name}: runs[{i}]: found a summary {fault}, {expected}")
    return Run(made, runs=[Run(one, source=name) for one in runs], source=name)


_KINDS: Final[dict[str, type | tuple[type, ...]]] = {
    "run": str,
    "account": dict,
    "chambers": dict,
    "live_time_s": (int, float),
    "faults": list,
}


def _fault(made: Any) -> str:
    """What a summary lacks of what a run needs, "" for nothing."""
    for key, kind in _KINDS.items():
        if not isinstance(made.get(key) if isinstance(made, dict) else None, kind):
            return f"without {key}"
    if set(made["account"]) - {"balanced"} != set(Account().as_dict()):
        return "with another account"
    if not isinstance(made.get("runs", []), list):
        return "with other runs"
    if not all(isinstance(one, dict) and isinstance(one.get("hits"), int) for one in made["chambers"].values()):
        return "without the hits of a chamber"
    return ""
