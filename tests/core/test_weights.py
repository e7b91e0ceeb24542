"""The forms of `weights`: each is written out into stages before anything happens, and what cannot be is refused by name."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from tfcanary.core import codec
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan, StagePlan


def plan_of(weights: Any, **rest: Any) -> Plan:
    found: Plan = codec.decode(Plan, {"weights": weights, **rest})
    return found


@pytest.mark.parametrize(
    ("weights", "became"),
    [
        ([5, 25, 50], (5, 25, 50)),
        ({"from": 5, "to": 50, "factor": 2}, (5, 10, 20, 40, 50)),
        ({"from": 10, "to": 50, "step": 20}, (10, 30, 50)),
        ({"from": 10, "to": 55, "step": 20}, (10, 30, 50, 55)),
        ({"from": 1, "to": 3, "factor": 1.1}, (1, 2, 3)),
        ([{"weight": 5, "minimum": "1h"}, 25], (5, 25)),
    ],
)
def test_every_form_of_weights_is_written_out(weights: Any, became: tuple[int, ...]) -> None:
    assert plan_of(weights).weights == became


def test_a_stage_has_its_own_values_and_the_plans_for_the_rest() -> None:
    plan = plan_of([{"weight": 5, "minimum": "30m", "samples": 200}, 25, {"weight": 50, "maximum": "2h"}], stage={"samples": 10})
    minutes = [(one.minimum / timedelta(minutes=1), one.maximum / timedelta(minutes=1), one.samples) for one in map(plan.times, range(3))]
    assert minutes == [(30, 60, 200), (5, 60, 10), (5, 120, 10)]


def test_one_stage_alone_may_ask_a_person_or_be_spared_the_question() -> None:
    assert [plan_of([5, {"weight": 25, "approval": "every"}, 50]).asks(number) for number in range(3)] == [False, True, False]
    spared = plan_of([{"weight": 5, "approval": "none"}, 50], stage={"approval": "every"})
    assert [spared.asks(number) for number in range(2)] == [False, True]


def test_the_plan_in_force_at_a_stage_has_its_times_and_every_weight() -> None:
    plan = plan_of([{"weight": 5, "minimum": "30m"}, 25])
    assert (plan.at_stage(0).stage, plan.at_stage(0).weights) == (StagePlan(minimum=timedelta(minutes=30)), (5, 25))
    assert plan.at_stage(1).stage == StagePlan()


def test_a_plan_travels_written_out_and_without_a_null() -> None:
    plan = plan_of([{"weight": 5, "minimum": "30m"}, 25])
    assert codec.brief(plan)["stages"] == [{"weight": 5, "minimum": "1800s"}, {"weight": 25}]
    assert codec.decode(Plan, codec.brief(plan)) == codec.decode(Plan, codec.encode(plan)) == plan


@pytest.mark.parametrize(
    ("weights", "sentence"),
    [
        ({"from": 5, "to": 100, "factor": 2}, "$.weights: from 5, to 100: must rise, from 1 to 99 percent; at 100 nothing is left"),
        ({"from": 50, "to": 5, "step": 5}, "$.weights: from 50, to 5: must rise"),
        ({"from": 5, "to": 50}, "$.weights: factor none, step none: exactly one of the two must be given"),
        ({"from": 5, "to": 50, "factor": 2, "step": 5}, "$.weights: factor 2, step 5: exactly one of the two must be given"),
        ({"from": 5, "to": 50, "factor": 1}, "$.weights: factor 1: must be above 1"),
        ({"from": 5, "to": 50, "step": 0}, "$.weights: step 0: must be at least 1 percent"),
        (
            {"from": 5, "to": 50, "step": 5},
            "gives the 10 weights [5, 10, 15, 20, 25, 30, 35, 40, 45, 50]; at most 5 stages fit into the graph",
        ),
        ({"from": 5, "to": 50, "facter": 2}, "$.weights.facter: unknown key; did you mean 'factor'?"),
        ([{"weight": 100}], "$: weights [100]: each must be a whole percent from 0 to 99"),
        ([{"weight": 5, "minium": "1h"}], "$.weights[0].minium: unknown key; did you mean 'minimum'?"),
        ([5, {"minimum": "1h"}], "$.weights[1].weight: is missing"),
        ([5, {"weight": 25, "minimum": "5h"}], "$: weights[1]: poll 10s, minimum 5h, maximum 1h: must be positive and rise in this order"),
        ([{"weight": 5, "samples": -1}], "$: weights[0]: samples -1: must be a number of requests, 0 or more"),
        ([{"weight": 5, "approval": "yes"}], "$.weights[0].approval: 'yes' is not one of none, promotion, every"),
        ([5, "x", {"weight": 50}], "$.weights[1].weight: 'x' is not a whole number"),
        ([{"weight": w} for w in (1, 2, 3, 4, 5, 6)], "6 stages; at most 5 fit into the graph"),
    ],
)
def test_a_wrong_form_is_refused_with_path_value_and_what_would_be_right(weights: Any, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        plan_of(weights)
    assert sentence in str(refused.value)


def test_stages_that_are_not_those_of_the_weights_are_refused() -> None:
    with pytest.raises(Refused, match=r"stages: have the weights \[5\]; must be those of weights \[5, 25\], or be left out"):
        plan_of([5, 25], stages=[{"weight": 5}])
