from dataclasses import replace

import numpy as np
import pytest

from tests.look.trial.conftest import SOUND
from tfcanary.core.domain import Evidence, Finding, Look
from tfcanary.look.savedmodel.samples import TensorRequest
from tfcanary.look.trial.questions import ModelAnswer, check_finite


def found(look: Look, about: str) -> Evidence:
    return next(one for one in look.evidence if one.about == f"trial/{about}")


@pytest.mark.parametrize("name", SOUND)
def test_a_sound_model_passes_every_question(tried, name):
    look = tried(name)
    assert look.finding is Finding.PASS, look
    assert {one.about for one in look.evidence} >= {"trial/load", "trial/answers", "trial/finite", "trial/shapes", "trial/repeat"}


def test_nan_is_found_although_every_request_is_answered(tried):
    evidence = found(tried("nan"), "finite")
    assert evidence.finding is Finding.FAIL
    assert "output 'probabilities': 10 of 10 values are NaN or infinite for 1 row of zeros" in evidence.reason
    assert found(tried("nan"), "answers").finding is Finding.PASS


def test_a_model_that_fails_on_what_its_signature_declares_is_to_blame(tried):
    evidence = found(tried("raising"), "answers")
    assert evidence.finding is Finding.FAIL
    assert "INVALID_ARGUMENT" in evidence.reason
    assert "too dark" in evidence.reason


def test_a_model_that_wants_too_much_memory_fails_with_that_cause(tried):
    assert "RESOURCE_EXHAUSTED" in found(tried("huge"), "answers").reason


def test_an_answer_that_depends_on_the_neighbours_fails(tried):
    evidence = found(tried("crowded"), "batching")
    assert evidence.finding is Finding.FAIL
    assert "when it is alone" in evidence.reason


def test_one_row_that_is_made_of_all_rows_of_a_batch_is_shown_and_fails_beside_a_stable_that_answers_each(tried):
    evidence = found(tried("summed"), "batching")
    assert evidence.finding is Finding.WARN
    assert "when it is alone" in evidence.reason
    assert "1 rows answered to" in found(tried("summed"), "shapes").reason
    evidence = found(tried("summed beside stable"), "shapes")
    assert evidence.finding is Finding.FAIL
    assert "output 'probabilities': stable answers 2 rows to 2 rows of zeros, the candidate 1" in evidence.reason
    assert found(tried("summed beside summed"), "shapes").finding is Finding.WARN


def test_rows_that_do_not_depend_on_the_request_are_a_warning(tried):
    look = tried("listed")
    assert found(look, "shapes").finding is Finding.WARN
    assert "output 'thresholds': 2 rows answered to 1 row of zeros" in found(look, "shapes").reason
    assert found(look, "batching").finding is Finding.PASS


def test_flags_of_unknown_rank_are_asked_as_single_values(tried):
    look = tried("flags")
    assert look.finding is Finding.PASS, look
    assert found(look, "answers").reason == "8 of 8 made-up requests are answered"


def test_a_made_up_request_that_stable_fails_too_is_no_fault_of_the_candidate(tried):
    for name in ("even", "raising"):
        evidence = found(tried(f"{name} beside {name}"), "answers")
        assert (evidence.finding, evidence.gating) == (Finding.INCONCLUSIVE, False)
        assert "the stable model does not answer the made-up requests either" in evidence.reason
    assert found(tried("even beside good"), "answers").finding is Finding.FAIL


def test_an_operation_that_the_serving_image_alone_has_cannot_be_tried(tried):
    for op in ("SimpleMLCreateModelResource", "MyCustomOp"):
        evidence = found(tried(f"with {op}"), "load")
        assert (evidence.finding, evidence.gating) == (Finding.INCONCLUSIVE, False)
        assert f"the serving image has the operation '{op}', this TensorFlow does not" in evidence.reason
    assert found(tried("with NobodysOp"), "load").finding is Finding.FAIL


def test_of_several_outputs_the_scores_are_compared_with_a_number(tried):
    assert found(tried("recorded named"), "golden").reason == "2 of 2 golden answers are as expected (100.0%)"


def test_a_model_that_takes_only_some_batch_sizes_fails(tried):
    evidence = found(tried("even"), "answers")
    assert evidence.finding is Finding.FAIL
    assert "1 row of zeros" in evidence.reason


def test_a_model_that_samples_is_shown_and_not_held_against_itself(tried):
    look = tried("random")
    assert found(look, "repeat").finding is Finding.WARN
    assert look.finding is Finding.WARN
    assert not [one for one in look.evidence if one.about == "trial/batching"]


def test_a_model_for_which_no_request_can_be_made_up_is_left_to_golden_requests(tried):
    look = tried("picky")
    evidence = found(look, "answers")
    assert (evidence.finding, evidence.gating) == (Finding.INCONCLUSIVE, False)
    assert "name golden requests in the plan to settle it" in evidence.reason
    assert look.finding is Finding.PASS


@pytest.mark.parametrize("name", ["good", "words"])
def test_recorded_requests_are_asked_instead(tried, name):
    look = tried(f"recorded {name}")
    assert look.finding is Finding.PASS, look
    assert "recorded requests are answered" in found(look, "answers").reason


def test_a_recorded_request_that_is_not_answered_fails_and_is_named(tried):
    evidence = found(tried("recorded two_outputs"), "answers")
    assert evidence.finding is Finding.FAIL
    assert "1 of 2 recorded requests are not answered; request seventh" in evidence.reason


def test_a_recorded_request_that_lacks_an_input_fails_and_is_named(tried):
    reason = found(tried("recorded two_inputs"), "answers").reason
    assert "request half" in reason
    assert "'weight'" in reason


def test_requests_for_another_signature_say_nothing_about_this_one(tried):
    evidence = found(tried("recorded other"), "answers")
    assert evidence.finding is Finding.INCONCLUSIVE
    assert "another signature" in evidence.reason


def test_golden_answers_are_compared_with_their_labels(tried):
    assert found(tried("recorded golden words"), "golden").reason == "3 of 3 golden answers are as expected (100.0%)"
    evidence = found(tried("wrong words for the plan"), "golden")
    assert evidence.finding is Finding.FAIL
    assert "1 of 2 golden answers are as expected (50.0%); the plan asks for 90.0%" in evidence.reason
    assert "request second has the label '7', the answer is '1'" in evidence.reason


def test_labels_that_stable_answers_no_better_refuse_no_candidate(tried):
    evidence = found(tried("wrong words beside words"), "golden")
    assert evidence.finding is Finding.PASS
    assert "stable answers 1 of 2 (50.0%), at most 2.0% less is allowed" in evidence.reason


def test_labels_of_a_first_release_are_shown_and_those_that_stable_could_not_answer_leave_it_undecided(tried):
    evidence = found(tried("recorded wrong words"), "golden")
    assert (evidence.finding, evidence.gating) == (Finding.WARN, False)
    evidence = found(tried("wrong words beside another"), "golden")
    assert (evidence.finding, evidence.gating) == (Finding.INCONCLUSIVE, True)
    assert "set validation.accuracy in the plan" in evidence.reason


def test_a_warm_up_request_that_is_not_answered_fails_and_is_named(tried):
    evidence = found(tried("warmed good"), "warmup")
    assert evidence.finding is Finding.FAIL
    assert "warm-up request 2" in evidence.reason


def test_warm_up_requests_settle_what_nobody_can_make_up(tried):
    look = tried("warmed picky")
    evidence = found(look, "answers")
    assert (evidence.finding, evidence.gating) == (Finding.PASS, True)
    assert look.finding is Finding.PASS


def test_the_stable_model_answers_beside_the_candidate(tried):
    look = tried("beside stable")
    assert look.finding is Finding.PASS, look
    for about in ("latency", "first-call", "memory"):
        evidence = found(look, about)
        assert not evidence.gating
        assert evidence.figures.keys() == {"candidate", "stable", "ratio"}
    assert found(look, "agreement").figures["distance"] > 0


def test_a_stable_model_that_cannot_be_asked_the_same_is_said(tried):
    look = tried("beside another")
    assert look.finding is Finding.PASS
    assert "does not answer the same requests" in found(look, "stable").reason


def test_numbers_that_only_some_made_up_requests_bring_out_are_shown():
    sample = [TensorRequest(what, {}, 1) for what in ("zeros", "random values")]
    answers = [ModelAnswer(one, {"y": np.array([value])}) for one, value in zip(sample, (np.nan, 1.0), strict=True)]
    assert check_finite(answers).finding is Finding.WARN
    assert check_finite(answers[:1]).finding is Finding.FAIL
    assert check_finite([*answers[1:], ModelAnswer(replace(sample[0], recorded=True), {"y": np.array([np.inf])})]).finding is Finding.FAIL
