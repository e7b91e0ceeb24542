"""Whether the TensorFlow of the serving image knows what the graph is made of.

A server that lacks an operation, or an attribute of one, cannot load the model. The lists beside this module say what each
minor version of TensorFlow has; `python -m tfcanary.tf.runtime.operation_list` makes them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tfcanary.core.domain import Evidence
from tfcanary.core.errors import Refused
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.facts import Node
from tfcanary.look.savedmodel.findings import Problem, evidence, fails, shown, warns

FOLDER = Path(__file__).parent / "known"
ANY = "*"
"""In place of attributes: the list does not name them."""


@dataclass(frozen=True, slots=True)
class Known:
    """What one TensorFlow has."""

    minor: str
    producer: int
    """The version of graphs that it writes; it reads those up to it for certain."""
    operations: Mapping[str, tuple[str, ...]]
    """Attributes by operation, `!` after those without a default."""


def known(minor: str = "") -> Known:
    """The list of this minor version, the newest where none is named; raises Refused where there is no such list."""
    there = minors()
    if minor and minor not in there:
        raise Refused(f"validation.tensorflow {minor!r}: known are {', '.join(there)}")
    return _read(minor or there[-1])


def minors() -> tuple[str, ...]:
    """The minor versions of TensorFlow whose lists are there, oldest first."""
    names = (file.name for file in FOLDER.iterdir() if file.name.startswith("tensorflow-"))
    found = (name.removeprefix("tensorflow-").removesuffix(".txt") for name in names)
    return tuple(sorted(found, key=lambda name: tuple(map(int, name.split(".")))))


def check_versions(case: Case) -> Evidence:
    """The exporter's TensorFlow is not newer than the server's."""
    server, facts = known(case.plan.tensorflow), case.facts
    good = f"written for TensorFlow {server.minor} or an earlier one"
    figures = {"producer": float(facts.producer), "server": float(server.producer), "min_consumer": float(facts.min_consumer)}
    return evidence("versions", _versions(case, server), good, figures)


def _versions(case: Case, server: Known) -> Iterator[Problem]:
    facts = case.facts
    if facts.min_consumer > server.producer:
        yield fails(f"the graph wants a TensorFlow that reads version {facts.min_consumer}; {server.minor} reads {server.producer}")
    if server.producer in facts.bad_consumers:
        yield fails(f"the graph names TensorFlow {server.minor} among its bad_consumers: it refuses to be loaded by it")
    if facts.producer > server.producer:
        exporter = facts.tensorflow_version or f"with graphs of version {facts.producer}"
        yield warns(f"exported by TensorFlow {exporter}, which is newer than the server's {server.minor}")


def check_registry(case: Case) -> Evidence:
    """Every operation is one of the server's, or declared in the plan, and has the attributes that the server expects."""
    server = known(case.plan.tensorflow)
    operations = {**_read("serving").operations, **server.operations, **dict.fromkeys(case.plan.operations, (ANY,))}
    return evidence("registry", _unknown(case, operations, server.minor), f"TensorFlow {server.minor} knows every operation")


def _unknown(case: Case, operations: Mapping[str, tuple[str, ...]], minor: str) -> Iterator[Problem]:
    judged: dict[tuple[str, tuple[str, ...]], str] = {}
    for function, node in case.facts.all_nodes():
        if node.op in case.facts.functions or (node.op, node.attributes) in judged:
            continue
        where = f"node {shown(node.name)}" + (f" in function {shown(function)}" if function else "")
        judged[node.op, node.attributes] = wrong = _wrong(node, operations.get(node.op), minor)
        if wrong:
            yield fails(f"operation {shown(node.op)} ({where}) {wrong}")


def _wrong(node: Node, has: tuple[str, ...] | None, minor: str) -> str:
    if has is None:
        return f"is unknown to TensorFlow {minor}"
    if ANY in has:
        return ""
    names = {name.removesuffix("!") for name in has}
    if extra := sorted(name for name in node.attributes if name not in names and not name.startswith("_")):
        return f"has the attribute {shown(extra[0])}, which TensorFlow {minor} does not know"
    if missing := sorted(name for name in has if name.endswith("!") and name.removesuffix("!") not in node.attributes):
        return f"lacks the attribute {shown(missing[0].removesuffix('!'))}"
    return ""


@cache
def _read(name: str) -> Known:
    file = FOLDER / (f"{name}.txt" if name == "serving" else f"tensorflow-{name}.txt")
    head, *lines = file.read_text(encoding="utf-8").splitlines()
    words = head.split()
    operations = {op: tuple(attributes) for op, *attributes in map(str.split, lines)}
    return Known(name, int(words[3]) if words[0] == "tensorflow" else 0, operations)
