"""The candidate beside the stable model, in one process and on the same requests: latency, memory, and the first call.

A trial is no load test: what it finds here is shown, and never refuses a model.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from tfcanary.core.domain import Evidence, Finding
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.savedmodel import read
from tfcanary.look.trial.memory import Peak
from tfcanary.look.trial.questions import Answer, distance
from tfcanary.look.trial.trial_messages import STABLE
from tfcanary.look.trial.trial_requests import Asking, Unanswered
from tfcanary.tf.runtime import TensorFlowError, load

LEAST = 2**26
"""Bytes below which a difference is the allocator's, not the model's."""
ROUNDS = 50
SECONDS = 2.0
"""Time that is spent on repeating one request; at least three rounds are."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What one model took."""

    peak: float
    """Bytes beyond what the process had before."""
    first: float
    """Seconds of its first answer."""
    latency: float = 0.0
    """Seconds of a later answer, the median."""


def beside(asking: Asking, answers: Sequence[Answer], cost: Cost, stable: Path, plan: ValidationPlan) -> Iterator[Evidence]:
    """Three pieces of evidence, or one where the stable model cannot be asked the same."""
    asking.say(STABLE)
    chosen = next((one for one in answers if one.sample.ordinary), None)
    if chosen is None or asking.name not in read(stable).public:
        yield _not_compared("there is no request that both models take")
        return
    with Peak() as peak:
        try:
            servable = load(stable)
        except TensorFlowError as error:
            yield _not_compared(f"the stable model cannot be loaded ({error.code})")
            return
        other = Asking(servable, asking.name, read(stable).public[asking.name], lambda _: None)
        theirs = [other.answer(one.sample) for one in answers]
    first = theirs[0]
    if any(isinstance(one, Unanswered) for one in theirs) or isinstance(first, Unanswered):
        yield _not_compared("the stable model does not answer the same requests")
        return
    ours, before = _latencies(asking, other, chosen)
    yield from compared(Cost(cost.peak, cost.first, ours), Cost(float(peak.bytes), first.seconds, before), plan, _apart(answers, theirs))


def compared(ours: Cost, stable: Cost, plan: ValidationPlan, apart: float) -> Iterator[Evidence]:
    """The figures as findings."""
    yield _ratio("trial/latency", "answers in {ours:.3g} ms, stable in {stable:.3g} ms", 1e3, ours.latency, stable.latency, plan.slower)
    yield _ratio("trial/first-call", "first answer after {ours:.3g} ms, stable's after {stable:.3g} ms", 1e3, ours.first, stable.first, 0)
    most = plan.larger if ours.peak > LEAST else 0
    yield _ratio("trial/memory", "takes {ours:.3g} MiB, stable {stable:.3g} MiB", 2**-20, ours.peak, stable.peak, most)
    yield Evidence(
        "trial/agreement", Finding.PASS, f"answers differ from stable's by {apart:.3g} at most", gating=False, figures={"distance": apart}
    )


def alone(asking: Asking, answers: Sequence[Answer], cost: Cost) -> Iterator[Evidence]:
    """The same figures where there is no stable model to compare with."""
    chosen = next((one for one in answers if one.sample.ordinary), None)
    figures: Mapping[str, float] = {"peak": cost.peak}
    yield Evidence("trial/memory", Finding.PASS, f"takes {cost.peak / 2**20:.0f} MiB", gating=False, unit="bytes", figures=figures)
    if chosen is not None:
        latency = statistics.median(_time(asking, chosen) for _ in range(5))
        said = f"answers in {latency * 1e3:.3g} ms, the first time in {cost.first * 1e3:.3g} ms"
        yield Evidence("trial/latency", Finding.PASS, said, gating=False, unit="s", figures={"median": latency, "first": cost.first})


def _ratio(about: str, said: str, unit: float, ours: float, stable: float, most: float) -> Evidence:
    ratio = ours / stable if stable else 1.0
    finding = Finding.WARN if most and ratio > most else Finding.PASS
    figures = {"candidate": ours, "stable": stable, "ratio": ratio}
    reason = said.format(ours=ours * unit, stable=stable * unit) + f" ({ratio:.2f} times)"
    return Evidence(about, finding, reason, gating=False, unit="ratio to stable", figures=figures)


def _not_compared(why: str) -> Evidence:
    return Evidence("trial/stable", Finding.INCONCLUSIVE, f"not compared with the stable model: {why}", gating=False)


def _latencies(asking: Asking, other: Asking, answer: Answer) -> tuple[float, float]:
    """Medians, the two models in turns: what disturbs one disturbs the other."""
    ours: list[float] = []
    theirs: list[float] = []
    until = time.perf_counter() + SECONDS
    while len(ours) < 3 or (len(ours) < ROUNDS and time.perf_counter() < until):
        ours.append(_time(asking, answer))
        theirs.append(_time(other, answer))
    return statistics.median(ours), statistics.median(theirs)


def _time(asking: Asking, answer: Answer) -> float:
    began = time.perf_counter()
    asking.ask(answer.sample.feeds)
    return time.perf_counter() - began


def _apart(answers: Sequence[Answer], theirs: Sequence[Answer | Unanswered]) -> float:
    gaps = [
        distance(value, other.outputs[name])
        for one, other in zip(answers, theirs, strict=True)
        if isinstance(other, Answer)
        for name, value in one.outputs.items()
        if name in other.outputs
    ]
    return max(gaps, default=0.0)
