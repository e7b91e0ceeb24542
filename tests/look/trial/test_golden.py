"""All golden requests of a file, and what their labels mean; the models are functions of NumPy arrays."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import pytest

from tfcanary.core.domain import Finding, Prediction, Request
from tfcanary.core.plan import PredictionsPlan, ValidationPlan
from tfcanary.look.evaluate.predictions import compare_pairs
from tfcanary.look.savedmodel import SignatureFact, TensorFact
from tfcanary.look.trial import launch
from tfcanary.look.trial.golden import GoldenAnswers, ask_golden_requests, check_golden
from tfcanary.look.trial.questions import check_finite
from tfcanary.look.trial.trial_requests import TrialModel
from tfcanary.tf.runtime import TensorFlowError

Function = Callable[[np.ndarray], Any]
PLAN = ValidationPlan()
WORDS = np.array([b"no", b"yes", b"perhaps"], object)


@dataclass
class Model:
    """A servable whose outputs are a function of the only input."""

    function: Function
    calls: int = 0

    def run(self, name: str, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        self.calls += 1
        found = self.function(feeds["x"])
        return found if isinstance(found, dict) else {"y": found}


def asked(function: Function, requests: list[Request], plan: ValidationPlan = PLAN) -> tuple[GoldenAnswers, Model]:
    model = Model(function)
    signature = SignatureFact({"x": TensorFact("float32", (None, 1), "x:0")}, {"y": TensorFact("float32", (None, 3), "y:0")}, "predict")
    return ask_golden_requests(TrialModel(model, "serving_default", signature, lambda _: None), requests, plan, {}), model


def rows(n: int, label: Callable[[int], Any] = lambda i: None) -> list[Request]:
    return [Request({"instances": [[float(i)]]}, f"golden:{i}", label(i)) for i in range(n)]


def scores(x: np.ndarray) -> np.ndarray:
    """The class i modulo 3 for row i."""
    return np.eye(3, dtype="float32")[x[:, 0].astype(int) % 3] * 0.8 + 0.1 / 1.5


def wrong_from(first: int) -> Function:
    return lambda x: scores(np.where(x >= first, x + 1, x))


def test_nan_of_rare_inputs_is_found_in_all_rows_in_few_calls():
    answers, model = asked(lambda x: np.where(x >= 1_400, np.float32("nan"), scores(x)), rows(1_500))
    finite = check_finite(answers.answers, answers.finite_faults, answers.others)
    assert finite.finding is Finding.FAIL
    assert "100 of 1,500 answers are affected" in finite.reason
    assert answers.evidence(PLAN, "").reason == "1,500 of 1,500 recorded requests are answered"
    assert model.calls < 150
    sound, _ = asked(scores, rows(1_500))
    assert check_finite(sound.answers, sound.finite_faults, sound.others).reason == "every number in 1,500 of 1,500 answers is finite"


def test_a_failure_of_a_rare_input_is_found_and_named():
    def failing(x):
        if (x == 1_450).any():
            raise TensorFlowError("INVALID_ARGUMENT", "no")
        return scores(x)

    evidence = asked(failing, rows(1_500))[0].evidence(PLAN, "")
    assert evidence.finding is Finding.FAIL
    assert "1 of 1,500 recorded requests are not answered; request golden:1450" in evidence.reason


@pytest.mark.parametrize("kind", ["fails", "depends", "sums"])
def test_a_model_that_answers_a_batch_otherwise_is_asked_row_by_row(kind):
    def single(x):
        if len(x) > 1 and kind == "fails":
            raise TensorFlowError("INVALID_ARGUMENT", "one row only")
        return scores(x) + len(x) if kind == "depends" else scores(x).sum(0, keepdims=True) if kind == "sums" else scores(x)

    answers, model = asked(single, rows(300, lambda i: i % 3))
    assert (answers.asked, answers.failed, model.calls) == (300, 0, 301)
    assert check_golden(answers, PLAN, stable=False).finding is Finding.PASS


def test_requests_that_need_too_long_leave_the_gate_undecided(monkeypatch):
    seconds = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: next(seconds))
    evidence = asked(scores, rows(1_500), ValidationPlan(timeout=timedelta(seconds=60)))[0].evidence(PLAN, "")
    assert evidence.finding is Finding.INCONCLUSIVE
    assert evidence.reason.startswith("only 20 recorded requests could be sent within")
    assert "raise validation.timeout" in evidence.reason


def test_the_trial_says_where_it_gets_only_the_first_requests(tmp_path, monkeypatch):
    assert launch._write_requests(tmp_path / "all", rows(30), 30) == ""
    assert launch._write_requests(tmp_path / "some", rows(30), 20) == "only the first 20 are sent (validation.golden_limit)"
    assert len((tmp_path / "some").read_text().splitlines()) == 20
    monkeypatch.setattr(launch, "GOLDEN_BYTES", 100)
    assert "are sent, as more would have over 100 bytes" in launch._write_requests(tmp_path / "few", rows(30), 30)
    evidence = asked(scores, rows(20))[0].evidence(PLAN, "only the first 20 are sent (validation.golden_limit)")
    assert evidence.reason == "20 of 20 recorded requests are answered; only the first 20 are sent (validation.golden_limit)"


@pytest.mark.parametrize(
    ("right", "stable", "changes", "finding", "words"),
    [
        (92, None, {"accuracy": 0.9}, Finding.PASS, "92 of 100 golden answers are as expected (92.0%); the plan asks for 90.0%"),
        (92, None, {"accuracy": 0.95}, Finding.FAIL, "request golden:92 has the label '2', the answer is '0.06667, 0.8667"),
        (92, 93, {}, Finding.PASS, "stable answers 93 of 100 (93.0%), at most 2.0% less is allowed (validation.accuracy_margin)"),
        (92, 95, {}, Finding.FAIL, "stable answers 95 of 100"),
        (92, 95, {"accuracy_margin": 0.05}, Finding.PASS, "at most 5.0% less"),
        (92, None, {}, Finding.WARN, "without a stable version and without validation.accuracy this decides nothing"),
        (100, None, {}, Finding.PASS, "100 of 100 golden answers are as expected (100.0%)"),
        (0, 0, {}, Finding.INCONCLUSIVE, "are the labels written as the model writes its classes?"),
    ],
)
def test_a_classifier_is_held_to_the_plan_or_to_stable_and_not_to_every_label(right, stable, changes, finding, words):
    requests, plan = rows(100, lambda i: i % 3), ValidationPlan(**changes)
    theirs = asked(wrong_from(stable), requests)[0].labelled if stable is not None else None
    evidence = check_golden(asked(wrong_from(right), requests)[0], plan, stable is not None, theirs)
    assert evidence.finding is finding
    assert words in evidence.reason.replace("0.8667, 0.06667", "0.06667, 0.8667")


def test_stable_that_has_not_answered_leaves_labels_undecided():
    evidence = check_golden(asked(wrong_from(92), rows(100, lambda i: i % 3))[0], PLAN, stable=True)
    assert (evidence.finding, evidence.gating) == (Finding.INCONCLUSIVE, True)


def test_numbers_that_the_model_should_answer_must_all_be_answered():
    requests = rows(100, lambda i: i * 2.5)
    assert check_golden(asked(lambda x: x[:, 0] * 2.5, requests)[0], PLAN, stable=False).finding is Finding.PASS
    evidence = check_golden(asked(lambda x: np.where(x[:, 0] == 7, 18, x[:, 0] * 2.5), requests)[0], PLAN, stable=True)
    assert evidence.finding is Finding.FAIL
    assert "99 of 100 golden answers are as expected (99.0%); a number may lie 0.001 of its label away" in evidence.reason
    assert "request golden:7 has the label '17.5', the answer is '18'" in evidence.reason


@pytest.mark.parametrize(
    ("function", "label"),
    [
        (lambda x: {"scores": scores(x) * 10 - 5, "classes": np.tile(WORDS, (len(x), 1))}, lambda i: i % 3),
        (lambda x: {"scores": scores(x) * 10 - 5, "classes": np.tile(WORDS, (len(x), 1))}, lambda i: WORDS[i % 3].decode()),
        (lambda x: {"scores": scores(x), "classes": WORDS[x[:, 0].astype(int) % 3]}, lambda i: WORDS[i % 3].decode()),
        (lambda x: {"a": x[:, 0] * 7, "p": scores(x)}, lambda i: float(i % 3)),
        (lambda x: {"class": x[:, 0].astype("int64") % 3}, lambda i: str(i % 3)),
        (lambda x: (x[:, 0] % 2 * 0.8 + 0.1).astype("float32"), lambda i: i % 2),
    ],
)
def test_the_gate_and_the_comparison_of_predictions_read_a_label_alike(function, label):
    """A third of the labels is wrong: both must count the same ones."""
    requests = rows(30, lambda i: label(i + (i % 3 == 0)))
    answers, model = asked(function, requests)
    reason = check_golden(answers, PLAN, stable=False).reason
    plain = lambda value: value.decode() if isinstance(value, bytes) else value  # noqa: E731

    def prediction(request: Request) -> Prediction:
        outputs = model.run("", {"x": np.array(request.body["instances"], "float32")})
        columns = {name: np.vectorize(plain, otypes=[object])(value).tolist() for name, value in outputs.items()}
        return Prediction(200, {"outputs": columns if len(columns) > 1 else next(iter(columns.values()))}, 0.001)

    pairs = [(one, prediction(one), prediction(one)) for one in requests]
    look = compare_pairs(pairs, PredictionsPlan(source="x"))
    figures = next(one.figures for one in look.evidence if one.about == "predictions/accuracy")
    assert "20 of 30 golden answers" in reason
    assert figures["canary_accuracy"] == 20 / 30
