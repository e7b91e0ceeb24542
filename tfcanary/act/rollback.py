"""ACT: everything back as it was. The exit step, the guard, `abort` and the graph's rollback share this one function.

It works from any state of a release, needs nothing to be healthy, may be repeated, and moves traffic first: a TF
Serving process ignores SIGTERM, so stopping servers is no way to stop traffic.
"""

from __future__ import annotations

import logging

from tfcanary.act import ledger, restore, shift
from tfcanary.act.finish import finish, has_idle_servers
from tfcanary.core.domain import Finding
from tfcanary.core.errors import Conflict, Refused, Unavailable
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release, State

log = logging.getLogger("tfcanary.rollback")

NO_VERDICT = "the run ended without a verdict"
SILENT = "ended without a word: it was killed, perhaps for memory; see its log"


def roll_back(platform: Platform, run_id: str, reason: str = "", begun_by: str = "") -> Release | None:
    """End this run's release with the stable version serving everything; returns it, or None where the record shows no such release.

    A release that has ended stays as it ended; where the world is not as its record says, the world is put right. With
    `begun_by` only a release that this pipeline's run began is ended: the exit step of a cloned run ends nobody else's. Raises Unavailable
    where a part of the world cannot be reached: the call may be repeated, and the guard repeats it until it succeeds.
    """
    release = ledger.read(platform).release
    if release is None or not release.is_of(run_id, begun_by):
        return None
    if not release.state.ended:
        release = shift.trip(platform, run_id, reason_of(release, reason))
    if release.state is State.ROLLING_BACK:
        restore.restore(platform, run_id)
        refused = release.first_traffic is None and reason == ""
        ledger.end(platform, run_id, State.REFUSED if refused else State.ROLLED_BACK, State.ROLLING_BACK, release.reason)
    ended = finish(platform, run_id)
    if ended is not None and ended.beat is None and has_idle_servers(ended):
        _start_guard(platform, run_id)
    return ended


def _start_guard(platform: Platform, run_id: str) -> None:
    """A release that broke off before its guard began still has the last release's servers, which only a guard lets go when it is time."""
    try:
        platform.guards.start(run_id)
    except (Conflict, Refused, Unavailable) as error:
        log.warning("%s: servers that nobody needs run until the next release: no guard could be started: %s", platform.model, error)


def reason_of(release: Release, given: str = "") -> str:
    """Why it ends, in one sentence: what was given, what the judge said, which gate refused, or how the run ended without any of these."""
    if given or release.reason:
        return release.reason or given
    if release.tripped:
        return release.tripped.reason
    worst = [e for look in release.looks.values() for e in look.evidence if e.gating and e.finding in (Finding.FAIL, Finding.INCONCLUSIVE)]
    worst.sort(key=lambda e: e.finding is not Finding.FAIL)
    return worst[0].reason if worst else _without_verdict(release)


def _without_verdict(release: Release) -> str:
    """Which step ended and what it said, or between which steps the run ended; and until when somebody held the release."""
    holder = release.holder
    if holder is None:
        return release.failure or NO_VERDICT
    step, until = holder.name.removeprefix(f"{release.run_id}: "), f"{holder.until:%H:%M:%S %Z} by its clock"
    if holder.between_steps:
        what = f"{step} a step failed: {release.failure}" if release.failure else f"{NO_VERDICT} {step}: the next step did not begin"
        return f"{what}; the release was left to that step until {until}"
    said = f"failed: {release.failure}" if release.failure else SILENT
    return f"the step `{step}` {said}; it held the release until {until}"
