"""Requests that carry labels: which track is right more often, as a whole and slice by slice, and when that is sure."""

from __future__ import annotations

import pytest

from tests.look.evaluate.tracks import labelled, look_at, of, one_hot, requests
from tfcanary.core.domain import Finding, Request
from tfcanary.core.plan import PredictionsPlan


def test_a_much_worse_model_fails_with_its_accuracy_in_words():
    look = look_at(lambda i: one_hot(i if i % 30 else i + 1), lambda i: one_hot(i + i % 3), labelled(100))
    accuracy = of(look, "accuracy")
    assert accuracy.finding is Finding.FAIL
    assert accuracy.gating
    assert look.finding is Finding.FAIL
    assert accuracy.reason == (
        "accuracy 0.34 against stable's 0.96 on 100 labelled requests: difference -0.62 (-0.78 to -0.40), allowed -0.02"
    )
    assert accuracy.figures["only_stable_right"] == 66
    assert accuracy.figures["only_canary_right"] == 4
    assert accuracy.margin == -0.02


def test_an_equal_model_passes_once_there_are_enough_labels():
    stable, canary = (lambda i: one_hot(i if i % 50 else i + 1)), (lambda i: one_hot(i if i % 50 != 1 else i + 1))
    enough = look_at(stable, canary, labelled(4000), PredictionsPlan(source="x", limit=4000))
    assert of(enough, "accuracy").finding is Finding.PASS
    few = of(look_at(stable, canary, labelled(200)), "accuracy")
    assert few.finding is Finding.INCONCLUSIVE
    assert "; about " in few.reason
    assert few.reason.endswith("labelled requests would decide")


def test_the_advised_number_of_requests_does_decide():
    """At the advice, with the same share of disagreements, the question is settled."""
    stable, canary = (lambda i: one_hot(i if i % 50 else i + 1)), (lambda i: one_hot(i if i % 50 != 1 else i + 1))
    few = of(look_at(stable, canary, labelled(200)), "accuracy")
    advised = int(few.reason.split("about ")[1].split()[0])
    assert 200 < advised < 4000
    advised += -advised % 50
    plan = PredictionsPlan(source="x", limit=advised)
    assert of(look_at(stable, canary, labelled(advised), plan), "accuracy").finding is Finding.PASS


def test_a_model_just_at_the_margin_is_too_close_to_tell():
    look = look_at(one_hot, lambda i: one_hot(i if i % 50 else i + 1), labelled(500), PredictionsPlan(source="x", accuracy_margin=0.02))
    accuracy = of(look, "accuracy")
    assert accuracy.finding is Finding.INCONCLUSIVE
    assert "too close to the limit for any number of labelled requests to decide" in accuracy.reason


def test_labels_that_no_answer_ever_equals_are_inconclusive_not_equal_accuracy():
    look = look_at(one_hot, lambda i: one_hot(i + 1), requests(50, label=lambda i: "setosa"))
    assert of(look, "accuracy").finding is Finding.INCONCLUSIVE
    assert "no answer of either track equals its label" in of(look, "accuracy").reason


def test_labels_for_numbers_are_inconclusive():
    look = look_at(lambda i: [i * 1.5], lambda i: [i * 1.5 + 0.1], requests(50, label=lambda i: i))
    assert of(look, "accuracy").finding is Finding.INCONCLUSIVE
    assert "numbers, not classes" in of(look, "accuracy").reason


def test_labels_of_answers_with_several_rows_are_inconclusive():
    two = lambda best: lambda i: {"predictions": [one_hot(best), one_hot(best)]}  # noqa: E731
    look = look_at(two(0), two(1), labelled(5))
    assert "exactly one row" in of(look, "accuracy").reason
    assert look.finding is Finding.INCONCLUSIVE


@pytest.mark.parametrize("label", [lambda i: i % 3, lambda i: float(i % 3), lambda i: str(i % 3)])
def test_labels_may_be_numbers_or_texts_of_them(label):
    look = look_at(one_hot, lambda i: one_hot(i + 1), requests(30, label=label))
    assert of(look, "accuracy").figures["stable_accuracy"] == 1.0
    assert of(look, "accuracy").figures["canary_accuracy"] == 0.0


def test_text_labels_are_compared_with_the_output_of_texts():
    names = ["setosa", "versicolor", "virginica"]
    row = lambda best: {"label": names[best % 3], "scores": one_hot(best)}  # noqa: E731
    look = look_at(row, lambda i: row(i + (i % 20 == 0)), requests(300, label=lambda i: names[i % 3]))
    assert of(look, "accuracy").figures["canary_accuracy"] == 0.95
    assert of(look, "accuracy").figures["compared"] == "the label in output 'label'"


@pytest.mark.parametrize("canary", [one_hot, lambda i: one_hot(i + 1)])
def test_nan_and_failures_are_looked_for_in_all_rows_although_the_accuracy_is_decided_early(canary):
    """A hundred rows decide about the accuracy of both models; what they do to rare rows is seen in the last ones alone."""
    nan = look_at(one_hot, lambda i: canary(i) if i < 1_400 else [float("nan")] * 3, labelled(1_500))
    assert of(nan, "finite").finding is Finding.FAIL
    assert "100 of 1,500 rows of the canary hold NaN" in of(nan, "finite").reason
    failing = look_at(one_hot, lambda i: canary(i) if i < 1_400 else (500, "no"), labelled(1_500))
    assert "the canary failed 100 of 1500 requests" in of(failing, "answers").reason
    sound = look_at(one_hot, canary, labelled(1_500))
    assert of(sound, "finite").reason == "all numbers in 1,500 of 1,500 rows of the canary are finite"
    assert of(sound, "answers").reason == "both tracks answered 1,500 of 1,500 requests"


def test_the_limit_of_the_plan_is_said_where_it_ends_the_comparison():
    look = look_at(one_hot, one_hot, labelled(300), PredictionsPlan(source="x", limit=200))
    reason = of(look, "answers").reason
    assert reason == "both tracks answered 200 of 200 requests; no more than 200 requests are compared (predictions.limit)"


def from_countries(n):
    return [
        Request({"instances": [{"x": i, "country": "FR" if i % 5 == 0 else "DE"}]}, f"golden:{i}", (i // 5 if i % 5 == 0 else i) % 3)
        for i in range(n)
    ]


def right(row, spoilt=""):
    """Says the label, but in one country."""
    i = row["x"]
    label = i // 5 if i % 5 == 0 else i
    return one_hot(label + (row["country"] == spoilt))


def test_a_slice_that_gets_worse_is_named_although_the_mean_is_better():
    plan = PredictionsPlan(source="x", limit=1_000, accuracy_margin=0.3, slices=("country",))
    look = look_at(
        lambda row: right(row) if row["country"] == "FR" or row["x"] % 4 else one_hot(row["x"] + 1),
        lambda row: right(row, spoilt="FR"),
        from_countries(1_000),
        plan,
    )
    assert of(look, "accuracy").finding is Finding.PASS
    slices = of(look, "slices")
    assert (slices.finding, look.finding) == (Finding.FAIL, Finding.FAIL)
    assert slices.reason.startswith("worse in country=FR: -1.00 (")


def test_a_small_slice_that_may_be_worse_is_a_warning():
    plan = PredictionsPlan(source="x", limit=200, accuracy_margin=0.3, slices=("x",))
    asked = [Request({"instances": [{"x": i % 100}]}, str(i), i % 100 % 3) for i in range(200)]
    look = look_at(lambda row: one_hot(row["x"]), lambda row: one_hot(row["x"] + (row["x"] == 7)), asked, plan)
    assert of(look, "slices").finding is Finding.WARN
    assert "perhaps worse in x=7: -1.00" in of(look, "slices").reason
