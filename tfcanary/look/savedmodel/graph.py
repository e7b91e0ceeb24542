"""Whether the graph hangs together: what a node names exists, and nothing waits for itself.

TensorFlow finds most of this when it loads the model, and some of it only at the first request.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.facts import Node, SavedModelFacts
from tfcanary.look.savedmodel.findings import Problem, evidence, fails, shown
from tfcanary.look.savedmodel.reach import called_by, node_of


def check_graph(case: Case) -> Evidence:
    """Every input, function, and operation that a server starts with exists; no node and no function needs itself."""
    facts = case.facts
    count = len(facts.nodes) + sum(len(one.nodes) for one in facts.functions.values())
    figures = {"nodes": float(count), "functions": float(len(facts.functions))}
    return evidence("graph", _problems(facts), f"{count:,} nodes hang together", figures)


def _problems(facts: SavedModelFacts) -> Iterator[Problem]:
    yield from _unresolved(facts)
    yield from _saver(facts)
    for name in facts.starters:
        if node_of(name) not in facts.nodes:
            yield fails(f"the server is to start with {shown(name)}, which is not in the graph")
    for where, nodes, _ in _graphs(facts):
        waits = {name: _waits_for(node) for name, node in nodes.items()}
        if circle := _in_a_circle(waits):
            yield fails(f"node {shown(circle)}{where} waits for itself: the graph has a circle")
    if circle := _in_a_circle({name: _calls(facts, one.nodes.values()) for name, one in facts.functions.items()}):
        yield fails(f"function {shown(circle)} calls itself: a circle that never ends")


def _unresolved(facts: SavedModelFacts) -> Iterator[Problem]:
    for where, nodes, arguments in _graphs(facts):
        for node in nodes.values():
            if missing := next((name for name in node.inputs if node_of(name) not in nodes and node_of(name) not in arguments), None):
                yield fails(f"node {shown(node.name)}{where} takes {shown(missing)}, which is not there")
            if gone := next((name for name in node.functions if name not in facts.functions), None):
                yield fails(f"node {shown(node.name)}{where} calls the function {shown(gone)}, which is not there")
    for name, one in facts.functions.items():
        for tensor in one.returns.values():
            if node_of(tensor) not in one.nodes and node_of(tensor) not in one.arguments:
                yield fails(f"function {shown(name)} returns {shown(tensor)}, which is not there")


def _graphs(facts: SavedModelFacts) -> Iterator[tuple[str, Mapping[str, Node], Collection[str]]]:
    """Where it is, its nodes, and the names of its arguments."""
    yield "", facts.nodes, ()
    for name, one in facts.functions.items():
        yield f" in function {shown(name)}", one.nodes, one.arguments


def _saver(facts: SavedModelFacts) -> Iterator[Problem]:
    """Only a model with variables is restored at all."""
    filename, _, restore = facts.saver
    if not facts.variables:
        return
    for what, name in (("to restore its weights", restore), ("to name its checkpoint", filename)):
        if node_of(name) not in facts.nodes:
            yield fails(f"the graph names {shown(name)} {what}, which is not there")


def _waits_for(node: Node) -> list[str]:
    """A loop of TensorFlow 1 goes back through NextIteration: that edge is no waiting."""
    return [] if node.op in ("NextIteration", "RefNextIteration") else [node_of(name) for name in node.inputs]


def _calls(facts: SavedModelFacts, nodes: Iterable[Node]) -> list[str]:
    return [called for node in nodes for called in called_by(facts, node)]


def _in_a_circle(waits: Mapping[str, Collection[str]]) -> str | None:
    """One that can never begin, because it waits for itself in the end."""
    left = {name: sum(other in waits for other in others) for name, others in waits.items()}
    waiting: dict[str, list[str]] = {}
    for name, others in waits.items():
        for other in others:
            if other in waits:
                waiting.setdefault(other, []).append(name)
    ready = [name for name, count in left.items() if not count]
    done = 0
    while ready:
        done += 1
        for name in waiting.get(ready.pop(), ()):
            left[name] -= 1
            if not left[name]:
                ready.append(name)
    return next((name for name, count in left.items() if count), None) if done < len(waits) else None
