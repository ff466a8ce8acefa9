from __future__ import annotations

import importlib
import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Iterator, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any, Union, get_args, get_origin, get_type_hints

import click
import pytest
import yaml
from kafka_fixtures import TopicMaker
from typer.main import get_command

import muonstream
from muonstream.cli.app import app
from muonstream.spark.session import SECRET_VARIABLE
from tools.kafka_broker import Broker
from tools.spark_cluster import CLOSED

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
MANIFESTS = sorted((DEPLOY / "kubernetes").glob("*.yaml"))

Resource = dict[str, Any]


def resources(path: Path) -> list[Resource]:
    return list(yaml.safe_load_all(path.read_text("utf-8")))


EVERYTHING = [resource for path in MANIFESTS for resource in resources(path)]


class NoMixin:
    """What the models of lightkube would get from lightkube itself, which is not needed to look at them."""


def model_of(resource: Resource) -> Any:
    """The class of a resource, generated from Kubernetes' own definition."""
    schema: Any = types.ModuleType("lightkube.core.schema")
    schema.DictMixin, schema.dataclass, schema.field = NoMixin, dataclass, field
    sys.modules.setdefault("lightkube.core.schema", schema)
    sys.modules.setdefault("lightkube.core", types.ModuleType("lightkube.core"))
    group, _, version = resource["apiVersion"].rpartition("/")
    module = importlib.import_module(f"lightkube.models.{group or 'core'}_{version}")
    return getattr(module, resource["kind"])


def faults(value: Any, kind: Any, where: str) -> list[str]:
    """What Kubernetes' definition has against a value: unknown, missing and mistyped keys."""
    if kind is Any:
        return []
    if get_origin(kind) in (Union, types.UnionType):
        tried = [faults(value, one, where) for one in get_args(kind)]
        return min(tried, key=len)
    if get_origin(kind) is list:
        if not isinstance(value, list):
            return [f"{where}: found {value!r}, expected a list"]
        [inner] = get_args(kind)
        return [fault for i, one in enumerate(value) for fault in faults(one, inner, f"{where}[{i}]")]
    if get_origin(kind) is dict:
        if not isinstance(value, dict):
            return [f"{where}: found {value!r}, expected a mapping"]
        _, inner = get_args(kind)
        return [fault for key, one in value.items() for fault in faults(one, inner, f"{where}.{key}")]
    if is_dataclass(kind):
        if not isinstance(value, dict):
            return [f"{where}: found {value!r}, expected a mapping"]
        assert isinstance(kind, type)
        hints = get_type_hints(kind)
        needed = {one.name for one in fields(kind) if one.default is MISSING and one.default_factory is MISSING}
        found = [f"{where}: misses {key}" for key in sorted(needed - set(value))]
        for key, one in value.items():
            found += faults(one, hints[key], f"{where}.{key}") if key in hints else [f"{where}: does not know {key}"]
        return found
    right = isinstance(value, kind) and not (kind is int and isinstance(value, bool))
    return [] if right else [f"{where}: found {value!r}, expected {kind.__name__}"]


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.name)
def test_manifests_have_what_kubernetes_knows(path: Path) -> None:
    assert resources(path)
    for resource in resources(path):
        assert faults(resource, model_of(resource), f"{resource['kind']} {resource['metadata']['name']}") == []


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (lambda pod: pod.update(container=[]), "does not know container"),
        (lambda pod: pod.pop("containers"), "misses containers"),
        (lambda pod: pod["containers"][0].pop("name"), "misses name"),
        (lambda pod: pod["containers"][0].update(args="--port"), "expected a list"),
        (lambda pod: pod.update(terminationGracePeriodSeconds="60"), "found '60', expected int"),
        (lambda pod: pod.update(enableServiceLinks=0), "found 0, expected bool"),
    ],
)
def test_wrong_manifests_are_found_out(change: Any, fault: str) -> None:
    [resource] = resources(DEPLOY / "kubernetes" / "dashboard.yaml")
    change(resource["spec"]["template"]["spec"])
    [found] = faults(resource, model_of(resource), "dashboard")
    assert fault in found


def pods() -> Iterator[Resource]:
    for resource in EVERYTHING:
        if resource["kind"] in {"Deployment", "StatefulSet"}:
            yield resource


def containers(pod: Mapping[str, Any]) -> list[Resource]:
    return [*pod.get("initContainers", []), *pod["containers"]]


def test_manifests_fit_together() -> None:
    names = {(resource["kind"], resource["metadata"]["name"]) for resource in EVERYTHING}
    assert len(names) == len(EVERYTHING)
    for resource in pods():
        spec, template = resource["spec"], resource["spec"]["template"]
        assert spec["selector"]["matchLabels"].items() <= template["metadata"]["labels"].items()
        volumes = {volume["name"] for volume in template["spec"].get("volumes", [])}
        volumes |= {claim["metadata"]["name"] for claim in spec.get("volumeClaimTemplates", [])}
        for volume in template["spec"].get("volumes", []):
            if "persistentVolumeClaim" in volume:
                assert ("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]) in names
        for container in containers(template["spec"]):
            assert {mount["name"] for mount in container.get("volumeMounts", [])} <= volumes
            for text in [*container.get("command", []), *container.get("args", [])]:
                for host in re.findall(r"(?:kafka|spark)://([\w-]+):", text):
                    assert ("Service", host) in names
    labels = [resource["spec"]["template"]["metadata"]["labels"] for resource in pods()]
    for resource in EVERYTHING:
        if resource["kind"] == "Service":
            assert any(resource["spec"]["selector"].items() <= one.items() for one in labels)


def test_images_are_of_the_versions_that_are_tested() -> None:
    services = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]
    ours = f"muonstream:{muonstream.__version__}"
    assert services["muonstream"]["image"] == ours
    images = {one["image"] for resource in pods() for one in containers(resource["spec"]["template"]["spec"])}
    assert images == {services["kafka"]["image"], ours, f"{ours}-spark"}
    assert f"-t {ours} " in (DEPLOY / "Dockerfile").read_text("utf-8")
    assert f"-t {ours}-spark " in (DEPLOY / "kubernetes" / "Dockerfile").read_text("utf-8")


def test_what_needs_spark_has_the_image_with_spark() -> None:
    for resource in pods():
        for container in containers(resource["spec"]["template"]["spec"]):
            words = [*container.get("command", []), *container.get("args", [])]
            spark = words[:1] == ["spark-class"] or "--engine=spark" in words
            assert container["image"].endswith("-spark") or not spark


def test_no_pod_has_a_right_that_it_does_not_need() -> None:
    for resource in pods():
        pod = resource["spec"]["template"]["spec"]
        assert pod["automountServiceAccountToken"] is False
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        for container in containers(pod):
            box = container["securityContext"]
            assert (box["allowPrivilegeEscalation"], box["capabilities"]) == (False, {"drop": ["ALL"]})
            mounts = {mount["mountPath"] for mount in container["volumeMounts"]}
            if container["image"].startswith("muonstream:"):
                assert box["readOnlyRootFilesystem"] is True
                assert "/tmp" in mounts


def test_the_service_of_the_compose_file_has_no_right_that_it_does_not_need() -> None:
    service = yaml.safe_load((DEPLOY / "compose.yaml").read_text("utf-8"))["services"]["muonstream"]
    assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    volumes = dict(volume.split(":") for volume in service["volumes"])
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    assert sorted(volumes.values()) == sorted(json.loads(re.findall(r"^VOLUME (.*)$", text, re.MULTILINE)[0]))
    options: Any = get_command(app)
    assert options.commands["run"].make_context("run", service["command"][1:]).params


def test_commands_in_manifests_are_understood() -> None:
    understood = 0
    for resource in pods():
        for container in containers(resource["spec"]["template"]["spec"]):
            words: list[str] = [*container.get("command", ["other"]), *container.get("args", [])]
            if words.pop(0) != "muonstream":
                continue
            command: Any = get_command(app)
            while isinstance(command, click.Group) or hasattr(command, "commands"):
                command = command.commands[words.pop(0)]
            assert command.make_context(command.name, words).params
            understood += 1
    assert understood == 3


def test_the_image_is_made_of_what_is_there() -> None:
    import pyspark

    text = (DEPLOY / "kubernetes" / "Dockerfile").read_text("utf-8")
    for path in re.findall(r"^COPY (tools/\S+)", text, re.MULTILINE):
        assert (ROOT / path).is_file()
    [scala] = re.findall(r"SPARK_SCALA_VERSION=([\d.]+)", text)
    assert list((Path(pyspark.__file__).parent / "jars").glob(f"spark-core_{scala}-{pyspark.__version__}.jar"))


def environment(container: Mapping[str, Any]) -> dict[str, str]:
    """Its variables: their values, and of secrets NAME/KEY."""
    found = {}
    for one in container.get("env", []):
        secret = one.get("valueFrom", {}).get("secretKeyRef")
        found[one["name"]] = f"{secret['name']}/{secret['key']}" if secret else one.get("value", "")
    return found


def test_only_who_knows_the_secret_has_spark_run_something() -> None:
    secret = "muonstream-spark/secret"
    closed = [f"-D{key}={value}" for key, value in CLOSED.items()]
    daemons = engines = 0
    for resource in pods():
        for container in containers(resource["spec"]["template"]["spec"]):
            words = [*container.get("command", []), *container.get("args", [])]
            if words[:1] == ["spark-class"]:
                daemons += 1
                assert environment(container)["SPARK_DAEMON_JAVA_OPTS"].split() == closed
                assert environment(container)["_SPARK_AUTH_SECRET"] == secret
            elif "--engine=spark" in words:
                engines += 1
                assert environment(container)[SECRET_VARIABLE] == secret
    assert (daemons, engines) == (2, 1)
    assert "secret generic muonstream-spark --from-literal=secret=" in (DEPLOY / "README.md").read_text("utf-8")


def test_the_image_has_nothing_that_git_leaves_out() -> None:
    left_out = (ROOT / ".dockerignore").read_text("utf-8").split()
    ignored = [line.strip("/") for line in (ROOT / ".gitignore").read_text("utf-8").splitlines()]
    assert ".git" in left_out
    missing = [name for name in ignored if not any(fnmatch(name, entry.removeprefix("**/")) for entry in left_out)]
    assert missing == []


def test_spark_submit_takes_our_command_line(
    spark_available: Path, broker: Broker, new_topic: TopicMaker, tmp_path: Path
) -> None:
    import pyspark

    script = DEPLOY / "spark-submit.sh"
    assert f"spark-sql-kafka-0-10_2.13:{pyspark.__version__}" in script.read_text("utf-8")
    address = f"kafka://{broker.address}/{new_topic(2)}"
    replay = ["replay", "sim:words=20000,rate_hz=20000", "--to", address, "--fast"]
    subprocess.run([sys.executable, "-m", "muonstream", *replay], check=True, capture_output=True)
    summary = tmp_path / "summary.json"
    jars = ",".join(map(str, spark_available.glob("*.jar")))
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYSPARK_PYTHON": sys.executable,
        "SPARK_SUBMIT_OPTIONS": f"--jars {jars} --conf spark.driver.host=127.0.0.1",
    }
    done = subprocess.run(
        [str(script), "local[2]", address, "--no-page", "--no-stay", "--summary", str(summary)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert json.loads(summary.read_text("utf-8"))["words"] == 20_000


def test_pyspark_is_of_the_version_whose_connector_is_there() -> None:
    """A newer pyspark may be published before its connector is."""
    [wanted] = re.findall(r'"pyspark==([\d.]+)"', (ROOT / "pyproject.toml").read_text("utf-8"))
    pom = (ROOT / "tools" / "spark" / "pom.xml").read_text("utf-8")
    assert f"<artifactId>spark-sql-kafka-0-10_2.13</artifactId>\n      <version>{wanted}</version>" in pom
    assert f"pyspark=={wanted}\n" in (ROOT / "constraints.txt").read_text("utf-8")


def test_spark_submit_says_how_it_is_used() -> None:
    done = subprocess.run([DEPLOY / "spark-submit.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stderr.startswith("usage: ")
