"""A loaded model, and what is asked of it: the plan's golden requests, its own warm-up requests, or made-up ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf.message import DecodeError

from tfcanary.core.domain import Evidence, Finding
from tfcanary.core.errors import Refused
from tfcanary.look.savedmodel import SignatureFact
from tfcanary.look.savedmodel.findings import shown
from tfcanary.look.savedmodel.samples import Feeds, Recipe, Sample, declared_in_full, recipes, samples
from tfcanary.look.trial.job import Job
from tfcanary.look.trial.questions import Answer, Outputs
from tfcanary.look.trial.recorded_requests import given, warmups
from tfcanary.tf.runtime import Servable, TensorFlowError

Say = Callable[[str], None]
SENTENCE = 300
"""Characters of TensorFlow's own words that a reason shows."""
REFUSALS = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE", "UNKNOWN"})
"""How a sound model turns down a request that is none."""


@dataclass(frozen=True, slots=True)
class Unanswered:
    """A sample that the model refused or failed to answer."""

    sample: Sample
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.sample.what}: {self.code} {shown(self.message, SENTENCE)}"


Tried = Sequence[Answer | Unanswered]


@dataclass(frozen=True, slots=True)
class Asking:
    """A loaded model and the signature that is tried."""

    servable: Servable
    name: str
    signature: SignatureFact
    say: Say

    def ask(self, feeds: Feeds) -> Outputs:
        """The model's answer; raises TensorFlowError where it has none."""
        return self.servable.run(self.name, feeds)

    def answer(self, sample: Sample) -> Answer | Unanswered:
        """The same, as a value."""
        self.say(f"answering {sample.what}")
        began = time.perf_counter()
        try:
            return Answer(sample, self.ask(sample.feeds), time.perf_counter() - began)
        except TensorFlowError as error:
            return Unanswered(sample, error.code, str(error))


def warmed(asking: Asking, model: Path) -> tuple[Evidence | None, Tried]:
    """What the model makes of the requests that a server sends itself; no evidence where there are none."""
    try:
        tried = [asking.answer(sample) for sample in warmups(model, asking.name, asking.signature)]
    except (Refused, DecodeError) as error:
        return Evidence("trial/warmup", Finding.FAIL, f"a warm-up request cannot be read: {shown(str(error), SENTENCE)}"), []
    failed = [one for one in tried if isinstance(one, Unanswered)]
    if not tried:
        return None, []
    figures = {"requests": float(len(tried)), "unanswered": float(len(failed))}
    if failed:
        return Evidence("trial/warmup", Finding.FAIL, f"{failed[0]}: a server does not load the model for it", figures=figures), tried
    return Evidence("trial/warmup", Finding.PASS, f"{len(tried)} warm-up requests are answered", figures=figures), tried


def recorded(asking: Asking, job: Job) -> tuple[Evidence, Tried]:
    """What the model makes of the plan's requests."""
    tried: list[Answer | Unanswered] = []
    for request in job.requests:
        if request.body.get("signature_name", "serving_default") != asking.name:
            continue
        try:
            tried.append(asking.answer(given(request, asking.signature)))
        except Refused as error:
            tried.append(Unanswered(Sample(f"request {request.id}", {}, None, given=True), "does not fit:", str(error)))
    return (_all_answered(tried) if tried else could_not_ask("every recorded request is for another signature")), tried


def made_up(asking: Asking, batches: Sequence[int]) -> tuple[Evidence, Tried, Recipe | None]:
    """What the model makes of requests that its signature allows."""
    try:
        recipe, tried = _first_answered(asking, batches)
    except Refused as error:
        return could_not_ask(str(error)), [], None
    return _answered(tried, asking.signature), tried, recipe


def could_not_ask(why: str) -> Evidence:
    """Nobody knows what this model wants to be asked: that is no fault of the model."""
    return Evidence("trial/answers", Finding.INCONCLUSIVE, f"the trial could not ask: {why}; golden requests settle it", gating=False)


def settled(evidence: Evidence, by: Tried) -> Evidence:
    """Where made-up requests are none for this model, its own warm-up requests say that it answers."""
    answered = sum(isinstance(one, Answer) for one in by)
    if evidence.finding is not Finding.INCONCLUSIVE or not answered:
        return evidence
    return replace(
        evidence, finding=Finding.PASS, gating=True, reason=f"its {answered} own warm-up requests are answered; no other could be made up"
    )


def _first_answered(asking: Asking, batches: Sequence[int]) -> tuple[Recipe, Tried]:
    """The first recipe that is answered, or the first of all where none is."""
    first: tuple[Recipe, Tried] | None = None
    for recipe in recipes(asking.signature):
        made = list(samples(recipe, batches))
        probes = [sample for sample in made if sample.ordinary and sample.rows == made[0].rows]
        tried = [asking.answer(sample) for sample in probes]
        if any(isinstance(one, Answer) for one in tried):
            return recipe, [*tried, *(asking.answer(sample) for sample in made if not any(sample is probe for probe in probes))]
        first = first or (recipe, tried)
    assert first is not None
    return first


def _all_answered(tried: Tried) -> Evidence:
    failed = [one for one in tried if isinstance(one, Unanswered)]
    figures = {"requests": float(len(tried)), "unanswered": float(len(failed))}
    if failed:
        return Evidence(
            "trial/answers", Finding.FAIL, f"{len(failed)} of {len(tried)} recorded requests are not answered; {failed[0]}", figures=figures
        )
    return Evidence("trial/answers", Finding.PASS, f"{len(tried)} recorded requests are answered", figures=figures)


def _answered(tried: Tried, signature: SignatureFact) -> Evidence:
    """A made-up request may be wrong itself: where the model only says that it is, the trial could not ask."""
    failed = [one for one in tried if isinstance(one, Unanswered)]
    figures = {"samples": float(len(tried)), "unanswered": float(len(failed))}
    if broken := next((one for one in failed if _is_to_blame(one, tried, signature)), None):
        return Evidence("trial/answers", Finding.FAIL, str(broken), figures=figures)
    if len(failed) == len(tried):
        return could_not_ask(f"no made-up request is one for this model ({failed[0]})")
    return Evidence(
        "trial/answers", Finding.PASS, f"{len(tried) - len(failed)} of {len(tried)} made-up requests are answered", figures=figures
    )


def _is_to_blame(one: Unanswered, tried: Tried, signature: SignatureFact) -> bool:
    if not one.sample.ordinary:
        return False
    if one.code not in REFUSALS or declared_in_full(signature):
        return True
    # Rows of random texts differ from one another, and the model may want only one of the kinds.
    if one.sample.content != "zeros" and any(tensor.dtype == "string" for tensor in signature.inputs.values()):
        return False
    smaller = (other.sample for other in tried if isinstance(other, Answer))
    return any(other.content == one.sample.content and (other.rows or 0) < (one.sample.rows or 0) for other in smaller)


def others(asking: Asking, signatures: dict[str, SignatureFact], batches: Sequence[int]) -> Iterator[str]:
    """What is wrong with the model's other signatures, asked once each: only what no request could be the reason for."""
    for name, signature in sorted(signatures.items()):
        evidence, tried, _ = made_up(Asking(asking.servable, name, signature, asking.say), batches[:1])
        if evidence.finding is Finding.FAIL and not declared_in_full(signature):
            failed = [one for one in tried if isinstance(one, Unanswered) and one.code not in REFUSALS]
            if not failed:
                continue
        if evidence.finding is Finding.FAIL:
            yield f"signature {shown(name)}: {evidence.reason}"
