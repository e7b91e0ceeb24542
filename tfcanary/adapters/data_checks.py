"""The doctor's checks of what a plan reads and writes beside its platform: its buckets, and the counters of the stable servers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tfcanary.adapters.doctor_checks import Check, CheckResult
from tfcanary.adapters.notices import address_of
from tfcanary.adapters.storage import folder_of
from tfcanary.adapters.storage.probe import probe
from tfcanary.core.domain import Finding, Pool, Sample, Track
from tfcanary.core.errors import Refused
from tfcanary.core.plan import NotifyPlan, Plan
from tfcanary.core.ports import Platform

MOST_NAMES = 3
"""Servers that one sentence names at most."""


def buckets(plan: Plan, *needs: str) -> Iterator[Check]:
    """One check for each bucket that the plan names. `needs` are the names of checks that must pass first."""
    uris = {"bucket/canary": plan.bucket.canary, "bucket/stable": plan.bucket.stable}
    for name, uri in uris.items():
        if uri:
            yield Check(name, partial(_bucket, uri), needs)


def _bucket(uri: str) -> CheckResult:
    folder = folder_of(uri)
    if folder and not folder.is_dir():
        return Finding.WARN, f"{folder} is not on this machine, so it was not tried: steps and servers must share this directory"
    probe(uri)
    return Finding.PASS, f"{uri} can be listed, written, read and deleted in by whoever runs this"


def receivers(plan: Plan) -> Iterator[Check]:
    """One check for each receiver whose address lies in a file."""
    for number, receiver in enumerate(plan.notify):
        if receiver.url_file:
            yield Check(f"notify/{number}", partial(_receiver, receiver))


def _receiver(receiver: NotifyPlan) -> CheckResult:
    try:
        address_of(receiver)
    except Refused as error:
        return Finding.WARN, f"{error}; nobody would be told"
    return Finding.PASS, f"{receiver.url_file} holds an address"


def series(platform: Platform, plan: Plan, where: str) -> CheckResult:
    """Check that every server of stable is counted, with all series that the judge needs.

    `where` is the advice for a person whose servers are not counted: what to look at.
    """
    deployment = platform.deployer.observe()
    pool = deployment.tracks.get(Track.STABLE)
    if pool is None:
        return (
            Finding.WARN,
            f"{platform.model}: there is no stable version yet, so nothing can be counted; run this again after the first release",
        )
    servers = {server.name for server in deployment.servers.get(pool, ())}
    sample = platform.metrics.sample(Track.STABLE, platform.clock.now())
    if missing := sorted(servers - sample.servers.keys()):
        names = ", ".join(missing[:MOST_NAMES]) + (" and others" if len(missing) > MOST_NAMES else "")
        return Finding.FAIL, f"{len(missing)} of stable's {len(servers)} servers are not counted ({names}): {where}"
    if not sample.up:
        return Finding.FAIL, f"no server of stable, {pool}, is counted: {where}"
    return _check_counters(sample, plan, pool)


def _check_counters(sample: Sample, plan: Plan, pool: Pool) -> CheckResult:
    answers = sum(one.ok for one in sample.servers.values())
    errors = sum(one.failed for one in sample.servers.values())
    if answers + errors == 0:
        return (
            Finding.WARN,
            "stable has counted no request of this model yet: TF Serving has series from the first request on; send one, and run this again",
        )
    if plan.judge.latency and answers and not any(one.latency for one in sample.servers.values()):
        return (
            Finding.FAIL,
            "requests are counted, but not their latency: keep :tensorflow:serving:request_latency_bucket, or set `judge.latency: none`",
        )
    count = len(sample.servers)
    return Finding.PASS, f"{answers + errors:,.0f} requests counted on {count} server{'s' if count > 1 else ''} of stable, {pool}"
