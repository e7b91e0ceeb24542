"""Whether the graph does what a served model has no business to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tfcanary.domain import Evidence
from tfcanary.savedmodel.case import Case
from tfcanary.savedmodel.facts import Node, SavedModelFacts
from tfcanary.savedmodel.findings import Problem, evidence, fails, shown, warns
from tfcanary.savedmodel.origins import Origins, origins
from tfcanary.savedmodel.policy import NOT_PORTABLE, SAVER_ONLY, STARTER_ONLY, danger
from tfcanary.savedmodel.reach import Place, Root, node_of, reached

Reached = dict[Root, set[Place]]


def check_operations(case: Case) -> Evidence:
    """No operation that a server runs reads files, writes files, uses the network or calls Python."""
    operations = case.facts.operations
    figures = {"operations": float(sum(operations.values())), "kinds": float(len(operations))}
    return evidence("operations", _problems(case.facts), "no operation reaches outside the model", figures)


def _problems(facts: SavedModelFacts) -> Iterator[Problem]:
    runs, files = reached(facts), origins(facts)
    for function, node in facts.all_nodes():
        roots = [root for root in Root if (function, node.name) in runs[root]]
        if does := danger(node.op, node.texts):
            yield _dangerous(f"operation {node.op} {does}{_target(facts, function, node)}", function, node, roots)
        elif node.op in SAVER_ONLY:
            yield from _saver(files, function, node, roots)
        elif node.op in STARTER_ONLY:
            yield from _table(files, function, node, roots)
        elif NOT_PORTABLE.fullmatch(node.op):
            yield warns(f"operation {node.op} ({_where(function, node)}) does not run on a stock server")


def _dangerous(what: str, function: str, node: Node, roots: Sequence[Root]) -> Problem:
    run = [root for root in roots if root is not Root.SAVE]
    if run:
        return fails(f"{what} for {run[0].value} ({_where(function, node)})")
    return warns(f"{what} ({_where(function, node)}), but nothing that a server runs reaches it")


def _saver(files: Origins, function: str, node: Node, roots: Sequence[Root]) -> Iterator[Problem]:
    """The checkpoint's operations: only restoring may reach them, and only from the file that the server names."""
    if outside := [root for root in roots if root not in (Root.RESTORE, Root.SAVE)]:
        yield _dangerous(f"operation {node.op} reads or writes checkpoints", function, node, outside)
    elif Root.RESTORE in roots and node.op.startswith(("Restore", "Save")) and not _from_own_file(files, function, node):
        yield fails(f"operation {node.op} restores from another file than the model's own checkpoint ({_where(function, node)})")


def _from_own_file(files: Origins, function: str, node: Node) -> bool:
    return bool(node.inputs) and files.of((function, node_of(node.inputs[0]))) == {node_of(files.facts.saver[0])}


def _table(files: Origins, function: str, node: Node, roots: Sequence[Root]) -> Iterator[Problem]:
    """A lookup table reads its vocabulary once, from an asset of the model."""
    name = next(iter(node.inputs[1:]), "")
    if roots and not files.of((function, node_of(name))) <= {node_of(asset.tensor) for asset in files.facts.assets}:
        target = _target(files.facts, function, node, position=1)
        yield fails(f"operation {node.op} reads a file{target} that is no asset of the model ({_where(function, node)})")


def _where(function: str, node: Node) -> str:
    return f"node {shown(node.name)}" + (f" in function {shown(function)}" if function else "")


def _target(facts: SavedModelFacts, function: str, node: Node, position: int = 0) -> str:
    """The file it names, where that is a constant beside it."""
    nodes = facts.functions[function].nodes if function else facts.nodes
    for name in node.inputs[position : position + 1]:
        source = nodes.get(node_of(name))
        if source is not None and source.constant is not None and source.constant.text is not None:
            return f" {shown(source.constant.text)}"
    return ""
