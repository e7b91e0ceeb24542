"""Where a plan is not the default is said aloud, above all where a pass then says less."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest

from tfcanary.core.plan import (
    DriftPlan,
    JudgePlan,
    LabelledPlan,
    NotifyPlan,
    ObjectiveKind,
    ObjectivePlan,
    OnUndecided,
    Plan,
    PredictionsPlan,
    StagePlan,
)
from tfcanary.report.departures import Departure, departures

PLAN = Plan()


def only(plan: Plan) -> Departure:
    """The one departure of a plan."""
    (found,) = departures(plan)
    return found


def test_the_default_plan_departs_nowhere() -> None:
    assert departures(PLAN) == ()


def test_a_shortened_stage_is_weaker() -> None:
    plan = replace(PLAN, stage=replace(PLAN.stage, minimum=timedelta(minutes=1)))
    assert only(plan) == Departure("stage.minimum", "5 min", "1 min", "shortened", weaker=True)


def test_a_lengthened_stage_is_not_weaker() -> None:
    plan = replace(PLAN, stage=replace(PLAN.stage, minimum=timedelta(minutes=9)))
    assert only(plan) == Departure("stage.minimum", "5 min", "9 min", "lengthened", weaker=False)


@pytest.mark.parametrize(("margin", "effect", "weaker"), [(1.0, "widened", True), (0.4, "narrowed", False)])
def test_a_wider_margin_is_weaker_and_a_narrower_one_is_not(margin: float, effect: str, weaker: bool) -> None:
    judge = replace(PLAN.judge, errors=replace(PLAN.judge.errors, margin=margin))
    found = only(replace(PLAN, judge=judge))
    assert (found.field, found.effect, found.weaker) == ("judge.errors.margin", effect, weaker)


def test_a_criterion_that_is_left_out_is_weaker() -> None:
    found = only(replace(PLAN, judge=replace(PLAN.judge, latency=None)))
    assert found == Departure("judge.latency", "requested", "absent by plan", "not checked", weaker=True)


def test_a_gate_that_is_asked_for_is_a_choice_and_its_own_fields_are_compared_too() -> None:
    found = departures(replace(PLAN, predictions=PredictionsPlan("gs://data/golden.jsonl", limit=50), drift=DriftPlan()))
    assert [(d.field, d.here, d.weaker) for d in found] == [
        ("predictions", "requested", False),
        ("predictions.source", "gs://data/golden.jsonl", False),
        ("predictions.limit", "50", True),
        ("drift", "requested", False),
    ]


def test_promoting_the_undecided_and_bootstrap_are_weaker() -> None:
    undecided = only(replace(PLAN, stage=StagePlan(on_undecided=OnUndecided.PROMOTE)))
    assert (undecided.effect, undecided.weaker) == ("promotes on too few requests", True)
    assert only(replace(PLAN, bootstrap=True)).weaker


def test_weights_are_a_choice() -> None:
    assert only(replace(PLAN, weights=(10, 90))) == Departure("weights", "5, 25, 50", "10, 90", "", weaker=False)


def test_selectors_are_written_out() -> None:
    plan = replace(PLAN, metrics=replace(PLAN.metrics, selectors={"namespace": "prod", "zone": "b"}))
    assert only(plan).here == "namespace=prod, zone=b"


def test_every_field_that_is_known_to_weaken_exists() -> None:
    """A field of the plan that is renamed must be renamed here, too."""
    from dataclasses import fields, is_dataclass

    from tfcanary.core.plan import ClassesPlan, QualityPlan
    from tfcanary.report import departures as module

    judge = replace(PLAN.judge, quality=QualityPlan(), classes=ClassesPlan())
    whole = replace(PLAN, judge=judge, predictions=PredictionsPlan("x"), drift=DriftPlan(), labelled=LabelledPlan("x"))

    def paths(value: object, at: str = "") -> set[str]:
        found = set()
        for one in fields(value):  # type: ignore[arg-type]
            inner = getattr(value, one.name)
            found |= paths(inner, f"{at}{one.name}.") if is_dataclass(inner) else {f"{at}{one.name}"}
        return found

    named = module._SMALLER | module._LARGER | {path for path, _ in module._WEAKER}
    assert named <= paths(whole)


def test_an_objective_is_written_out_by_what_it_names_and_a_receiver_as_it_lets_itself_be_shown() -> None:
    objective = ObjectivePlan(kind=ObjectiveKind.COUNTER, events='f_total{job="s"}')
    found = departures(Plan(judge=JudgePlan(objectives={"fallbacks": objective}), notify=(NotifyPlan(url="https://a.example/canary"),)))
    assert [one.here for one in found] == ['fallbacks=(kind=counter, events=f_total{job="s"})', "json to a.example"]
