"""Documents to values and back; a wrong document is refused with the path, the value and what would be right."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as some

from tfcanary.core import codec
from tfcanary.core.domain import Decision, Evidence, Finding, Interval, Verdict
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan


@pytest.mark.parametrize(
    ("document", "sentence"),
    [
        ({"weigths": [5]}, "$.weigths: unknown key; did you mean 'weights'?"),
        ({"weights": [50, 5]}, "$: weights [50, 5]: must not fall from one stage to the next"),
        ({"weights": [5, 101]}, "$: weights [5, 101]: each must be a whole percent from 0 to 99"),
        ({"weights": [1, 2, 3, 4, 5, 6]}, "$: weights [1, 2, 3, 4, 5, 6]: 6 stages; at most 5 fit into the graph"),
        ({"weights": [60], "deploy": {"baseline": True}}, "$: deploy.baseline: has no stage in weights [60]; one must be from 1 to 50 %"),
        ({"weights": []}, "$: weights: must name at least one stage"),
        ({"weights": [5.5]}, "$.weights[0]: 5.5 is not a whole number"),
        ({"weights": "5"}, "$.weights: '5' is not a list"),
        ({"judge": {"alpha": "x"}}, "$.judge.alpha: 'x' is not a finite number"),
        ({"judge": {"alpha": float("nan")}}, "$.judge.alpha: nan is not a finite number"),
        ({"judge": {"alpha": True}}, "$.judge.alpha: True is not a finite number"),
        ({"stage": {"poll": "3 parsecs"}}, "$.stage.poll: '3 parsecs' is not a time such as 30s, 5m or 1h"),
        ({"stage": {"on_undecided": "shrug"}}, "$.stage.on_undecided: 'shrug' is not one of rollback, promote"),
        ({"predictions": {}}, "$.predictions.source: is missing"),
        ({"training_data": "{{workflow.name}}"}, "Argo and Kubernetes would expand"),
        ({"training_data": "$(HOME)"}, "Argo and Kubernetes would expand"),
        (["weights"], "$: ['weights'] is not an object with weights"),
    ],
)
def test_a_wrong_plan_is_refused_with_path_value_and_what_would_be_right(document: object, sentence: str) -> None:
    with pytest.raises(Refused) as refused:
        codec.decode(Plan, document)
    assert sentence in str(refused.value)


def test_the_brief_form_holds_only_what_differs_and_no_null() -> None:
    plan = codec.decode(Plan, {"weights": [5], "judge": {"latency": None, "alpha": 0.01}, "predictions": {"source": "x"}})
    short = codec.brief(plan)
    assert short == {"weights": [5], "judge": {"latency": "none", "alpha": 0.01}, "predictions": {"source": "x"}}
    assert codec.decode(Plan, short) == plan


def test_the_local_runners_floats_are_whole_numbers() -> None:
    assert codec.decode(Plan, {"weights": [5.0, 25.0]}).weights == (5, 25)


@given(some.floats(0, 1e6))
def test_times_survive_the_round_trip(seconds: float) -> None:
    time = timedelta(seconds=seconds)
    assert codec.decode(timedelta, codec.encode(time)) == time


def test_a_verdict_survives_the_round_trip_through_json() -> None:
    evidence = Evidence(
        "metrics/errors", Finding.FAIL, "three times", interval=Interval(2, 3, 4), figures={"canary errors": 12, "note": "x"}
    )
    verdict = Verdict(Decision.ROLLBACK, "three times", (evidence,), stage=1, weight=25)
    assert codec.loads(Verdict, codec.dumps(verdict)) == verdict


def test_the_same_value_has_the_same_digest_whatever_its_order() -> None:
    one = codec.decode(Plan, {"weights": [5], "bootstrap": True})
    other = codec.decode(Plan, {"bootstrap": True, "weights": [5.0]})
    assert codec.digest(one) == codec.digest(other) != codec.digest(Plan())


def test_nan_is_never_written() -> None:
    with pytest.raises(ValueError, match="JSON"):
        codec.dumps({"x": float("nan")})


def test_a_value_error_of_a_constructor_names_its_place() -> None:
    @dataclass(frozen=True)
    class Small:
        number: int

        def __post_init__(self) -> None:
            if self.number > 3:
                raise ValueError(f"number {self.number}: must be at most 3")

    globals()["Small"] = Small
    with pytest.raises(Refused, match=r"\$\[1\]: number 7: must be at most 3"):
        codec.decode(tuple[Small, ...], [{"number": 1}, {"number": 7}])
