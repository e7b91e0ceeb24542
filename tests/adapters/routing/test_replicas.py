"""The weight as a number of pods behind one Service: real pods, and real requests divided among them."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from tests.adapters.routing import grpc_users
from tests.adapters.routing.load import Load, ask_once
from tests.adapters.routing.tracks import MODEL, plan, running, shift, stages, tracks
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import MakeGateway
from tests.cluster.manifests import deployment
from tests.cluster.waiting import until
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import DEPLOYMENTS, PODS, SERVICES, Json
from tfcanary.adapters.routing import open_router, replicas
from tfcanary.adapters.routing.replicas import ReplicasRouter, pods_for, share_of
from tfcanary.adapters.routing.route_objects import share
from tfcanary.core.domain import Pool, Traffic
from tfcanary.core.errors import Diverted, GaveUp, Refused, Unavailable

slow = pytest.mark.slow


def router(api: Api, adopt: bool = False, **traffic: Any) -> ReplicasRouter:
    made = open_router(api, MODEL, plan("replicas", adopt=adopt, **traffic))
    assert isinstance(made, ReplicasRouter)
    return made


def service(api: Api) -> Json:
    found = api.get(SERVICES, MODEL)
    assert found
    return found


def scaled(api: Api, number: int) -> int:
    found = api.get(DEPLOYMENTS, object_names.deployment(MODEL, Pool(number)))
    assert found
    return int(found["spec"]["replicas"])


@pytest.mark.parametrize(("weight", "stable", "pods"), [(50, 1, 1), (5, 1, 1), (25, 3, 1), (5, 19, 1), (10, 19, 2), (90, 1, 9), (33, 4, 2)])
def test_the_canary_gets_the_pods_that_come_nearest(weight: int, stable: int, pods: int) -> None:
    assert pods_for(weight, stable) == pods
    nearest = min(range(1, 200), key=lambda k: abs(share_of(k, stable) - weight))
    assert abs(share_of(pods, stable) - weight) == abs(share_of(nearest, stable) - weight)


@pytest.mark.parametrize(
    ("canary", "stable", "percent"), [(0, 0, 0), (0, 5, 0), (5, 0, 100), (1, 999, 1), (999, 1, 99), (1, 3, 25), (2, 1, 67)]
)
def test_a_share_is_never_rounded_away(canary: int, stable: int, percent: int) -> None:
    assert share(canary, stable) == Traffic(canary=percent)


@slow
def test_a_weight_is_read_back_from_the_pods_and_users_requests_are_divided(cluster: Cluster, api: Api, gateway: MakeGateway) -> None:
    running(cluster, api, grpc=True, v1=3, v2=2)
    tracks(cluster, api)
    made, envoy = router(api), gateway("Service", MODEL)
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)
    until(lambda: ask_once(envoy.address)[0] == 200)
    for weight, pods in {24: 1, 50: 3, 100: 3, 0: 3}.items():
        shift(made, weight)
        assert made.traffic() == Traffic(canary=weight)
        assert (scaled(api, 1), scaled(api, 2)) == (3, pods)
        until(lambda weight=weight, pods=pods: answering(envoy.address) == {0: {1}, 100: {2}}.get(weight, {1, 2}))  # type: ignore[misc]
        with Load(envoy.address, connections=4) as load:
            load.wait_for(200)
        assert load.failed == []
        for counted in (Counter(load.answers), grpc_users.ask(envoy.address, 200)):
            # Envoy asks the pods in turn.
            assert abs(100 * counted[2] / counted.total() - (weight and share_of(pods, 3) if weight < 100 else 100)) < 5, (weight, counted)


def answering(address: str) -> set[int]:
    return {ask_once(address)[1]["predictions"][0] for _ in range(24)}


@slow
def test_a_weight_that_no_number_of_pods_makes_is_refused_with_the_nearest(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=3, v2=1)
    tracks(cluster, api)
    made = router(api)
    made.check(stages(25, 40, 50))
    with pytest.raises(Refused, match=r"weights: 5 % cannot be had with 3 pods of stable: the nearest is 25 % \(1 pod of the canary\)"):
        made.check(stages(5, 25))
    with pytest.raises(Refused, match="5 % cannot be had"):
        shift(made, 5)
    assert scaled(api, 2) == 1
    assert api.get(SERVICES, MODEL) is None


@slow
def test_before_the_first_release_the_plans_pods_count(api: Api) -> None:
    with pytest.raises(Refused, match="5 % cannot be had with 1 pod of stable: the nearest is 50 %"):
        router(api).check(stages(5, 50))
    router(api).check(stages(50, 100))


@slow
def test_pods_of_other_versions_are_refused(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=1, v2=1, v3=1)
    tracks(cluster, api)
    made = router(api)
    with pytest.raises(Refused, match="pods of version 3 run, too, and would take requests; remove them first"):
        shift(made, 50)
    api.delete(DEPLOYMENTS, "m-v3")
    until(lambda: not made._ready()[Pool(3)])
    shift(made, 50)
    running(cluster, api, v3=1)
    with pytest.raises(Diverted, match="pods of version 3 take requests beside version 1 and version 2"):
        made.traffic()
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)


@slow
def test_a_pod_that_has_the_models_label_and_serves_nothing_gets_no_requests(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=1, v2=1)
    tracks(cluster, api)
    pause = {"name": "main", "image": "python", "command": ["sleep", "600"]}
    cluster.apply([deployment("m-guard", pause, 1, object_names.labels(MODEL, "guard"))], api.namespace)
    until(lambda: cluster.api.get(DEPLOYMENTS.path(api.namespace, "m-guard"))["status"].get("availableReplicas"))
    made = router(api)
    shift(made, 50)
    assert {one.rpartition("-")[0].rpartition("-")[0] for one in made._endpoint_pods()} == {"m-v1", "m-v2"}


@slow
def test_pods_of_the_canary_that_somebody_adds_change_the_traffic_that_is_read(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=2, v2=1)
    tracks(cluster, api)
    made = router(api)
    shift(made, 34)
    assert made.traffic() == Traffic(canary=34)
    running(cluster, api, v2=2)
    assert made.traffic() == Traffic(canary=50)


@slow
def test_a_stable_that_an_autoscaler_grows_and_pods_that_are_lost_are_nobodys_change(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=2, v2=1)
    tracks(cluster, api)
    made = router(api)
    shift(made, 34)
    running(cluster, api, v1=4)
    assert made.traffic() == Traffic(canary=34)
    for number in (1, 2):
        api.delete(PODS, api.list(PODS, object_names.selector(MODEL, Pool(number)))[0]["metadata"]["name"])
        assert made.traffic() == Traffic(canary=34)
    # Only a stable without any pod leaves everything to the canary.
    running(cluster, api, v1=0)
    assert made.traffic() == Traffic(canary=100)


@slow
def test_a_track_that_points_elsewhere_leaves_users_with_what_is_not_stable(cluster: Cluster, api: Api) -> None:
    """A promotion that was put back after its switch: users' Service still selects the candidate."""
    running(cluster, api, v1=1, v2=1)
    tracks(cluster, api, stable=2, canary=None)
    made = router(api)
    shift(made, 0)
    tracks(cluster, api, stable=1, canary=None)
    assert made.traffic() == Traffic(canary=100)
    shift(made, 0)
    assert made.traffic() == Traffic()
    assert service(api)["spec"]["selector"] == object_names.selector(MODEL, Pool(1))


@slow
def test_pods_that_do_not_get_ready_end_the_wait(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=2, v2=0)
    tracks(cluster, api)
    cluster.api.merge(DEPLOYMENTS.path(api.namespace, "m-v2"), {"spec": {"template": {"spec": {"nodeSelector": {"no": "node"}}}}})
    given = plan("replicas")
    hasty = replace(given, deploy=replace(given.deploy, ready_timeout=timedelta(seconds=1)))
    with pytest.raises(GaveUp, match="version 2 of m: 0 of 1 pods are ready after 1s"):
        shift(open_router(api, MODEL, hasty), 33)
    assert api.get(SERVICES, MODEL) is None


@slow
def test_a_canary_that_points_at_nothing_gets_no_weight(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=1)
    tracks(cluster, api, canary=None)
    with pytest.raises(Unavailable, match="the canary track of m gets no weight: the canary track points at no version"):
        shift(router(api), 50)


@slow
def test_weight_0_needs_nothing(api: Api) -> None:
    made = router(api)
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)
    assert service(api)["spec"]["selector"] == object_names.selector(MODEL, None)


@slow
def test_weight_0_does_not_wait_for_ever_for_endpoints(
    cluster: Cluster, api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    running(cluster, api, v1=1)
    tracks(cluster, api)
    monkeypatch.setattr(replicas, "PATIENCE", 0.2)
    monkeypatch.setattr(ReplicasRouter, "_endpoint_pods", lambda _: {"a-pod-of-the-canary"})
    shift(router(api), 0)
    assert "weight 0 was written, but after 0 s it lists a-pod-of-the-canary" in caplog.text


@slow
def test_a_service_of_somebody_else_is_refused_unless_the_plan_adopts_it(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=1)
    tracks(cluster, api)
    spec = {"selector": {"app": "old"}, "ports": [{"name": "http", "port": 80, "targetPort": 8501}]}
    cluster.api.apply({"apiVersion": "v1", "kind": "Service", "metadata": {"name": MODEL}, "spec": spec}, api.namespace, manager="helm")
    with pytest.raises(Refused, match=r"Service m in namespace .* was not made by tfcanary for m: .* takes over its selector"):
        router(api).check(stages(50))
    made = router(api, adopt=True)
    made.check(stages(50))
    with pytest.raises(Diverted, match=r"Service m in namespace .*: selects {'app': 'old'}, which are the pods of neither track"):
        made.traffic()
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)
    assert [one["port"] for one in service(api)["spec"]["ports"]] == [80]


@slow
def test_a_hand_on_the_selector_stops_a_rising_weight_and_no_falling_one(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=1, v2=1)
    tracks(cluster, api)
    made = router(api)
    shift(made, 0)
    cluster.api.merge(f"{SERVICES.path(api.namespace, MODEL)}?fieldManager=kubectl-edit", {"spec": {"selector": {"app": "mine"}}})
    with pytest.raises(Refused, match=r"others hold \.spec\.selector.* \(owned by kubectl-edit\)"):
        shift(made, 50)
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)


@slow
def test_while_a_promotion_points_both_tracks_at_one_version_the_weight_is_the_one_asked_for(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=1, v2=1)
    tracks(cluster, api)
    made = router(api)
    shift(made, 100)
    tracks(cluster, api, stable=2)
    assert made.traffic() == Traffic(canary=100)
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)
    assert service(api)["spec"]["selector"] == object_names.selector(MODEL, Pool(2))


def test_users_go_to_the_service() -> None:
    assert router(Api("models")).address() == "http://m.models.svc:8501"
