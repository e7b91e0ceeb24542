"""Means of the user's own as objectives: what a watch says of them, with squares, with a histogram, and with bounds alone."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pytest

from tests.decide.judge.literal import polls
from tests.decide.judge.simulation import CALM, NOISY, history, watch
from tfcanary.core import codec
from tfcanary.core.domain import Decision, Evidence, Finding, Sample, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Direction, JudgePlan, MeanPlan, ObjectiveKind, ObjectivePlan
from tfcanary.decide.judge import Judge, Poll

METRIC = MeanPlan("revenue_sum", "revenue_count", "revenue_squares")
REVENUE = ObjectivePlan(ObjectiveKind.MEAN, metric=METRIC, direction=Direction.HIGHER, tolerance=0.02, margin=0.10)
WAITING = replace(REVENUE, direction=Direction.LOWER)
BOUNDED = replace(REVENUE, metric=MeanPlan("rating_sum", "rating_count", within=(1.0, 5.0)))
HOLD, PROMOTE, ROLLBACK = Decision.HOLD, Decision.PROMOTE, Decision.ROLLBACK


def plan(objective: ObjectivePlan = REVENUE, **others: ObjectivePlan) -> JudgePlan:
    return JudgePlan(objectives={"value": objective, **others})


def with_values(
    stream: Iterable[Poll], canary: float | None = 4.0, stable: float | None = 4.0, spread: float | None = 1.0
) -> Iterator[Poll]:
    """A value for each answer: its mean on each track (None: not counted) and its deviation (None: no squares)."""
    for poll in stream:
        yield replace(poll, stable=_with(poll.stable, stable, spread), canary=_with(poll.canary, canary, spread))


def _with(sample: Sample, mean: float | None, spread: float | None) -> Sample:
    if mean is None:
        return sample
    servers = {
        name: replace(one, objectives={"value": (one.ok * mean, one.ok, *(() if spread is None else (one.ok * (mean**2 + spread**2),)))})
        for name, one in sample.servers.items()
    }
    return replace(sample, servers=servers)


def run_judge(whole: JudgePlan, stream: Iterable[Poll]) -> tuple[Verdict, float]:
    judge, t = Judge.begin(whole, "r1"), 0.0
    for poll in stream:
        t = poll.t
        if judge.poll(poll).decision is not HOLD:
            break
    return judge.verdict(), t


def of(verdict: Verdict) -> Evidence:
    return next(evidence for evidence in verdict.evidence if evidence.about == "objective/value")


@pytest.mark.parametrize(("objective", "spread"), [(REVENUE, 1.0), (WAITING, 1.0), (BOUNDED, None)])
def test_a_canary_like_stable_is_promoted_with_proof(objective: ObjectivePlan, spread: float | None) -> None:
    verdict, _ = run_judge(plan(objective), with_values(polls(seconds=3600.0, step=60.0), spread=spread))
    assert verdict.decision is PROMOTE
    found = of(verdict)
    assert (found.finding, found.unit) == (Finding.PASS, "ratio to stable")
    assert found.interval is not None
    assert found.interval.low < 1.0 < found.interval.high
    assert found.interval.estimate == pytest.approx(1.0)
    sign = 1 if objective.direction is Direction.LOWER else -1
    assert (found.tolerance, found.margin) == (pytest.approx(1 + sign * 0.02), pytest.approx(1 + sign * 0.10))
    assert found.figures["canary mean"] == found.figures["stable mean"] == pytest.approx(4.0)
    assert found.figures["stable values"] == pytest.approx(19 * found.figures["canary values"])


@pytest.mark.parametrize(
    ("objective", "canary", "spread"), [(REVENUE, 3.2, 1.0), (WAITING, 4.8, 1.0), (BOUNDED, 3.0, None)], ids=["less", "more", "bounded"]
)
def test_a_worse_mean_is_rolled_back_and_the_sentence_has_its_numbers(
    objective: ObjectivePlan, canary: float, spread: float | None
) -> None:
    verdict, _ = run_judge(plan(objective), with_values(polls(seconds=3600.0, step=60.0), canary, spread=spread))
    assert (verdict.decision, of(verdict).finding) == (ROLLBACK, Finding.FAIL)
    assert verdict.reason == of(verdict).reason
    assert f"value: mean {canary:g} of " in verdict.reason
    assert "4 of stable's" in verdict.reason


@pytest.mark.parametrize(("objective", "canary"), [(REVENUE, 5.0), (WAITING, 3.0)])
def test_better_is_never_worse(objective: ObjectivePlan, canary: float) -> None:
    assert run_judge(plan(objective), with_values(polls(seconds=3600.0, step=60.0), canary))[0].decision is PROMOTE


@pytest.mark.parametrize(
    ("canary", "stable", "spread"), [(None, 4.0, 1.0), (4.0, None, 1.0), (None, None, 1.0), (4.0, 4.0, None), (0.0, 0.0, 1.0)]
)
def test_what_is_not_counted_or_varies_nobody_knows_how_much_never_passes(
    canary: float | None, stable: float | None, spread: float | None
) -> None:
    verdict, _ = run_judge(plan(), with_values(polls(seconds=3600.0, step=60.0), canary, stable, spread))
    assert (verdict.decision, of(verdict).finding) == (HOLD, Finding.INCONCLUSIVE)
    assert "nothing counted" in of(verdict).reason or "exported none" in of(verdict).reason


@pytest.mark.parametrize("canary", [4.0, 1.0, None])
def test_a_dry_run_is_reported_and_never_decides(canary: float | None) -> None:
    dry = plan(replace(REVENUE, gating=False))
    with_it, without = Judge.begin(dry, "r1"), Judge.begin(JudgePlan(), "r1")
    for poll in with_values(polls(seconds=1200.0, step=60.0), canary, stable=canary and 4.0):
        one, other = with_it.poll(poll), without.poll(poll)
        assert (one.decision, one.reason, with_it.decide(poll)) == (other.decision, other.reason, other.decision)
    expected = {4.0: Finding.PASS, 1.0: Finding.FAIL, None: Finding.INCONCLUSIVE}[canary]
    assert (one.decision, of(one).finding, of(one).gating) == (PROMOTE, expected, False)


def test_values_outside_the_bounds_of_the_plan_say_nothing() -> None:
    verdict, _ = run_judge(plan(BOUNDED), with_values(polls(seconds=1200.0, step=60.0), 6.0, spread=None))
    assert (verdict.decision, of(verdict).finding) == (HOLD, Finding.INCONCLUSIVE)


@pytest.mark.parametrize("numbers", [(math.nan, 1.0, 1.0), (-1.0, 1.0, 1.0), (1.0, math.inf, 1.0), (1.0,), (), (1.0, 2.0, 3.0, 4.0)])
def test_numbers_that_are_none_are_not_counted(numbers: tuple[float, ...]) -> None:
    judge = Judge.begin(plan(), "r1")
    for poll in with_values(polls(seconds=900.0, step=60.0)):
        servers = {name: replace(one, objectives={"value": numbers}) for name, one in poll.canary.servers.items()}
        assert judge.poll(replace(poll, canary=replace(poll.canary, servers=servers))).decision is HOLD
    assert of(judge.verdict()).finding is Finding.INCONCLUSIVE


def with_random_values(rng: np.random.Generator, stream: Iterable[Poll], factor: float, wander: float) -> Iterator[Poll]:
    """Heavy-tailed values, as revenue is: lognormal with mean 1, of each tenth answer, and with a wander of each track's own."""
    totals: dict[str, np.ndarray] = {}
    before: dict[str, float] = {}
    level = {"stable": 0.0, "canary": 0.0}
    for poll in stream:
        told = {}
        for track in ("stable", "canary"):
            sample = getattr(poll, track)
            for name, one in sample.servers.items():
                level[track] = 0.78 * level[track] + 0.63 * rng.standard_normal()
                n = int(max(one.ok - before.get(name, one.ok), 0) / 10)
                before[name] = one.ok
                scale = (factor if track == "canary" else 1.0) * math.exp(wander * level[track] * (1.0 if track == "canary" else 0.3))
                values = scale * rng.lognormal(-0.5, 1.0, n)
                grown = np.array([values.sum(), n, (values**2).sum()])
                totals[name] = totals.get(name, np.array([2e5, 2e5, 5.4e5]) if track == "stable" else np.zeros(3)) + grown
            servers = {name: replace(one, objectives={"value": tuple(totals[name].tolist())}) for name, one in sample.servers.items()}
            told[track] = replace(sample, servers=servers)
        yield replace(poll, **told)


@pytest.mark.parametrize(("noise", "wander"), [(CALM, 0.0), (NOISY, 0.02)], ids=["calm", "noisy"])
def test_simulated_watches_find_a_fifth_less_and_leave_a_canary_like_stable_alone(noise: object, wander: float) -> None:
    words = {}
    for factor in (1.0, 0.8):
        for seed in range(3):
            rng = np.random.default_rng([seed, 7])
            stream = watch(rng, noise, rate=400.0, seconds=3600.0, step=60.0)  # type: ignore[arg-type]
            judge = Judge.begin(plan(), "r1")
            decisions = [judge.decide(poll) for poll in with_random_values(rng, stream, factor, wander)]
            words[factor, seed] = next((word for word in decisions if word is not HOLD), HOLD)
            of_value = of(judge.verdict())
            assert of_value.finding is (Finding.FAIL if factor < 1 else of_value.finding)
            assert of_value.finding is not (Finding.FAIL if factor == 1 else Finding.PASS)
    assert [words[0.8, seed] for seed in range(3)] == [ROLLBACK] * 3
    assert ROLLBACK not in [words[1.0, seed] for seed in range(3)]


def test_a_judge_that_was_stopped_goes_on_bit_for_bit() -> None:
    whole = plan(replace(REVENUE, gating=False), other=replace(BOUNDED, metric=METRIC))
    past = [(t, _with(one, 4.0, 1.0)) for t, one in history(np.random.default_rng(1), NOISY)[:40]]
    going = resumed = Judge.begin(whole, "r1", past)
    assert "objective/value" in going.dumps(), "its noise was measured"
    for _, poll in zip(range(12), with_values(watch(np.random.default_rng(3), NOISY, step=60.0), 3.5), strict=False):
        resumed = Judge.resume(resumed.dumps(), "r1", whole)
        assert resumed.poll(poll) == going.poll(poll)
        assert resumed.dumps() == going.dumps()


RIGHT = {"sum": "v_sum", "count": "v_count", "squares": "v_squares"}


@pytest.mark.parametrize(
    ("objective", "sentence"),
    [
        ({"metric": {"sum": "v_sum", "count": "v_count"}}, "squares, buckets, within: must have squares, or else buckets or within"),
        ({"metric": {**RIGHT, "within": [0, 1]}}, "squares, buckets, within: must have squares, or else buckets or within"),
        ({"metric": {**RIGHT, "squares": "", "within": [1, 0]}}, "within [1.0, 0.0]: must be two numbers that rise"),
        ({"metric": {**RIGHT, "squares": "", "within": [-1, 1]}}, "the first not negative"),
        ({"metric": {**RIGHT, "squares": "", "within": [0]}}, "within"),
        ({"metric": {**RIGHT, "sum": "rate(v_sum[1m])"}}, "sum 'rate(v_sum[1m])': must be one selector of a raw counter"),
        ({"metric": {**RIGHT, "sum": ""}}, "sum '': must be one selector"),
        ({"metric": {"sum": "v_sum"}}, "$.objectives.a.metric.count: is missing"),
        ({}, "metric: is for kind `mean`, which needs it"),
        ({"metric": RIGHT, "events": "a_total"}, "events 'a_total': must be given for kinds `ratio` and `counter`, and not for `mean`"),
        ({"kind": "counter", "events": "a_total", "metric": RIGHT}, "metric: is for kind `mean`, which needs it"),
        ({"metric": RIGHT, "tolerance": 0.5}, "tolerance 0.5, margin 0.5"),
    ],
)
def test_a_wrong_mean_is_refused_when_the_plan_is_read(objective: dict[str, object], sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        codec.decode(JudgePlan, {"objectives": {"a": {"kind": "mean", **objective}}})
    assert sentence in str(refused.value)


def test_sixteen_selectors_are_all_that_one_question_holds() -> None:
    means = {f"a{i}": {"kind": "mean", "metric": RIGHT} for i in range(5)}
    assert codec.decode(JudgePlan, {"objectives": means}).selectors["objectives.a0.metric.squares"] == "v_squares"
    with pytest.raises(Refused, match="have 18 selectors; must be at most 16"):
        codec.decode(JudgePlan, {"objectives": means, "quality": {"metric": RIGHT}})
