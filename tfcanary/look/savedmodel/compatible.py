"""Checks that the candidate takes the requests of the stable model's clients and answers them in the same form."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.facts import Shape, SignatureFact
from tfcanary.look.savedmodel.findings import Problem, evidence, failure, quote, warning


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
    for name, takes in sorted(stable.inputs.items()):
        wants = candidate.inputs.get(name)
        if wants is None:
            yield failure(f"input {quote(name)}: stable takes {takes}, the candidate has no such input")
        elif wants.dtype != takes.dtype or not accepts(wants.shape, takes.shape):
            yield failure(f"input {quote(name)}: stable takes {takes}, the candidate wants {wants}")
    for name in sorted(candidate.inputs.keys() - stable.inputs.keys()):
        if name not in candidate.defaults:
            yield failure(f"input {quote(name)}: the candidate requires {candidate.inputs[name]}, which today's requests do not carry")
        elif len(stable.inputs) == 1:
            yield failure(
                f"input {quote(name)}: a second input changes the JSON of a row from a value to an object; today's REST requests would fail"
            )
    for name in sorted(stable.defaults & candidate.inputs.keys() - candidate.defaults):
        yield failure(f"input {quote(name)}: today's requests may leave it out, the candidate requires it")


def _outputs(stable: SignatureFact, candidate: SignatureFact) -> Iterator[Problem]:
    for name, gives in sorted(stable.outputs.items()):
        offered = candidate.outputs.get(name)
        if offered is None:
            yield failure(f"output {quote(name)}: stable gives {gives}, the candidate has no such output")
        elif offered.dtype != gives.dtype or not accepts(gives.shape, offered.shape):
            yield failure(f"output {quote(name)}: stable gives {gives}, the candidate gives {offered}")
    added = sorted(candidate.outputs.keys() - stable.outputs.keys())
    if added and len(stable.outputs) == 1:
        names = ", ".join(map(quote, added[:3]))
        yield failure(
            f"output {names}: a second output changes the JSON of an answer from a value to an object; REST clients would break (give it a signature of its own)"
        )


def accepts(wide: Shape | None, narrow: Shape | None) -> bool:
    """Whether every tensor of the shape `narrow` also has the shape `wide`; None as a shape is any rank, None as a size any size."""
    if wide is None or narrow is None:
        return wide is None
    return len(wide) == len(narrow) and all(w is None or w == n for w, n in zip(wide, narrow, strict=True))
