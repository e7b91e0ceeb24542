import pytest

from tests.trial.conftest import SOUND
from tfcanary.domain import Evidence, Finding, Look


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
    assert "golden requests settle it" in evidence.reason
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
