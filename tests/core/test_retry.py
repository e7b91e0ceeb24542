"""Trying again: how long, how often, and that it ends; on a clock that only moves when somebody sleeps."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest

from tests.fakes import FakeClock
from tfcanary.core.retry import Pauses, attempts

EXACT = (1.0, 1.0)


def made(pauses: Pauses, seconds: float = math.inf, retry_after: float = 0.0, lasts: float = 0.0) -> tuple[list[int], list[float]]:
    """The attempts that were made, each of which fails and `lasts` seconds, and the pauses between them."""
    clock, slept, numbers = FakeClock(), [], []
    clock.on_sleep.append(slept.append)
    for attempt in attempts(pauses, seconds, clock):
        numbers.append(attempt.number)
        clock.time += timedelta(seconds=lasts)
        attempt.retry_after = retry_after
    return numbers, slept


def test_pauses_double_up_to_the_longest() -> None:
    numbers, slept = made(Pauses(first=1.0, longest=5.0, attempts=6, jitter=EXACT))
    assert (numbers, slept) == ([1, 2, 3, 4, 5, 6], [1.0, 2.0, 4.0, 5.0, 5.0])


def test_callers_that_fail_together_do_not_return_together() -> None:
    pauses = [Pauses(first=1.0).before(2) for _ in range(100)]
    assert all(0.5 <= pause <= 1.5 for pause in pauses)
    assert len(set(pauses)) > 90


def test_an_attempt_that_would_begin_after_the_deadline_is_not_made() -> None:
    assert made(Pauses(first=1.0, jitter=EXACT), seconds=6.0) == ([1, 2, 3], [1.0, 2.0])


def test_a_call_with_a_timeout_of_its_own_is_tried_once_more_at_the_deadline() -> None:
    assert made(Pauses(first=1.0, jitter=EXACT, at_deadline=True), seconds=6.0) == ([1, 2, 3, 4], [1.0, 2.0, 3.0])


@pytest.mark.parametrize("at_deadline", [True, False])
def test_an_attempt_that_outlives_the_deadline_is_the_last(at_deadline: bool) -> None:
    assert made(Pauses(first=1.0, at_deadline=at_deadline), seconds=6.0, lasts=7.0) == ([1], [])


def test_a_server_that_asks_for_time_gets_it() -> None:
    assert made(Pauses(first=1.0, attempts=3, jitter=EXACT), retry_after=7.0) == ([1, 2, 3], [7.0, 7.0])


@pytest.mark.parametrize("at_deadline", [True, False])
def test_a_server_that_asks_for_more_time_than_there_is_is_left_alone(at_deadline: bool) -> None:
    assert made(Pauses(first=1.0, at_deadline=at_deadline), seconds=6.0, retry_after=7.0) == ([1], [])


def test_the_first_attempt_is_made_even_where_no_time_is_left() -> None:
    assert made(Pauses(first=1.0), seconds=0.0) == ([1], [])


def test_each_attempt_knows_the_time_that_is_left_and_whether_another_follows() -> None:
    pauses = Pauses(first=1.0, attempts=3, jitter=EXACT)
    assert [(one.left, one.is_last) for one in attempts(pauses, 10.0, FakeClock())] == [(10.0, False), (9.0, False), (7.0, True)]


def test_a_thousand_attempts_are_no_overflow() -> None:
    numbers, slept = made(Pauses(first=0.1, longest=1.0, attempts=1200, jitter=EXACT))
    assert (numbers[-1], slept[-1]) == (1200, 1.0)
