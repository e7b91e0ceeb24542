"""Finds the nodes that a request, the start of a server, or the restoring of the weights can run.

A denied operation that a request reaches refuses the model; one that nothing runs is only a warning. The checkpoint's own
operations, which every export has, may be reached by the restoring of the weights alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from tfcanary.look.savedmodel.facts import Node, SavedModelFacts

Place = tuple[str, str]
"""A node: the name of its function ("" for the graph itself) and its own name."""


class Root(StrEnum):
    """The reasons for which a part of the graph runs."""

    REQUEST = "a request"
    START = "the start of a server"
    RESTORE = "the restoring of the weights"
    SAVE = "the saving of the weights, which no server does"


def reachable(facts: SavedModelFacts) -> dict[Root, set[Place]]:
    """The nodes that each root can run. Of a called function that is every node, as a node may run for its side effect."""
    _, save, restore = facts.saver
    signatures = (one for name, one in facts.signatures.items() if name != "__saved_model_init_op")
    outputs = [tensor.tensor for one in signatures for tensor in one.outputs.values()]
    roots = {Root.REQUEST: outputs, Root.START: facts.starters, Root.RESTORE: [restore], Root.SAVE: [save]}
    return {root: _walk(facts, tensors) for root, tensors in roots.items()}


def _walk(facts: SavedModelFacts, tensors: Iterable[str]) -> set[Place]:
    places: set[Place] = set()
    functions: set[str] = set()
    implementations = _implementations(facts)
    waiting: list[Place] = [("", node_of(tensor)) for tensor in tensors]
    while waiting:
        place = waiting.pop()
        node = node_at(facts, place)
        if node is None or place in places:
            continue
        places.add(place)
        waiting += [(place[0], node_of(name)) for name in node.inputs]
        for called in callees(facts, node):
            for name in _replacements(facts, called, implementations):
                if name in facts.functions and name not in functions:
                    functions.add(name)
                    waiting += [(name, inner) for inner in facts.functions[name].nodes]
    return places


def _implementations(facts: SavedModelFacts) -> dict[str, list[str]]:
    """The functions that implement each interface: TensorFlow may run any of them in place of another."""
    found: dict[str, list[str]] = {}
    for function in facts.functions.values():
        if function.implements:
            found.setdefault(function.implements, []).append(function.name)
    return found


def _replacements(facts: SavedModelFacts, called: str, implementations: dict[str, list[str]]) -> Iterable[str]:
    """The function itself, its gradient, and the functions that TensorFlow may run in its place."""
    yield called
    if called in facts.gradients:
        yield facts.gradients[called]
    if called in facts.functions:
        yield from implementations.get(facts.functions[called].implements, ())


def callees(facts: SavedModelFacts, node: Node) -> tuple[str, ...]:
    """The names of the functions that a node calls, by an attribute or as its operation."""
    return (*node.functions, node.op) if node.op in facts.functions else node.functions


def node_of(tensor: str) -> str:
    """The name of the node in the name of a tensor: `node`, `node:output`, `node:name:output` or `^node`."""
    return tensor.removeprefix("^").partition(":")[0]


def node_at(facts: SavedModelFacts, place: Place) -> Node | None:
    """The node at a place; None where there is none, for example at an argument of a function."""
    function, name = place
    if not function:
        return facts.nodes.get(name)
    return facts.functions[function].nodes.get(name)
