"""ACT: the candidate's servers come up without traffic, warm, and with a guard beside them; with them the baseline's, if the plan asks for one."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from tfcanary.act import ledger, push, restore
from tfcanary.act.finish import finish
from tfcanary.act.hold import Hold, TakenOver, follow, holding
from tfcanary.core.domain import Desired, Evidence, Finding, Intent, Look, ModelVersion, Pool, Request, Role, RunningPool, Track
from tfcanary.core.durations import written
from tfcanary.core.errors import GaveUp, Held, Unavailable
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform, Server
from tfcanary.core.record import Record, Release, State

WARM_BATCH = 20
"""Requests whose median is compared with those of the batches before."""
BATCHES_FLAT = 3
FLAT = 1.25
"""Latency is flat when three medians in a row lie within this factor of each other: medians of 20 wander by less on a warm server."""
WAIT = 1.0
"""Seconds between two questions to something that is coming up."""
Requests = Callable[[], Iterator[Request]]
"""Sample requests, from the start again at each call."""


def deploy_canary(platform: Platform, run_id: str, version: ModelVersion, requests: Requests) -> Look:
    """Bring the candidate up at weight 0: AVAILABLE for that very version on every server, warmed, and with a guard that reports.

    What does not come up is a finding of `fail`, not an error. With `bootstrap: true` the version becomes stable at once. Raises Held where
    the release was ended or taken away, Refused where the bucket's bytes have changed, GaveUp where no guard reports.
    """
    before = ledger.read_release(platform, run_id)
    if before.looks.get("deploy") and before.state is not State.OPEN:
        return before.looks["deploy"]
    try:
        look = _deployed(platform, run_id, version, requests)
    except TakenOver:
        look = follow(platform, run_id, lambda release: release.looks.get("deploy"))
    if before.plan.bootstrap:
        finish(platform, run_id)
    return look


def _deployed(platform: Platform, run_id: str, version: ModelVersion, requests: Requests) -> Look:
    with holding(platform, run_id, "deploy") as hold:
        came_up = _servers(hold, version)
        if came_up.finding is not Finding.PASS:
            return _noted(hold, came_up)
        if hold.release.plan.bootstrap:
            look = _noted(hold, came_up)
            _bootstrap(hold, version)
        else:
            want(hold, lambda desired: _pointing(desired, version))
            restore.restore(platform, run_id, hold)
            warmed = warm(platform, hold.release.plan.deploy.warm_timeout, requests, hold.release.plan.deploy.baseline)
            await_guard(hold)
            look = _noted(hold, came_up, warmed)
        return look


def _servers(hold: Hold, version: ModelVersion) -> Evidence:
    """No traffic to the canary, no servers but the stable version's, the candidate's own and the baseline's, and those available."""
    plan = hold.release.plan
    push.verify(hold.platform, version)
    least = plan.least_of_stable if plan.bootstrap else _first_size(hold.platform, plan)
    pool = RunningPool(version, least=least)

    def alone(record: Record) -> Record:
        release = _open(ledger.ours(record, hold.run_id))
        serving = (one for one in release.desired.pools if record.stable and one.pool == Pool(record.stable.number))
        stable = tuple(replace(one, held=plan.scaling is not None) for one in serving)
        return replace(record, release=replace(release.wanting(replace(release.desired, pools=(*stable, pool))), candidate=version))

    record = ledger.update(hold.platform, alone).record
    # What an earlier release left goes first: a baseline is as young as the canary.
    restore.restore(hold.platform, hold.run_id, hold)
    fresh = (pool, *_baseline(record, plan, least))
    for one in fresh:
        deploy_pool(hold, one, _want_pool(hold, one).token)
    found = [available(hold, one) for one in fresh]
    return next((one for one in found if one.finding is not Finding.PASS), found[0])


def _want_pool(hold: Hold, pool: RunningPool) -> Release:
    return want(hold, lambda desired: desired.with_pool(pool))


def _first_size(platform: Platform, plan: Plan) -> int:
    """The servers of the first stage, so that all of them are warm when it begins."""
    if plan.traffic.divides_by_servers:
        return plan.serving.canary_replicas
    return plan.serving.canary_servers(plan.weights[0], ready_servers_of_stable(platform))


def ready_servers_of_stable(platform: Platform) -> int:
    """How many servers of the stable track take requests; one that is only late with its answer takes them."""
    return sum(one.available or one.silent for one in servers_of_stable(platform))


def servers_of_stable(platform: Platform) -> tuple[Server, ...]:
    """The servers of the stable track, whatever they say; none where nothing is stable."""
    running = platform.deployer.observe()
    stable = running.tracks.get(Track.STABLE)
    return running.servers.get(stable, ()) if stable else ()


def _baseline(record: Record, plan: Plan, least: int) -> tuple[RunningPool, ...]:
    """The baseline's pool, of the canary's size; none where the plan asks for none, or nothing is stable yet."""
    if record.stable is None or plan.bootstrap or not plan.deploy.baseline:
        return ()
    return (RunningPool(record.stable, Role.BASELINE, least),)


def _pointing(desired: Desired, candidate: ModelVersion) -> Desired:
    """With the tracks of canary and baseline pointing at the pools that were started for them."""
    baseline = next((one.pool for one in desired.pools if one.role is Role.BASELINE), None)
    return desired.pointing(Track.CANARY, Pool(candidate.number)).pointing(Track.BASELINE, baseline)


def deploy_pool(hold: Hold, pool: RunningPool, intent: Intent) -> None:
    """Start a pool and look at the record again: where the release was ended meanwhile, the servers go again. Raises Held then."""
    hold.check()
    hold.platform.deployer.deploy(pool, intent)
    release = ledger.read_release(hold.platform, hold.run_id)
    if release.state.ended or release.state is State.ROLLING_BACK:
        restore.restore(hold.platform, hold.run_id)
        raise Held(f"release {hold.run_id!r} is {release.state.value} ({release.reason}): no server of it is started")


def _open(release: Release) -> Release:
    if release.state not in (State.OPEN, State.WATCHED):
        raise Held(f"release {release.run_id!r} is {release.state.value} ({release.reason}): no server of it is started")
    return release


def want(hold: Hold, step: Callable[[Desired], Desired]) -> Release:
    """Write down what is wanted next; raises Held where no server of the release may be started any more."""
    return ledger.change(hold.platform, hold.run_id, lambda release: _open(release).wanting(step(release.desired)))


def available(hold: Hold, wanted: RunningPool) -> Evidence:
    """Wait until every server of a pool says AVAILABLE for its version, and there are as many as wanted.

    It fails where a server says that it never will, or `deploy.ready_timeout` is over. Raises Held where the release is not held any more.
    """
    platform, pool, lasts = hold.platform, wanted.pool, hold.release.plan.deploy.ready_timeout
    deadline = platform.clock.now() + lasts
    while True:
        hold.check()
        servers = platform.deployer.observe(pool).servers.get(pool, ())
        failed = next((s for s in servers if s.failed), None)
        if failed:
            return _up(Finding.FAIL, f"server {failed.name} will not serve {pool}: {failed.message}", servers)
        ready = sum(s.available for s in servers)
        if ready == len(servers) >= wanted.least:
            return _up(Finding.PASS, f"{len(servers)} of {len(servers)} servers say AVAILABLE for {pool}", servers)
        if platform.clock.now() >= deadline:
            said = next((s.message for s in servers if not s.available), "no server runs" if not servers else "no more run")
            of = f"{ready} of {max(wanted.least, len(servers))} servers were ready"
            return _up(Finding.FAIL, f"{pool} was not AVAILABLE within {written(lasts)}, {of}: {said}", servers)
        platform.clock.sleep(WAIT)


def _up(finding: Finding, reason: str, servers: tuple[Server, ...]) -> Evidence:
    return Evidence("deploy/available", finding, reason, figures={"servers": len(servers)})


def _bootstrap(hold: Hold, candidate: ModelVersion) -> None:
    """The first release: nothing is stable yet, the candidate gets the stable track and with it all traffic."""
    platform, run_id, now = hold.platform, hold.run_id, hold.platform.clock.now()

    def promoting(release: Release) -> Release:
        wanted = _open(release).wanting(release.desired.pointing(Track.STABLE, Pool(candidate.number)))
        return replace(wanted, state=State.PROMOTING).happened(now, "promotion begins")

    ledger.change(platform, run_id, promoting)
    restore.restore(platform, run_id, hold)
    reason = "first release: `bootstrap: true`"
    ledger.end(platform, run_id, State.PROMOTED, State.PROMOTING, reason, lambda record: record.with_stable(candidate))
    hold.handed_over = True


def warm(platform: Platform, lasts: timedelta, requests: Requests, baseline: bool = False) -> Evidence:
    """Send sample requests to the canary until the median latency of three batches in a row is flat. Never gates: the judge has its own warm-up.

    With `baseline` its servers get each request, too: the control is as warm as the canary.
    """
    deadline = platform.clock.now() + lasts
    medians: list[float] = []
    sent = 0
    while platform.clock.now() < deadline:
        sample = tuple(islice(requests(), WARM_BATCH))
        batch = [_seconds(platform, Track.CANARY, one) for one in sample]
        for one in sample if baseline else ():
            _seconds(platform, Track.BASELINE, one)
        if not batch:
            return Evidence("deploy/warm", Finding.INCONCLUSIVE, "no sample request is known: the canary starts cold", gating=False)
        sent += len(batch)
        medians.append(statistics.median(batch))
        last = medians[-BATCHES_FLAT:]
        if len(last) == BATCHES_FLAT and max(last) <= FLAT * min(last):
            return _warmed(Finding.PASS, f"latency is flat after {sent} requests: median {last[-1] * 1000:.1f} ms", medians, sent)
    return _warmed(
        Finding.WARN, f"latency was not flat after {sent} requests in {lasts}: median {medians[-1] * 1000:.1f} ms", medians, sent
    )


def _seconds(platform: Platform, track: Track, request: Request) -> float:
    began = platform.clock.now()
    try:
        return platform.predictor.predict(track, request).seconds
    except Unavailable:
        return (platform.clock.now() - began).total_seconds()


def _warmed(finding: Finding, reason: str, medians: list[float], sent: int) -> Evidence:
    figures: dict[str, float | str] = {"requests": sent, "first median, ms": medians[0] * 1000, "last median, ms": medians[-1] * 1000}
    return Evidence("deploy/warm", finding, reason, gating=False, unit="ms", figures=figures)


def await_guard(hold: Hold) -> None:
    """Hear from the guard before there can be any weight; only then is the release watched. Raises GaveUp after `guard.ready_timeout`."""
    platform, run_id, lasts = hold.platform, hold.run_id, hold.release.plan.guard.ready_timeout
    platform.guards.start(run_id)
    deadline = platform.clock.now() + lasts
    while ledger.read_release(platform, run_id).beat is None:
        hold.check()
        if platform.clock.now() >= deadline:
            raise GaveUp(f"the guard of release {run_id!r} was started and did not report within {lasts}: no traffic without it")
        platform.clock.sleep(WAIT)
    ledger.change(platform, run_id, lambda r: replace(r, state=State.WATCHED) if r.state is State.OPEN else r)


def _noted(hold: Hold, *evidence: Evidence) -> Look:
    look = Look("deploy", evidence)
    ledger.note(hold.platform, hold.run_id, look)
    return look
