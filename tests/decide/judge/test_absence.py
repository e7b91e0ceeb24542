"""The absence rules: when each fails, and the numbers in its sentence."""

from pathlib import Path

import pytest

from tfcanary.core.domain import Finding
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.absence import absence_evidence
from tfcanary.decide.judge.watch_windows import Course

PLAN = JudgePlan()


def result(about, course):
    return next(evidence for evidence in absence_evidence(course, PLAN) if evidence.about == f"absence/{about}")


def test_all_absence_rules_pass_where_nothing_is_wrong():
    assert {evidence.finding for evidence in absence_evidence(Course(now=900, seen=900), PLAN)} == {Finding.PASS}


def test_a_canary_that_is_alone_in_not_answering_for_three_minutes_has_crashed():
    assert result("crash", Course(now=179, seen=0)).finding is Finding.PASS
    assert "rollback after 180 s" in result("crash", Course(now=100, seen=0)).reason
    crashed = result("crash", Course(now=180, seen=0))
    assert crashed.finding is Finding.FAIL
    assert "not answered for 180 s" in crashed.reason


def test_silence_needs_both_the_time_and_requests_that_were_to_be_expected():
    assert result("silence", Course(silent=240, expected=19.9)).finding is Finding.PASS
    assert result("silence", Course(silent=239, expected=500)).finding is Finding.PASS
    assert result("silence", Course(silent=240, expected=20)).finding is Finding.FAIL


def test_three_restarts_of_one_server_are_a_crash_loop():
    assert result("crash-loop", Course(canary_restarts={"a": 2, "b": 2})).finding is Finding.PASS
    looping = result("crash-loop", Course(canary_restarts={"a": 3, "b": 1}))
    assert looping.finding is Finding.FAIL
    assert "server a has restarted 3 times" in looping.reason


def test_where_stable_restarts_as_often_the_place_is_to_blame():
    assert result("crash-loop", Course(canary_restarts={"a": 3}, stable_restarts={"s": 3})).finding is Finding.PASS


@pytest.mark.parametrize("index", range(3))
def test_each_absence_rule_is_in_the_document_and_its_limit_in_the_sentence(index):
    evidence = absence_evidence(Course(now=100, seen=0, silent=30, expected=5, canary_restarts={"a": 1}), PLAN)[index]
    assert f"| `{evidence.about}` |" in (Path(__file__).parents[3] / "docs" / "judge.md").read_text()
    assert "rollback a" in evidence.reason
    assert evidence.gating
