"""How the stage ends that is being watched: the judge's verdict, with the stage's own times, its waits and its least number of requests. Pure."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from tfcanary.core import timeline
from tfcanary.core.domain import UNDECIDED, Decision, Evidence, Finding, Verdict
from tfcanary.core.durations import written
from tfcanary.core.record import Release
from tfcanary.core.timeline import Timeline
from tfcanary.decide.judge import stages

SAMPLES = "stage/samples"
"""The evidence of a stage that has not had its least number of requests yet."""


def conclude(release: Release, verdict: Verdict, seen: Timeline) -> Verdict | None:
    """Return the verdict that ends the present stage of a release, or None where polling goes on.

    A stage that waits, for a person or for a window, ends by a rollback only, and its clock stands still. Where people let it wait for
    longer than `stage.patience`, the release is rolled back as undecided; a window may take as long as it takes.
    """
    at, began = verdict.at or release.began, release.stage_began or release.began
    watched, blind = at - began - release.standing(at) - timeline.blind_time_since(seen, began), timeline.blind_for(seen, at)
    plan, requests = release.plan.at_stage(release.stage), _requests(release, seen)
    result = stages.conclude_stage(verdict, plan, release.stage, max(watched, timedelta(0)), requests, blind)
    if release.pause is None or (result and result.decision is Decision.ROLLBACK):
        return result
    if release.waits_for_window or release.waiting(at) <= plan.stage.patience:
        return None
    what = "nobody approved it" if release.pause.approval else "nobody resumed it"
    reason = f"undecided: {what} within {written(plan.stage.patience)}"
    evidence = (Evidence(UNDECIDED, Finding.INCONCLUSIVE, reason), *verdict.evidence)
    return replace(verdict, decision=Decision.ROLLBACK, reason=reason, evidence=evidence, stage=release.stage, weight=release.weight)


def with_samples(release: Release, verdict: Verdict, seen: Timeline) -> Verdict:
    """The verdict with what is missing until the stage has had its least number of requests: no stage ends well without them."""
    least, requests = release.plan.times(release.stage).samples, _requests(release, seen)
    if requests >= least:
        return verdict
    reason = f"the stage has had {requests:,.0f} of the {least:,} canary requests that its plan asks for (samples)"
    few = Evidence(SAMPLES, Finding.INCONCLUSIVE, reason, figures={"canary requests": requests, "samples": float(least)}, suspended=True)
    held = Decision.HOLD if verdict.decision is Decision.PROMOTE else verdict.decision
    return replace(verdict, decision=held, reason=reason if held is Decision.HOLD else verdict.reason, evidence=(few, *verdict.evidence))


def _requests(release: Release, seen: Timeline) -> float:
    """The canary's requests in the present stage."""
    return timeline.canary_requests_since(seen, release.stage_began or release.began)
