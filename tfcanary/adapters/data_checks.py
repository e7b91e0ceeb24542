"""What a plan reads and writes beside its platform, tried before a release: its buckets, and the counters of the stable servers."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from tfcanary.adapters.doctor_checks import Check, Said
from tfcanary.adapters.storage import folder_of
from tfcanary.adapters.storage.probe import probe
from tfcanary.core.domain import Finding, Sample, Track
from tfcanary.core.plan import Plan
from tfcanary.core.ports import Platform

SHOWN = 3
"""Servers that a sentence names."""


def buckets(plan: Plan, *needs: str) -> Iterator[Check]:
    """The buckets that the plan names, each tried by whoever runs this."""
    named = {"bucket/canary": plan.bucket.canary, "bucket/stable": plan.bucket.stable}
    for name, uri in named.items():
        if uri:
            yield Check(name, partial(_bucket, uri), needs)


def _bucket(uri: str) -> Said:
    folder = folder_of(uri)
    if folder and not folder.is_dir():
        return Finding.WARN, f"{folder} is not on this machine, so it was not tried: steps and servers must share this directory"
    probe(uri)
    return Finding.PASS, f"{uri} can be listed, written, read and deleted in by whoever runs this"


def series(platform: Platform, plan: Plan, where: str) -> Said:
    """Whether every server of stable is counted, and all that the judge needs of it. `where`: what to look at where one is not."""
    seen = platform.deployer.observe()
    number = seen.tracks.get(Track.STABLE)
    if number is None:
        return Finding.WARN, f"{platform.model}: nothing is stable yet, so there is nothing to count; ask again after the first release"
    wanted = {server.name for server in seen.servers.get(number, ())}
    sample = platform.metrics.sample(Track.STABLE, platform.clock.now())
    if missing := sorted(wanted - sample.servers.keys()):
        named = ", ".join(missing[:SHOWN]) + (" and others" if len(missing) > SHOWN else "")
        return Finding.FAIL, f"{len(missing)} of stable's {len(wanted)} servers are not counted ({named}): {where}"
    if not sample.up:
        return Finding.FAIL, f"no server of stable, version {number}, is counted: {where}"
    return _counted(sample, plan, number)


def _counted(sample: Sample, plan: Plan, number: int) -> Said:
    answered = sum(one.ok for one in sample.servers.values())
    failed = sum(one.failed for one in sample.servers.values())
    if answered + failed == 0:
        return (
            Finding.WARN,
            "stable has counted no request of this model yet: TF Serving has series from the first one on; send one, and ask again",
        )
    if plan.judge.latency and answered and not any(one.latency for one in sample.servers.values()):
        return (
            Finding.FAIL,
            "requests are counted and how long they take is not: keep :tensorflow:serving:request_latency_bucket, or set `judge.latency: none`",
        )
    many = len(sample.servers)
    return Finding.PASS, f"{answered + failed:,.0f} requests counted on {many} server{'s' if many > 1 else ''} of stable, version {number}"
