"""A session of Spark: its settings, its Java and the connector to Kafka, each checked before it is used."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

from muonstream.errors import MuonstreamError
from muonstream.spark.package import package_zip

MISSING: Final = "--engine spark needs the extra: pip install '.[spark]'"
PACKAGES: Final = ("pyspark", "pyarrow", "pandas")
JAVA_OLDEST: Final = 17
CONNECTOR: Final = "spark-sql-kafka-0-10_2.13"
OF_PYSPARK: Final = (
    "org.scala-lang:*",
    "org.scala-lang.modules:*",
    "org.apache.hadoop:*",
    "org.apache.spark:spark-tags_2.13",
    "org.slf4j:*",
    "org.xerial.snappy:*",
    "com.github.luben:*",
    "at.yawk.lz4:*",
    "org.lz4:*",
    "com.google.code.findbugs:*",
)
"""Dependencies of the connector that pyspark already has among its jars, and that are not fetched again."""
JARS_VARIABLE: Final = "MUONSTREAM_SPARK_JARS"
"""Names a folder with the connector's jars, for machines that cannot fetch them."""
SECRET_VARIABLE: Final = "MUONSTREAM_SPARK_SECRET"
"""The variable with the secret of a standalone cluster: on a command line every user of the machine could read it."""
SECRET: Final = "spark.authenticate.secret"
END_TIMEOUT_S: Final = 20.0
LOG4J: Final = Path(__file__).with_name("log4j2.xml")
COLLECTOR: Final = "-XX:+UseParallelGC"
"""Java's default collector takes longer than the tasks themselves with messages that have headers."""
YOUNG: Final[Mapping[str, str]] = {"driver": "-Xmn1300m", "executor": "-Xmn650m"}
"""Messages live for one micro-batch: most of the memory, 2 GiB and Spark's default 1 GiB, is for the young."""
QUICK_COMPILER: Final = "-XX:TieredStopAtLevel=1"
"""With large messages Java does little but copy, which its second compiler makes no faster; compiling takes half a core
for a minute."""
TELLING: Final = r"unresolved dependency|download failed|Exception in thread| ERROR "
QUIET: Final[Mapping[str, str]] = {
    "spark.ui.enabled": "false",
    "spark.ui.showConsoleProgress": "false",
    # where it is on, every user of this machine can see it, but not act on it
    "spark.ui.killEnabled": "false",
    "spark.python.worker.faulthandler.enabled": "false",
    "spark.sql.adaptive.enabled": "false",
    "spark.driver.memory": "2g",
    "spark.sql.shuffle.partitions": "2",
    # with a limit in bytes, the size is computed again for each message: in lists that takes as long as all before it
    "spark.sql.execution.arrow.maxBytesPerBatch": str((1 << 31) - 1),
    "spark.sql.streaming.metricsEnabled": "false",
    # tasks of a micro-batch are few and short: waiting for data locality costs more than it gains
    "spark.locality.wait": "0s",
    "spark.cleaner.periodicGC.interval": "5min",
}


class SparkError(MuonstreamError):
    """An error of Spark or of the options to run it: one line."""


@dataclass(frozen=True, slots=True)
class SparkSettings:
    """Where Spark runs and how.

    master: as Spark has it: local[2], spark://host:port, yarn, k8s://...
    conf: Spark's own settings, which go before ours; log: file for what Java and the workers say
    large_messages: whether messages are frames
    """

    master: str = "local[*]"
    conf: Mapping[str, str] = field(default_factory=dict)
    log: Path | None = None
    large_messages: bool = False

    @property
    def is_local(self) -> bool:
        """Whether the executors are in the driver's own process."""
        return self.master.startswith("local") and not self.master.startswith("local-cluster")


def read_conf(pairs: Sequence[str]) -> dict[str, str]:
    """Settings as KEY=VALUE. Raises SparkError."""
    found: dict[str, str] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not re.fullmatch(r"spark\.[A-Za-z0-9._-]+", key):
            raise SparkError(f"--spark-conf: found {pair!r}, expected KEY=VALUE with a key that begins with spark.")
        found[key] = value
    return found


def spark_version() -> str:
    """The version of pyspark. Raises SparkError without the extra."""
    for package in PACKAGES:
        try:
            version(package)
        except PackageNotFoundError:
            raise SparkError(MISSING) from None
    return version("pyspark")


def check_java() -> str:
    """The Java that Spark will use: its version. Raises SparkError if it is missing or too old."""
    home = os.environ.get("JAVA_HOME")
    found = shutil.which(str(Path(home) / "bin" / "java") if home else "java")
    where = f"JAVA_HOME is {home}" if home else "on the PATH"
    wanted = f"pyspark {spark_version()} needs Java {JAVA_OLDEST} or newer"
    if found is None:
        raise SparkError(f"{wanted}; found none ({where})")
    answer = subprocess.run([found, "-version"], capture_output=True, text=True, check=False)
    told = re.search(r'version "(?:1\.)?(\d+)', answer.stderr)
    if told is None or int(told.group(1)) < JAVA_OLDEST:
        raise SparkError(f"{wanted}; found {'one without a version' if told is None else told.group(1)} ({found})")
    return told.group(1)


def connector(conf: Mapping[str, str]) -> dict[str, str]:
    """The settings with which Spark finds the connector to Kafka.

    It is looked for in the settings given, in the folder that `JARS_VARIABLE` names, among pyspark's own jars; else
    Spark fetches it, and keeps it for the next time. Raises SparkError for one of another version than pyspark's.
    """
    ours = spark_version()
    if "spark.jars" in conf or "spark.jars.packages" in conf:
        named = ",".join(conf.get(key, "") for key in ("spark.jars", "spark.jars.packages"))
        _check_connector(re.findall(rf"{CONNECTOR}[:-](\d[\w.]*?)(?:\.jar)?(?:,|$)", named), ours, "--spark-conf")
        if CONNECTOR in named:
            return {}
    folder = os.environ.get(JARS_VARIABLE)
    if folder:
        jars = sorted(Path(folder).glob("*.jar"))
        there = [jar.stem.removeprefix(f"{CONNECTOR}-") for jar in jars if jar.name.startswith(CONNECTOR)]
        if not there:
            raise SparkError(f"{JARS_VARIABLE}: found no {CONNECTOR}-{ours}.jar in {folder}")
        _check_connector(there, ours, f"{JARS_VARIABLE}={folder}")
        return {"spark.jars": ",".join([*filter(None, [conf.get("spark.jars")]), *map(str, jars)])}
    if list(_spark_home().glob(f"jars/{CONNECTOR}-*.jar")):
        return {}
    packages = [*filter(None, [conf.get("spark.jars.packages")]), f"org.apache.spark:{CONNECTOR}:{ours}"]
    excludes = [*filter(None, [conf.get("spark.jars.excludes")]), *OF_PYSPARK]
    return {"spark.jars.packages": ",".join(packages), "spark.jars.excludes": ",".join(excludes)}


def _check_connector(found: Sequence[str], ours: str, where: str) -> None:
    for one in found:
        if one != ours:
            raise SparkError(f"{where}: found {CONNECTOR} {one}, expected {ours}, which is pyspark's version")


def _spark_home() -> Path:
    home = os.environ.get("SPARK_HOME")
    if home:
        return Path(home)
    import pyspark

    return Path(pyspark.__file__).parent


def made_conf(settings: SparkSettings, folder: Path) -> dict[str, str]:
    """All settings of Spark; folder: for the files that executors need. Raises SparkError."""
    conf = {"spark.app.name": "muonstream", **QUIET, **connector(settings.conf)}
    quick = [QUICK_COMPILER] if settings.large_messages else []
    for who, young in YOUNG.items():
        own = [] if f"spark.{who}.memory" in settings.conf else [young]
        conf[f"spark.{who}.extraJavaOptions"] = " ".join([COLLECTOR, *own, *quick])
    conf["spark.driver.extraJavaOptions"] += f" -Dlog4j2.configurationFile={LOG4J} -XX:-UsePerfData"
    conf |= _authentication(settings)
    if settings.is_local:
        conf |= {"spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1"}
    else:
        conf["spark.submit.pyFiles"] = str(package_zip(folder))
    given = dict(settings.conf)
    java = ("spark.driver.extraJavaOptions", "spark.executor.extraJavaOptions")
    for key, comma in (*((key, " ") for key in java), ("spark.submit.pyFiles", ",")):
        if key in given and key in conf:
            given[key] = f"{conf[key]}{comma}{given[key]}"
    for key in ("spark.jars", "spark.jars.packages", "spark.jars.excludes"):
        if key in conf:
            given.pop(key, None)  # in ours already
    return {"spark.master": settings.master, **conf, **given}


def _authentication(settings: SparkSettings) -> dict[str, str]:
    """Settings with which the driver's ports refuse connections without the secret.

    Within one machine the secret is Spark's own, or made here. A standalone cluster has its own secret, if any; YARN
    and Kubernetes have their own rules.
    """
    secret = os.environ.get(SECRET_VARIABLE, "")
    if settings.master.startswith("local"):
        return {"spark.authenticate": "true", SECRET: secret or secrets.token_hex(32)}
    return {"spark.authenticate": "true", SECRET: secret} if secret else {}


def _listen_address(conf: Mapping[str, str]) -> dict[str, str]:
    """The variable that keeps Spark's own page, if it is on, on loopback; none where Spark needs it for the driver."""
    if "SPARK_LOCAL_IP" in os.environ or "spark.driver.host" not in conf:
        return {}
    return {"SPARK_LOCAL_IP": "127.0.0.1"}


def _workers_python(settings: SparkSettings) -> str:
    """The interpreter of the executors: ours, unless another is named or they run in containers of their own."""
    named = settings.conf.get("spark.pyspark.python") or os.environ.get("PYSPARK_PYTHON")
    if named:
        return named
    return "python3" if settings.master.startswith(("k8s://", "yarn")) else sys.executable


@contextmanager
def _environment(**values: str) -> Iterator[None]:
    """Variables of the environment while the context lasts."""
    before = {name: os.environ.get(name) for name in values}
    os.environ.update(values)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value


@contextmanager
def _own_signals() -> Iterator[None]:
    """Handlers of signals are as before afterwards: pyspark puts its own there."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)


@contextmanager
def spark_session(settings: SparkSettings) -> Iterator[Any]:
    """A SparkSession while the context lasts. Raises SparkError when none is available."""
    spark_version()
    check_java()
    with tempfile.TemporaryDirectory(prefix="muonstream-spark-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        log = settings.log or folder / "spark.log"
        conf = made_conf(settings, folder)
        from pyspark import SparkConf, SparkContext, java_gateway
        from pyspark.sql import SparkSession

        launch: Any = java_gateway.launch_gateway

        begin = log.stat().st_size if log.exists() else 0
        with (
            _own_signals(),
            _environment(
                PYSPARK_PYTHON=_workers_python(settings),
                PYSPARK_DRIVER_PYTHON=sys.executable,
                **_listen_address(conf),
            ),
        ):
            gateway = None
            try:
                with log.open("ab") as stream:
                    made = SparkConf(loadDefaults=False).setAll(list(conf.items()))
                    # Java's settings are visible on its command line, so the secret is passed later by the gateway
                    public = [(key, value) for key, value in conf.items() if key != SECRET]
                    first = SparkConf(loadDefaults=False).setAll(public)
                    gateway = launch(first, {"stdout": stream, "stderr": stream, "start_new_session": True})
                    context = SparkContext(gateway=gateway, conf=made)
                session = SparkSession(context)
            except Exception as error:
                reason = _reason(error, log, begin)
                if gateway is not None:
                    _end(None, gateway)
                raise SparkError(reason) from None
        try:
            yield session
        finally:
            _end(context, gateway)


def _end(context: Any, gateway: Any) -> None:
    """Stop Spark and its Java process."""
    from pyspark import SparkContext

    process = gateway.proc
    with contextlib.suppress(Exception):  # Java may have ended before
        if context is not None:
            context.stop()
    with contextlib.suppress(Exception):
        gateway.shutdown()
    SparkContext._gateway = SparkContext._jvm = SparkContext._active_spark_context = None
    if process is not None:
        process.stdin.close()
        try:
            process.wait(END_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _reason(error: Exception, log: Path, begin: int) -> str:
    """Why there is no session, in one line: from Java's log, else from the error."""
    text = "JAVA_GATEWAY_EXITED"
    with contextlib.suppress(Exception):  # a Java error has no text once Java has ended
        text = str(error).strip()
    said = log.read_bytes()[begin:].decode("utf-8", "replace").splitlines()
    telling = [line for line in said if re.search(TELLING, line)]
    if telling:
        text = re.sub(r"^\S+ \S+ ERROR \w+: ", "", telling[0])
    elif "JAVA_GATEWAY_EXITED" in text:
        # Java's last message, such as on an unknown option
        text = next((line for line in said if line.startswith("Error: ")), (said or [text])[-1])
    return f"Spark does not start: {first_line(text).removeprefix('Error: ')}; see {log}"


def first_line(text: str) -> str:
    """The most telling line of a Spark error: the innermost Python exception, else the first Java one."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    python = [line for line in lines if re.match(r"[\w.]*(Error|Exception): ", line)]
    java = [re.sub(r"^.*?(\w+(Exception|Error)): ", r"\1: ", line) for line in lines if "Exception: " in line]
    best = (python or java[-1:] or lines or ["no reason given"])[-1]
    return " ".join(best.split())[:400]
