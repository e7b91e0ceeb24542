"""The requests of a stage's window: what blames the split, what the canary, what the world, and what nobody."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pytest

from tfcanary.core import codec
from tfcanary.core.domain import Evidence, Finding, Look
from tfcanary.core.errors import Refused
from tfcanary.core.plan import DriftPlan
from tfcanary.decide import drift
from tfcanary.decide.stats.multiplicity import alpha_of_look
from tfcanary.look.evaluate.drift import evaluate

PLAN = DriftPlan()
EVERYTHING = replace(PLAN, gating=("inputs", "classes"))


def track(n=9_800, seed=0, shift=0.0, bias=0.0, surer=1.0, failed=0.0, size=500):
    """A classifier of three classes and the requests to it; `bias` is the model's, `shift` the world's."""
    rng = np.random.default_rng([seed, n])
    x = rng.normal(shift, 1, (n, 2))
    logits = np.column_stack([x[:, 0] + bias, x[:, 1], np.zeros(n)]) * surer
    shares = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    fails = rng.random(n) < failed
    answers = [None if fail else row for fail, row in zip(fails, shares.tolist(), strict=True)]
    return pa.table(
        {
            "input.x": pa.array(x.tolist(), pa.list_(pa.float64(), 2)),
            "input.country": rng.choice(["DE", "FR"], n),
            "output.scores": pa.array(answers, pa.list_(pa.float64())),
        }
    ).to_batches(max_chunksize=size)


STABLE = track(seed=1)
TRAINED = drift.profile(pa.Table.from_batches(track(seed=9)).select([0, 1]).rename_columns(["x", "country"]).to_batches())


def look_at(canary, stable=STABLE, plan=PLAN, look=1, reference=None) -> Look:
    found = evaluate(stable, canary, plan, look, reference)
    assert codec.loads(Look, codec.dumps(found)) == found  # it travels between steps
    return found


def of(look, name) -> Evidence:
    return next(e for e in look.evidence if e.about == f"drift/{name}")


def findings(look):
    return {e.about.removeprefix("drift/"): e.finding.value for e in look.evidence}


@pytest.mark.parametrize(
    ("canary", "stable", "expected"),
    [
        ({}, {}, {"inputs": "pass", "classes": "pass", "scores": "pass", "world": "pass"}),
        ({"bias": 0.8}, {}, {"inputs": "pass", "classes": "fail", "scores": "warn", "world": "pass"}),
        # Surer answers, the same classes: what a better model does.
        ({"surer": 2.0}, {}, {"inputs": "pass", "classes": "pass", "scores": "warn", "world": "pass"}),
        ({"shift": 0.4}, {}, {"inputs": "fail", "classes": "fail", "scores": "warn", "world": "pass"}),
        ({"shift": 0.4}, {"shift": 0.4}, {"inputs": "pass", "classes": "pass", "scores": "pass", "world": "warn"}),
        ({"shift": 0.4, "bias": 0.8}, {"shift": 0.4}, {"inputs": "pass", "classes": "fail", "scores": "warn", "world": "warn"}),
    ],
)
def test_whose_drift_it_is(canary, stable, expected):
    look = look_at(track(2_140, 2, **canary), track(9_800, 1, **stable), reference=TRAINED)
    assert {name: finding for name, finding in findings(look).items() if name != "attribution"} == expected
    assert look.finding is Finding(expected["classes"])  # what may decide, by default


def test_a_class_mix_that_fails_says_which_class_and_how_many_answers():
    look = look_at(track(2_140, 2, bias=0.8))
    assert of(look, "classes").reason == (
        "class 0: 63 % of the canary's answers against 38 % of stable's (about 25 % of rows moved), 2,140 and 9,800 rows"
    )
    assert of(look, "classes").figures["canary_rows"] == 2_140
    assert of(look, "scores").reason.endswith("this decides nothing, as a better model also has other scores")


def test_a_broken_split_is_said_to_be_one_and_decides_only_where_the_plan_says_so():
    canary = track(2_140, 2, shift=0.6)
    shown, decides = look_at(canary), look_at(canary, plan=EVERYTHING)
    assert of(shown, "inputs").reason.endswith("the split is not even")
    assert of(shown, "classes").reason.endswith("the requests also differ: see drift/inputs")
    assert not of(shown, "inputs").gating
    assert (of(decides, "inputs").gating, decides.finding) == (True, Finding.FAIL)


def test_the_world_is_blamed_only_where_both_tracks_are_asked_alike():
    both = look_at(track(2_140, 2, shift=0.5), track(9_800, 1, shift=0.5), reference=TRAINED)
    assert of(both, "world").reason.endswith("the world has changed, and retraining may help")
    one = look_at(track(9_800, 2, shift=0.9), reference=TRAINED)
    assert of(one, "world").reason.endswith("see drift/inputs")


def test_scores_and_the_world_may_never_decide():
    for name in ("scores", "world", "clases"):
        with pytest.raises(Refused, match=f"drift.gating: '{name}' cannot decide; inputs and classes can"):
            look_at(STABLE, plan=replace(PLAN, gating=(name,)))


def test_what_may_decide_shares_alpha_and_looks_spend_it():
    canary = track(2_140, 2)
    assert of(look_at(canary), "classes").figures["alpha"] == pytest.approx(alpha_of_look(1, 0.01))
    assert of(look_at(canary, plan=EVERYTHING, look=2), "classes").figures["alpha"] == pytest.approx(alpha_of_look(2, 0.005))


def test_failed_requests_are_requests_but_no_predictions():
    look = look_at(track(2_140, 2, failed=0.5))
    assert (of(look, "inputs").figures["canary_rows"], of(look, "classes").finding) == (2_140, Finding.PASS)
    failed = of(look, "classes").figures["canary_failed"]
    assert of(look, "classes").figures["canary_rows"] == 2_140 - failed
    assert 900 < failed < 1_200


def test_only_failed_requests_are_no_data():
    look = look_at(track(2_140, 2, failed=1.0))
    assert look.finding is Finding.INCONCLUSIVE
    assert of(look, "classes").reason == "none of the canary's 2,140 recorded requests has an answer: there are no predictions to compare"
    assert of(look, "inputs").finding is Finding.PASS


@pytest.mark.parametrize(
    ("canary", "stable", "who"), [([], STABLE, "the canary"), (STABLE, [], "stable"), ([], [], "the canary and stable")]
)
def test_no_rows_are_inconclusive_and_say_whose_and_how_many_would_do(canary, stable, who):
    look = look_at(canary, stable, reference=TRAINED)
    assert look.finding is Finding.INCONCLUSIVE
    for name in ("inputs", "classes", "scores"):
        assert of(look, name).reason == f"no recorded requests of {who}: about 550 of each would be enough"
    assert of(look, "world").finding is (Finding.PASS if canary or stable else Finding.INCONCLUSIVE)


def test_too_few_rows_say_how_many_would_be_enough():
    look = look_at(track(30, 2))
    assert set(findings(look).values()) == {"inconclusive"}
    assert of(look, "classes").reason.startswith("30 and 9,800 rows are too few to tell whether 10 % of rows moved: about ")


def test_batches_of_one_row_are_one_window():
    look = look_at(track(600, 2, bias=3, size=1))
    assert of(look, "classes").finding is Finding.FAIL


def answers(**outputs):
    table = pa.table({f"output.{name}": values for name, values in outputs.items()})
    return table.append_column("input.x", pa.array(np.random.default_rng(len(table)).normal(0, 1, len(table)))).to_batches()


@pytest.mark.parametrize(
    ("stable", "canary", "named"),
    [
        ([[0.9, 0.1]] * 500 + [[0.2, 0.8]] * 500, [[0.9, 0.1]] * 900 + [[0.2, 0.8]] * 100, "class 0: 90 %|class 1: 10 %"),
        (["cat"] * 500 + ["dog"] * 500, ["cat"] * 900 + ["dog"] * 100, "cat: 90 %|dog: 10 %"),
        ([3] * 500 + [7] * 500, [3] * 900 + [7] * 100, "class 3: 90 %|class 7: 10 %"),
        ([0.9] * 500 + [0.2] * 500, [0.9] * 900 + [0.2] * 100, "above 0.5: 90 %|up to 0.5: 10 %"),
        ([[0.9]] * 500 + [[0.2]] * 500, [[0.9]] * 900 + [[0.2]] * 100, "above 0.5: 90 %|up to 0.5: 10 %"),
        ([[[0.9, 0.1]]] * 500 + [[[0.2, 0.8]]] * 500, [[[0.9, 0.1]]] * 900 + [[[0.2, 0.8]]] * 100, "classes 0: 90 %|classes 1: 10 %"),
    ],
)
def test_classes_are_read_from_scores_labels_and_single_shares(stable, canary, named):
    evidence = of(look_at(answers(y=canary), answers(y=stable)), "classes")
    assert evidence.finding is Finding.FAIL
    assert any(name in evidence.reason for name in named.split("|"))


def test_scores_that_are_not_numbers_have_no_class():
    broken = answers(y=[[0.9, 0.1]] * 400 + [[float("nan"), 0.5]] * 600)
    evidence = of(look_at(broken, answers(y=[[0.9, 0.1]] * 1_000)), "classes")
    assert evidence.finding is Finding.FAIL
    assert evidence.reason.startswith("null in 60 % of the canary's answers against 0 % of stable's")


def test_the_probabilities_say_the_class_where_there_are_several_outputs():
    outputs = {"a_hidden": [[5.0, 1.0, 2.0]] * 1_000, "class": ["?"] * 1_000, "probabilities": [[0.1, 0.9]] * 1_000}
    canary = {**outputs, "probabilities": [[0.9, 0.1]] * 1_000}
    assert "class 0: 100 %" in of(look_at(answers(**canary), answers(**outputs)), "classes").reason


def test_an_output_that_disappears_leaves_no_class():
    look = look_at(answers(z=[[0.1, 0.9]] * 1_000), answers(y=[[0.1, 0.9]] * 1_000))
    assert of(look, "classes").finding is Finding.FAIL
    assert "null in 100 %" in of(look, "classes").reason


def test_numbers_are_no_classes():
    rng = np.random.default_rng(0)
    look = look_at(answers(price=rng.normal(100, 1, 1_000)), answers(price=rng.normal(100, 1, 1_000)))
    assert next((a.about, a.reason) for a in look.absent) == ("drift/classes", "the answers are numbers, not classes")
    assert look.finding is Finding.PASS


def test_a_log_without_inputs_or_without_answers_says_so():
    only_outputs = [batch.select(["output.scores"]) for batch in STABLE]
    assert of(look_at(only_outputs, only_outputs), "inputs").reason == "the request log keeps no inputs"
    only_inputs = [batch.select(["input.x"]) for batch in STABLE]
    assert of(look_at(only_inputs, only_inputs), "classes").finding is Finding.INCONCLUSIVE


def test_a_reference_without_the_inputs_compares_nothing():
    other = drift.profile([pa.record_batch({"age": [1.0] * 900})])
    evidence = of(look_at(track(2_140, 2), reference=other), "world")
    assert (evidence.finding, evidence.reason) == (Finding.INCONCLUSIVE, "the reference profile has none of the inputs")


def test_rows_that_belong_together_are_counted_so_whatever_the_reference_was_counted_by():
    """A reference without the entity is no reference; one with it is compared, and the stage itself is counted by the entity with both."""
    plan = replace(PLAN, entity="country")
    look = look_at(track(2_140, 2), plan=plan, reference=TRAINED)
    sentence = "the profile was counted without an entity; count it again with --entity country"
    assert [(a.about, a.reason) for a in look.absent] == [("drift/world", sentence)]
    alone = look_at(track(2_140, 2), plan=plan)
    assert of(look, "inputs") == of(alone, "inputs")
    rows = pa.Table.from_batches(track(seed=9)).select([0, 1]).rename_columns(["x", "country"]).to_batches()
    by_country = look_at(track(2_140, 2), plan=plan, reference=drift.profile(rows, entity="country"))
    assert of(by_country, "world").about == "drift/world"
    assert by_country.absent == ()


def test_without_a_reference_the_world_is_absent():
    assert [(a.about, a.reason) for a in look_at(STABLE).absent] == [("drift/world", "no reference profile")]


def test_hostile_names_and_values_travel_between_steps():
    stable = [pa.record_batch({"input.{{$(x)}}": ["a"] * 1_000, "output.{{y}}": ["{{cat}}"] * 1_000})]
    canary = [pa.record_batch({"input.{{$(x)}}": ["$(reboot)"] * 1_000, "output.{{y}}": ["{{dog}}" * 5_000] * 1_000})]
    look = look_at(canary, stable)
    assert look.finding is Finding.FAIL
    assert all(len(e.reason) <= 1_000 for e in look.evidence)
