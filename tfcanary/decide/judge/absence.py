"""The absence rules: a canary that does not answer, gets no request, or keeps restarting is rolled back. They spend no alpha.

A metric source that hides both tracks never blames the canary. The limits are the plan's `judge.guards`; "guard" alone means the
process that watches a release between two steps.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from tfcanary.core.domain import Evidence, Finding
from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge.watch_windows import Course

CRASH_LOOP = 3
"""Restarts of one canary server that are a crash loop.

One restart is an eviction, two are bad luck. Each restart begins the latency warm-up anew, so that a crash loop would be watched
without end.
"""
_LOOP = "absence/crash-loop"


@dataclass(frozen=True, slots=True)
class _RuleResult:
    """What one absence rule says after a poll, with the sentence for either case."""

    about: str
    fails: bool
    fail_reason: str
    pass_reason: str
    figures: Mapping[str, float | str] = field(default_factory=dict)

    def evidence(self) -> Evidence:
        finding, reason = (Finding.FAIL, self.fail_reason) if self.fails else (Finding.PASS, self.pass_reason)
        return Evidence(about=self.about, finding=finding, reason=reason, figures=self.figures)


def absence_evidence(course: Course, plan: JudgePlan) -> tuple[Evidence, ...]:
    """Return the evidence of each absence rule after a poll: pass or fail."""
    return tuple(rule(course, plan).evidence() for rule in _RULES)


def absence_fails(course: Course, plan: JudgePlan) -> bool:
    """Return whether any absence rule fails, which is enough for a rollback."""
    return any(rule(course, plan).fails for rule in _RULES)


def restarts(evidence: Iterable[Evidence]) -> tuple[int, int]:
    """The most restarts of one server of the canary, and of one of stable, as the rule about crash loops has counted them."""
    figures = next((one.figures for one in evidence if one.about == _LOOP), {})
    return int(figures.get("canary restarts", 0)), int(figures.get("stable restarts", 0))


def _crash(course: Course, plan: JudgePlan) -> _RuleResult:
    seconds = course.now - (course.now if course.seen is None else course.seen)
    limit = plan.guards.crash_after.total_seconds()
    fact = f"crash: the canary has not answered for {seconds:.0f} s while stable does"
    return _RuleResult(
        about="absence/crash",
        fails=seconds >= limit,
        fail_reason=fact,
        pass_reason=f"{fact}; rollback after {limit:.0f} s"
        if seconds > 0
        else "crash: the canary answers, or stable does not answer either",
        figures={"seconds unreachable": seconds, "limit in seconds": limit},
    )


def _silence(course: Course, plan: JudgePlan) -> _RuleResult:
    limit, least = plan.guards.silence_after.total_seconds(), plan.guards.silence_expected
    fact = f"silence: no canary request for {course.silent:.0f} s, in which about {course.expected:,.0f} were to be expected"
    return _RuleResult(
        about="absence/silence",
        fails=course.silent >= limit and course.expected >= least,
        fail_reason=fact,
        pass_reason=f"{fact}; rollback after {limit:.0f} s with at least {least} expected requests"
        if course.silent > 0
        else "silence: the canary counts requests, or none can be expected",
        figures={"seconds silent": course.silent, "requests expected": course.expected},
    )


def _crash_loop(course: Course, plan: JudgePlan) -> _RuleResult:
    """Where servers of stable restart as often, the cause is their environment and not the canary."""
    canary = max(course.canary_restarts.values(), default=0)
    stable = max(course.stable_restarts.values(), default=0)
    worst = max(course.canary_restarts, key=lambda name: course.canary_restarts[name], default="none")
    return _RuleResult(
        about=_LOOP,
        fails=canary >= CRASH_LOOP and canary > stable,
        fail_reason=f"crash loop: canary server {worst} has restarted {canary} times",
        pass_reason=f"crash loop: at most {canary} restarts of one canary server; rollback at {CRASH_LOOP}, if more than stable's {stable}",
        figures={"canary restarts": float(canary), "stable restarts": float(stable)},
    )


_RULES = (_crash, _silence, _crash_loop)
