"""Whether the model can be asked at all: its signatures, and the tensors that they name."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.domain import Evidence
from tfcanary.savedmodel.case import Case
from tfcanary.savedmodel.facts import Node, SavedModelFacts, SignatureFact, TensorFact
from tfcanary.savedmodel.findings import Problem, evidence, fails, shown, warns

NOT_IN_JSON = frozenset({"float16", "bfloat16", "complex64", "complex128", "resource", "variant"})
"""TF Serving's REST interface cannot carry these (util/json_tensor.cc)."""


def check_signature(case: Case) -> Evidence:
    """The plan's signature exists, and whatever a signature names exists in the graph with the same type."""
    problems = [*_missing(case), *(p for name, one in case.facts.public.items() for p in _unsound(case.facts, name, one))]
    wanted = case.facts.signatures.get(case.plan.signature)
    good = f"signature {shown(case.plan.signature)}: {signature_text(wanted)}" if wanted else ""
    return evidence("signature", problems, good, {"signatures": float(len(case.facts.public))})


def signature_text(one: SignatureFact) -> str:
    """For example `'image' float32 [?,64] -> 'probabilities' float32 [?,10]`."""
    sides = (", ".join(f"{shown(name)} {tensor}" for name, tensor in sorted(side.items())) for side in (one.inputs, one.outputs))
    return " -> ".join(side[:300] for side in sides)


def _missing(case: Case) -> Iterator[Problem]:
    wanted = case.plan.signature
    if wanted not in case.facts.public:
        names = ", ".join(map(shown, sorted(case.facts.public))) or "none"
        yield fails(f"no signature {shown(wanted)}; the model has: {names}")
    elif not case.facts.signatures[wanted].outputs:
        yield fails(f"signature {shown(wanted)} has no output")


def _unsound(facts: SavedModelFacts, signature: str, one: SignatureFact) -> Iterator[Problem]:
    for side, tensors in (("input", one.inputs), ("output", one.outputs)):
        for name, tensor in sorted(tensors.items()):
            where = f"signature {shown(signature)}, {side} {shown(name)}"
            if wrong := _unresolved(facts, tensor):
                yield fails(f"{where}: {wrong}")
            elif tensor.dtype in NOT_IN_JSON:
                yield warns(f"{where}: {tensor.dtype} cannot be asked for in JSON, only through gRPC")
            elif side == "input" and tensor.shape and tensor.shape[0] is not None:
                yield warns(f"{where}: takes exactly {tensor.shape[0]} rows a request")


def _unresolved(facts: SavedModelFacts, tensor: TensorFact) -> str | None:
    if not tensor.tensor:
        return "is a sparse or composite tensor, which a request cannot carry"
    node_name, _, index = tensor.tensor.partition(":")
    node = facts.nodes.get(node_name)
    if node is None:
        return f"names the tensor {shown(tensor.tensor)}, which is not in the graph"
    if not (index or "0").isdecimal():
        return f"names {shown(tensor.tensor)}, which is no tensor"
    return _mismatch(node, int(index or "0"), tensor)


def _mismatch(node: Node, index: int, tensor: TensorFact) -> str | None:
    if not node.dtypes or not (node.op == "Placeholder" or node.op.endswith("PartitionedCall")):
        return None
    if index >= len(node.dtypes):
        return f"names {shown(tensor.tensor)}, but that operation has {len(node.dtypes)} outputs"
    found = node.dtypes[index]
    return None if found == tensor.dtype else f"says {tensor.dtype}, but the tensor {shown(tensor.tensor)} is {found}"
