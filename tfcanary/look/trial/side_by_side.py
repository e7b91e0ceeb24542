"""Compares the candidate with the stable model in one process and on the same requests: golden labels, latency, memory and first call.

A trial is no load test, so its costs are only for people and never refuse a model.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfcanary.core.domain import Evidence, Finding, Request
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import SignatureFact, read
from tfcanary.look.savedmodel.findings import quote
from tfcanary.look.trial.golden import GoldenAnswers, ask_golden_requests, check_golden
from tfcanary.look.trial.memory import PeakMemory
from tfcanary.look.trial.questions import ModelAnswer, distance
from tfcanary.look.trial.trial_messages import STABLE
from tfcanary.look.trial.trial_requests import FailedAnswer, TrialModel, could_not_ask
from tfcanary.tf.runtime import TensorFlowError, load

LEAST = 2**26
"""Bytes of peak memory below which a difference says nothing about the model, only about the memory allocator."""
ROUNDS = 50
"""Largest number of times that one request is repeated."""
SECONDS = 2.0
"""Seconds after which the repetition of one request ends, but not before three rounds."""


@dataclass(frozen=True, slots=True)
class Cost:
    """The memory and time that one model took."""

    peak: float
    """Bytes by which the process grew at most."""
    first: float
    """Seconds of the first answer."""
    latency: float = 0.0
    """Median seconds of a later answer."""


def compare_with_stable(
    model: TrialModel,
    answers: Sequence[ModelAnswer],
    faults: Sequence[FailedAnswer],
    cost: Cost,
    stable: Path,
    plan: ValidationPlan,
    golden: GoldenAnswers | None = None,
    requests: Iterable[Request] = (),
) -> Iterator[Evidence]:
    """Load the stable model, send it the requests of `answers` and compare the costs; one piece of evidence where that fails.

    `golden` is what the candidate answered to the golden `requests`, which stable gets, too, where they have labels.
    `faults` are the candidate's failures to answer made-up requests: where stable fails with the same requests, these are invalid, and
    evidence that the trial could not ask replaces the earlier evidence about the answers.
    """
    model.announce(STABLE)
    signature = read(stable).public.get(model.name)
    ordinary = next((one for one in answers if one.request.ordinary), None)
    if signature is None or (ordinary is None and not faults):
        yield _not_compared("there is no request that both models take")
        return
    with PeakMemory() as peak:
        try:
            servable = load(stable)
        except TensorFlowError as error:
            yield _not_compared(f"the stable model cannot be loaded ({error.code})")
            return
        other = TrialModel(servable, model.name, signature, lambda _: None)
        theirs = [other.answer(one.request) for one in answers]
    if golden and golden.labels:
        theirs_to_labels = ask_golden_requests(other, requests, plan, golden.readings)
        if (labels := check_golden(golden, plan, True, theirs_to_labels.labelled)) is not None:
            yield labels
    if (
        faults
        and _takes_alike(signature, model.signature)
        and not any(isinstance(other.answer(one.request), ModelAnswer) for one in faults)
    ):
        yield could_not_ask(f"the stable model does not answer the made-up requests either ({faults[0]})")
    if ordinary is None:
        yield _not_compared("there is no request that both models take")
        return
    first = theirs[0]
    if any(isinstance(one, FailedAnswer) for one in theirs) or isinstance(first, FailedAnswer):
        yield _not_compared("the stable model does not answer the same requests")
        return
    yield from _lost_rows(answers, theirs)
    ours, before = _latencies(model, other, ordinary)
    gap = _largest_distance(answers, theirs)
    yield from compare_costs(Cost(cost.peak, cost.first, ours), Cost(float(peak.bytes), first.seconds, before), plan, gap)


def compare_costs(ours: Cost, stable: Cost, plan: ValidationPlan, gap: float) -> Iterator[Evidence]:
    """The costs of both models as evidence; `gap` is the largest distance of their answers."""
    yield _ratio("trial/latency", "answers in {ours:.3g} ms, stable in {stable:.3g} ms", 1e3, ours.latency, stable.latency, plan.slower)
    yield _ratio("trial/first-call", "first answer after {ours:.3g} ms, stable's after {stable:.3g} ms", 1e3, ours.first, stable.first, 0)
    most = plan.larger if ours.peak > LEAST else 0
    yield _ratio("trial/memory", "takes {ours:.3g} MiB, stable {stable:.3g} MiB", 2**-20, ours.peak, stable.peak, most)
    yield Evidence(
        "trial/agreement", Finding.PASS, f"answers differ from stable's by {gap:.3g} at most", gating=False, figures={"distance": gap}
    )


def measure_alone(model: TrialModel, answers: Sequence[ModelAnswer], cost: Cost) -> Iterator[Evidence]:
    """The memory and latency of the candidate as evidence, where there is no stable model."""
    ordinary = next((one for one in answers if one.request.ordinary), None)
    figures: Mapping[str, float] = {"peak": cost.peak}
    yield Evidence("trial/memory", Finding.PASS, f"takes {cost.peak / 2**20:.0f} MiB", gating=False, unit="bytes", figures=figures)
    if ordinary is not None:
        latency = statistics.median(_time(model, ordinary) for _ in range(5))
        reason = f"answers in {latency * 1e3:.3g} ms, the first time in {cost.first * 1e3:.3g} ms"
        yield Evidence("trial/latency", Finding.PASS, reason, gating=False, unit="s", figures={"median": latency, "first": cost.first})


def _ratio(about: str, template: str, unit: float, ours: float, stable: float, most: float) -> Evidence:
    """Two costs as evidence: a warning where their ratio exceeds `most`, unless that is 0."""
    ratio = ours / stable if stable else 1.0
    finding = Finding.WARN if most and ratio > most else Finding.PASS
    figures = {"candidate": ours, "stable": stable, "ratio": ratio}
    reason = template.format(ours=ours * unit, stable=stable * unit) + f" ({ratio:.2f} times)"
    return Evidence(about, finding, reason, gating=False, unit="ratio to stable", figures=figures)


def _takes_alike(stable: SignatureFact, candidate: SignatureFact) -> bool:
    """Whether both signatures have the same inputs, so that a request for one is a request for the other."""
    sides = ({name: (one.dtype, one.shape) for name, one in side.inputs.items()} for side in (stable, candidate))
    return next(sides) == next(sides)


def _lost_rows(answers: Sequence[ModelAnswer], theirs: Sequence[ModelAnswer | FailedAnswer]) -> Iterator[Evidence]:
    """Evidence where stable answers each row of a request and the candidate does not: clients cannot tell their rows apart."""
    for one, other in zip(answers, theirs, strict=True):
        rows = one.request.rows
        if not rows or isinstance(other, FailedAnswer):
            continue
        for name, value in one.outputs.items():
            if name in other.outputs and other.outputs[name].shape[:1] == (rows,) != value.shape[:1]:
                count = value.shape[0] if value.ndim else "no"
                reason = f"output {quote(name)}: stable answers {rows} rows to {one.request.what}, the candidate {count}"
                yield Evidence("trial/shapes", Finding.FAIL, reason)
                return


def _not_compared(why: str) -> Evidence:
    return Evidence("trial/stable", Finding.INCONCLUSIVE, f"not compared with the stable model: {why}", gating=False)


def _latencies(model: TrialModel, other: TrialModel, answer: ModelAnswer) -> tuple[float, float]:
    """Median seconds of an answer of each model; the models take turns, so that a disturbance affects both."""
    ours: list[float] = []
    theirs: list[float] = []
    until = time.perf_counter() + SECONDS
    while len(ours) < 3 or (len(ours) < ROUNDS and time.perf_counter() < until):
        ours.append(_time(model, answer))
        theirs.append(_time(other, answer))
    return statistics.median(ours), statistics.median(theirs)


def _time(model: TrialModel, answer: ModelAnswer) -> float:
    began = time.perf_counter()
    model.outputs(answer.request.feeds)
    return time.perf_counter() - began


def _largest_distance(answers: Sequence[ModelAnswer], theirs: Sequence[ModelAnswer | FailedAnswer]) -> float:
    gaps = [
        distance(value, other.outputs[name])
        for one, other in zip(answers, theirs, strict=True)
        if isinstance(other, ModelAnswer)
        for name, value in one.outputs.items()
        if name in other.outputs
    ]
    return max(gaps, default=0.0)
