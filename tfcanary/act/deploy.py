"""ACT: the candidate's servers come up without traffic, warm, and with a guard beside them."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from itertools import islice

from tfcanary.act import ledger, push, shift
from tfcanary.core.domain import Evidence, Finding, Look, ModelVersion, Request, Track
from tfcanary.core.errors import GaveUp, Refused, Unavailable
from tfcanary.core.ports import Clock, Platform, Server
from tfcanary.core.record import Release, State

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
    """Bring the candidate up at weight 0: AVAILABLE for that very version on every server, warmed, guard started.

    What does not come up is a finding of `fail`, not an error. With `bootstrap: true` the version becomes stable at once. Raises Held where
    the release was taken away, Refused where the bucket's bytes have changed, GaveUp where no guard reports.
    """
    before = ledger.ours(ledger.read(platform), run_id)
    if before.looks.get("deploy") and before.state is not State.OPEN:
        return before.looks["deploy"]
    release = _candidate(platform, run_id, version)
    _clear(platform, version)
    push.verify(platform, version)
    platform.deployer.deploy(version, Track.STABLE if release.plan.bootstrap else Track.CANARY)
    came_up = available(platform, run_id, version, "deploy")
    if came_up.finding is not Finding.PASS:
        return _noted(platform, run_id, came_up)
    if release.plan.bootstrap:
        look = _noted(platform, run_id, came_up)
        _bootstrap(platform, run_id)
        return look
    platform.deployer.assign(Track.CANARY, version.number)
    warmed = warm(platform, release.plan.deploy.warm_timeout, requests)
    _guard(platform, run_id)
    return _noted(platform, run_id, came_up, warmed)


def _candidate(platform: Platform, run_id: str, version: ModelVersion) -> Release:
    ledger.hold(platform, run_id, "deploy")
    return ledger.change(platform, run_id, lambda r: replace(r, candidate=version))


def _clear(platform: Platform, version: ModelVersion) -> None:
    """No traffic to the canary track, and no servers but the stable version's and the candidate's own."""
    stable = ledger.read(platform).stable
    running = platform.deployer.observe()
    if stable:
        shift.to_zero(platform)
    if running.tracks.get(Track.CANARY) not in (None, version.number):
        platform.deployer.assign(Track.CANARY, None)
    for number in running.servers:
        if number not in (version.number, stable.number if stable else None):
            platform.deployer.remove(number)


def available(platform: Platform, run_id: str, version: ModelVersion, step: str) -> Evidence:
    """Wait until every server says AVAILABLE for the version, one says that it never will, or the deadline is over; the release stays held."""
    release = ledger.hold(platform, run_id, step)
    deadline = platform.clock.now() + release.plan.deploy.ready_timeout
    while True:
        if release.holder and release.holder.until - platform.clock.now() < release.plan.deploy.handover / 2:
            release = ledger.hold(platform, run_id, step)
        servers = platform.deployer.observe(version.number).servers.get(version.number, ())
        failed = next((s for s in servers if s.failed), None)
        if failed:
            return _up(Finding.FAIL, f"server {failed.name} will not serve version {version.number}: {failed.message}", servers)
        if servers and all(s.available for s in servers):
            return _up(Finding.PASS, f"{len(servers)} of {len(servers)} servers say AVAILABLE for version {version.number}", servers)
        if platform.clock.now() >= deadline:
            said = next((s.message for s in servers if not s.available), "no server runs")
            return _up(
                Finding.FAIL, f"version {version.number} was not AVAILABLE within {release.plan.deploy.ready_timeout}: {said}", servers
            )
        platform.clock.sleep(WAIT)


def _up(finding: Finding, reason: str, servers: tuple[Server, ...]) -> Evidence:
    return Evidence("deploy/available", finding, reason, figures={"servers": len(servers)})


def _bootstrap(platform: Platform, run_id: str) -> Release:
    """The first release: nothing is stable yet, the candidate gets the stable track and with it all traffic."""
    release = ledger.ours(ledger.read(platform), run_id)
    if release.candidate is None:
        raise Refused(f"release {run_id!r} has no candidate yet: push it first")
    candidate = release.candidate
    platform.deployer.assign(Track.STABLE, candidate.number)
    shift.to_zero(platform)
    return ledger.end(platform, run_id, State.PROMOTED, "first release: `bootstrap: true`", lambda r: r.with_stable(candidate))


def warm(platform: Platform, lasts: timedelta, requests: Requests) -> Evidence:
    """Send sample requests to the canary until the median latency of three batches in a row is flat. Never gates: the judge has its own warm-up."""
    deadline = platform.clock.now() + lasts
    medians: list[float] = []
    sent = 0
    while platform.clock.now() < deadline:
        batch = [_seconds(platform, platform.clock, one) for one in islice(requests(), WARM_BATCH)]
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


def _seconds(platform: Platform, clock: Clock, request: Request) -> float:
    began = clock.now()
    try:
        return platform.predictor.predict(Track.CANARY, request).seconds
    except Unavailable:
        return (clock.now() - began).total_seconds()


def _warmed(finding: Finding, reason: str, medians: list[float], sent: int) -> Evidence:
    figures: dict[str, float | str] = {"requests": sent, "first median, ms": medians[0] * 1000, "last median, ms": medians[-1] * 1000}
    return Evidence("deploy/warm", finding, reason, gating=False, unit="ms", figures=figures)


def _guard(platform: Platform, run_id: str) -> None:
    """Start the guard and hear from it before there can be any weight; only then is the release watched."""
    platform.guards.start(run_id)
    deadline = platform.clock.now() + ledger.hold(platform, run_id, "deploy").plan.deploy.heartbeat
    while ledger.ours(ledger.read(platform), run_id).guard_seen is None:
        if platform.clock.now() >= deadline:
            raise GaveUp(f"the guard of release {run_id!r} was started and did not report: no traffic without it")
        platform.clock.sleep(WAIT)
    ledger.change(platform, run_id, lambda r: replace(r, state=State.WATCHED) if r.state is State.OPEN else r)


def _noted(platform: Platform, run_id: str, *evidence: Evidence) -> Look:
    look = Look("deploy", evidence)
    ledger.note(platform, run_id, look)
    return look
