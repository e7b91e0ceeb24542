"""Sends the plan's golden requests to a model, all of them and in bounded memory, and compares the answers with their labels."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from tfcanary.core.domain import Evidence, Finding, Request
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.evaluate.answers import Kind, Reading, matches, numbers, reading_of, rows
from tfcanary.look.savedmodel.findings import quote
from tfcanary.look.savedmodel.samples import TensorRequest
from tfcanary.look.trial.questions import SAME, FiniteFault, ModelAnswer, Outputs, ShapeFault, distance, finite_faults, shape_faults
from tfcanary.look.trial.recorded_requests import to_tensors
from tfcanary.look.trial.trial_requests import FailedAnswer, TrialModel, could_not_ask
from tfcanary.tf.runtime import TensorFlowError

BATCH = 64
"""Golden requests in one batch at most."""
KEPT = 200
"""Answers that are kept whole, for the questions that need only some; of the others only what was found is kept."""
PART = 3
"""The golden requests may take one part in so many of the trial's time on each model; loading and the other questions need the rest."""


@dataclass(frozen=True, slots=True)
class LabelledAnswer:
    """What the comparison of one golden request with its label needs."""

    what: str
    label: float | str
    answer: object
    """The class that the answer tells, as in the comparison of predictions; None where it tells none."""
    number: float | None
    """The number itself where the answer is a single one that is no label; NaN where it is not finite."""
    shown: str
    """The answer for a sentence."""


@dataclass(slots=True)
class GoldenAnswers:
    """What a model answered to the golden requests."""

    readings: dict[frozenset[str], Reading] = field(default_factory=dict)
    """The way in which answers tell their class; shared by the candidate and stable, so that both are read alike."""
    answers: list[ModelAnswer] = field(default_factory=list)
    """The first answers."""
    asked: int = 0
    failed: int = 0
    first_failed: FailedAnswer | None = None
    finite_faults: list[FiniteFault] = field(default_factory=list)
    """The faults of the answers after the first ones."""
    shape_faults: list[ShapeFault] = field(default_factory=list)
    labelled: dict[int, LabelledAnswer] = field(default_factory=dict)
    """The answers to requests with a label, by the request's position."""
    labels: int = 0
    """Requests with a label, also those whose answers have several rows."""
    out_of_time: bool = False

    @property
    def others(self) -> int:
        """The number of answers after the first ones."""
        return self.asked - self.failed - len(self.answers)

    def add(self, model: TrialModel, position: int, answer: ModelAnswer | FailedAnswer) -> None:
        """Count the model's answer to the golden request at a position of the source."""
        self.asked += 1
        if isinstance(answer, FailedAnswer):
            self.failed += 1
            self.first_failed = self.first_failed or answer
            return
        if answer.request.label is not None:
            self.labels += 1
            if labelled := _labelled(answer, self.readings):
                self.labelled[position] = labelled
        if len(self.answers) < KEPT:
            self.answers.append(answer)
            return
        self.finite_faults += [(replace(request, feeds={}), text) for request, text in finite_faults(answer)]
        self.shape_faults += shape_faults(answer, model.signature)

    def evidence(self, plan: ValidationPlan, left_out: str) -> Evidence:
        """Whether the model answers every golden request."""
        figures = {"requests": float(self.asked), "unanswered": float(self.failed)}
        limit = f"; {left_out}" if left_out else ""
        if self.first_failed:
            reason = f"{self.failed:,} of {self.asked:,} recorded requests are not answered; {self.first_failed}{limit}"
            return Evidence("trial/answers", Finding.FAIL, reason, figures=figures)
        if self.out_of_time:
            seconds = plan.timeout.total_seconds() / PART
            reason = (
                f"only {self.asked:,} recorded requests could be sent within {seconds:g} s, a third of the trial's time, "
                "and all were answered; raise validation.timeout, or lower validation.golden_limit"
            )
            return Evidence("trial/answers", Finding.INCONCLUSIVE, reason, figures=figures)
        if not self.asked:
            return could_not_ask("every recorded request is for another signature")
        reason = f"{self.asked:,} of {self.asked:,} recorded requests are answered{limit}"
        return Evidence("trial/answers", Finding.PASS, reason, figures=figures)


def ask_golden_requests(
    model: TrialModel, requests: Iterable[Request], plan: ValidationPlan, readings: dict[frozenset[str], Reading]
) -> GoldenAnswers:
    """Send the golden requests for this signature until they end, or until their part of the trial's time is over.

    The first ones are sent one by one. Later ones are sent in batches where a batch of the first ones is answered as they were alone.
    """
    golden, deadline = GoldenAnswers(readings), time.monotonic() + plan.timeout.total_seconds() / PART
    mine = enumerate(one for one in requests if one.body.get("signature_name", "serving_default") == model.name)
    in_batches = False
    while part := list(islice(mine, BATCH)):
        tensors = [_tensors(model, request) for _, request in part]
        # Each of the first requests is announced by its name; of the others only one in a batch is, as the parent reads so much only.
        alone = model.answer if not golden.asked else model.try_answer
        if golden.asked:
            model.announce(f"answering request {part[0][1].id} or one of the {len(part) - 1} after it")
        answers = _answers_in_batch(model, tensors) if in_batches else None
        before = golden.asked
        for (position, _), answer in zip(part, answers or _answers_alone(alone, tensors, deadline), strict=False):
            golden.add(model, position, answer)
        if golden.asked - before < len(part):
            golden.out_of_time = True
            return golden
        if before == 0:
            in_batches = _is_alike(_answers_in_batch(model, tensors), golden.answers)
    return golden


def _tensors(model: TrialModel, request: Request) -> TensorRequest | FailedAnswer:
    try:
        return to_tensors(request, model.signature)
    except Refused as error:
        return FailedAnswer(TensorRequest(f"request {request.id}", {}, None, recorded=True), "does not fit:", str(error))


def _answers_alone(
    ask: Callable[[TensorRequest], ModelAnswer | FailedAnswer], requests: Sequence[TensorRequest | FailedAnswer], deadline: float
) -> Iterator[ModelAnswer | FailedAnswer]:
    """The answers to requests one by one, until the deadline."""
    for one in requests:
        if time.monotonic() > deadline:
            return
        yield one if isinstance(one, FailedAnswer) else ask(one)


def _answers_in_batch(model: TrialModel, requests: Sequence[TensorRequest | FailedAnswer]) -> list[ModelAnswer | FailedAnswer] | None:
    """The answers to requests that are sent as one; None where they do not fit together, or one of them has no answer of its own."""
    fitting = [one for one in requests if isinstance(one, TensorRequest) and one.rows]
    forms = {_form(one) for one in fitting}
    if len(fitting) < len(requests) or len(forms) != 1 or None in forms:
        return None
    began = time.perf_counter()
    try:
        outputs = model.outputs({name: np.concatenate([one.feeds[name] for one in fitting]) for name in fitting[0].feeds})
    except TensorFlowError:
        return None
    seconds = (time.perf_counter() - began) / len(fitting)
    ends = np.cumsum([one.rows for one in fitting]).tolist()
    if any(value.shape[:1] != (ends[-1],) for value in outputs.values()):
        return None
    starts = [0, *ends[:-1]]
    return [
        ModelAnswer(one, {name: value[start:end] for name, value in outputs.items()}, seconds)
        for one, start, end in zip(fitting, starts, ends, strict=True)
    ]


def _form(request: TensorRequest) -> tuple[object, ...] | None:
    """What requests in one batch have in common; None for each request whose inputs do not have its rows."""
    if any(value.shape[:1] != (request.rows,) for value in request.feeds.values()):
        return None
    return tuple((name, value.dtype.str, value.shape[1:]) for name, value in sorted(request.feeds.items()))


def _is_alike(batch: Sequence[ModelAnswer | FailedAnswer] | None, alone: Sequence[ModelAnswer]) -> bool:
    """Whether the answers in a batch are those of the requests alone."""
    if batch is None or len(batch) != len(alone):
        return False
    pairs = [(one.outputs, other.outputs) for one, other in zip(batch, alone, strict=True) if isinstance(one, ModelAnswer)]
    return all(distance(value, other[name]) <= SAME for one, other in pairs for name, value in one.items())


def _labelled(answer: ModelAnswer, readings: dict[frozenset[str], Reading]) -> LabelledAnswer | None:
    """The answer beside its label, read as the comparison of predictions reads a response; None where it has not exactly one row."""
    label = answer.request.label
    found = rows({"outputs": _plain(answer.outputs)})
    if found is None or len(found) != 1 or not isinstance(label, int | float | str):
        return None
    reading = reading_of(readings, found[0], label)
    value = found[0].get(reading.output)
    one = numbers(value) if reading.kind is Kind.SCORES else None
    number = float(one.flat[0]) if one is not None and one.size == 1 else None
    return LabelledAnswer(answer.request.what, label, reading.of(found[0]), number, _first_values(value))


def _plain(outputs: Outputs) -> dict[str, object]:
    """The outputs as in a response in JSON: lists, and texts in place of bytes."""
    return {name: _texts(value.tolist()) for name, value in outputs.items()}


def _texts(value: object) -> object:
    if isinstance(value, list):
        return [_texts(one) for one in value]
    return value.decode(errors="replace") if isinstance(value, bytes) else value


def _first_values(value: object) -> str:
    first = np.asarray(value, object).reshape(-1)[:8].tolist()
    return ", ".join(f"{one:.4g}" if isinstance(one, float) else str(one) for one in first)


def check_golden(
    ours: GoldenAnswers, plan: ValidationPlan, stable: bool, theirs: Mapping[int, LabelledAnswer] | None = None
) -> Evidence | None:
    """Compare the golden answers with their labels; None where no golden request has a label.

    The share of right answers must reach `validation.accuracy`; where the plan has none, stable's share on the same requests less
    the margin; and where the labels are numbers that the model should answer exactly, all of them. `stable` tells whether there is a
    stable model, and `theirs` what it answered, None as long as that is unknown.
    """
    if not ours.labels:
        return None
    if not ours.labelled:
        reason = f"{ours.labels:,} golden requests carry a label, but none of their answers has exactly one row: a label belongs to one row"
        return Evidence("trial/golden", Finding.INCONCLUSIVE, reason)
    exact = _are_outputs(ours.labelled.values())
    right = {position: _is_right(one, exact, plan.golden_tolerance) for position, one in ours.labelled.items()}
    n, good = len(right), sum(right.values())
    both = [one for one in right if theirs and one in theirs]
    before = sum(_is_right(theirs[one], exact, plan.golden_tolerance) for one in both) if theirs else 0
    figures: dict[str, float | str] = {"labelled": float(n), "wrong": float(n - good)}
    if both:
        figures["stable_wrong"] = float(len(both) - before)
    reason = f"{good:,} of {n:,} golden answers are as expected ({good / n:.1%})"
    first = next((one for position, one in ours.labelled.items() if not right[position]), None)
    example = f"; {first.what} has the label {quote(str(first.label))}, the answer is {quote(first.shown)}" if first else ""
    readings = "; ".join(sorted({str(one) for one in ours.readings.values()}))

    def says(finding: Finding, why: str, gating: bool = True) -> Evidence:
        return Evidence("trial/golden", finding, f"{reason}{why}{example}", gating, figures=figures)

    if good == n:
        return says(Finding.PASS, "")
    if plan.accuracy is not None:
        return says(
            Finding.FAIL if good / n < plan.accuracy else Finding.PASS, f"; the plan asks for {plan.accuracy:.1%} (validation.accuracy)"
        )
    if exact:
        return says(Finding.FAIL, f"; a number may lie {plan.golden_tolerance:g} of its label away (validation.golden_tolerance)")
    if not good and not before:
        return says(Finding.INCONCLUSIVE, f"; {readings}: are the labels written as the model writes its classes?")
    if both:
        ours_of_both = sum(right[one] for one in both)
        worse = (before - ours_of_both) / len(both)
        why = (
            f"; stable answers {before:,} of {len(both):,} ({before / len(both):.1%}), "
            f"at most {plan.accuracy_margin:.1%} less is allowed (validation.accuracy_margin)"
        )
        return says(Finding.FAIL if worse > plan.accuracy_margin else Finding.PASS, why)
    if stable:
        return says(Finding.INCONCLUSIVE, "; stable's answers to them are not known: set validation.accuracy in the plan")
    return says(Finding.WARN, "; without a stable version and without validation.accuracy this decides nothing", gating=False)


def _are_outputs(labelled: Iterable[LabelledAnswer]) -> bool:
    """Whether the labels are numbers that the model should answer, and no classes: single numbers that are not all scores of 0 and 1."""
    pairs = [(one.number, one.label) for one in labelled]
    if any(number is None for number, _ in pairs):
        return False
    scores = all(number is not None and not number < 0 and not number > 1 for number, _ in pairs)
    return not (scores and all(matches(0, label) or matches(1, label) for _, label in pairs))


def _is_right(one: LabelledAnswer, exact: bool, tolerance: float) -> bool:
    """Whether an answer is its label: the class itself, or, where labels are `exact` numbers, a number within the tolerance."""
    if not exact:
        return matches(one.answer, one.label)
    if one.number is None or isinstance(one.label, str):
        return False
    return abs(one.number - one.label) <= tolerance * max(abs(one.label), 1e-6)
