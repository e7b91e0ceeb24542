"""Checks that the graph is consistent: every name that a node refers to exists, and there is no cycle.

TensorFlow finds most of these faults when it loads the model, and some of them only at the first request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.facts import Node, SavedModelFacts
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, quote
from tfcanary.look.savedmodel.reach import callees, node_of


def check_graph(case: Case) -> Evidence:
    """Check that every input, every function and every operation of the server's start exists, and that there is no cycle."""
    facts = case.facts
    count = len(facts.nodes) + sum(len(one.nodes) for one in facts.functions.values())
    figures = {"nodes": float(count), "functions": float(len(facts.functions))}
    return evidence("graph", _problems(facts), f"every name in {count:,} nodes exists, and there is no cycle", figures)


def _problems(facts: SavedModelFacts) -> Iterator[Problem]:
    yield from _unresolved(facts)
    yield from _saver(facts)
    for name in facts.starters:
        if node_of(name) not in facts.nodes:
            yield failure(f"the server's start runs {quote(name)}, which is not in the graph")
    for where, nodes, _ in _graphs(facts):
        dependencies = {name: _dependencies(node) for name, node in nodes.items()}
        if cyclic := _find_cycle(dependencies):
            yield failure(f"node {quote(cyclic)}{where} depends on itself: the graph has a cycle")
    calls = {name: [one for node in body.nodes.values() for one in callees(facts, node)] for name, body in facts.functions.items()}
    if cyclic := _find_cycle(calls):
        yield failure(f"function {quote(cyclic)} calls itself without end: the calls of functions have a cycle")


def _unresolved(facts: SavedModelFacts) -> Iterator[Problem]:
    for where, nodes, arguments in _graphs(facts):
        for node in nodes.values():
            if missing := next((name for name in node.inputs if node_of(name) not in nodes and node_of(name) not in arguments), None):
                yield failure(f"node {quote(node.name)}{where} takes {quote(missing)}, which does not exist")
            if missing := next((name for name in node.functions if name not in facts.functions), None):
                yield failure(f"node {quote(node.name)}{where} calls the function {quote(missing)}, which does not exist")
    for name, one in facts.functions.items():
        for tensor in one.returns.values():
            if node_of(tensor) not in one.nodes and node_of(tensor) not in one.arguments:
                yield failure(f"function {quote(name)} returns {quote(tensor)}, which does not exist")


def _graphs(facts: SavedModelFacts) -> Iterator[tuple[str, Mapping[str, Node], Collection[str]]]:
    """Each graph: its place as part of a sentence, its nodes, and the names of its arguments."""
    yield "", facts.nodes, ()
    for name, one in facts.functions.items():
        yield f" in function {quote(name)}", one.nodes, one.arguments


def _saver(facts: SavedModelFacts) -> Iterator[Problem]:
    """Problems of the saver's names; a model without variables is never restored, so its saver is not checked."""
    filename, _, restore = facts.saver
    if not facts.variables:
        return
    for what, name in (("to restore its weights", restore), ("to name its checkpoint", filename)):
        if node_of(name) not in facts.nodes:
            yield failure(f"the graph names {quote(name)} {what}, which does not exist")


def _dependencies(node: Node) -> list[str]:
    """The nodes that must run before this one; a loop of TensorFlow 1 goes back through NextIteration, so that has none."""
    return [] if node.op in ("NextIteration", "RefNextIteration") else [node_of(name) for name in node.inputs]


def _find_cycle(dependencies: Mapping[str, Collection[str]]) -> str | None:
    """The name of one node that depends on a cycle; None where there is no cycle (Kahn's topological sort)."""
    open_counts = {name: sum(other in dependencies for other in others) for name, others in dependencies.items()}
    dependents: dict[str, list[str]] = {}
    for name, others in dependencies.items():
        for other in others:
            if other in dependencies:
                dependents.setdefault(other, []).append(name)
    ready = [name for name, count in open_counts.items() if not count]
    while ready:
        for name in dependents.get(ready.pop(), ()):
            open_counts[name] -= 1
            if not open_counts[name]:
                ready.append(name)
    return next((name for name, count in open_counts.items() if count), None)
