from datetime import timedelta

import pytest

from tests.look.trial.test_ask import found
from tfcanary.core.domain import Finding, Request
from tfcanary.core.errors import Refused
from tfcanary.core.plan import ValidationPlan
from tfcanary.look.trial import launch, try_model, validate


def plan(seconds=60.0, **changes):
    return ValidationPlan(timeout=timedelta(seconds=seconds), **changes)


def test_a_good_model_passes_in_a_confined_process(models):
    look = validate(models / "good", plan(), models / "stable")
    assert look.finding is Finding.PASS, look
    assert {one.about.partition("/")[0] for one in look.evidence} == {"savedmodel", "trial"}
    confinement = found(look, "confinement")
    assert not confinement.gating
    assert confinement.reason


def test_a_model_that_kills_its_process_fails_with_the_signal(models):
    evidence = found(try_model(models / "aborting", plan()), "process")
    assert evidence.finding is Finding.FAIL
    assert "answering 1 row of zeros: killed by SIGABRT" in evidence.reason


def test_a_model_that_never_answers_is_ended_and_fails(models):
    evidence = found(try_model(models / "endless", plan(5)), "process")
    assert evidence.finding is Finding.FAIL
    assert "it did not end within 5 s" in evidence.reason


def test_a_model_that_already_failed_is_not_run(models):
    look = validate(models / "reading", plan(), None)
    assert look.finding is Finding.FAIL
    assert [one.about for one in look.absent] == ["savedmodel/compatible", "trial"]


def test_all_golden_requests_reach_the_process_and_the_stable_model_in_it(models):
    """Of 300 labels two are wrong, which is so for both models; one file serves both."""
    requests = (Request({"instances": ["yes"]}, str(i), 0 if i < 298 else 7) for i in range(300))
    look = try_model(models / "words", plan(), requests, models / "words")
    assert look.finding is Finding.PASS, look
    assert found(look, "answers").reason == "300 of 300 recorded requests are answered"
    assert "298 of 300 golden answers are as expected (99.3%); stable answers 298 of 300" in found(look, "golden").reason
    assert found(look, "golden").figures["stable_wrong"] == 2


def test_a_golden_request_that_cannot_be_read_is_refused_wherever_it_stands(models):
    def requests():
        yield from (Request({"instances": ["yes"]}, str(i)) for i in range(300))
        raise Refused("golden.jsonl: line 301: not JSON")

    with pytest.raises(Refused, match="line 301"):
        try_model(models / "words", plan(), requests())


def test_too_little_time_for_tensorflow_itself_says_nothing_about_the_model(models, monkeypatch):
    monkeypatch.setattr(launch, "START", 0.1)
    evidence = found(try_model(models / "good", plan()), "process")
    assert evidence.finding is Finding.INCONCLUSIVE


@pytest.mark.slow
def test_too_little_memory_for_tensorflow_itself_is_refused(models):
    with pytest.raises(Refused, match=r"validation\.memory_mib 300: TensorFlow alone takes"):
        try_model(models / "good", plan(memory_mib=300))


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(Refused, match="is empty"):
        try_model(tmp_path, plan())
