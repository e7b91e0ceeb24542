"""Whether whoever asks the stable model today can ask the candidate the same way."""

from __future__ import annotations

from collections.abc import Iterator

from tfcanary.core.domain import Evidence
from tfcanary.look.savedmodel.case import Case
from tfcanary.look.savedmodel.facts import Shape, SignatureFact, TensorFact
from tfcanary.look.savedmodel.findings import Problem, evidence, fails, shown, warns


def check_compatible(case: Case) -> Evidence:
    """Every signature that the stable model answers, the candidate answers: same requests in, same answers out."""
    assert case.stable is not None
    problems = [p for name, stable in sorted(case.stable.public.items()) for p in differences(name, stable, case.facts.public.get(name))]
    count = len(case.stable.public)
    return evidence("compatible", problems, f"takes every request that the stable model takes ({count} signature{'s' * (count != 1)})")


def differences(name: str, stable: SignatureFact, candidate: SignatureFact | None) -> Iterator[Problem]:
    """What whoever asks this signature today would trip over."""
    if candidate is None:
        yield fails(f"signature {shown(name)}: stable answers it, the candidate does not have it")
        return
    problems = [*_inputs(stable, candidate), *_outputs(stable, candidate)]
    prefix = "" if name == "serving_default" else f"signature {shown(name)}: "
    yield from (Problem(one.finding, prefix + one.sentence) for one in problems)
    if stable.method != candidate.method:
        yield warns(f"{prefix}method name {shown(stable.method)} became {shown(candidate.method)}")


def _inputs(stable: SignatureFact, candidate: SignatureFact) -> Iterator[Problem]:
    for name, takes in sorted(stable.inputs.items()):
        wants = candidate.inputs.get(name)
        if wants is None:
            yield fails(f"input {shown(name)}: stable takes {takes}, the candidate has no such input")
        elif wants.dtype != takes.dtype or not accepts(wants.shape, takes.shape):
            yield fails(f"input {shown(name)}: stable takes {takes}, the candidate wants {wants}")
    for name in sorted(candidate.inputs.keys() - stable.inputs.keys()):
        if name not in candidate.defaults:
            yield fails(f"input {shown(name)}: the candidate requires {candidate.inputs[name]}, which today's requests do not carry")
        elif len(stable.inputs) == 1:
            yield fails(
                f"input {shown(name)}: a second input changes the JSON of a row from a value to an object; today's REST requests would fail"
            )
    for name in sorted(stable.defaults & candidate.inputs.keys() - candidate.defaults):
        yield fails(f"input {shown(name)}: requests may leave it out today, the candidate requires it")


def _outputs(stable: SignatureFact, candidate: SignatureFact) -> Iterator[Problem]:
    for name, gives in sorted(stable.outputs.items()):
        found = candidate.outputs.get(name)
        if found is None:
            yield fails(f"output {shown(name)}: stable gives {gives}, the candidate has no such output")
        elif not _same_answer(gives, found):
            yield fails(f"output {shown(name)}: stable gives {gives}, the candidate gives {found}")
    added = sorted(candidate.outputs.keys() - stable.outputs.keys())
    if added and len(stable.outputs) == 1:
        names = ", ".join(map(shown, added[:3]))
        yield fails(
            f"output {names}: a second output changes the JSON of an answer from a value to an object; REST clients would break (give it a signature of its own)"
        )


def _same_answer(stable: TensorFact, candidate: TensorFact) -> bool:
    return stable.dtype == candidate.dtype and accepts(stable.shape, candidate.shape)


def accepts(wide: Shape | None, narrow: Shape | None) -> bool:
    """Whether every tensor of the narrow shape fits the wide one."""
    if wide is None or narrow is None:
        return wide is None
    return len(wide) == len(narrow) and all(w is None or w == n for w, n in zip(wide, narrow, strict=True))
