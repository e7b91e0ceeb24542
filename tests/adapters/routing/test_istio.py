"""The weight in a VirtualService: written, read back, and divided by a real Envoy; and no ejection of servers for their errors."""

from __future__ import annotations

from typing import Any

import grpc
import pytest

from tests.adapters.routing import grpc_users
from tests.adapters.routing.load import ask_once
from tests.adapters.routing.tracks import MODEL, plan, running, shift, stages, tracks
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import MakeGateway
from tests.cluster.waiting import until
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.adapters.routing import open_router
from tfcanary.adapters.routing.istio import DESTINATION_RULES, ISTIO_GATEWAYS, VIRTUAL_SERVICES, IstioRouter
from tfcanary.core.domain import Traffic
from tfcanary.core.errors import Refused, Unavailable

pytestmark = pytest.mark.slow


def router(api: Api, gateway: str = "users", adopt: bool = False, **traffic: Any) -> IstioRouter:
    made = open_router(api, MODEL, plan("istio", gateway=gateway, adopt=adopt, **traffic))
    assert isinstance(made, IstioRouter)
    return made


def theirs(cluster: Cluster, api: Api, *http: Json) -> None:
    """A VirtualService that somebody else made."""
    spec = {"hosts": ["m.example.com"], "gateways": ["theirs"], "http": list(http)}
    found = {"apiVersion": VIRTUAL_SERVICES.api, "kind": "VirtualService", "metadata": {"name": MODEL}, "spec": spec}
    cluster.api.apply(found, api.namespace, manager="helm")


def to(*hosts: str, **more: Any) -> Json:
    shares = [100 // len(hosts)] * len(hosts)
    return {"route": [{"destination": {"host": host}, "weight": share} for host, share in zip(hosts, shares, strict=True)], **more}


def destination_rule(cluster: Cluster, api: Api, name: str, host: str, **policy: Any) -> None:
    spec = {"host": host, "trafficPolicy": policy}
    found = {"apiVersion": DESTINATION_RULES.api, "kind": "DestinationRule", "metadata": {"name": name}, "spec": spec}
    cluster.api.apply(found, api.namespace, manager="helm")


@pytest.fixture
def gateways(cluster: Cluster) -> None:
    """The kind, without its schema."""
    names = {"plural": "gateways", "singular": "gateway", "kind": "Gateway", "listKind": "GatewayList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "networking.istio.io", "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": "gateways.networking.istio.io"}
    cluster.apply([{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}])
    until(lambda: any(one["name"] == "gateways" for one in cluster.api.get("/apis/networking.istio.io/v1")["resources"]))


def test_a_weight_is_read_back_from_the_virtual_service(api: Api) -> None:
    made = router(api)
    assert made.traffic() == Traffic(canary=0)
    for weight in (0, 5, 99, 100, 50, 0):
        shift(made, weight)
        assert made.traffic() == Traffic(canary=weight)
    spec = (api.get(VIRTUAL_SERVICES, MODEL) or {})["spec"]
    assert (spec["gateways"], spec["hosts"]) == (["users"], ["*"])


def test_no_track_ejects_its_servers_for_their_errors(api: Api) -> None:
    shift(router(api), 0)
    assert api.list(DESTINATION_RULES) == ()
    shift(router(api), 5)
    found = {one["spec"]["host"]: one["spec"]["trafficPolicy"]["outlierDetection"] for one in api.list(DESTINATION_RULES)}
    assert found == {host: {"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 0} for host in ("m-stable", "m-canary")}


@pytest.mark.parametrize("ejection", [{}, {"consecutive5xxErrors": 7}, {"consecutive5xxErrors": 0, "consecutiveGatewayErrors": 3}])
def test_a_rule_of_somebody_else_that_ejects_servers_is_refused(ejection: Json, cluster: Cluster, api: Api, gateways: None) -> None:
    users = {"apiVersion": ISTIO_GATEWAYS.api, "kind": "Gateway", "metadata": {"name": "users"}, "spec": {}}
    cluster.apply([users], api.namespace)
    destination_rule(cluster, api, "resilient", f"m-canary.{api.namespace}.svc.cluster.local", outlierDetection=ejection)
    with pytest.raises(Refused, match=r"DestinationRule resilient in .*: ejects servers of m-canary.* set `consecutive5xxErrors: 0`"):
        router(api).check(stages(5))


def test_a_rule_of_somebody_else_that_ejects_none_stays_the_only_one(cluster: Cluster, api: Api, gateways: None) -> None:
    cluster.apply([{"apiVersion": ISTIO_GATEWAYS.api, "kind": "Gateway", "metadata": {"name": "users"}, "spec": {}}], api.namespace)
    destination_rule(cluster, api, "secure", "m-canary", tls={"mode": "ISTIO_MUTUAL"})
    router(api).check(stages(5))
    shift(router(api), 5)
    assert {one["metadata"]["name"] for one in api.list(DESTINATION_RULES)} == {"secure", "m-stable"}


def test_a_way_in_that_is_missing_is_refused(api: Api, gateways: None) -> None:
    with pytest.raises(Refused, match=r"traffic\.gateway: must name Istio's Gateway"):
        router(api, "").check(stages(5))
    with pytest.raises(Refused, match=r"traffic\.gateway 'x/users': there is no Gateway users of Istio in namespace x"):
        router(api, "x/users").check(stages(5))
    with pytest.raises(Refused, match=r"traffic\.hostnames: must name the hosts that clients call"):
        router(api, "mesh").check(stages(5))
    router(api, "mesh", hostnames=["m.models.svc.cluster.local"]).check(stages(5))
    assert api.get(VIRTUAL_SERVICES, MODEL) is None


def test_a_virtual_service_of_somebody_else_is_refused_unless_the_plan_adopts_it(cluster: Cluster, api: Api) -> None:
    theirs(cluster, api, to("m-stable"))
    with pytest.raises(Refused, match=r"VirtualService m in namespace .* was not made by tfcanary for m: .* its `spec\.http`"):
        router(api).check(stages(5))
    router(api, adopt=True).check(stages(5))
    theirs(cluster, api, to("m-stable", "reviews"))
    with pytest.raises(Refused, match="sends requests to reviews; must name m-stable and m-canary only"):
        router(api, adopt=True).check(stages(5))
    theirs(cluster, api, to("m-stable"), to("m-canary"))
    with pytest.raises(Refused, match="has 2 rules, must have one"):
        router(api, adopt=True).check(stages(5))


def test_of_an_adopted_virtual_service_only_the_destinations_change(cluster: Cluster, api: Api) -> None:
    theirs(cluster, api, to(f"m-stable.{api.namespace}.svc.cluster.local", timeout="20s", match=[{"uri": {"prefix": "/v1"}}]))
    made = router(api, adopt=True)
    assert made.traffic() == Traffic(canary=0)
    shift(made, 0)
    shift(made, 20)
    spec = (api.get(VIRTUAL_SERVICES, MODEL) or {})["spec"]
    assert (spec["hosts"], spec["gateways"]) == (["m.example.com"], ["theirs"])
    (http,) = spec["http"]
    assert (http["timeout"], http["match"]) == ("20s", [{"uri": {"prefix": "/v1"}}])
    assert [one["weight"] for one in http["route"]] == [80, 20]


def test_a_destination_that_is_alone_gets_everything(cluster: Cluster, api: Api) -> None:
    theirs(cluster, api, {"route": [{"destination": {"host": "m-canary"}}]})
    assert router(api).traffic() == Traffic(canary=100)


def test_a_hand_on_the_weights_stops_a_rising_one_and_no_falling_one(cluster: Cluster, api: Api) -> None:
    made = router(api, entrances=["rest"])
    shift(made, 10)
    path = f"{VIRTUAL_SERVICES.path(api.namespace, MODEL)}?fieldManager=kubectl-edit"
    cluster.api.merge(path, {"spec": {"http": [to("m-stable", "m-canary")]}})
    with pytest.raises(Refused, match=r"others hold \.spec\.http \(owned by kubectl-edit\)"):
        shift(made, 20)
    assert made.traffic() == Traffic(canary=50)
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)


def test_users_go_to_the_first_host_that_is_one(cluster: Cluster, api: Api) -> None:
    assert router(api, hostnames=["*.example.com", "m.example.com"]).address() == "http://m.example.com"
    with pytest.raises(Unavailable, match=r"takes requests for \*; name the host in `traffic\.hostnames`"):
        router(api).address()


def test_a_real_envoy_divides_both_entrances_as_the_virtual_service_says(cluster: Cluster, api: Api, gateway: MakeGateway) -> None:
    running(cluster, api, grpc=True, v1=1, v2=1)
    tracks(cluster, api)
    envoy = gateway("VirtualService", MODEL)
    made = router(api)
    for weight, only in ((0, 1), (100, 2)):
        shift(made, weight)
        until(lambda only=only: _answers(envoy.address) == {only})  # type: ignore[misc]
    shift(made, 30)
    until(lambda: _answers(envoy.address) == {1, 2})
    answers = grpc_users.ask(envoy.address, 1000)
    assert grpc_users.is_share(answers[2], 1000, 30), answers


def _answers(address: str) -> set[int]:
    """The versions that answer some requests of either entrance; 0 where one is not answered."""
    try:
        return {*grpc_users.ask(address, 10)} | {ask_once(address)[1].get("predictions", [0])[0] for _ in range(10)}
    except (OSError, grpc.RpcError):
        return {0}
