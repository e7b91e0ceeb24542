"""Follows a tensor back to its origin: whether a file name comes from the server or from the model itself."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tfcanary.look.savedmodel.facts import Node, SavedModelFacts
from tfcanary.look.savedmodel.reach import Place, callees, node_at, node_of

CHANGES = re.compile(r"Assign(Variable|AddVariable|SubVariable)\w*|Resource(Scatter|StridedSliceAssign)\w*")
"""Operations that change a variable."""
STEPS = 100
"""Longest chain of places that is followed; longer ones do not occur, and their origin counts as INSIDE."""
INSIDE = ""
"""Stands in place of a node where the tensor is made inside a function, or where its origin is unknown."""

Calls = dict[str, list[tuple[str, Node]]]
Next = Callable[[Place], Iterator[Place]]


@dataclass(frozen=True, slots=True)
class Origins:
    """The calls and assignments of a graph, by which a tensor is followed back to nodes of the graph itself."""

    facts: SavedModelFacts
    calls: Calls
    """The nodes that call each function, with the functions that hold these nodes."""
    values: dict[str, list[Place]]
    """The places whose values are assigned to each variable of the graph, by the variable's shared name."""
    loose: bool
    """Whether a text is assigned to an unknown variable: then each variable may hold it."""

    def of(self, place: Place) -> set[str]:
        """The nodes from which a tensor comes unchanged: through identities, variables and calls. INSIDE for an unknown one."""
        return _follow(self.facts, place, self._back)

    def _back(self, place: Place) -> Iterator[Place]:
        node = node_at(self.facts, place)
        if node is not None and node.op == "ReadVariableOp" and node.inputs:
            handles = _follow(self.facts, (place[0], node_of(node.inputs[0])), lambda at: _one_step(self.facts, self.calls, at))
            yield from (value for handle in handles for value in self.values.get(_variable_name(self.facts, handle), [("", INSIDE)]))
            if self.loose:
                yield "", INSIDE
        else:
            yield from _one_step(self.facts, self.calls, place)


def origins(facts: SavedModelFacts) -> Origins:
    """Collect the calls and assignments of a graph in one pass."""
    calls: Calls = {}
    assignments: list[tuple[str, Node]] = []
    for function, node in facts.all_nodes():
        for called in callees(facts, node):
            calls.setdefault(called, []).append((function, node))
        if node.inputs and CHANGES.fullmatch(node.op):
            assignments.append((function, node))
    values: dict[str, list[Place]] = {}
    loose = False
    for function, node in assignments:
        # Only a plain assignment defines the whole value of a variable.
        plain = node.op == "AssignVariableOp" and len(node.inputs) > 1
        value = (function, node_of(node.inputs[1])) if plain else ("", INSIDE)
        for handle in _follow(facts, (function, node_of(node.inputs[0])), lambda at: _one_step(facts, calls, at)):
            loose = loose or (handle == INSIDE and (not node.dtypes or "string" in node.dtypes))
            values.setdefault(_variable_name(facts, handle), []).append(value)
    return Origins(facts, calls, values, loose)


def _variable_name(facts: SavedModelFacts, handle: str) -> str:
    """The shared name of a variable: two handles with one shared name are one variable."""
    node = facts.nodes.get(handle)
    return node.texts.get("shared_name", handle) if node is not None else handle


def _follow(facts: SavedModelFacts, place: Place, back: Next) -> set[str]:
    """Follow a place back to its origins: nodes of the graph itself, or INSIDE."""
    origin: set[str] = set()
    visited: set[Place] = set()
    waiting = [place]
    while waiting:
        at = waiting.pop()
        if len(visited) > STEPS:
            return {INSIDE}
        if at in visited:
            continue
        visited.add(at)
        sources = list(back(at))
        waiting += sources
        if not sources:
            origin.add(INSIDE if at[0] else at[1])
    return origin


def _one_step(facts: SavedModelFacts, calls: Calls, place: Place) -> Iterator[Place]:
    """One step back: from an identity to its input, or from a function's argument to the value that each caller passes."""
    function, name = place
    node = node_at(facts, place)
    if node is not None and node.op == "Identity" and node.inputs:
        yield function, node_of(node.inputs[0])
    elif node is None and function and (position := facts.functions[function].arguments.get(name)) is not None:
        for caller, call in calls.get(function, [])[:STEPS]:
            inputs = [one for one in call.inputs if not one.startswith("^")]
            # If and While pass their arguments in another order, so an argument from there counts as made inside.
            plain = (call.op.endswith("PartitionedCall") or call.op == function) and position < len(inputs)
            yield (caller, node_of(inputs[position])) if plain else ("", INSIDE)
