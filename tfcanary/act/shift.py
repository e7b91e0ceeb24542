"""ACT: the candidate's share of users' requests. The only place where a share is raised.

A share rises only by the release's live holder, and only beside a guard that was seen to be able to watch; lowering needs nothing and
nobody. The record is written before the router: whoever reads the record never believes in less traffic than there is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from tfcanary.act import capacity, ledger, restore, rise
from tfcanary.act.hold import Hold, holding
from tfcanary.core.domain import Desired, Intent, RunningPool, Track, Traffic, Verdict
from tfcanary.core.durations import written
from tfcanary.core.errors import Conflict, GaveUp, Held, Unavailable
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release, State

LOOKS = 20
"""A raise looks at the guard's beat each time that this part of `deploy.heartbeat` is over: a guard that can watch says so every third."""


def shift(hold: Hold, stage: int) -> Release:
    """Set the traffic of a stage and read it back; a stage that has begun already is not begun again.

    The servers that the traffic needs come first. Raises Held where this process may not raise it, GaveUp where servers are missing after
    `deploy.ready_timeout`, or no guard was able to watch for `judge.guards.blind_after`.
    """

    def begun(release: Release) -> Release:
        traffic, now = release.plan.traffic_at(release.plan.weights[stage]), hold.platform.clock.now()
        if release.stage == stage and release.desired.traffic == traffic:
            return release
        changed = replace(_with_traffic(release, traffic), stage=stage, stage_began=now, waited=timedelta(0), window_waited=timedelta(0))
        changed = replace(changed, first_traffic=release.first_traffic or (now if traffic.canary else None))
        return changed.happened(now, f"stage {stage}: weight {traffic}")

    capacity.provide(hold, hold.release.plan.traffic_at(hold.release.plan.weights[stage]))
    return raise_traffic(hold, begun, watching=True)


def set_weight(platform: Platform, run_id: str, weight: int) -> Release:
    """Set a weight outside the plan's stages, for pipelines of other people's making; afterwards the guard watches, for as long as a handover lasts."""

    def changed(release: Release) -> Release:
        now = platform.clock.now()
        first = release.first_traffic or (now if weight else None)
        traffic = release.plan.traffic_at(weight)
        return replace(_with_traffic(release, traffic), first_traffic=first).happened(now, f"weight {traffic}")

    with holding(platform, run_id, f"shift to {weight} %") as hold:
        wanted = hold.release.plan.traffic_at(weight)
        if not wanted.lowers(hold.release.desired.traffic):
            capacity.provide(hold, wanted)
            return raise_traffic(hold, changed)
        release = ledger.change(platform, run_id, changed)
        restore.restore(platform, run_id, hold)
        return release


def raise_traffic(hold: Hold, step: Callable[[Release], Release], watching: bool = False) -> Release:
    """Change what the release wants by `step`, which may raise the candidate's share, and make the world so.

    `watching`: from this write on the caller polls the canary, and not the guard. A raise waits while the release is paused, and while the
    plan's windows are closed. Raises Held where the release was taken away or ended meanwhile, GaveUp without a guard that can watch, and
    where nobody resumed a paused release in time.
    """
    while _must_wait(await_able_guard(hold), step, hold.platform.clock.now()):
        rise.await_rise(hold)
    looked = hold.platform.clock.now()

    def look_again() -> None:
        # The moves before the raise may have been late, and the guard may have gone blind meanwhile.
        if hold.platform.clock.now() - looked > hold.release.plan.deploy.lease:
            await_able_guard(hold)

    hold.check()
    (hold.watch if watching else hold.renew)(lambda release: step(_may_rise(release)))
    restore.restore(hold.platform, hold.run_id, hold, look_again)
    return _may_rise(ledger.read_release(hold.platform, hold.run_id))


def _must_wait(release: Release, step: Callable[[Release], Release], now: datetime) -> bool:
    """Whether a change would raise the candidate's share at a time when no weight may rise."""
    waits = release.state is State.WATCHED and (release.pause is not None or release.next_rise(now) > now)
    return waits and not step(release).desired.traffic.lowers(release.desired.traffic)


def await_able_guard(hold: Hold) -> Release:
    """Wait until the guard is seen to say once more that it can watch, and return the release: no clock of another machine is believed.

    Raises GaveUp after `judge.guards.blind_after`, Held where the release has been decided meanwhile.
    """
    platform, plan = hold.platform, hold.release.plan
    first: int | None = None
    deadline = platform.clock.now() + plan.judge.guards.blind_after
    while True:
        release = _may_rise(ledger.read_release(platform, hold.run_id))
        if release.beat is not None:
            if first is not None and release.beat.able > first:
                return release
            first = release.beat.able if first is None else first
        if platform.clock.now() >= deadline:
            raise GaveUp(f"release {hold.run_id!r}: {_guard_state(release)}; no weight is raised without a guard that can watch")
        platform.clock.sleep(plan.deploy.heartbeat.total_seconds() / LOOKS)


def _guard_state(release: Release) -> str:
    after = written(release.plan.judge.guards.blind_after)
    if release.beat is None:
        return f"its guard has not reported within {after}"
    return (
        f"its guard did not say within {after} that it can read the judge's state and the route (last beat {release.beat.at:%H:%M:%S %Z})"
    )


def _may_rise(release: Release) -> Release:
    if release.state not in (State.WATCHED, State.PROMOTING):
        raise Held(f"release {release.run_id!r} is {release.state.value}: its canary gets no more traffic")
    return release


def _with_traffic(release: Release, traffic: Traffic) -> Release:
    return release.wanting(replace(release.desired, traffic=traffic))


def lower(platform: Platform, intent: Intent) -> None:
    """All users' requests to the stable track, read back. A newer intent on the route is left alone: its writer knows more."""
    try:
        platform.router.set_traffic(Traffic(), intent)
    except Conflict:
        return


def trip(platform: Platform, run_id: str, reason: str, verdict: Verdict | None = None) -> Release:
    """The decision fell, by a verdict or without one: lower the traffic, write the record, and lower again under the new intent.

    Returns the release as it stands then: it is rolling back, or had ended before. Raises Held, and moves nothing, where the record shows
    another release; Unavailable where the traffic could not be lowered.
    """
    try:
        before = ledger.read_release(platform, run_id)
    except Unavailable:
        # Without the record the route's own stamp says whose it is.
        lower(platform, Intent(run_id, 0))
        raise
    if before.state.ended:
        return before
    failure = _try_lower(platform, before)
    now = platform.clock.now()

    def tripped(record: Record) -> Record:
        release = ledger.ours(record, run_id)
        if release.state.ended or release.state is State.ROLLING_BACK:
            return record
        changed = replace(release.wanting(_as_before(record, release)), state=State.ROLLING_BACK, reason=reason, trip=verdict)
        # The intent rises in any case: a raise that is still on its way must meet a newer stamp.
        changed = replace(changed, intent=release.intent + 1).happened(now, f"weight 0: {reason}")
        return replace(record, release=changed)

    after = ledger.ours(ledger.update(platform, tripped).record, run_id)
    if not after.state.ended:
        failure = _try_lower(platform, after)
    if failure:
        raise failure
    return after


def _try_lower(platform: Platform, release: Release) -> Unavailable | None:
    """Lower the traffic; what cannot be reached must not keep the decision out of the record."""
    if not release.desired.tracks:
        # A first release without a track never had traffic, and a route that leads to no track never comes into force.
        return None
    try:
        lower(platform, release.token)
    except Unavailable as error:
        return error
    return None


def _as_before(record: Record, release: Release) -> Desired:
    """The world after a rollback: the stable version serves everything, and the candidate's servers stay for a while without traffic."""
    if record.stable is None:
        return Desired(pools=release.desired.pools)
    stable = RunningPool(record.stable, least=release.plan.least_of_stable)
    there = replace(release.desired.pool(stable.pool) or stable, held=False)
    return replace(release.desired, traffic=Traffic(), tracks={Track.STABLE: stable.pool}).with_pool(there)
