"""Objectives of the user's own: judged like the others, with their own part of alpha; a dry run never decides."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.decide.judge.literal import polls
from tests.decide.judge.simulation import NOISY, history, watch
from tfcanary.core import codec
from tfcanary.core.domain import Decision, Evidence, Finding, Sample, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Direction, JudgePlan, MeanPlan, ObjectiveKind, ObjectivePlan, Plan
from tfcanary.decide.judge import Judge, Poll
from tfcanary.decide.judge.counted_windows import ServerReading, change
from tfcanary.decide.judge.stable_level import alpha_parts, objective_alpha_part

FALLBACKS = ObjectivePlan(ObjectiveKind.COUNTER, "my_fallbacks_total")
CLICKS = ObjectivePlan(ObjectiveKind.RATIO, "clicks_total", "shown_total", Direction.HIGHER)
SHARE = {"fallbacks": 0.02, "clicks": 0.3}


def plan(**objectives: ObjectivePlan) -> JudgePlan:
    return JudgePlan(objectives=objectives)


def with_counts(stream: Iterable[Poll], canary: dict[str, float], stable: dict[str, float] | None = None) -> Iterator[Poll]:
    """With the user's counters beside: events for each answer, by objective; what is not named is not exported."""
    for poll in stream:
        yield replace(poll, stable=_with(poll.stable, SHARE if stable is None else stable), canary=_with(poll.canary, canary))


def _with(sample: Sample, shares: dict[str, float]) -> Sample:
    servers = {
        name: replace(one, objectives={objective: (one.ok * share, one.ok) for objective, share in shares.items()})
        for name, one in sample.servers.items()
    }
    return replace(sample, servers=servers)


def verdict_of(plan: JudgePlan, canary: dict[str, float], seconds: float = 3600.0, **tracks: Any) -> Verdict:
    judge = Judge.begin(plan, "r1")
    for poll in with_counts(polls(weight=5, seconds=seconds), canary, **tracks):
        if judge.poll(poll).decision is not Decision.HOLD:
            break
    return judge.verdict()


def of(verdict: Verdict, name: str) -> Evidence:
    return next(evidence for evidence in verdict.evidence if evidence.about == f"objective/{name}")


def test_a_canary_like_stable_is_promoted_with_proof_for_each_objective() -> None:
    verdict = verdict_of(plan(fallbacks=FALLBACKS, clicks=CLICKS), SHARE)
    assert verdict.decision is Decision.PROMOTE
    assert "fallbacks" in verdict.reason
    for name in SHARE:
        evidence = of(verdict, name)
        assert (evidence.finding, evidence.gating, evidence.unit) == (Finding.PASS, True, "ratio to stable")
        assert evidence.interval is not None
        assert evidence.interval.low < evidence.interval.estimate == pytest.approx(1.0, abs=0.02)
    assert (of(verdict, "fallbacks").tolerance, of(verdict, "fallbacks").margin) == (pytest.approx(1.1), pytest.approx(1.5))
    assert (of(verdict, "clicks").tolerance, of(verdict, "clicks").margin) == (pytest.approx(0.9), pytest.approx(0.5))


@pytest.mark.parametrize(("name", "share"), [("fallbacks", 0.08), ("clicks", 0.1)])
def test_a_bad_ratio_is_rolled_back_and_the_sentence_has_its_numbers(name: str, share: float) -> None:
    verdict = verdict_of(plan(fallbacks=FALLBACKS, clicks=CLICKS), {**SHARE, name: share})
    assert verdict.decision is Decision.ROLLBACK
    evidence = of(verdict, name)
    assert (evidence.finding, verdict.reason) == (Finding.FAIL, evidence.reason)
    assert f"{name}: {share:g} for each of" in verdict.reason
    assert f", {SHARE[name]:g} for stable's" in verdict.reason
    what = "answers" if name == "fallbacks" else "exposures"
    assert evidence.figures["canary events"] == pytest.approx(share * evidence.figures[f"canary {what}"])
    assert evidence.figures["stable events"] == pytest.approx(SHARE[name] * evidence.figures[f"stable {what}"])


@pytest.mark.parametrize(("name", "share"), [("fallbacks", 0.005), ("clicks", 0.6)])
def test_better_is_never_worse(name: str, share: float) -> None:
    assert verdict_of(plan(fallbacks=FALLBACKS, clicks=CLICKS), {**SHARE, name: share}).decision is Decision.PROMOTE


@pytest.mark.parametrize("share", [0.005, 0.02, 0.5, None])
def test_a_dry_run_is_reported_and_never_decides(share: float | None) -> None:
    """Whatever it counts, all else is bit for bit what it is without it, at every poll."""
    dry = plan(fallbacks=replace(FALLBACKS, gating=False))
    with_it, without = Judge.begin(dry, "r1"), Judge.begin(JudgePlan(), "r1")
    for poll in with_counts(polls(seconds=1200), {} if share is None else {"fallbacks": share}):
        one, other = with_it.poll(poll), without.poll(poll)
        assert (one.decision, one.reason) == (other.decision, other.reason)
        assert tuple(evidence for evidence in one.evidence if evidence.about != "objective/fallbacks") == other.evidence
    assert not of(one, "fallbacks").gating
    expected = {0.5: Finding.FAIL, None: Finding.INCONCLUSIVE}.get(share, Finding.PASS)
    assert (one.decision, of(one, "fallbacks").finding) == (Decision.PROMOTE, expected)


@pytest.mark.parametrize(("canary", "stable"), [({}, SHARE), (SHARE, {}), ({}, {}), ({"clicks": 0.3}, SHARE)])
def test_what_is_not_counted_never_passes(canary: dict[str, float], stable: dict[str, float]) -> None:
    verdict = verdict_of(plan(fallbacks=FALLBACKS, clicks=CLICKS), canary, stable=stable)
    assert verdict.decision is Decision.HOLD
    assert of(verdict, "fallbacks").finding is Finding.INCONCLUSIVE
    assert "fallbacks: nothing counted" in of(verdict, "fallbacks").reason


def test_before_stables_level_is_known_each_objective_is_inconclusive() -> None:
    judge = Judge.begin(plan(fallbacks=FALLBACKS), "r1")
    evidence = of(judge.verdict(), "fallbacks")
    assert (evidence.finding, "1,000 requests" in evidence.reason) == (Finding.INCONCLUSIVE, True)


def test_a_plan_without_objectives_says_so() -> None:
    assert any(absence.about == "metrics/objectives" for absence in verdict_of(JudgePlan(), {}).absent)


def test_alpha_is_spent_once_whatever_the_plan_asks_for() -> None:
    both = plan(fallbacks=FALLBACKS, clicks=CLICKS, dry=replace(CLICKS, gating=False))
    assert sum(alpha_parts(both).values()) + 2 * objective_alpha_part(both, gating=True) == pytest.approx(1.0)
    assert objective_alpha_part(both, gating=True) == pytest.approx(0.15)
    assert objective_alpha_part(both, gating=False) == 1.0
    assert sum(alpha_parts(plan(dry=replace(CLICKS, gating=False))).values()) == pytest.approx(1.0)


FOUR = {
    "fallbacks": FALLBACKS,
    "clicks": CLICKS,
    "dry": replace(FALLBACKS, gating=False),
    "value": ObjectivePlan(ObjectiveKind.MEAN, metric=MeanPlan("v_sum", "v_count", within=(0.0, 1.0))),
}


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(order=st.permutations(list(FOUR)), share=st.sampled_from([0.3, 0.25, 0.2]))
def test_the_order_of_objectives_changes_nothing(order: list[str], share: float) -> None:
    """Neither in the plan nor in what is counted."""
    counts = {"fallbacks": 0.02, "clicks": share, "dry": 0.03, "value": 0.4}
    one, other = Judge.begin(plan(**FOUR), "r1"), Judge.begin(plan(**{name: FOUR[name] for name in order}), "r1")
    for poll in polls(seconds=600.0, step=60.0):
        first, second = (
            replace(poll, stable=_with(poll.stable, SHARE | {"dry": 0.02, "value": 0.4}), canary=_with(poll.canary, events))
            for events in (counts, {name: counts[name] for name in order})
        )
        assert one.poll(first) == other.poll(second)


def test_a_judge_that_was_stopped_goes_on_bit_for_bit() -> None:
    rng, whole = np.random.default_rng(3), plan(fallbacks=FALLBACKS, clicks=CLICKS)
    past = [(t, _with(one, SHARE)) for t, one in history(np.random.default_rng(1), NOISY)[:40]]
    going = resumed = Judge.begin(whole, "r1", past)
    assert "objective/clicks" in going.dumps()  # its noise was measured
    stream = with_counts(watch(rng, NOISY, step=60.0), {**SHARE, "clicks": 0.25})
    for _, poll in zip(range(15), stream, strict=False):
        resumed = Judge.resume(resumed.dumps(), "r1", whole)
        assert resumed.poll(poll) == going.poll(poll)
        assert resumed.dumps() == going.dumps()


def reading(events: float, ok: float = 100.0) -> ServerReading:
    return ServerReading(ok=ok, objectives={"a": (events, 1000.0), "b": (1.0, ok)})


def test_an_objective_that_falls_or_jumps_back_says_nothing_and_its_server_goes_on() -> None:
    first, fell, back, later = ({"s": reading(events, ok)} for events, ok in ((500.0, 100.0), (3.0, 110.0), (501.0, 120.0), (504.0, 130.0)))
    one = change(first, fell)
    assert (one.restarted, one.decreased, one.counts.ok, dict(one.counts.objectives)) == ((), ("s",), 10.0, {"b": (0.0, 10.0)})
    two = change(fell, back, first)
    assert (two.counts.ok, dict(two.counts.objectives)) == (10.0, {"b": (0.0, 10.0)})
    assert dict(change(back, later).counts.objectives) == {"a": (3.0, 0.0), "b": (0.0, 10.0)}


@pytest.mark.parametrize("pair", [(math.nan, 1.0), (-1.0, 1.0), (1.0, math.inf), (1.0,), ()])
def test_numbers_that_are_none_are_not_counted(pair: tuple[float, ...]) -> None:
    judge = Judge.begin(plan(fallbacks=FALLBACKS), "r1")
    for poll in polls(seconds=900):
        servers = {name: replace(one, objectives={"fallbacks": pair}) for name, one in poll.canary.servers.items()}
        judge.poll(replace(poll, canary=replace(poll.canary, servers=servers)))
    assert of(judge.verdict(), "fallbacks").finding is Finding.INCONCLUSIVE
    assert judge.verdict().decision is Decision.HOLD


def test_the_example_of_the_docs_is_a_plan() -> None:
    text = (Path(__file__).parents[3] / "docs" / "judge.md").read_text()
    example = text.partition("## Objectives of your own")[2].partition("```yaml\n")[2].partition("```")[0]
    objectives = codec.decode(Plan, yaml.safe_load(example)).judge.objectives
    assert {name: (one.kind, one.direction, one.gating) for name, one in objectives.items()} == {
        "fallbacks": (ObjectiveKind.COUNTER, Direction.LOWER, True),
        "clicks": (ObjectiveKind.RATIO, Direction.HIGHER, True),
        "cache-misses": (ObjectiveKind.RATIO, Direction.LOWER, False),
        "revenue": (ObjectiveKind.MEAN, Direction.HIGHER, True),
    }
    assert codec.decode(Plan, codec.brief(Plan(judge=JudgePlan(objectives=objectives)))).judge.objectives == objectives
    own = text.partition("### Quality and classes from your own counters")[2].partition("```yaml\n")[2].partition("```")[0]
    judge = codec.decode(Plan, yaml.safe_load(own)).judge
    assert sorted(judge.selectors) == ["classes.metric", "quality.metric.count", "quality.metric.sum"]
    assert codec.decode(Plan, codec.brief(Plan(judge=judge))).judge == judge


RIGHT = {"kind": "counter", "events": 'my_fallbacks_total{job="x"}'}


@pytest.mark.parametrize(
    ("objectives", "sentence"),
    [
        ({}, "objectives: has 0; must be 1 to 8, or be left out"),
        ([], "is not an object"),
        ({f"o{i}": RIGHT for i in range(9)}, "objectives: has 9; must be 1 to 8"),
        ({"Fallbacks": RIGHT}, "objectives: name 'Fallbacks': must be a letter"),
        ({"a/b": RIGHT}, "objectives: name 'a/b'"),
        ({"a": {**RIGHT, "kind": "median"}}, "$.objectives.a.kind: 'median' is not one of ratio, counter, mean"),
        (
            {"a": {**RIGHT, "events": "rate(a_total[1m])"}},
            "$.objectives.a: events 'rate(a_total[1m])': must be one selector of a raw counter",
        ),
        ({"a": {**RIGHT, "kind": "ratio"}}, "$.objectives.a: exposures '': is for kind `ratio`, which needs it"),
        ({"a": {**RIGHT, "exposures": "b_total"}}, "$.objectives.a: exposures 'b_total': is for kind `ratio`"),
        ({"a": {**RIGHT, "kind": "ratio", "exposures": "b+c"}}, "$.objectives.a: exposures 'b+c': must be one selector"),
        ({"a": {**RIGHT, "direction": "up"}}, "$.objectives.a.direction: 'up' is not one of lower, higher"),
        ({"a": {**RIGHT, "tolerance": 0.5}}, "tolerance 0.5, margin 0.5: must be positive, the tolerance below the margin"),
        ({"a": {**RIGHT, "tolerance": 0}}, "tolerance 0.0"),
        ({"a": {**RIGHT, "margin": float("inf")}}, "$.objectives.a.margin: inf is not a finite number"),
        ({"a": {**RIGHT, "direction": "higher", "margin": 1}}, "which must be below 1 where higher is better"),
        ({"a": {**RIGHT, "marign": 1}}, "$.objectives.a.marign: unknown key; did you mean 'margin'?"),
        ({"a": {"kind": "counter"}}, "$.objectives.a: events '': must be given for kinds `ratio` and `counter`"),
    ],
)
def test_a_wrong_objective_is_refused_when_the_plan_is_read(objectives: object, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        codec.decode(JudgePlan, {"objectives": objectives})
    assert sentence in str(refused.value)
