"""Checks that the candidate takes the requests of the stable model's clients and answers them in the same form."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.facts import Shape, SignatureFact, TensorFact
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, note, quote, warning


def check_compatible(case: Case) -> Evidence:
    """Check that the candidate has every signature of the stable model, with compatible inputs and outputs."""
    assert case.stable is not None
    problems = [p for name, stable in sorted(case.stable.public.items()) for p in differences(name, stable, case.facts.public.get(name))]
    count = len(case.stable.public)
    return evidence("compatible", problems, f"takes every request that the stable model takes ({count} signature{'s' * (count != 1)})")


def differences(name: str, stable: SignatureFact, candidate: SignatureFact | None) -> Iterator[Problem]:
    """The differences that break a client of this signature; `candidate` is None where the candidate lacks the signature."""
    if candidate is None:
        yield failure(f"signature {quote(name)}: the stable model has it, the candidate does not")
        return
    problems = [*_inputs(stable, candidate), *_outputs(stable, candidate)]
    prefix = "" if name == "serving_default" else f"signature {quote(name)}: "
    yield from (Problem(one.finding, prefix + one.sentence) for one in problems)
    if stable.method != candidate.method:
        yield warning(f"{prefix}method name {quote(stable.method)} became {quote(candidate.method)}")


def _inputs(stable: SignatureFact, candidate: SignatureFact) -> Iterator[Problem]:
    if renamed := _renamed(stable.inputs, candidate.inputs):
        old, new = renamed
        if accepts_tensor(candidate.inputs[new], stable.inputs[old]):
            yield failure(
                f"input {quote(old)} is called {quote(new)} in the candidate: REST requests that do not name it still work, all others fail"
            )
            return
    for name, takes in sorted(stable.inputs.items()):
        wants = candidate.inputs.get(name)
        if wants is None:
            yield failure(f"input {quote(name)}: stable takes {takes}, the candidate has no such input")
        elif not accepts_tensor(wants, takes):
            yield failure(f"input {quote(name)}: stable takes {takes}, the candidate wants {wants}")
    for name in sorted(candidate.inputs.keys() - stable.inputs.keys()):
        if name not in candidate.defaults:
            yield failure(f"input {quote(name)}: the candidate requires {candidate.inputs[name]}, which today's requests do not carry")
        elif len(stable.inputs) == 1 < len(candidate.inputs):
            yield failure(
                f"input {quote(name)}: a second input changes the JSON of a row from a value to an object; today's REST requests would fail"
            )
    for name in sorted(stable.defaults & candidate.inputs.keys() - candidate.defaults):
        yield failure(f"input {quote(name)}: today's requests may leave it out, the candidate requires it")


def _outputs(stable: SignatureFact, candidate: SignatureFact) -> Iterator[Problem]:
    if renamed := _renamed(stable.outputs, candidate.outputs):
        old, new = renamed
        yield failure(
            f"output {quote(old)} is called {quote(new)} in the candidate: REST answers do not name it, but gRPC clients that read it break"
        )
        yield from _output(new, stable.outputs[old], candidate.outputs[new], stable, candidate)
        return
    for name, gives in sorted(stable.outputs.items()):
        offered = candidate.outputs.get(name)
        if offered is None:
            yield failure(f"output {quote(name)}: stable gives {gives}, the candidate has no such output")
        else:
            yield from _output(name, gives, offered, stable, candidate)
    added = sorted(candidate.outputs.keys() - stable.outputs.keys())
    if added and len(stable.outputs) == 1:
        names = ", ".join(map(quote, added[:3]))
        yield failure(
            f"output {names}: a second output changes the JSON of an answer from a value to an object; REST clients would break (give it a signature of its own)"
        )


def _renamed(stable: Mapping[str, TensorFact], candidate: Mapping[str, TensorFact]) -> tuple[str, str] | None:
    """The old and the new name, where both models have a single tensor on this side and its name differs."""
    if len(stable) != 1 or len(candidate) != 1 or stable.keys() == candidate.keys():
        return None
    return next(iter(stable)), next(iter(candidate))


def _output(name: str, gives: TensorFact, offered: TensorFact, stable: SignatureFact, candidate: SignatureFact) -> Iterator[Problem]:
    """The difference of one output, whose first dimension must follow the batch where stable's does."""
    sentence = f"output {quote(name)}: stable gives {gives}, the candidate gives {offered}"
    if gives.shape and offered.shape and gives.shape[0] is None is not offered.shape[0] and _batches(candidate):
        yield failure(f"{sentence}: it does not have one row for each row of a request")
    elif (
        gives.shape
        and offered.shape
        and offered.shape[0] is None is not gives.shape[0]
        and gives.shape[0] in _fixed_batches(stable, candidate)
    ):
        shape = (gives.shape[0], *offered.shape[1:])
        if accepts_tensor(gives, replace(offered, shape=shape)):
            yield note(f"{sentence}, whose rows follow the batch: requests of {gives.shape[0]} rows are answered as before")
        else:
            yield failure(sentence)
    elif not accepts_tensor(gives, offered):
        yield failure(sentence)


def _batches(signature: SignatureFact) -> bool:
    """Whether requests may have any number of rows."""
    return any(one.shape and one.shape[0] is None for one in signature.inputs.values())


def _fixed_batches(stable: SignatureFact, candidate: SignatureFact) -> set[int | None]:
    """The first dimensions that inputs of the stable model fix and that the candidate leaves free."""
    pairs = ((one.shape, candidate.inputs[name].shape) for name, one in stable.inputs.items() if name in candidate.inputs)
    return {fixed[0] for fixed, free in pairs if fixed and free and free[0] is None}


def accepts_tensor(wide: TensorFact, narrow: TensorFact) -> bool:
    """Whether every tensor of the type and shape `narrow` also has those of `wide`."""
    return wide.dtype == narrow.dtype and accepts(wide.shape, narrow.shape)


def accepts(wide: Shape | None, narrow: Shape | None) -> bool:
    """Whether every tensor of the shape `narrow` also has the shape `wide`; None as a shape is any rank, None as a size any size."""
    if wide is None or narrow is None:
        return wide is None
    return len(wide) == len(narrow) and all(w is None or w == n for w, n in zip(wide, narrow, strict=True))
