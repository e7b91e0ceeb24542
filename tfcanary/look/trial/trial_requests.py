"""Sends requests to a loaded model: the model's own warm-up requests, or made-up ones."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from google.protobuf.message import DecodeError

from tfcanary.core.domain import Evidence, Finding
from tfcanary.core.errors import Refused
from tfcanary.look.savedmodel import SignatureFact
from tfcanary.look.savedmodel.findings import quote
from tfcanary.look.savedmodel.samples import (
    Feeds,
    Recipe,
    TensorRequest,
    declared_in_full,
    has_unknown_rank,
    recipes,
    tensor_requests,
)
from tfcanary.look.trial.questions import ModelAnswer, Outputs
from tfcanary.look.trial.recorded_requests import warmup_requests
from tfcanary.tf.runtime import Servable, TensorFlowError

Announce = Callable[[str], None]
"""Takes the name of an activity before it begins, since the activity may never end."""
SENTENCE = 300
"""Largest number of characters of TensorFlow's own message in a reason."""
REFUSALS = frozenset({"INVALID_ARGUMENT", "OUT_OF_RANGE", "UNKNOWN"})
"""Error codes with which a sound model refuses an invalid request."""


@dataclass(frozen=True, slots=True)
class FailedAnswer:
    """A request that the model refused or failed to answer."""

    request: TensorRequest
    code: str
    message: str

    def __str__(self) -> str:
        return f"{self.request.what}: {self.code} {quote(self.message, SENTENCE)}"


Answers = Sequence[ModelAnswer | FailedAnswer]


@dataclass(frozen=True, slots=True)
class TrialModel:
    """A loaded model and the signature that the trial calls."""

    servable: Servable
    name: str
    signature: SignatureFact
    announce: Announce

    def outputs(self, feeds: Feeds) -> Outputs:
        """The model's outputs for these inputs. Raises TensorFlowError where the model does not answer."""
        return self.servable.run(self.name, feeds)

    def answer(self, request: TensorRequest) -> ModelAnswer | FailedAnswer:
        """The model's answer to a request, or its failure as a value; the request is announced before."""
        self.announce(f"answering {request.what}")
        return self.try_answer(request)

    def try_answer(self, request: TensorRequest) -> ModelAnswer | FailedAnswer:
        """The model's answer to a request that was announced, or its failure as a value."""
        began = time.perf_counter()
        try:
            return ModelAnswer(request, self.outputs(request.feeds), time.perf_counter() - began)
        except TensorFlowError as error:
            return FailedAnswer(request, error.code, str(error))


def ask_warmup_requests(model: TrialModel, path: Path) -> tuple[Evidence | None, Answers]:
    """Send the warm-up requests of the SavedModel at `path`; the evidence is None where it has none for this signature."""
    try:
        answers = [model.answer(request) for request in warmup_requests(path, model.name, model.signature)]
    except (Refused, DecodeError) as error:
        return Evidence("trial/warmup", Finding.FAIL, f"a warm-up request cannot be read: {quote(str(error), SENTENCE)}"), []
    if not answers:
        return None, []
    failed = [one for one in answers if isinstance(one, FailedAnswer)]
    figures = {"requests": float(len(answers)), "unanswered": float(len(failed))}
    if failed:
        reason = f"{failed[0]}: a server cannot load a model that fails its warm-up requests"
        return Evidence("trial/warmup", Finding.FAIL, reason, figures=figures), answers
    return Evidence("trial/warmup", Finding.PASS, f"{len(answers)} warm-up requests are answered", figures=figures), answers


def ask_made_up_requests(model: TrialModel, batches: Sequence[int]) -> tuple[Evidence, Answers, Recipe | None]:
    """Send made-up requests of these batch sizes; the recipe is None where the values of an input cannot be made up."""
    try:
        recipe, answers = _first_answered(model, batches)
    except Refused as error:
        return could_not_ask(str(error)), [], None
    return _made_up_evidence(answers, model.signature), answers, recipe


def made_up_faults(answers: Answers, signature: SignatureFact) -> list[FailedAnswer]:
    """The failures to answer made-up requests that are the model's fault."""
    return [one for one in answers if isinstance(one, FailedAnswer) and _is_fault(one, answers, signature)]


def could_not_ask(why: str) -> Evidence:
    """The evidence where no valid request for the model is known, which is no fault of the model."""
    reason = f"the trial could not ask: {why}; name golden requests in the plan to settle it"
    return Evidence("trial/answers", Finding.INCONCLUSIVE, reason, gating=False)


def settle_by_warmup(evidence: Evidence, warmup: Answers) -> Evidence:
    """The evidence, as `pass` where the trial could not ask and the model answers its own warm-up requests."""
    answered = sum(isinstance(one, ModelAnswer) for one in warmup)
    if evidence.finding is not Finding.INCONCLUSIVE or evidence.gating or not answered:
        return evidence
    reason = f"the model answers {answered} of its own warm-up requests; no other valid request could be made up"
    return replace(evidence, finding=Finding.PASS, gating=True, reason=reason)


def _first_answered(model: TrialModel, batches: Sequence[int]) -> tuple[Recipe, Answers]:
    """The first recipe of which a request is answered, with all its answers; the first of all where none is answered.

    Where the rank of an input is unknown, a recipe whose ordinary requests are all answered comes before one that is answered in part.
    """
    first: tuple[Recipe, Answers] | None = None
    partial: tuple[Recipe, Answers] | None = None
    unsure = has_unknown_rank(model.signature)
    for recipe in recipes(model.signature):
        requests = list(tensor_requests(recipe, batches))
        probes = [one for one in requests if one.ordinary and one.rows == requests[0].rows]
        answers = [model.answer(one) for one in probes]
        if any(isinstance(one, ModelAnswer) for one in answers):
            answers += [model.answer(one) for one in requests if not any(one is probe for probe in probes)]
            if not unsure or not any(isinstance(one, FailedAnswer) and one.request.ordinary for one in answers):
                return recipe, answers
            partial = partial or (recipe, answers)
        first = first or (recipe, answers)
    assert first is not None
    return partial or first


def _made_up_evidence(answers: Answers, signature: SignatureFact) -> Evidence:
    """A made-up request may be invalid: where the model only refuses such requests, the trial could not ask it."""
    failed = [one for one in answers if isinstance(one, FailedAnswer)]
    figures = {"samples": float(len(answers)), "unanswered": float(len(failed))}
    if faults := made_up_faults(answers, signature):
        return Evidence("trial/answers", Finding.FAIL, str(faults[0]), figures=figures)
    if len(failed) == len(answers):
        return could_not_ask(f"the model takes none of the made-up requests ({failed[0]})")
    reason = f"{len(answers) - len(failed)} of {len(answers)} made-up requests are answered"
    return Evidence("trial/answers", Finding.PASS, reason, figures=figures)


def _is_fault(failed: FailedAnswer, answers: Answers, signature: SignatureFact) -> bool:
    """Whether the failure is the model's fault, and not that of a made-up request."""
    request = failed.request
    if not request.ordinary:
        return False
    if failed.code not in REFUSALS or declared_in_full(signature):
        return True
    if has_unknown_rank(signature):
        return False
    # Rows of random texts differ from one another, and the model may take only one of their kinds.
    if request.content != "zeros" and any(tensor.dtype == "string" for tensor in signature.inputs.values()):
        return False
    answered = (one.request for one in answers if isinstance(one, ModelAnswer))
    return any(one.content == request.content and (one.rows or 0) < (request.rows or 0) for one in answered)


def other_signature_faults(model: TrialModel, signatures: dict[str, SignatureFact], batches: Sequence[int]) -> Iterator[str]:
    """The faults of the model's other signatures, each called once; a failure that the request may have caused is no fault."""
    for name, signature in sorted(signatures.items()):
        evidence, answers, _ = ask_made_up_requests(TrialModel(model.servable, name, signature, model.announce), batches[:1])
        if evidence.finding is not Finding.FAIL:
            continue
        certain = any(isinstance(one, FailedAnswer) and one.code not in REFUSALS for one in answers)
        if certain or declared_in_full(signature):
            yield f"signature {quote(name)}: {evidence.reason}"
