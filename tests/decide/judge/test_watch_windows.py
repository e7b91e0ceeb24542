"""Time, warm-up, shifts, silence: what the judge remembers between two polls."""

import math
from dataclasses import replace

import pytest

from tests.decide.judge.literal import down, polls, sample
from tfcanary.core.domain import Counters, Sample, Track
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.watch_windows import Course, Poll, is_repeat, take_poll

PLAN = JudgePlan()
BEGINNING = Course()


def run(stream, course=BEGINNING):
    windows = []
    for poll in stream:
        course, window = take_poll(course, poll, PLAN, frozen=True)
        windows.append(window)
    return course, windows


def poll(t, stable=0.0, canary=0.0, weight=5, **canary_servers):
    servers = canary_servers or {"c": canary}
    return Poll(
        t=t,
        stable=replace(sample(Track.STABLE), servers={"s": Counters(stable)}),
        canary=replace(sample(Track.CANARY), servers={name: Counters(ok) for name, ok in servers.items()}),
        weight=weight,
    )


def test_a_window_lies_between_two_polls_at_which_both_tracks_were_counted():
    stream = [
        poll(0, 100, 0),
        poll(30, 200, 5),
        replace(poll(60), stable=down(Track.STABLE)),
        replace(poll(90), canary=down(Track.CANARY)),
        poll(120, 500, 20),
    ]
    course, windows = run(stream)
    assert [w and (w.since, w.until) for w in windows] == [None, (0, 30), None, None, (30, 120)]
    assert (windows[-1].stable.ok, windows[-1].canary.ok) == (300, 15), "a missed scrape loses nothing"
    assert course.fresh


def test_time_never_runs_backward_and_counts_are_not_lost():
    course, windows = run([poll(0), poll(100, 1000, 50), poll(40, 1100, 55), poll(70, 1200, 60)])
    assert [(w.since, w.until, w.canary.ok) for w in windows[1:]] == [(0, 100, 50), (100, 100, 5), (100, 130, 5)]
    assert course.now == 130, "after the clock has stepped back by a minute, time goes on from where it was"


@pytest.mark.parametrize("t", [math.nan, math.inf, -math.inf])
def test_a_time_that_is_none_is_the_time_of_the_last_poll(t):
    course, windows = run([poll(0), poll(30, 100, 5), poll(t, 200, 10), poll(60, 300, 15)])
    assert [(w.since, w.until) for w in windows[1:]] == [(0, 30), (30, 30), (30, 60)]
    assert course.now == 60


def test_a_poll_before_the_beginning_is_at_the_beginning():
    assert run([poll(-3), poll(27, 10, 1)])[0].now == 30


def test_only_the_same_counts_at_the_same_time_are_a_repetition():
    first = poll(30, 100, 5)
    course, _ = run([poll(0), first])
    assert is_repeat(course, first)
    assert not is_repeat(course, poll(30, 101, 5))
    assert not is_repeat(course, poll(31, 100, 5))
    assert not is_repeat(course, replace(first, canary=down(Track.CANARY)))
    assert not is_repeat(Course(), poll(0))


@pytest.mark.parametrize(
    ("before", "after", "share"),
    [
        (5, 5, 0.05),
        (5, 25, None),  # mixes two splits
        (None, 5, None),
        (5, None, None),
        (0, 0, 0.0),
        (100, 100, 1.0),
        (-3, -3, None),  # no weight
        (101, 101, None),
    ],
)
def test_the_share_of_a_window_is_known_only_if_it_was_the_same_throughout(before, after, share):
    assert run([poll(0, weight=before), poll(30, 100, 5, weight=after)])[1][-1].share == share


def test_a_window_in_which_a_server_came_went_or_restarted_tells_nothing_about_the_traffic():
    stream = [poll(0, a=5, b=5), poll(30, a=9, b=9), poll(60, a=12), poll(90, a=15, d=1), poll(120, a=2, d=4), poll(150, a=4, d=6)]
    assert [w.share for w in run(stream)[1][1:]] == [0.05, None, None, None, 0.05]


def test_latency_counts_from_the_warm_up_on_and_errors_from_half_a_minute():
    windows = run(polls(seconds=180))[1][1:]
    assert [w.settled for w in windows] == [False, True, True, True, True, True]
    assert [w.warm for w in windows] == [False, False, False, False, True, True]


def test_a_canary_that_first_answers_later_is_cold_later():
    late = [replace(p, canary=down(Track.CANARY)) if p.t < 120 else p for p in polls(seconds=300)]
    windows = [w for w in run(late)[1] if w]
    assert [(w.since, w.settled, w.warm) for w in windows[:2]] == [(120, False, False), (150, True, False)]
    assert next(w.since for w in windows if w.warm) == 240


@pytest.mark.parametrize("servers", [{"a": 3}, {"a": 310, "b": 1}], ids=["restarted", "joined"])
def test_a_restarted_or_new_canary_server_renews_the_warm_up(servers):
    course, _ = run([*(poll(t, t, a=t) for t in (0, 100, 200, 300)), poll(310, 310, **servers)])
    assert course.warm_from == 310 + 120


def test_restarts_are_counted_by_server():
    course, _ = run([poll(t, a=a, b=b) for t, a, b in ((0, 9, 9), (10, 3, 10), (20, 1, 12), (30, 5, 2))])
    assert course.canary_restarts == {"a": 2, "b": 1}


def test_silence_sums_up_time_and_what_was_to_be_expected_until_a_request_comes():
    course, _ = run([poll(0, 0, 7), poll(30, 950, 7), poll(90, 1900, 7)])
    assert (course.silent, course.expected) == (90, pytest.approx(1900 * 5 / 95))
    course, _ = run([poll(120, 2000, 8)], course)
    assert (course.silent, course.expected) == (0, 0)


@pytest.mark.parametrize("weight", [None, 0, 100])
def test_where_nothing_is_to_be_expected_there_is_no_silence(weight):
    course, _ = run([poll(t, 30 * t, 0, weight=weight) for t in (0, 30, 60)])
    assert course.silent == 0


def test_the_canary_is_blamed_for_being_away_only_while_stable_answers():
    away = [replace(poll(t, t), canary=down(Track.CANARY)) for t in (10, 20)]
    neither = replace(poll(30), canary=down(Track.CANARY), stable=down(Track.STABLE))
    course, _ = run([poll(0), *away])
    assert course.seen == 0
    course, _ = run([neither], course)
    assert course.seen == 30


def beside(t, stable, canary, up=True, **servers):
    """A poll with a baseline's servers."""
    baseline = Sample(Track.BASELINE, up, {name: Counters(ok) for name, ok in servers.items()})
    return replace(poll(t, stable, canary), baseline=baseline)


def test_a_baseline_is_the_control_of_latency_and_counts_as_stable_for_all_else():
    _, windows = run([beside(0, 100, 0, b=0), beside(30, 190, 5, b=5)])
    assert (windows[1].stable.ok, windows[1].canary.ok, windows[1].latency_control.ok) == (95, 5, 5)
    assert (windows[1].share, windows[1].stable_servers, windows[1].canary_servers) == (0.05, 1, 1)


def test_without_a_baseline_stable_is_the_control_of_latency():
    _, windows = run([poll(0, 100, 0), poll(30, 190, 5)])
    assert (windows[1].latency_control.ok, windows[1].baseline, windows[1].stable_servers) == (90, None, 1)


def test_a_baseline_that_is_away_leaves_latency_without_a_control_and_accuses_nobody():
    course, windows = run(
        [
            beside(0, 100, 0, b=0),
            beside(30, 190, 5, b=5),
            beside(60, 280, 10, up=False),
            beside(90, 370, 15, up=False),
            beside(120, 460, 20, b=2),
        ]
    )
    assert [w.latency_control.ok for w in windows[1:]] == [5, 0, 0, 0]
    assert [w.share for w in windows[1:]] == [0.05, None, None, None], "what the baseline counted meanwhile is not known"
    assert course.warm_from == 120 + 120, "a baseline that comes back is cold"


def test_a_baseline_that_restarts_renews_the_warm_up():
    course, windows = run([beside(t, 10 * t, t, b=t) for t in (0, 100, 200, 300)] + [beside(310, 3100, 310, b=2)])
    assert (course.warm_from, windows[-1].share, windows[-1].latency_control.ok) == (310 + 120, None, 0)


def test_a_poll_whose_baseline_counted_more_is_no_repetition():
    course, _ = run([beside(0, 100, 0, b=0), beside(30, 190, 5, b=5)])
    assert is_repeat(course, beside(30, 190, 5, b=5))
    assert not is_repeat(course, beside(30, 190, 5, b=6))
