"""Capacity at each rise, read back from the EndpointSlices of a real API server; and autoscalers with the real controller."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from math import ceil
from typing import Any

import pytest

from tests.adapters.kube.conftest import MakePlace, Place
from tests.adapters.kube.test_acts_on_a_cluster import StillClock
from tests.cluster.cluster import Cluster
from tests.cluster.site import gateway_object
from tests.cluster.waiting import until
from tfcanary import __version__, adapters
from tfcanary.act import ledger, restore, shift
from tfcanary.act.hold import holding
from tfcanary.adapters.kubeclient.field_managers import managers_of
from tfcanary.adapters.kubeclient.resources import AUTOSCALERS, DEPLOYMENTS, RESOURCE_QUOTAS, Json
from tfcanary.adapters.routing.gateway import GatewayRouter
from tfcanary.core import codec
from tfcanary.core.domain import Desired, Intent, Pool, RunningPool, Scaling, Track, Traffic
from tfcanary.core.errors import GaveUp, Refused
from tfcanary.core.plan import ScalingPlan
from tfcanary.core.ports import Platform
from tfcanary.core.record import Record, Release, State

pytestmark = pytest.mark.slow

RUN = "run-1"
OF_STABLE = 3
FIRST = 10_000
"""The intent of the release: above those by which the test has deployed."""


@pytest.fixture
def place(make: MakePlace, cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Place:
    """Version 1 is stable with three servers; no guard is waited for."""
    made = make()
    made.plan = replace(made.plan, weights=(40, 50))
    cluster.apply([gateway_object()], made.api.namespace)
    monkeypatch.setattr(shift, "await_able_guard", lambda hold: ledger.read_release(hold.platform, hold.run_id))
    made.up(1, OF_STABLE)
    made.assign(Track.STABLE, 1)
    return made


def watched(place: Place) -> Platform:
    """A release whose canary, version 2, has one server and no traffic."""
    platform = replace(adapters.open_platform(f"kube://{place.api.namespace}", "m", place.plan), clock=StillClock())
    held = RunningPool(place.version(1), least=place.plan.least_of_stable, held=place.plan.scaling is not None)
    tracks = {Track.STABLE: Pool(1), Track.CANARY: Pool(2)}
    release = Release(RUN, place.plan, codec.digest(place.plan), datetime.now(UTC), State.WATCHED)
    release = replace(release, desired=Desired(tracks=tracks, pools=(held, RunningPool(place.version(2)))), intent=FIRST)
    release = replace(release, candidate=place.version(2))
    platform.records.swap(Record("m", __version__, stable=place.version(1), release=release), 0)
    place.up(2)
    with holding(platform, RUN, "deploy") as hold:
        restore.restore(platform, RUN, hold)
    return platform


def raised(platform: Platform, place: Place, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """At each rise its weight, and the endpoints of stable and of the canary at the moment before it is written."""
    found = []
    set_traffic = GatewayRouter.set_traffic

    def counted(router: GatewayRouter, traffic: Traffic, intent: Intent) -> None:
        if traffic.canary > router.traffic().canary:
            found.append((traffic.canary, *(len(place.running.endpoints(track)) for track in (Track.STABLE, Track.CANARY))))
        set_traffic(router, traffic, intent)

    monkeypatch.setattr(GatewayRouter, "set_traffic", counted)
    return found


def to_stage(platform: Platform, stage: int) -> None:
    with holding(platform, RUN, f"watch stage {stage}") as hold:
        shift.shift(hold, stage)


def test_each_rise_finds_the_servers_that_its_share_needs(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = watched(place)
    found = raised(platform, place, monkeypatch)
    for stage in (0, 1):
        to_stage(platform, stage)
    assert [weight for weight, _, _ in found] == [40, 50]
    assert all(canary >= ceil(stable * weight / 100) for weight, stable, canary in found)
    assert [(stable, canary) for _, stable, canary in found] == [(3, 2), (3, 3)]
    shift.trip(platform, RUN, "the test says so")
    assert len(place.running.endpoints(Track.STABLE)) == OF_STABLE


def test_servers_that_a_quota_forbids_end_the_stage_with_kubernetes_words_and_no_traffic(place: Place) -> None:
    platform = watched(place)
    quota = {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "full"}, "spec": {"hard": {"pods": "4"}}}
    place.api.create(RESOURCE_QUOTAS, quota)
    until(lambda: (place.api.get(RESOURCE_QUOTAS, "full") or {}).get("status", {}).get("used", {}).get("pods") == "4")
    with pytest.raises(GaveUp, match=r"40 % needs 2 servers of version 2 beside stable's 3: server m-v2 will not serve .*exceeded quota"):
        to_stage(platform, 0)
    assert platform.router.traffic() == Traffic()


def autoscaler(place: Place, name: str) -> Json:
    found = place.api.get(AUTOSCALERS, name)
    assert found
    return found


def test_an_autoscaler_is_told_the_least_and_nobody_else_sets_the_number(place: Place) -> None:
    """Kubernetes' own controller, without any metrics, makes the canary as large as its least."""
    place.plan = replace(place.plan, scaling=ScalingPlan(max=6, behavior={"scaleDown": {"stabilizationWindowSeconds": 60}}))
    place.deployer.deploy(place.pool(1), place.intent())
    platform = watched(place)
    assert platform.deployer.observe().scaling == {Pool(1): Scaling(1, held=True), Pool(2): Scaling(1, held=False)}
    to_stage(platform, 1)
    assert autoscaler(place, "m-v2")["spec"]["minReplicas"] == 3
    deployment = place.api.get(DEPLOYMENTS, "m-v2")
    assert deployment
    assert (deployment["spec"]["replicas"], "tfcanary" in managers_of(deployment, "/spec/replicas")) == (3, False)
    assert len(place.running.endpoints(Track.CANARY)) == 3
    shift.trip(platform, RUN, "the test says so")
    restore.restore(platform, RUN)
    free = autoscaler(place, "m-v1")["spec"]["behavior"]["scaleDown"]
    assert (free["selectPolicy"], free["stabilizationWindowSeconds"]) == ("Max", 60)
    platform.deployer.remove(Pool(2), Intent(RUN, FIRST + 100))
    until(lambda: place.api.get(AUTOSCALERS, "m-v2") is None)


def test_an_autoscaler_of_somebody_else_over_stable_is_refused_by_name(place: Place) -> None:
    target = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "m-v1"}
    theirs: dict[str, Any] = {"apiVersion": AUTOSCALERS.api, "kind": AUTOSCALERS.kind, "metadata": {"name": "by-hand"}}
    place.api.create(AUTOSCALERS, {**theirs, "spec": {"scaleTargetRef": target, "maxReplicas": 9}})
    record = Record("m", __version__, stable=place.version(1))
    for scaling in (None, ScalingPlan(max=5)):
        platform = adapters.open_platform(f"kube://{place.api.namespace}", "m", replace(place.plan, scaling=scaling))
        with pytest.raises(Refused, match="HorizontalPodAutoscaler by-hand scales Deployment m-v1 of the stable version"):
            platform.preflight.check(record)


def test_a_plan_that_forgets_the_autoscaler_of_stable_is_refused(place: Place) -> None:
    scaled = replace(place.plan, scaling=ScalingPlan(max=5))
    adapters.open_platform(f"kube://{place.api.namespace}", "m", scaled).deployer.deploy(place.pool(1), place.intent())
    platform = adapters.open_platform(f"kube://{place.api.namespace}", "m", place.plan)
    with pytest.raises(Refused, match="m-v1: an earlier plan had `scaling`, and this one has not"):
        platform.preflight.check(Record("m", __version__, stable=place.version(1)))
    assert ledger.read(platform).release is None
