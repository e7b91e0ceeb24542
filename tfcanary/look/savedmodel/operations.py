"""Checks that no operation of the graph reaches outside the model, as files, the network and Python are."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.denied_operations import ASSET_READERS, CACHES, NOT_PORTABLE, SAVER_ONLY, danger
from tfcanary.look.savedmodel.facts import Node, SavedModelFacts
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, quote, warning
from tfcanary.look.savedmodel.origins import Origins, origins
from tfcanary.look.savedmodel.reach import Root, node_of, reachable


def check_operations(case: Case) -> Evidence:
    """Check that no operation that a server runs reads files, writes files, uses the network or calls Python."""
    operations = case.facts.operations
    figures = {"operations": float(sum(operations.values())), "kinds": float(len(operations))}
    return evidence("operations", _problems(case), "no operation reaches outside the model", figures)


def _problems(case: Case) -> Iterator[Problem]:
    facts = case.facts
    places, sources = reachable(facts), origins(facts)
    for function, node in facts.all_nodes():
        roots = [root for root in Root if (function, node.name) in places[root]]
        if node.op in ASSET_READERS:
            yield from _reader_problems(case, sources, function, node, roots)
        elif does := danger(node.op, node.texts):
            yield _problem(f"operation {node.op} {does}{_target(facts, function, node)}", function, node, roots)
        elif node.op in SAVER_ONLY:
            yield from _saver_problems(sources, function, node, roots)
        elif node.op in CACHES and _input_text(facts, function, node, 1) != "":
            yield _problem(f"operation {node.op} writes its cache into a file{_target(facts, function, node, 1)}", function, node, roots)
        elif NOT_PORTABLE.fullmatch(node.op):
            yield warning(f"operation {node.op} ({_where(function, node)}) does not run on a standard server")


def _problem(what: str, function: str, node: Node, roots: Sequence[Root]) -> Problem:
    """A failure where a server can run the node, else a warning."""
    served = [root for root in roots if root is not Root.SAVE]
    if served:
        return failure(f"{what} for {served[0].value} ({_where(function, node)})")
    return warning(f"{what} ({_where(function, node)}), but nothing that a server runs reaches it")


def _saver_problems(sources: Origins, function: str, node: Node, roots: Sequence[Root]) -> Iterator[Problem]:
    """Problems of a checkpoint operation: only the restoring of the weights may reach it, with the file that the server names."""
    if outside := [root for root in roots if root not in (Root.RESTORE, Root.SAVE)]:
        yield _problem(f"operation {node.op} reads or writes checkpoints", function, node, outside)
    elif Root.RESTORE in roots and node.op.startswith(("Restore", "Save")):
        own_file = {node_of(sources.facts.saver[0])}
        if not node.inputs or sources.of((function, node_of(node.inputs[0]))) != own_file:
            yield failure(f"operation {node.op} restores from another file than the model's own checkpoint ({_where(function, node)})")


def _reader_problems(case: Case, sources: Origins, function: str, node: Node, roots: Sequence[Root]) -> Iterator[Problem]:
    """Problems of an operation that may read an asset, such as the vocabulary of a lookup table, and no other file."""
    position = ASSET_READERS[node.op]
    name = next(iter(node.inputs[position:]), "")
    origin = sources.of((function, node_of(name))) if name else set()
    assets = {node_of(asset.tensor): asset.filename for asset in case.facts.assets}
    if not origin or not origin <= assets.keys() or (Root.REQUEST in roots and _has_constant(case.facts, origin)):
        what = (
            f"operation {node.op} reads files{_file_name(case.facts, function, node, position, origin)}: none that is an asset of the model"
        )
        yield _problem(what, function, node, roots)
    elif position and not all(case.tree.sizes.get(f"assets/{assets[one]}", 1) for one in origin):
        yield failure(f"operation {node.op} fills a table from an asset that is empty ({_where(function, node)})")


def _has_constant(facts: SavedModelFacts, origin: set[str]) -> bool:
    """Whether a file name comes from a constant: a server replaces it only at its start, so a request reads the constant's own file."""
    return any(facts.nodes[name].constant is not None for name in origin if name in facts.nodes)


def _where(function: str, node: Node) -> str:
    return f"node {quote(node.name)}" + (f" in function {quote(function)}" if function else "")


def _file_name(facts: SavedModelFacts, function: str, node: Node, position: int, origin: set[str]) -> str:
    """The file that the node names, from its own input or from the nodes of its origin; empty where it is unknown."""
    constants = (facts.nodes[name].constant for name in sorted(origin) if name in facts.nodes)
    text = next((f" {quote(one.text)}" for one in constants if one is not None and one.text is not None), "")
    return _target(facts, function, node, position) or text


def _target(facts: SavedModelFacts, function: str, node: Node, position: int = 0) -> str:
    """The file or address that the node names in a constant input or in an attribute; empty where it names none."""
    text = _input_text(facts, function, node, position)
    if text is None:
        keys = ("output_stream", "descriptor_source", "debug_urls", "memory_region_name")
        text = next((node.texts[key] for key in keys if key in node.texts), None)
    return f" {quote(text)}" if text is not None else ""


def _input_text(facts: SavedModelFacts, function: str, node: Node, position: int) -> str | None:
    nodes = facts.functions[function].nodes if function else facts.nodes
    for name in node.inputs[position : position + 1]:
        source = nodes.get(node_of(name))
        if source is not None and source.constant is not None:
            return source.constant.text
    return None
