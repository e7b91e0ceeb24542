"""Checks that the model can be called: its signatures, and the tensors that they name."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.compatible import accepts
from tfcanary.look.savedmodel.facts import Node, SavedModelFacts, SignatureFact, TensorFact, shape_text
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, quote, warning

METHODS: dict[str, frozenset[str]] = {
    "tensorflow/serving/classify": frozenset({"classes", "scores"}),
    "tensorflow/serving/regress": frozenset({"outputs"}),
}
"""The outputs of each method of TF Serving, of which a signature with this method needs at least one."""
NOT_IN_JSON = frozenset({"float16", "bfloat16", "complex64", "complex128", "resource", "variant"})
"""Types that TF Serving's REST interface cannot carry (tensorflow_serving/util/json_tensor.cc)."""


def check_signature(case: Case) -> Evidence:
    """Check that the plan's signature exists, and that the tensors of each signature exist in the graph with the declared type."""
    problems = [*_missing(case), *(p for name, one in case.facts.public.items() for p in _problems(case.facts, name, one))]
    wanted = case.facts.signatures.get(case.plan.signature)
    good = f"signature {quote(case.plan.signature)}: {signature_text(wanted)}" if wanted else ""
    return evidence("signature", problems, good, {"signatures": float(len(case.facts.public))})


def signature_text(one: SignatureFact) -> str:
    """The signature as text, for example `'image' float32 [?,64] -> 'probabilities' float32 [?,10]`."""
    sides = (", ".join(f"{quote(name)} {tensor}" for name, tensor in sorted(side.items())) for side in (one.inputs, one.outputs))
    return " -> ".join(side[:300] for side in sides)


def _missing(case: Case) -> Iterator[Problem]:
    wanted = case.plan.signature
    if wanted not in case.facts.public:
        names = ", ".join(map(quote, sorted(case.facts.public))) or "none"
        yield failure(f"no signature {quote(wanted)}; the model has: {names}")
    elif not case.facts.signatures[wanted].outputs:
        yield failure(f"signature {quote(wanted)} has no output")


def _problems(facts: SavedModelFacts, signature: str, one: SignatureFact) -> Iterator[Problem]:
    yield from _form_problems(signature, one)
    for side, tensors in (("input", one.inputs), ("output", one.outputs)):
        for name, tensor in sorted(tensors.items()):
            where = f"signature {quote(signature)}, {side} {quote(name)}"
            if fault := _tensor_fault(facts, tensor):
                yield failure(f"{where}: {fault}")
            elif tensor.dtype == "invalid" or tensor.dtype.startswith("type "):
                yield failure(f"{where}: has a type that does not exist")
            elif tensor.dtype in NOT_IN_JSON:
                yield warning(f"{where}: JSON cannot carry {tensor.dtype}, so only gRPC clients can use it")
            elif side == "input" and tensor.shape and tensor.shape[0] is not None:
                yield warning(f"{where}: takes exactly {tensor.shape[0]} rows in a request")


def _form_problems(signature: str, one: SignatureFact) -> Iterator[Problem]:
    """Problems of the signature as a whole: inputs of one tensor, names that the method needs, and outputs without rows."""
    names: dict[str, str] = {}
    for name, tensor in sorted(one.inputs.items()):
        if tensor.tensor and names.setdefault(tensor.tensor.removesuffix(":0"), name) != name:
            first = names[tensor.tensor.removesuffix(":0")]
            yield failure(f"signature {quote(signature)}: two inputs, {quote(first)} and {quote(name)}, feed one tensor")
    needs = METHODS.get(one.method)
    if needs and not ("inputs" in one.inputs and needs & one.outputs.keys()):
        outputs = " or ".join(map(quote, sorted(needs)))
        yield failure(
            f"signature {quote(signature)}: its method is {quote(one.method)}, which needs the input 'inputs' and the output {outputs}"
        )
    if any(tensor.shape == () for tensor in one.outputs.values()) and one.inputs:
        yield warning(f"signature {quote(signature)}: an output is a single number, so a request in row format cannot be answered")


def _tensor_fault(facts: SavedModelFacts, tensor: TensorFact) -> str | None:
    """What is wrong with the tensor that an input or output names; None where nothing is."""
    if not tensor.tensor:
        return "is a sparse or composite tensor, which a request cannot carry"
    if tensor.tensor.startswith("^"):
        return f"names {quote(tensor.tensor)}, which is no tensor"
    node_name, _, index = tensor.tensor.partition(":")
    node = facts.nodes.get(node_name)
    if node is None:
        return f"names the tensor {quote(tensor.tensor)}, which is not in the graph"
    if not (index or "0").isdecimal():
        return f"names {quote(tensor.tensor)}, which is no tensor"
    return _type_fault(node, int(index or "0"), tensor)


def _type_fault(node: Node, index: int, tensor: TensorFact) -> str | None:
    if not node.dtypes or not (node.op == "Placeholder" or node.op.endswith("PartitionedCall")):
        return None
    if index >= len(node.dtypes):
        return f"names {quote(tensor.tensor)}, but that operation has {len(node.dtypes)} outputs"
    actual = node.dtypes[index]
    if actual != tensor.dtype:
        return f"declares {tensor.dtype}, but the tensor {quote(tensor.tensor)} is {actual}"
    if node.shape is not None and not accepts(node.shape, tensor.shape):
        return f"declares the shape {shape_text(tensor.shape)}, but the tensor {quote(tensor.tensor)} takes {shape_text(node.shape)}"
    return None
