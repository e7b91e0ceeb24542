"""Versions and tracks on a real API server, with real model servers in the pods."""

from __future__ import annotations

import os
import signal
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.adapters.kube.conftest import MakePlace, Place
from tests.cluster.api import ApiError
from tests.cluster.cluster import Cluster
from tests.cluster.waiting import until
from tfcanary.adapters.kube import deployer, manifests, running_servers
from tfcanary.adapters.kube.running_servers import RunningServers
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import CONFIG_MAPS, DEPLOYMENTS, DISRUPTION_BUDGETS, PODS, SERVICES, Resource
from tfcanary.core.domain import ModelVersion, Pool, RunningPool, Track
from tfcanary.core.errors import GaveUp, Refused, Unavailable

pytestmark = pytest.mark.slow


def uids(api: Api, number: int) -> set[str]:
    found = api.list(PODS, object_names.selector("m", Pool(number)))
    return {str(one["metadata"]["uid"]) for one in found if "deletionTimestamp" not in one["metadata"]}


def replicas(api: Api, name: str) -> int:
    found = api.get(DEPLOYMENTS, name)
    assert found
    return int(found["spec"]["replicas"])


def rollout(api: Api, name: str) -> tuple[str, Any]:
    """Which rollout it is, and what is rolled out. A stamp changes the generation, for Kubernetes hands annotations on."""
    found = api.get(DEPLOYMENTS, name)
    assert found
    return found["metadata"]["annotations"]["deployment.kubernetes.io/revision"], found["spec"]


def foreign(name: str, **labels: str) -> dict[str, Any]:
    container = {"name": "server", "image": "python", "command": ["sleep", "600"]}
    template = {"metadata": {"labels": {"app": name, **labels}}, "spec": {"containers": [container]}}
    spec = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def test_a_release_moves_tracks_and_restarts_nothing(make: MakePlace) -> None:
    """Deploy stable, deploy the canary, make it larger, point the tracks at it, remove the former: as a promotion does it."""
    place = make(replicas=2)
    place.up(1, 2)
    assert len(place.servers(1)) == 2
    place.assign(Track.STABLE, 1)
    place.up(2)
    place.assign(Track.CANARY, 2)
    assert place.deployer.observe().tracks == {Track.STABLE: Pool(1), Track.CANARY: Pool(2)}
    (before,) = uids(place.api, 2)
    place.up(2, 2)
    place.assign(Track.STABLE, 2)
    place.assign(Track.CANARY, None)
    assert place.deployer.observe().tracks == {Track.STABLE: Pool(2)}
    after = uids(place.api, 2)
    assert before in after
    assert len(after) == 2
    assert place.running.endpoints(Track.CANARY) == set()
    assert len(place.running.endpoints(Track.STABLE)) == 2
    place.remove(1)
    place.remove(1)
    assert sorted(place.deployer.observe().servers) == [Pool(2)]
    assert place.api.list(CONFIG_MAPS, object_names.selector("m", Pool(1))) == ()


def test_deploying_again_changes_nothing(make: MakePlace) -> None:
    place = make()
    place.up(1)
    before = uids(place.api, 1), rollout(place.api, "m-v1")
    place.deploy(1)
    assert (uids(place.api, 1), rollout(place.api, "m-v1")) == before


def test_pods_become_more_and_never_fewer(make: MakePlace) -> None:
    place = make(replicas=1)
    place.serve(1)
    place.api.merge(DEPLOYMENTS, "m-v1", {"spec": {"replicas": 3}})  # as an autoscaler does
    place.up(2)
    assert replicas(place.api, "m-v2") == 1
    place.deploy(2, 3)
    assert replicas(place.api, "m-v2") == 3
    place.deploy(2)
    place.deploy(1)
    assert (replicas(place.api, "m-v1"), replicas(place.api, "m-v2")) == (3, 3)


def test_a_version_that_a_track_points_at_keeps_its_template(make: MakePlace) -> None:
    """Another release's plan must not restart what serves."""
    place = make()
    place.serve(1)
    before = uids(place.api, 1), rollout(place.api, "m-v1")
    other = make(cpu="2", memory="512Mi")
    other.run = "run-2"
    other.deploy(1)
    assert (uids(place.api, 1), rollout(place.api, "m-v1")) == before


def test_servers_that_another_release_left_with_another_template_are_replaced(make: MakePlace) -> None:
    """A plan was mended: the candidate is the same one, and its servers must not be those of the bad plan."""
    place = make()
    place.deploy(1)
    (first,) = place.running.deployments().values()
    place.plan = replace(place.plan, serving=replace(place.plan.serving, cpu="1500m"))
    place.deploy(1)
    (same,) = place.running.deployments().values()
    assert same["metadata"]["uid"] == first["metadata"]["uid"]
    place.run = "run-2"
    place.up(1)
    (other,) = place.running.deployments().values()
    assert other["metadata"]["uid"] != first["metadata"]["uid"]
    assert other["spec"]["template"]["spec"]["containers"][0]["args"] != first["spec"]["template"]["spec"]["containers"][0]["args"]


def test_what_somebody_else_has_set_on_running_servers_stays(make: MakePlace, cluster: Cluster) -> None:
    place = make()
    place.deploy(1)
    theirs = {"name": "m-v1", "namespace": place.api.namespace}
    cluster.api.apply(
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": theirs, "spec": {"progressDeadlineSeconds": 999}}, manager="gitops"
    )
    place.deploy(1, 2)
    found = place.api.get(DEPLOYMENTS, "m-v1")
    assert found
    assert (found["spec"]["progressDeadlineSeconds"], found["spec"]["replicas"]) == (999, 2)


def test_a_service_field_that_somebody_else_holds_is_taken_and_nothing_else_of_his(make: MakePlace, cluster: Cluster) -> None:
    """A track must be able to go back to stable, whoever edits its Service."""
    place = make()
    place.serve(1)
    place.up(2)
    mine = {"name": "m-stable", "namespace": place.api.namespace, "annotations": {"team": "x"}}
    cluster.api.apply({"apiVersion": "v1", "kind": "Service", "metadata": mine, "spec": {"selector": {"app": "x"}}}, manager="gitops")
    place.assign(Track.STABLE, 2)
    found = place.running.service(Track.STABLE)
    assert found
    assert (found["spec"]["selector"], found["metadata"]["annotations"]["team"]) == (object_names.selector("m", Pool(2)), "x")


def test_a_deployment_of_that_name_that_is_not_ours_is_refused(make: MakePlace) -> None:
    place = make()
    place.api.create(DEPLOYMENTS, foreign("m-v1"))
    with pytest.raises(Refused, match=r"Deployment m-v1 .* was not made by tfcanary"):
        place.deploy(1)


def test_other_bytes_under_a_number_are_refused(make: MakePlace) -> None:
    place = make()
    place.deploy(1)
    with pytest.raises(Refused, match="is deployed already as m-v1 with the bytes sha256:0"):
        place.deployer.deploy(place.pool(1, digest="sha256:other"), place.intent())


def test_a_track_does_not_point_at_what_is_not_available(make: MakePlace) -> None:
    place = make()
    with pytest.raises(Refused, match="version 2 of m is not deployed"):
        place.assign(Track.CANARY, 2)
    place.deploy(2)
    with pytest.raises(Unavailable, match="version 2 of m has no available server"):
        place.assign(Track.CANARY, 2)
    assert place.running.service(Track.CANARY) is None


def test_a_version_that_a_track_points_at_is_not_removed(make: MakePlace) -> None:
    place = make()
    place.serve(1)
    with pytest.raises(Refused, match="is what the stable track points at"):
        place.remove(1)
    assert uids(place.api, 1)


def test_a_service_that_is_not_ours_is_taken_over_only_where_the_plan_says_so(make: MakePlace) -> None:
    place = make()
    place.up(1)
    service = manifests.service("m", Track.STABLE, {"app": "theirs"}, place.plan.serving)
    service["metadata"]["labels"] = {"app": "theirs"}
    place.api.create(SERVICES, service)
    with pytest.raises(Refused, match=r"Service m-stable .* was not made by tfcanary"):
        place.assign(Track.STABLE, 1)
    place.plan = replace(place.plan, adopt=True)
    place.assign(Track.STABLE, 1)
    assert place.deployer.observe().tracks == {Track.STABLE: Pool(1)}


def test_a_selector_that_somebody_edited_is_put_back(make: MakePlace) -> None:
    """A rollback must not be stopped by it."""
    place = make()
    place.serve(1)
    place.api.patch(SERVICES, "m-stable", [{"op": "replace", "path": "/spec/selector", "value": {"app": "edited"}}])
    assert place.deployer.observe().tracks == {}
    place.assign(Track.STABLE, 1)
    assert place.deployer.observe().tracks == {Track.STABLE: Pool(1)}


def test_endpoints_that_do_not_follow_are_given_up_on(make: MakePlace, monkeypatch: pytest.MonkeyPatch) -> None:
    place = make()
    place.up(1)
    monkeypatch.setattr(deployer, "IN_FORCE", timedelta(seconds=0.2))
    monkeypatch.setattr(RunningServers, "endpoints", lambda self, track: {"10.9.9.9"})
    with pytest.raises(
        GaveUp, match=r"Service m-stable should point at version 1, whose ready pods are 10\.244.*its endpoints are 10\.9\.9\.9"
    ):
        place.assign(Track.STABLE, 1)


# What is seen


def test_a_model_that_does_not_load_has_failed_soon_with_the_servers_words(make: MakePlace) -> None:
    place = make()
    place.deploy(3)
    (found,) = until(lambda: [one for one in place.servers(3) if one.failed], seconds=90)
    assert "exit code 255" in found.message


def test_an_image_without_a_name_is_a_failure(make: MakePlace, cluster: Cluster) -> None:
    place = make()
    deployment = manifests.deployment("m", place.pool(1), place.plan)
    deployment["spec"]["template"]["spec"]["containers"][0]["image"] = "registry/unknown:1"
    place.api.apply(DEPLOYMENTS, deployment)
    place.api.apply(CONFIG_MAPS, manifests.config_map("m", place.pool(1), place.plan.serving))
    found = until(lambda: [one for one in place.servers(1) if "Pull" in one.message], seconds=60)
    assert not found[0].available


def test_a_quota_is_a_failure_at_once(make: MakePlace) -> None:
    place = make()
    quotas = Resource("v1", "resourcequotas", "ResourceQuota")
    place.api.create(quotas, {"apiVersion": "v1", "kind": "ResourceQuota", "metadata": {"name": "none"}, "spec": {"hard": {"pods": "0"}}})
    until(lambda: (place.api.get(quotas, "none") or {}).get("status", {}).get("hard"))
    place.deploy(1)
    (found,) = until(lambda: [one for one in place.servers(1) if one.failed])
    assert (found.name, "exceeded quota" in found.message) == ("m-v1", True)


def budget(place: Place, name: str) -> dict[str, Any] | None:
    return place.api.get(DISRUPTION_BUDGETS, name)


def test_a_drain_evicts_one_server_of_a_pool_at_a_time_and_the_budget_goes_with_the_pool(make: MakePlace, cluster: Cluster) -> None:
    place = make()
    place.up(2, 2)
    until(lambda: (budget(place, "m-v2") or {}).get("status", {}).get("disruptionsAllowed") == 1)
    pods = place.api.list(PODS, object_names.selector("m", Pool(2)))
    assert is_evicted(cluster, pods[0])
    assert not is_evicted(cluster, pods[1])
    place.deploy(2, 2)
    place.remove(2)
    until(lambda: budget(place, "m-v2") is None)


def is_evicted(cluster: Cluster, pod: dict[str, Any]) -> bool:
    """As a drain does it; whether no disruption budget stops it."""
    at = {"name": pod["metadata"]["name"], "namespace": pod["metadata"]["namespace"]}
    path = f"/api/v1/namespaces/{at['namespace']}/pods/{at['name']}/eviction"
    try:
        cluster.api.post(path, {"apiVersion": "policy/v1", "kind": "Eviction", "metadata": at})
    except ApiError as error:
        if error.status != 429:
            raise
        return False
    return True


def test_servers_that_do_not_serve_never_stop_a_drain(make: MakePlace, cluster: Cluster) -> None:
    place = make()
    place.deploy(3, 2)
    until(lambda: any(one.failed for one in place.servers(3)), seconds=60)
    for pod in place.api.list(PODS, object_names.selector("m", Pool(3))):
        until(lambda pod=pod: is_evicted(cluster, pod))


def test_the_budget_that_replaced_servers_left_becomes_their_successors(make: MakePlace) -> None:
    place = make()
    place.deploy(1)
    place.plan = replace(place.plan, serving=replace(place.plan.serving, cpu="1500m"))
    place.run = "run-2"
    place.deploy(1)
    (found,) = place.running.deployments().values()
    owners = (budget(place, "m-v1") or {"metadata": {}})["metadata"].get("ownerReferences") or ()
    assert found["metadata"]["uid"] in [one["uid"] for one in owners]


def test_watching_a_version_asks_the_api_server_only_when_something_is_wrong(
    make: MakePlace, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = make()
    place.up(1)
    watcher = place.deployer
    pool = Pool(1)
    assert all(one.available for one in watcher.observe(pool).servers[pool])
    asked: list[str] = []
    send = place.api._connection.send
    monkeypatch.setattr(place.api._connection, "send", lambda request: asked.append(request.path) or send(request))
    for _ in range(3):
        (server,) = watcher.observe(pool).servers[pool]
        assert (server.available, server.silent) == (True, False)
    assert asked == []
    pid = cluster.pid(place.api.namespace, server.name)
    assert pid
    os.kill(pid, signal.SIGKILL)
    (server,) = until(lambda: watcher.observe(pool).servers[pool], lambda found: not found[0].available)
    assert not server.silent
    assert asked


def test_a_server_that_hangs_is_silent_as_long_as_nobody_says_that_it_is_down(
    make: MakePlace, cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running_servers, "STATUS_TIMEOUT", 0.5)
    place = make()
    place.up(1)
    (server,) = place.servers(1)
    pid = cluster.pid(place.api.namespace, server.name)
    assert pid
    os.kill(pid, signal.SIGSTOP)
    try:
        # Kubernetes says that it is ready a moment after it answers.
        until(lambda: place.servers(1)[0].silent)
        assert not place.servers(1)[0].available
    finally:
        os.kill(pid, signal.SIGCONT)
    until(lambda: place.servers(1)[0].available)


def test_a_version_is_known_by_its_number_and_other_models_are_not_seen(make: MakePlace) -> None:
    place = make()
    place.deploy(1)
    other = manifests.deployment("n", RunningPool(ModelVersion(7, "/models/n/7", "sha256:")), place.plan)
    place.api.apply(DEPLOYMENTS, other)
    place.api.apply(DEPLOYMENTS, manifests.guard("m", place.api.namespace, "r", place.plan, "tfcanary:1"))
    assert sorted(place.running.deployments()) == [Pool(1)]
    assert sorted(place.deployer.observe().servers) == [Pool(1)]


def test_before_the_first_release_there_is_nothing(make: MakePlace) -> None:
    place: Place = make()
    assert (place.deployer.observe().servers, place.deployer.observe().tracks) == ({}, {})
    assert place.deployer.observe(Pool(1)).servers == {}
    place.remove(1)
    place.assign(Track.CANARY, None)
    assert place.deployer.observe().tracks == {}
