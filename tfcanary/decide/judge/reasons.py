"""The sentences of a verdict: one for each criterion and one for the whole, with numbers, for a person on call."""

from __future__ import annotations

import math
from collections.abc import Sequence

from tfcanary.core.plan import JudgePlan
from tfcanary.decide.judge import latency_mean
from tfcanary.decide.judge.rate_rows import RowKind
from tfcanary.decide.judge.spread import Draw
from tfcanary.decide.judge.standing import RATIO_UNIT, SHARE_UNIT, Need, Standing, is_latency
from tfcanary.decide.judge.watch_windows import Course

HOPELESS = 1e7
"""Number of canary requests beyond which no number is named: the histogram is too coarse, or there is too much noise."""
MOST_ROUNDING = 0.5
"""Part of the margin that the rounding of sums may reach before it is what promotion waits for."""

UNEVEN = 2.0
"""Factor between the requests of a canary's server and of one that it is compared with, beyond which a difference of latency may be theirs."""


def pass_reason(standing: Standing) -> str:
    """Return why a criterion passes."""
    if standing.need is not Need.PROOF or standing.interval is None:
        return f"{standing.title}: {_facts(standing)}; not proven to be beyond its tolerance"
    if standing.name == "errors" and standing.interval.high >= standing.margin:
        return f"{standing.title}: {_facts(standing)}; so few that the canary's own rate excludes the margin"
    bound = f"at least {_ratio(standing.interval.low)}" if standing.lower_is_worse else f"at most {_ratio(standing.interval.high)}"
    return f"{standing.title}: {_facts(standing)}; {bound} times stable's, the margin is {_ratio(standing.margin)}"


def fail_reason(standing: Standing) -> str:
    """Return why a criterion fails."""
    if standing.interval is None:
        return f"{standing.title}: {_facts(standing)}"
    bound = f"at most {_ratio(standing.interval.high)}" if standing.lower_is_worse else f"at least {_ratio(standing.interval.low)}"
    of = " times stable's" if standing.unit == RATIO_UNIT else " of the configured share"
    return f"{standing.title}: {_facts(standing)}; {bound}{of}, {_ratio(standing.tolerance)} is tolerated"


def wait_reason(standing: Standing, plan: JudgePlan) -> str:
    """Return what an undecided criterion waits for."""
    if standing.silent:
        since = "nothing counted any more" if standing.counts[1] > 0 else "nothing counted"
        return f"{standing.title}: {since}, although the canary gets requests"
    if standing.interval is None:
        return f"{standing.title}: nothing counted yet{_counts_from(standing, plan)}"
    if standing.warming:
        limit = plan.warmup_maximum.total_seconds()
        return f"{standing.title}: {_facts(standing)}; it may still be warming up, which is no evidence before {limit:.0f} s"
    if not standing.draw.is_enough:
        return f"{standing.title}: {servers_reason(standing.draw)}; {_facts(standing)}"
    if standing.rounding > MOST_ROUNDING * (standing.margin - 1):
        return f"{standing.title}: {rounding_reason(standing)}; {_facts(standing)}"
    counted, requests_needed = standing.counts[1], standing.requests_needed(plan)
    if requests_needed is None:
        return f"{standing.title}: {counted:,.0f} canary {_exposure_name(standing)} so far, too few to tell how many are needed; {_facts(standing)}"
    if requests_needed > HOPELESS:
        hides = "stable's histogram cannot show its margin" if is_latency(standing) else "noise hides its margin"
        return f"{standing.title}: {hides}; {_facts(standing)}"
    if requests_needed > counted:
        return f"{standing.title}: {counted:,.0f} of about {_two_digits(requests_needed)} canary {_exposure_name(standing)} needed so far; {_facts(standing)}"
    low, high, margin = _ratio(standing.interval.low), _ratio(standing.interval.high), _ratio(standing.margin)
    if standing.incident and standing.interval.high < standing.margin:
        return (
            f"{standing.title}: {_facts(standing)}; stable failed {100 * standing.incident:.2g} % in an incident, where promotion must exclude "
            "as many points more as on its usual level"
        )
    bound = f"at least {low}, promotion needs more than" if standing.lower_is_worse else f"at most {high}, promotion needs less than"
    return f"{standing.title}: {_facts(standing)}; {bound} {margin} times stable's"


def rounding_reason(standing: Standing) -> str:
    """Return why the sums of latencies say too little as yet."""
    return (
        f"the servers print their sums of latencies with six digits, which may be wrong by {100 * standing.rounding:.2g} % of what this watch "
        "has summed up; a longer watch, or servers that started later, have less"
    )


def servers_reason(draw: Draw) -> str:
    """Return how many canary servers are needed, and why no number of requests replaces them."""
    differ = f"stable's servers differ by {100 * draw.spread.deviation:.2g} %, and no number of requests averages that away"
    if draw.needed is None:
        return f"no number of canary servers can exclude the margin: {differ}"
    has = "has one" if draw.servers == 1 else f"has {draw.servers}"
    return f"needs {draw.needed} canary servers, {has}: {differ}"


def hold_reason(standings: Sequence[Standing], plan: JudgePlan) -> str:
    """Return what the criterion that needs most waits for, and the names of the others that are undecided."""
    last, *others = sorted(standings, key=lambda standing: -_remaining_factor(standing, plan))
    also = f" (and {', '.join(other.title for other in others)})" if others else ""
    return f"waiting for {wait_reason(last, plan)}{also}"


def _remaining_factor(standing: Standing, plan: JudgePlan) -> float:
    """Return by which factor the criterion's requests must still grow."""
    requests_needed = standing.requests_needed(plan) if standing.draw.is_enough else None
    return math.inf if requests_needed is None or standing.interval is None else requests_needed / max(standing.counts[1], 1.0)


def promotion_reason(standings: Sequence[Standing], course: Course, requests: float) -> str:
    """Return why the canary may become stable."""
    proven = [standing.title for standing in standings if standing.need is Need.PROOF]
    return f"no worse than its margins in {', '.join(proven)}, after {requests:,.0f} canary requests in {course.now:.0f} s"


def combined_reason(standings: Sequence[Standing]) -> str:
    """Return why the criteria together are enough for a rollback though none is alone: the two with the most evidence."""
    worst = sorted(standings, key=lambda standing: -standing.log_evidence)[:2]
    return "together: " + "; ".join(f"{standing.title}: {_facts(standing)}" for standing in worst)


def uneven_load_reason(load: float) -> str:
    """Return a warning where the servers compared get very different numbers of requests; empty where they do not.

    `load` is how many requests each server of the control gets for each request of a canary's.
    """
    if 1 / UNEVEN <= load <= UNEVEN:
        return ""
    more, less = ("stable's", "the canary's") if load > 1 else ("the canary's", "stable's")
    times = _ratio(max(load, 1 / load))
    return (
        f"warning: each of {more} servers gets {times} times as many requests as each of {less}, and that alone changes latency; "
        "`deploy.baseline: true` compares servers with the same load"
    )


def no_window_reason(course: Course) -> str:
    """Return why a poll brought nothing to decide on."""
    if course.seen is None:
        return "there was no poll yet"
    if course.stable_up and course.canary_up:
        return "the first poll of both tracks: there is nothing to compare yet"
    if course.stable_up:
        return f"the canary has not answered for {course.now - course.seen:.0f} s"
    if course.canary_up:
        return "stable does not answer: there is nothing to compare the canary with"
    return "neither track answers: their metrics cannot be read"


def too_early_reason(course: Course, requests: float, plan: JudgePlan) -> str:
    """Return why a canary that has passed every criterion is not promoted yet; empty where nothing is in the way."""
    least = plan.minimum_time.total_seconds()
    if course.now < least:
        return f"all criteria passed; {course.now:.0f} of at least {least:.0f} s watched"
    if requests < plan.minimum_requests:
        return f"all criteria passed; {requests:,.0f} of at least {plan.minimum_requests:,} canary requests"
    return ""


def unknown_level_reason(answered: float, plan: JudgePlan) -> str:
    """Return why nothing is compared before stable's level is known."""
    return f"stable has answered {answered:,.0f} of the {plan.freeze_requests:,} requests from which its level is taken: nothing is compared before"


def _facts(standing: Standing) -> str:
    events_c, n_c, events_b, n_b = standing.counts
    if standing.unit == SHARE_UNIT:
        arrives = (
            f"{standing.interval.estimate:.0%} of its configured share arrives" if standing.interval else "the split was not read back"
        )
        return f"{events_b:,.0f} requests on the canary, {arrives}"
    if standing.name == "latency":
        return f"{_ratio(standing.interval.estimate)} times stable's over {n_c:,.0f} canary answers" if standing.interval else "no answers"
    if standing.name == latency_mean.NAME:
        mean, of_stable = (total / max(number, 1.0) / 1000 for total, number in ((events_c, n_c), (events_b, n_b)))
        return f"{mean:.3g} ms over {n_c:,.0f} canary answers, {of_stable:.3g} ms of stable's"
    if standing.averaged:
        return f"mean {events_c / max(n_c, 1.0):.4g} of {n_c:,.0f} canary values, {events_b / max(n_b, 1.0):.4g} of stable's"
    if is_objective(standing):
        return f"{_per_exposure(events_c, n_c)} for each of {n_c:,.0f} canary {standing.what}, {_per_exposure(events_b, n_b)} for stable's"
    return f"{_share(events_c, n_c)} of {n_c:,.0f} canary requests {standing.what}, {_share(events_b, n_b)} of stable's"


def is_objective(standing: Standing) -> bool:
    """Return whether the criterion is one of the user's objectives."""
    return standing.name.startswith(f"{RowKind.OBJECTIVE}/")


def _per_exposure(events: float, exposure: float) -> str:
    return f"{events / exposure:.3g}" if exposure > 0 else "none"


def _exposure_name(standing: Standing) -> str:
    return standing.what if is_objective(standing) else "requests"


def _counts_from(standing: Standing, plan: JudgePlan) -> str:
    start = plan.warmup if standing.name.startswith("latency") else plan.settle
    return f"; it counts from {start.total_seconds():.0f} s after the canary's start"


def _share(events: float, exposure: float) -> str:
    return f"{100 * events / exposure:.3g} %" if exposure > 0 else "none"


def _ratio(number: float) -> str:
    return f"{number:.3g}" if number < 999 else f"{number:,.0f}"


def _two_digits(number: float) -> str:
    """More digits would claim more than is known."""
    return f"{float(f'{number:.2g}'):,.0f}"
