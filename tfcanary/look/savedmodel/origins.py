"""Where a tensor comes from: whether a file name is the one that the server hands in, or one that the model brought along."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tfcanary.look.savedmodel.facts import Node, SavedModelFacts
from tfcanary.look.savedmodel.reach import Place, called_by, node_at, node_of

CHANGES = re.compile(r"Assign(Variable|AddVariable|SubVariable)\w*|Resource(Scatter|StridedSliceAssign)\w*")
"""Operations that change a variable."""
STEPS = 100
"""Longer chains do not occur; what lies behind one counts as made inside."""
INSIDE = ""
"""In place of a node: the tensor is made inside a function, or nobody can tell."""

Calls = dict[str, list[tuple[str, Node]]]
Next = Callable[[Place], Iterator[Place]]


@dataclass(frozen=True, slots=True)
class Origins:
    """Follows tensors back to the nodes of the graph itself."""

    facts: SavedModelFacts
    calls: Calls
    """Who calls each function, and from where."""
    values: dict[str, list[Place]]
    """What is assigned to each variable of the graph, by the name that it is shared under."""
    loose: bool
    """Some text is assigned to a variable that nobody can name: it may be any."""

    def of(self, place: Place) -> set[str]:
        """The nodes that a tensor comes from unchanged: through identities, variables and calls."""
        return _follow(self.facts, place, self._back)

    def _back(self, place: Place) -> Iterator[Place]:
        node = node_at(self.facts, place)
        if node is not None and node.op == "ReadVariableOp" and node.inputs:
            handles = _follow(self.facts, (place[0], node_of(node.inputs[0])), lambda at: _plainly(self.facts, self.calls, at))
            yield from (value for handle in handles for value in self.values.get(_shared(self.facts, handle), [("", INSIDE)]))
            if self.loose:
                yield "", INSIDE
        else:
            yield from _plainly(self.facts, self.calls, place)


def origins(facts: SavedModelFacts) -> Origins:
    """Look once through the graph for calls and assignments."""
    calls: Calls = {}
    assignments: list[tuple[str, Node]] = []
    for function, node in facts.all_nodes():
        for called in called_by(facts, node):
            calls.setdefault(called, []).append((function, node))
        if node.inputs and CHANGES.fullmatch(node.op):
            assignments.append((function, node))
    values: dict[str, list[Place]] = {}
    loose = False
    for function, node in assignments:
        # Only a plain assignment says what a variable holds afterwards.
        plain = node.op == "AssignVariableOp" and len(node.inputs) > 1
        value = (function, node_of(node.inputs[1])) if plain else ("", INSIDE)
        for handle in _follow(facts, (function, node_of(node.inputs[0])), lambda at: _plainly(facts, calls, at)):
            loose = loose or (handle == INSIDE and (not node.dtypes or "string" in node.dtypes))
            values.setdefault(_shared(facts, handle), []).append(value)
    return Origins(facts, calls, values, loose)


def _shared(facts: SavedModelFacts, handle: str) -> str:
    """Two handles of one name are one variable."""
    node = facts.nodes.get(handle)
    return node.texts.get("shared_name", handle) if node is not None else handle


def _follow(facts: SavedModelFacts, place: Place, back: Next) -> set[str]:
    """Go back until nothing is behind: a node of the graph itself, or INSIDE."""
    found: set[str] = set()
    seen: set[Place] = set()
    waiting = [place]
    while waiting:
        at = waiting.pop()
        if len(seen) > STEPS:
            return {INSIDE}
        if at in seen:
            continue
        seen.add(at)
        behind = list(back(at))
        waiting += behind
        if not behind:
            found.add(INSIDE if at[0] else at[1])
    return found


def _plainly(facts: SavedModelFacts, calls: Calls, place: Place) -> Iterator[Place]:
    """One step back through an identity, or from a function's argument to what each caller hands over."""
    function, name = place
    node = node_at(facts, place)
    if node is not None and node.op == "Identity" and node.inputs:
        yield function, node_of(node.inputs[0])
    elif node is None and function and (position := facts.functions[function].arguments.get(name)) is not None:
        for caller, call in calls.get(function, [])[:STEPS]:
            inputs = [one for one in call.inputs if not one.startswith("^")]
            # An If or a While hands its arguments over in another order: what comes from there counts as made inside.
            plain = (call.op.endswith("PartitionedCall") or call.op == function) and position < len(inputs)
            yield (caller, node_of(inputs[position])) if plain else ("", INSIDE)
