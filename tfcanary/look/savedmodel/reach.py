"""What in a graph can run at all, and for whom: a request, the start of a server, the restoring of the weights.

A dangerous operation that a request reaches is another matter than one that nothing ever runs; and the checkpoint's own
operations, which every export has, may be reached by the restoring alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from tfcanary.look.savedmodel.facts import Node, SavedModelFacts

Place = tuple[str, str]
"""Function ("" for the graph itself) and node."""


class Root(StrEnum):
    """Who runs a part of the graph."""

    REQUEST = "a request"
    START = "the start of a server"
    RESTORE = "the restoring of the weights"
    SAVE = "the saving of the weights, which no server does"


def reached(facts: SavedModelFacts) -> dict[Root, set[Place]]:
    """The places that each root reaches. Within a called function that is every node: it may run for its effect alone."""
    _, save, restore = facts.saver
    asked = (one for name, one in facts.signatures.items() if name != "__saved_model_init_op")
    outputs = [tensor.tensor for one in asked for tensor in one.outputs.values()]
    roots = {Root.REQUEST: outputs, Root.START: facts.starters, Root.RESTORE: [restore], Root.SAVE: [save]}
    return {root: _walk(facts, tensors) for root, tensors in roots.items()}


def _walk(facts: SavedModelFacts, tensors: Iterable[str]) -> set[Place]:
    found: set[Place] = set()
    entered: set[str] = set()
    alike = _alike(facts)
    waiting: list[Place] = [("", node_of(tensor)) for tensor in tensors]
    while waiting:
        place = waiting.pop()
        node = node_at(facts, place)
        if node is None or place in found:
            continue
        found.add(place)
        waiting += [(place[0], node_of(name)) for name in node.inputs]
        for called in called_by(facts, node):
            for name in _also(facts, called, alike):
                if name in facts.functions and name not in entered:
                    entered.add(name)
                    waiting += [(name, inner) for inner in facts.functions[name].nodes]
    return found


def _alike(facts: SavedModelFacts) -> dict[str, list[str]]:
    """Functions by the interface that they implement: TensorFlow may run any of them in another one's place."""
    found: dict[str, list[str]] = {}
    for function in facts.functions.values():
        if function.implements:
            found.setdefault(function.implements, []).append(function.name)
    return found


def _also(facts: SavedModelFacts, called: str, alike: dict[str, list[str]]) -> Iterable[str]:
    """The function itself, its gradient, and those that may take its place."""
    yield called
    if called in facts.gradients:
        yield facts.gradients[called]
    if called in facts.functions:
        yield from alike.get(facts.functions[called].implements, ())


def called_by(facts: SavedModelFacts, node: Node) -> tuple[str, ...]:
    """The functions that a node calls, by an attribute or as its operation."""
    return (*node.functions, node.op) if node.op in facts.functions else node.functions


def node_of(tensor: str) -> str:
    """The node of `node`, `node:output`, `node:name:output` or `^node`."""
    return tensor.removeprefix("^").partition(":")[0]


def node_at(facts: SavedModelFacts, place: Place) -> Node | None:
    """The node at a place; None where there is none (an argument of the function, for example)."""
    function, name = place
    if not function:
        return facts.nodes.get(name)
    return facts.functions[function].nodes.get(name)
