"""Whether the model can be asked at all: its signatures, and the tensors that they name."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.compatible import accepts
from tfcanary.look.savedmodel.facts import Node, SavedModelFacts, SignatureFact, TensorFact, shape_text
from tfcanary.look.savedmodel.findings import Problem, evidence, fails, shown, warns

METHODS: dict[str, frozenset[str]] = {
    "tensorflow/serving/classify": frozenset({"classes", "scores"}),
    "tensorflow/serving/regress": frozenset({"outputs"}),
}
"""The outputs of which a method of TF Serving needs at least one."""
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
    yield from _misnamed(signature, one)
    for side, tensors in (("input", one.inputs), ("output", one.outputs)):
        for name, tensor in sorted(tensors.items()):
            where = f"signature {shown(signature)}, {side} {shown(name)}"
            if wrong := _unresolved(facts, tensor):
                yield fails(f"{where}: {wrong}")
            elif tensor.dtype == "invalid" or tensor.dtype.startswith("type "):
                yield fails(f"{where}: is of no type that there is")
            elif tensor.dtype in NOT_IN_JSON:
                yield warns(f"{where}: {tensor.dtype} cannot be asked for in JSON, only through gRPC")
            elif side == "input" and tensor.shape and tensor.shape[0] is not None:
                yield warns(f"{where}: takes exactly {tensor.shape[0]} rows a request")


def _misnamed(signature: str, one: SignatureFact) -> Iterator[Problem]:
    """What a server looks for besides: one value for one tensor, and the names that classify and regress go by."""
    names: dict[str, str] = {}
    for name, tensor in sorted(one.inputs.items()):
        if tensor.tensor and names.setdefault(tensor.tensor.removesuffix(":0"), name) != name:
            first = names[tensor.tensor.removesuffix(":0")]
            yield fails(f"signature {shown(signature)}: two inputs, {shown(first)} and {shown(name)}, feed one tensor")
    needs = METHODS.get(one.method)
    if needs and not ("inputs" in one.inputs and needs & one.outputs.keys()):
        names_ = " or ".join(map(shown, sorted(needs)))
        yield fails(
            f"signature {shown(signature)}: its method is {shown(one.method)}, which needs the input 'inputs' and the output {names_}"
        )
    if any(tensor.shape == () for tensor in one.outputs.values()) and one.inputs:
        yield warns(f"signature {shown(signature)}: an output is a single number, which requests row by row cannot be answered with")


def _unresolved(facts: SavedModelFacts, tensor: TensorFact) -> str | None:
    if not tensor.tensor:
        return "is a sparse or composite tensor, which a request cannot carry"
    if tensor.tensor.startswith("^"):
        return f"names {shown(tensor.tensor)}, which is no tensor"
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
    if found != tensor.dtype:
        return f"says {tensor.dtype}, but the tensor {shown(tensor.tensor)} is {found}"
    if node.shape is not None and not accepts(node.shape, tensor.shape):
        return f"says the shape {shape_text(tensor.shape)}, but the tensor {shown(tensor.tensor)} takes {shape_text(node.shape)}"
    return None
