"""The weight in an HTTPRoute: written, read back, and divided by a real Envoy."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.routing import grpc_users
from tests.adapters.routing.load import Load
from tests.adapters.routing.tracks import MODEL, plan, running, shift, stages, tracks
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import MakeGateway
from tests.cluster.waiting import until
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.adapters.routing import open_router, weighted
from tfcanary.adapters.routing.gateway import GATEWAYS, HTTP_ROUTES, GatewayRouter
from tfcanary.core.domain import Finding, Traffic
from tfcanary.core.errors import Diverted, Refused, Unavailable

pytestmark = pytest.mark.slow


def router(api: Api, gateway: str = "users", **traffic: Any) -> GatewayRouter:
    made = open_router(api, MODEL, plan("gateway", gateway=gateway, **traffic))
    assert isinstance(made, GatewayRouter)
    return made


def users(cluster: Cluster, api: Api, name: str = "users", port: int = 80) -> None:
    """A Gateway with that name."""
    spec = {"gatewayClassName": "any", "listeners": [{"name": "http", "port": port, "protocol": "HTTP"}]}
    cluster.apply([{"apiVersion": GATEWAYS.api, "kind": "Gateway", "metadata": {"name": name}, "spec": spec}], api.namespace)


def theirs(cluster: Cluster, api: Api, *rules: Json, manager: str = "helm") -> None:
    """A route that somebody else made."""
    spec = {"parentRefs": [{"name": "theirs"}], "hostnames": ["m.example.com"], "rules": list(rules)}
    route = {"apiVersion": HTTP_ROUTES.api, "kind": "HTTPRoute", "metadata": {"name": MODEL, "labels": {"of": "them"}}, "spec": spec}
    cluster.api.apply(route, api.namespace, manager=manager)


def rule(*names: str, **more: Any) -> Json:
    return {"backendRefs": [{"name": name, "port": 8501} for name in names], **more}


def route(api: Api) -> Json:
    found = api.get(HTTP_ROUTES, MODEL)
    assert found
    return found


def edit(cluster: Cluster, api: Api, **spec: Any) -> None:
    """By hand."""
    cluster.api.merge(f"{HTTP_ROUTES.path(api.namespace, MODEL)}?fieldManager=kubectl-edit", {"spec": spec})


def say(cluster: Cluster, api: Api, generation: int, accepted: str = "True", resolved: str = "True") -> None:
    """The status, as a controller writes it."""
    stamp = {"lastTransitionTime": "2026-01-01T00:00:00Z", "observedGeneration": generation, "message": "so it is", "reason": "Because"}
    conditions = [{**stamp, "type": "Accepted", "status": accepted}, {**stamp, "type": "ResolvedRefs", "status": resolved}]
    parent = {"parentRef": {"name": "users"}, "controllerName": "test/slow", "conditions": conditions}
    cluster.api.merge(f"{HTTP_ROUTES.path(api.namespace, MODEL)}/status", {"status": {"parents": [parent]}})


def test_a_weight_is_read_back_from_the_route(api: Api) -> None:
    made = router(api)
    assert made.traffic() == Traffic(canary=0)
    for weight in (0, 5, 99, 100, 50, 0):
        shift(made, weight)
        assert made.traffic() == Traffic(canary=weight)


def test_a_track_without_weight_is_not_named(api: Api) -> None:
    made = router(api)
    for weight, wanted in {0: {"m-stable": 100}, 30: {"m-stable": 70, "m-canary": 30}, 100: {"m-canary": 100}}.items():
        shift(made, weight)
        for one_rule in route(api)["spec"]["rules"]:
            assert {one["name"]: one["weight"] for one in one_rule["backendRefs"]} == wanted


def test_the_route_that_we_make_is_ours_and_hangs_where_the_plan_says(api: Api) -> None:
    shift(router(api, "ingress/users", hostnames=["m.example.com"]), 0)
    made = route(api)
    assert made["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "tfcanary"
    (parent,) = made["spec"]["parentRefs"]
    assert (parent["namespace"], parent["name"]) == ("ingress", "users")
    assert made["spec"]["hostnames"] == ["m.example.com"]


def test_without_a_route_nobody_gets_to_the_canary_and_weight_0_is_in_force(api: Api) -> None:
    made = router(api, gateway="")
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)
    assert api.get(HTTP_ROUTES, MODEL) is None
    with pytest.raises(Refused, match=r"traffic\.gateway: must name the Gateway that takes users' requests .*HTTPRoute m does not exist"):
        shift(made, 5)


def test_a_gateway_that_is_missing_is_refused_before_anything_is_written(cluster: Cluster, api: Api) -> None:
    for name, sentence in {"": "must name the Gateway", "users": "there is no Gateway users", "x/y": "no Gateway y in namespace x"}.items():
        with pytest.raises(Refused, match=sentence):
            router(api, name).check(stages(5))
    users(cluster, api)
    router(api).check(stages(5, 100))
    router(api, f"{api.namespace}/users").check(stages(5, 100))
    assert api.get(HTTP_ROUTES, MODEL) is None


def test_a_route_of_somebody_else_is_refused_unless_the_plan_adopts_it(cluster: Cluster, api: Api) -> None:
    theirs(cluster, api, rule("m-stable"))
    with pytest.raises(Refused, match=r"HTTPRoute m in namespace .* was not made by tfcanary for m: `adopt: true` .* its `spec\.rules`"):
        router(api).check(stages(5))
    open_router(api, MODEL, plan("gateway", adopt=True)).check(stages(5))
    with pytest.raises(Refused, match=r"others hold \.spec\.rules \(owned by helm\)"):
        shift(router(api), 5)


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        ([rule("m-stable"), rule("m-canary")], "has 2 rules, must have one"),
        ([rule("m-stable", "old-model")], "sends requests to old-model; must name m-stable and m-canary only"),
        ([{"backendRefs": [{"name": "m-stable", "namespace": "other", "port": 1}]}], "sends requests to Service other/m-stable"),
        ([{}], "sends requests to nothing; must name m-stable and m-canary only"),
    ],
)
def test_a_route_that_does_something_else_is_refused(rules: list[Json], sentence: str, cluster: Cluster, api: Api) -> None:
    theirs(cluster, api, *rules)
    with pytest.raises(Refused, match=sentence):
        open_router(api, MODEL, plan("gateway", adopt=True)).check(stages(5))


def test_of_an_adopted_route_only_the_backends_change(cluster: Cluster, api: Api) -> None:
    timeouts, match = {"request": "20s"}, {"path": {"type": "PathPrefix", "value": "/v1/models/m"}}
    theirs(cluster, api, rule("m-stable", timeouts=timeouts, matches=[match]))
    made = open_router(api, MODEL, plan("gateway", adopt=True, gateway="users"))
    before = route(api)
    shift(made, 0)
    shift(made, 20)
    after = route(api)
    assert made.traffic() == Traffic(canary=20)
    (was,), (now,) = before["spec"].pop("rules"), after["spec"].pop("rules")
    assert {**was, "backendRefs": ()} == {**now, "backendRefs": ()}
    assert before["spec"] == after["spec"]
    assert after["metadata"]["labels"] == {"of": "them"}


def test_a_hand_on_the_route_stops_a_rising_weight_and_no_falling_one(cluster: Cluster, api: Api) -> None:
    made = router(api, entrances=["rest"])
    shift(made, 10)
    edit(cluster, api, rules=[rule("m-stable", "m-canary")])
    assert made.traffic() == Traffic(canary=50)
    with pytest.raises(Refused, match=r"others hold \.spec\.rules \(owned by kubectl-edit\)"):
        shift(made, 20)
    assert made.traffic() == Traffic(canary=50)
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)
    shift(made, 20)


def test_a_route_that_leads_elsewhere_by_now_is_said_and_led_back(cluster: Cluster, api: Api) -> None:
    made = router(api)
    shift(made, 10)
    edit(cluster, api, rules=[rule("old-model")])
    with pytest.raises(Diverted, match=r"HTTPRoute m in namespace .*: sends requests to old-model instead of m-stable and m-canary"):
        made.traffic()
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)


def test_a_share_beside_other_rules_is_not_told_but_none_is(cluster: Cluster, api: Api) -> None:
    made = router(api, entrances=["rest"])
    shift(made, 10)
    edit(cluster, api, rules=[rule("m-stable", "m-canary"), rule("old-model")])
    with pytest.raises(Diverted, match="has old-model, not m-stable and m-canary alone: the canary's share cannot be told"):
        made.traffic()
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)
    assert [one["name"] for each in route(api)["spec"]["rules"] for one in each["backendRefs"]] == ["m-stable", "old-model"]


def test_a_slow_controller_is_waited_for(cluster: Cluster, api: Api) -> None:
    made = router(api)
    shift(made, 0)
    generation = route(api)["metadata"]["generation"]
    say(cluster, api, generation + 1)  # the next one is seen as soon as it is written
    shift(made, 10)
    assert made.traffic() == Traffic(canary=10)


@pytest.mark.parametrize(
    ("ahead", "said", "sentence"),
    [
        (0, {}, "test/slow has not seen it yet"),
        (9, {"accepted": "False"}, "test/slow says Accepted=False, Because: so it is"),
        (9, {"resolved": "False"}, "test/slow says ResolvedRefs=False, Because: so it is"),
    ],
)
def test_a_controller_that_does_not_take_it_over_stops_a_rising_weight_and_no_falling_one(
    ahead: int,
    said: dict[str, str],
    sentence: str,
    cluster: Cluster,
    api: Api,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(weighted, "PATIENCE", 0.3)
    made = router(api)
    shift(made, 0)
    say(cluster, api, route(api)["metadata"]["generation"] + ahead, **said)
    with pytest.raises(Unavailable, match=f"HTTPRoute m in namespace .*: weight 10 was written, but is not in force after 0 s: {sentence}"):
        shift(made, 10)
    shift(made, 0)
    assert made.traffic() == Traffic(canary=0)
    assert sentence in caplog.text


def test_what_would_be_applied_is_what_is_applied(api: Api) -> None:
    made = router(api)
    ((resource, body),) = made.objects(Traffic(canary=30))
    assert api.get(HTTP_ROUTES, MODEL) is None
    shift(made, 30)
    assert resource is HTTP_ROUTES
    assert api.apply(resource, body, dry_run=True)["spec"] == route(api)["spec"]


def test_users_go_to_the_first_host_name_or_to_the_gateway(cluster: Cluster, api: Api) -> None:
    assert router(api, hostnames=["*.example.com", "m.example.com"]).address() == "http://m.example.com"
    users(cluster, api, port=8080)
    with pytest.raises(Unavailable, match=f"Gateway {api.namespace}/users has no address yet"):
        router(api).address()
    cluster.api.merge(f"{GATEWAYS.path(api.namespace, 'users')}/status", {"status": {"addresses": [{"value": "10.1.2.3"}]}})
    assert router(api).address() == "http://10.1.2.3:8080"
    theirs(cluster, api, rule("m-stable"))
    assert router(api, "").address() == "http://m.example.com"


def gateway_class(cluster: Cluster, *features: str) -> None:
    """The class `any`, defined here without its schema, with what its controller says of it."""
    names = {"plural": "gatewayclasses", "singular": "gatewayclass", "kind": "GatewayClass", "listKind": "GatewayClassList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "gateway.networking.k8s.io", "scope": "Cluster", "names": names, "versions": [version]}
    metadata = {
        "name": "gatewayclasses.gateway.networking.k8s.io",
        "annotations": {"api-approved.kubernetes.io": "https://github.com/kubernetes-sigs/gateway-api"},
    }
    cluster.apply([{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}])
    until(lambda: any(one["name"] == "gatewayclasses" for one in cluster.api.get("/apis/gateway.networking.k8s.io/v1")["resources"]))
    status = {"supportedFeatures": [{"name": feature} for feature in features]}
    cluster.apply([{"apiVersion": GATEWAYS.api, "kind": "GatewayClass", "metadata": {"name": "any"}, "spec": {}, "status": status}])


def test_a_gateway_whose_class_cannot_reach_grpc_servers_is_refused_by_name_unless_the_plan_is_for_rest(
    cluster: Cluster, api: Api, request: pytest.FixtureRequest
) -> None:
    users(cluster, api)
    request.addfinalizer(lambda: cluster.api.delete("/apis/gateway.networking.k8s.io/v1/gatewayclasses/any"))
    gateway_class(cluster, "HTTPRouteRequestMirror")
    sentence = r"traffic\.entrances: has `grpc`, and GatewayClass any does not list HTTPRouteBackendProtocolH2C.*`entrances: \[rest\]`"
    with pytest.raises(Refused, match=sentence):
        router(api).check(stages(5))
    assert router(api).entrance()[0] is Finding.FAIL
    router(api, entrances=["rest"]).check(stages(5))
    gateway_class(cluster, "HTTPRouteRequestMirror", "HTTPRouteBackendProtocolH2C")
    router(api).check(stages(5))
    gateway_class(cluster)  # says nothing
    router(api).check(stages(5))


def test_a_real_envoy_divides_both_entrances_as_the_route_says_and_no_request_fails(
    cluster: Cluster, api: Api, gateway: MakeGateway
) -> None:
    running(cluster, api, grpc=True, v1=1, v2=1)
    tracks(cluster, api)
    envoy = gateway("HTTPRoute", MODEL)
    made = router(api)
    shift(made, 0)
    until(lambda: [(one["type"], one["status"]) for one in conditions(api)] == [("Accepted", "True"), ("ResolvedRefs", "True")])
    with Load(envoy.address, connections=2) as load, grpc_users.asking(envoy.address) as (_, failed):
        for weight in (20, 0, 100, 20):
            shift(made, weight)
            assert made.traffic() == Traffic(canary=weight)
            if weight in (0, 100):
                only = 2 if weight else 1
                assert grpc_users.ask(envoy.address, 50) == {only: 50}
        answers = grpc_users.ask(envoy.address, 1000)
        mark = len(load.answers)
        load.wait_for(more=500)
    assert (load.failed, failed) == ([], [])
    assert grpc_users.is_share(answers[2], 1000, 20), answers
    rest = load.answers[mark:]
    assert grpc_users.is_share(rest.count(2), len(rest), 20)


def conditions(api: Api) -> list[Json]:
    return [condition for parent in (route(api).get("status") or {}).get("parents", []) for condition in parent["conditions"]]
