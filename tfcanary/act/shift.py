"""ACT: the only place where a weight is set.

A weight is raised only by the release's live holder, and only while its guard's heartbeat is fresh; lowering needs
nothing and nobody. The record is written before the router: whoever reads the record never believes in less
traffic than there is.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import replace
from datetime import datetime, timedelta

from tfcanary.act import ledger
from tfcanary.core.domain import TrafficSplit, Verdict
from tfcanary.core.errors import Held, Refused
from tfcanary.core.ports import Platform
from tfcanary.core.record import Release, State


def shift(platform: Platform, run_id: str, stage: int) -> Release:
    """Set the weight of a stage and read it back; a stage that was begun already is not begun again. Raises Held or Refused where it may not rise."""
    now = platform.clock.now()

    def asked(release: Release) -> Release:
        weight = release.plan.weights[stage]
        if release.stage == stage and release.weight == weight:
            return release
        changed = replace(_weighed(release, weight, now), stage=stage, stage_began=now, waited=timedelta(0))
        return changed.happened(now, f"stage {stage}: weight {weight} %")

    return _in_force(platform, run_id, ledger.change(platform, run_id, asked))


def set_weight(platform: Platform, run_id: str, weight: int) -> Release:
    """Set a weight outside the plan's stages, for pipelines of other people's making; afterwards the guard watches, for as long as a handover lasts."""
    name = f"shift to {weight} %"
    ledger.hold(platform, run_id, name, watching=True)
    now = platform.clock.now()
    asked = ledger.change(platform, run_id, lambda r: _weighed(r, weight, now).happened(now, f"weight {weight} %"))
    _in_force(platform, run_id, asked)
    return ledger.hold(platform, run_id, name)


def _weighed(release: Release, weight: int, now: datetime) -> Release:
    if weight > release.weight:
        may_rise(release, now)
    return replace(release, weight=TrafficSplit(weight).canary, first_traffic=release.first_traffic or (now if weight else None))


def _in_force(platform: Platform, run_id: str, release: Release) -> Release:
    """Returns once the router has done it; a router that waits for pods, or for a slow cluster, may take longer than a lease."""
    with ThreadPoolExecutor(1) as router:
        moving = router.submit(platform.router.set_split, TrafficSplit(canary=release.weight))
        while wait((moving,), release.plan.deploy.lease.total_seconds() / 3).not_done:
            ledger.extend(platform, run_id)
    moving.result()
    return _checked(platform, run_id)


def may_rise(release: Release, now: datetime) -> None:
    """A canary with traffic is never alone: raises Held without a live holder, Refused without a live guard or after the decision fell."""
    if release.state is not State.WATCHED:
        raise Held(f"release {release.run_id!r} is {release.state.value}: its canary gets no more traffic")
    if release.holder is None or release.holder.until <= now:
        raise Held(f"release {release.run_id!r}: its holder's time has run out, no weight is raised")
    if release.guard_seen is None or now - release.guard_seen > release.plan.deploy.heartbeat:
        seen = f"{release.guard_seen:%H:%M:%S} UTC" if release.guard_seen else "never"
        raise Refused(f"release {release.run_id!r}: the guard was last heard of {seen}; no weight is raised without one")


def _checked(platform: Platform, run_id: str) -> Release:
    """Closes the race with the guard: where the decision fell while the router was asked, the weight goes back to 0."""
    record = ledger.read(platform)
    release = record.release
    if release is None or release.run_id != run_id or release.state is not State.WATCHED:
        to_zero(platform)
        raise Held(f"release {run_id!r} was ended while its weight was raised: the weight is back at 0")
    return release


def to_zero(platform: Platform) -> None:
    """All requests to the stable, read back. Needs nothing to be healthy."""
    platform.router.set_split(TrafficSplit(canary=0))


def trip(platform: Platform, run_id: str, reason: str, verdict: Verdict | None = None) -> None:
    """The decision fell, by a verdict or without one: weight to 0 first, then the record, so that nothing that goes wrong with the record keeps traffic on the canary."""
    to_zero(platform)
    now = platform.clock.now()

    def tripped(release: Release) -> Release:
        if release.state.ended or release.state is State.ROLLING_BACK:
            return release
        return replace(release, state=State.ROLLING_BACK, weight=0, reason=reason, trip=verdict).happened(now, f"weight 0: {reason}")

    ledger.change(platform, run_id, tripped)
