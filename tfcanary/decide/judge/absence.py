"""Guards act on absence: a canary that cannot be reached, that hears nothing, that keeps dying. They spend no alpha.

A metric source that hides both tracks never blames the canary.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from tfcanary.core.domain import Evidence, Finding
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.watch_windows import Course

CRASH_LOOP = 3
"""Restarts of one canary server. One is an eviction, two bad luck; each renews the latency warm-up, so that a loop would be watched for ever."""


@dataclass(frozen=True, slots=True)
class _Guard:
    about: str
    tripped: bool
    bad: str
    good: str
    figures: Mapping[str, float | str] = field(default_factory=dict)

    def evidence(self) -> Evidence:
        finding, reason = (Finding.FAIL, self.bad) if self.tripped else (Finding.PASS, self.good)
        return Evidence(about=self.about, finding=finding, reason=reason, figures=self.figures)


def guards(course: Course, plan: JudgePlan) -> tuple[Evidence, ...]:
    """What each guard says now: pass or fail."""
    return tuple(guard(course, plan).evidence() for guard in _GUARDS)


def trips(course: Course, plan: JudgePlan) -> bool:
    """Whether a guard fails."""
    return any(guard(course, plan).tripped for guard in _GUARDS)


def _crash(course: Course, plan: JudgePlan) -> _Guard:
    gone = course.now - (course.now if course.seen is None else course.seen)
    limit = plan.guards.crash_after.total_seconds()
    alone = f"crash: the canary has not answered for {gone:.0f} s while stable does"
    return _Guard(
        about="guard/crash",
        tripped=gone >= limit,
        bad=alone,
        good=f"{alone}; rollback after {limit:.0f} s" if gone > 0 else "crash: the canary answers, or stable does not either",
        figures={"seconds unreachable": gone, "limit in seconds": limit},
    )


def _silence(course: Course, plan: JudgePlan) -> _Guard:
    limit, least = plan.guards.silence_after.total_seconds(), plan.guards.silence_expected
    heard = f"silence: no canary request for {course.silent:.0f} s, in which about {course.expected:,.0f} were to be expected"
    return _Guard(
        about="guard/silence",
        tripped=course.silent >= limit and course.expected >= least,
        bad=heard,
        good=f"{heard}; rollback after {limit:.0f} s and {least}"
        if course.silent > 0
        else "silence: the canary counts requests, or none can be expected",
        figures={"seconds silent": course.silent, "requests expected": course.expected},
    )


def _crash_loop(course: Course, plan: JudgePlan) -> _Guard:
    """Servers of stable that die as often speak of the place, not of the canary."""
    canary = max(course.canary_restarts.values(), default=0)
    stable = max(course.stable_restarts.values(), default=0)
    worst = max(course.canary_restarts, key=lambda name: course.canary_restarts[name], default="none")
    return _Guard(
        about="guard/crash-loop",
        tripped=canary >= CRASH_LOOP and canary > stable,
        bad=f"crash loop: canary server {worst} has restarted {canary} times",
        good=f"crash loop: at most {canary} restarts of one canary server; rollback at {CRASH_LOOP}, if more than stable's {stable}",
        figures={"canary restarts": float(canary), "stable restarts": float(stable)},
    )


_GUARDS = (_crash, _silence, _crash_loop)
