"""Checks that the TensorFlow of the serving image has every operation of the graph.

A server that lacks an operation, or an attribute of one, cannot load the model. The files in `known/` list the operations of
each minor version of TensorFlow; `python -m tfcanary.tf.runtime.operation_list` writes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tfcanary.core.domain import Evidence
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.facts import Node
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, quote, warning

FOLDER = Path(__file__).parent / "known"
ANY = "*"
"""Stands in place of the attributes of an operation where the list does not name them."""


@dataclass(frozen=True, slots=True)
class OperationList:
    """The operations of one minor version of TensorFlow."""

    minor: str
    producer: int
    """The version of the graphs that this TensorFlow writes; it can read every graph up to this version."""
    operations: Mapping[str, tuple[str, ...]]
    """Attributes of each operation, with `!` after those without a default."""


def operation_list(minor: str = "") -> OperationList:
    """The operations of the TensorFlow with this minor version, of the newest where it is empty. Raises Refused where there is no list."""
    there = minors()
    if minor and minor not in there:
        raise Refused(f"validation.tensorflow {minor!r}: must be one of {', '.join(there)}")
    return _read(minor or there[-1])


def minors() -> tuple[str, ...]:
    """The minor versions of TensorFlow whose operations are listed, oldest first."""
    names = (file.name for file in FOLDER.iterdir() if file.name.startswith("tensorflow-"))
    versions = (name.removeprefix("tensorflow-").removesuffix(".txt") for name in names)
    return tuple(sorted(versions, key=lambda version: tuple(map(int, version.split(".")))))


def check_versions(case: Case) -> Evidence:
    """Check that the TensorFlow of the server can read graphs of the exporter's version."""
    server, facts = operation_list(case.plan.tensorflow), case.facts
    good = f"written for TensorFlow {server.minor} or an earlier one"
    figures = {"producer": float(facts.producer), "server": float(server.producer), "min_consumer": float(facts.min_consumer)}
    return evidence("versions", _versions(case, server), good, figures)


def _versions(case: Case, server: OperationList) -> Iterator[Problem]:
    facts = case.facts
    if facts.min_consumer > server.producer:
        yield failure(f"the graph needs a TensorFlow that reads version {facts.min_consumer}; {server.minor} reads {server.producer}")
    if server.producer in facts.bad_consumers:
        yield failure(f"the graph lists TensorFlow {server.minor} in its bad_consumers, so this TensorFlow refuses to load it")
    if facts.producer > server.producer:
        exporter = facts.tensorflow_version or f"with graphs of version {facts.producer}"
        yield warning(f"exported by TensorFlow {exporter}, which is newer than the server's {server.minor}")


def check_registry(case: Case) -> Evidence:
    """Check that every operation is one of the server's or of the plan's, with the attributes that the server expects."""
    minor = operation_list(case.plan.tensorflow).minor
    return evidence("registry", _problems(case, server_operations(case.plan), minor), f"TensorFlow {minor} has every operation")


def server_operations(plan: ValidationPlan) -> Mapping[str, tuple[str, ...]]:
    """The attributes of each operation of the serving image: TensorFlow's, those of TF Serving's image, and those of the plan."""
    server = operation_list(plan.tensorflow)
    return {**_read("serving").operations, **server.operations, **dict.fromkeys(plan.operations, (ANY,))}


def _problems(case: Case, operations: Mapping[str, tuple[str, ...]], minor: str) -> Iterator[Problem]:
    checked: set[tuple[str, tuple[str, ...]]] = set()
    for function, node in case.facts.all_nodes():
        if node.op in case.facts.functions or (node.op, node.attributes) in checked:
            continue
        checked.add((node.op, node.attributes))
        where = f"node {quote(node.name)}" + (f" in function {quote(function)}" if function else "")
        if mismatch := _mismatch(node, operations.get(node.op), minor):
            yield failure(f"operation {quote(node.op)} ({where}) {mismatch}")


def _mismatch(node: Node, attributes: tuple[str, ...] | None, minor: str) -> str:
    """Why a TensorFlow whose operation has these attributes cannot run the node; empty where it can."""
    if attributes is None:
        return f"is unknown to TensorFlow {minor}"
    if ANY in attributes:
        return ""
    names = {name.removesuffix("!") for name in attributes}
    if extra := sorted(name for name in node.attributes if name not in names and not name.startswith("_")):
        return f"has the attribute {quote(extra[0])}, which is unknown to TensorFlow {minor}"
    if missing := sorted(name for name in attributes if name.endswith("!") and name.removesuffix("!") not in node.attributes):
        return f"lacks the attribute {quote(missing[0].removesuffix('!'))}"
    return ""


@cache
def _read(name: str) -> OperationList:
    file = FOLDER / (f"{name}.txt" if name == "serving" else f"tensorflow-{name}.txt")
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    words = head.split()
    operations = {op: tuple(attributes) for op, *attributes in map(str.split, lines)}
    return OperationList(name, int(words[3]) if words[0] == "tensorflow" else 0, operations)
