"""Whether the graph does what a served model has no business to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.denied_operations import ASSET_READERS, CACHES, NOT_PORTABLE, SAVER_ONLY, danger
from tfcanary.look.savedmodel.facts import Node, SavedModelFacts
from tfcanary.look.savedmodel.findings import Problem, evidence, fails, shown, warns
from tfcanary.look.savedmodel.origins import Origins, origins
from tfcanary.look.savedmodel.reach import Place, Root, node_of, reached

Reached = dict[Root, set[Place]]


def check_operations(case: Case) -> Evidence:
    """No operation that a server runs reads files, writes files, uses the network or calls Python."""
    operations = case.facts.operations
    figures = {"operations": float(sum(operations.values())), "kinds": float(len(operations))}
    return evidence("operations", _problems(case), "no operation reaches outside the model", figures)


def _problems(case: Case) -> Iterator[Problem]:
    facts = case.facts
    runs, files = reached(facts), origins(facts)
    for function, node in facts.all_nodes():
        roots = [root for root in Root if (function, node.name) in runs[root]]
        if node.op in ASSET_READERS:
            yield from _reader(case, files, function, node, roots)
        elif does := danger(node.op, node.texts):
            yield _dangerous(f"operation {node.op} {does}{_target(facts, function, node)}", function, node, roots)
        elif node.op in SAVER_ONLY:
            yield from _saver(files, function, node, roots)
        elif node.op in CACHES and _input_text(facts, function, node, 1) != "":
            yield _dangerous(f"operation {node.op} writes its cache into a file{_target(facts, function, node, 1)}", function, node, roots)
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


def _reader(case: Case, files: Origins, function: str, node: Node, roots: Sequence[Root]) -> Iterator[Problem]:
    """A lookup table reads its vocabulary from an asset of the model; whatever is no asset is somebody else's file."""
    at = ASSET_READERS[node.op]
    name = next(iter(node.inputs[at:]), "")
    found = files.of((function, node_of(name))) if name else set()
    assets = {node_of(asset.tensor): asset.filename for asset in case.facts.assets}
    if not found or not found <= assets.keys() or (Root.REQUEST in roots and _without_the_server(case.facts, found)):
        what = f"operation {node.op} reads files{_names(case.facts, function, node, at, found)}: none that is an asset of the model"
        yield _dangerous(what, function, node, roots)
    elif at and not all(case.tree.sizes.get(f"assets/{assets[one]}", 1) for one in found):
        yield fails(f"operation {node.op} fills a table from an asset that is empty ({_where(function, node)})")


def _without_the_server(facts: SavedModelFacts, found: set[str]) -> bool:
    """A server sets the assets' tensors when it starts; a request sees what a constant there says itself."""
    return any(facts.nodes[name].constant is not None for name in found if name in facts.nodes)


def _where(function: str, node: Node) -> str:
    return f"node {shown(node.name)}" + (f" in function {shown(function)}" if function else "")


def _names(facts: SavedModelFacts, function: str, node: Node, position: int, found: set[str]) -> str:
    """The file it names, beside it or where the name comes from."""
    constants = (facts.nodes[name].constant for name in sorted(found) if name in facts.nodes)
    far = next((f" {shown(one.text)}" for one in constants if one is not None and one.text is not None), "")
    return _target(facts, function, node, position) or far


def _target(facts: SavedModelFacts, function: str, node: Node, position: int = 0) -> str:
    """The file it names, where that is a constant beside it, or an attribute."""
    text = _input_text(facts, function, node, position)
    named = next(
        (node.texts[key] for key in ("output_stream", "descriptor_source", "debug_urls", "memory_region_name") if key in node.texts), None
    )
    return f" {shown(text)}" if text is not None else f" {shown(named)}" if named is not None else ""


def _input_text(facts: SavedModelFacts, function: str, node: Node, position: int) -> str | None:
    nodes = facts.functions[function].nodes if function else facts.nodes
    for name in node.inputs[position : position + 1]:
        source = nodes.get(node_of(name))
        if source is not None and source.constant is not None:
            return source.constant.text
    return None
