"""On an adopted route the weights are ours; whatever else its rules and backends say is somebody's, and stays."""

from __future__ import annotations

import copy
from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tests.adapters.routing.tracks import MODEL, plan, shift
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.adapters.routing import ClusterRouter, open_router
from tfcanary.adapters.routing.weighted import ASIDE
from tfcanary.core.domain import Intent, Track, Traffic
from tfcanary.core.errors import Conflict, Refused


class HoldingApi:
    """An API server that holds one route, and takes what is applied to it as server-side apply does: lists as a whole, maps by key."""

    namespace = "serving"

    def __init__(self, kind: str, spec: Json) -> None:
        metadata = {
            "name": MODEL,
            "namespace": self.namespace,
            "generation": 1,
            "uid": "u",
            "resourceVersion": "1",
            "annotations": {"team": "x"},
        }
        self.route: Json = {"kind": kind, "metadata": metadata, "spec": spec}
        self.ours: set[str] = set()

    def get(self, resource: object, name: str) -> Json:
        return copy.deepcopy(self.route)

    def list(self, resource: object) -> tuple[Json, ...]:
        return ()

    def apply(self, resource: SimpleNamespace, body: Json, force: bool = False) -> Json:
        if resource.kind == self.route["kind"]:
            given = body["metadata"].get("annotations") or {}
            kept = {name: value for name, value in self.route["metadata"]["annotations"].items() if name not in self.ours}
            self.route["metadata"]["annotations"] = {**kept, **given}
            self.ours = {*given}
            self.route["spec"] |= copy.deepcopy(body["spec"])
        return self.get(resource, MODEL)

    def rule(self) -> Json:
        (only,) = self.route["spec"].get("rules") or self.route["spec"]["http"]
        return dict(only)


def gateway(*rules: Json) -> tuple[HoldingApi, ClusterRouter]:
    api = HoldingApi("HTTPRoute", {"parentRefs": [{"name": "public"}], "hostnames": ["m.example.com"], "rules": [*rules]})
    return api, open_router(cast(Api, api), MODEL, plan("gateway", adopt=True))


def istio(*http: Json) -> tuple[HoldingApi, ClusterRouter]:
    api = HoldingApi("VirtualService", {"hosts": ["m.example.com"], "gateways": ["public"], "http": [*http]})
    return api, open_router(cast(Api, api), MODEL, plan("istio", adopt=True))


def backend(name: str, weight: int, **more: Any) -> Json:
    return {"name": name, "port": 8501, "weight": weight, **more}


def destination(name: str, weight: int, **more: Any) -> Json:
    return {"destination": {"host": name, "port": {"number": 8501}, **more.pop("to", {})}, "weight": weight, **more}


def header(name: str, value: str) -> Json:
    return {"type": "RequestHeaderModifier", "requestHeaderModifier": {"set": [{"name": name, "value": value}]}}


FILTERS = [header("x-tenant", "a")]
HEADERS = {"request": {"set": {"x-tenant": "a"}}}


def test_the_filters_of_a_backend_stay_and_go_along_to_the_canary() -> None:
    api, router = gateway({"backendRefs": [backend("m-stable", 100, filters=FILTERS)]})
    router.check((Traffic(canary=10),))
    for weight in (0, 10, 100, 10, 0):
        shift(router, weight)
        assert all(one["filters"] == FILTERS for one in api.rule()["backendRefs"]), weight
    assert api.rule()["backendRefs"] == [backend("m-stable", 100, filters=FILTERS)]
    assert ASIDE not in api.route["metadata"]["annotations"]


def test_the_headers_of_a_destination_stay_and_go_along_to_the_canary() -> None:
    api, router = istio({"route": [destination("m-stable", 100, headers=HEADERS)], "timeout": "20s"})
    router.check((Traffic(canary=10),))
    for weight in (0, 10, 100, 10, 0):
        shift(router, weight)
        assert all(one["headers"] == HEADERS for one in api.rule()["route"]), weight
    assert api.rule() == {"route": [destination("m-stable", 100, headers=HEADERS)], "timeout": "20s"}


def test_a_backend_that_has_no_weight_for_a_while_is_put_aside_with_what_only_it_says() -> None:
    """Each destination tells clients by which track they were answered."""
    of_stable, of_canary = ({"response": {"set": {"x-is-canary": text}}} for text in ("false", "true"))
    api, router = istio({"route": [destination("m-stable", 90, headers=of_stable), destination("m-canary", 10, headers=of_canary)]})
    for weight, named in (
        (0, {"m-stable": of_stable}),
        (25, {"m-stable": of_stable, "m-canary": of_canary}),
        (100, {"m-canary": of_canary}),
    ):
        shift(router, weight)
        assert {one["destination"]["host"]: one["headers"] for one in api.rule()["route"]} == named
    shift(router, 0)
    shift(router, 5)
    assert {one["destination"]["host"]: one["headers"] for one in api.rule()["route"]} == {"m-stable": of_stable, "m-canary": of_canary}
    assert ASIDE not in api.route["metadata"]["annotations"]


def test_a_subset_of_stables_host_stays_stables() -> None:
    api, router = istio({"route": [destination("m-stable", 100, to={"subset": "v1"})]})
    shift(router, 20)
    stable, canary = api.rule()["route"]
    assert (stable["destination"]["subset"], "subset" in canary["destination"]) == ("v1", False)
    shift(router, 100)
    shift(router, 0)
    assert api.rule()["route"] == [destination("m-stable", 100, to={"subset": "v1"})]


@pytest.mark.parametrize("text", ["5", "{", '{"canary": 5}', '{"canary": {}, "stranger": {}}', "[]"])
def test_what_somebody_writes_where_backends_are_put_aside_harms_nobody(text: str) -> None:
    api, router = gateway({"backendRefs": [backend("m-stable", 100)]})
    api.route["metadata"]["annotations"][ASIDE] = text
    shift(router, 30)
    assert api.rule()["backendRefs"] == [backend("m-stable", 70), backend("m-canary", 30)]


def test_what_a_rule_and_the_route_say_beside_backends_stays() -> None:
    rule = {
        "name": "all",
        "matches": [{"path": {"type": "PathPrefix", "value": "/smart"}}],
        "filters": [{"type": "URLRewrite", "urlRewrite": {"path": {"type": "ReplacePrefixMatch", "replacePrefixMatch": "/"}}}],
        "timeouts": {"request": "10s"},
        "sessionPersistence": {"type": "Cookie"},
        "backendRefs": [backend("m-stable", 1)],
    }
    api, router = gateway(rule)
    shift(router, 40)
    assert {**api.rule(), "backendRefs": ()} == {**rule, "backendRefs": ()}
    assert {key: api.route["spec"][key] for key in ("parentRefs", "hostnames")} == {
        "parentRefs": [{"name": "public"}],
        "hostnames": ["m.example.com"],
    }
    assert api.route["metadata"]["annotations"]["team"] == "x"


@pytest.mark.parametrize(
    ("rules", "sentence"),
    [
        (
            [
                {"matches": [{"headers": [{"name": "x-canary", "value": "1"}]}], "backendRefs": [backend("m-canary", 1)]},
                {"backendRefs": []},
            ],
            "has 2 rules, must have one; move the others to a route of their own",
        ),
        (
            [{"backendRefs": [backend("m-stable", 90), backend("legacy", 10)]}],
            "sends requests to legacy; must name m-stable and m-canary only",
        ),
        ([{"backendRefs": [backend("m-stable", 90), backend("m-preview", 10)]}], "sends requests to m-preview"),
        ([], "has 0 rules, must have one"),
    ],
)
def test_rules_of_others_are_refused_by_what_they_do(rules: list[Json], sentence: str) -> None:
    _, router = gateway(*rules)
    with pytest.raises(Refused, match=sentence):
        router.check((Traffic(canary=10),))


@pytest.mark.parametrize("kind", ["gateway", "istio"])
def test_a_baseline_is_a_third_backend_with_what_stables_says_and_goes_with_its_share(kind: str) -> None:
    if kind == "gateway":
        api, router = gateway({"backendRefs": [backend("m-stable", 100, filters=FILTERS)]})
        expected = [backend(f"m-{name}", share, filters=FILTERS) for name, share in (("stable", 80), ("canary", 10), ("baseline", 10))]
        field, plain = "backendRefs", [backend("m-stable", 100, filters=FILTERS)]
    else:
        api, router = istio({"route": [destination("m-stable", 100, headers=HEADERS)]})
        expected = [destination(f"m-{name}", share, headers=HEADERS) for name, share in (("stable", 80), ("canary", 10), ("baseline", 10))]
        field, plain = "route", [destination("m-stable", 100, headers=HEADERS)]
    for number, traffic in enumerate(
        (Traffic(canary=10, baseline=10), Traffic(canary=50, baseline=50), Traffic(canary=60), Traffic(canary=10, baseline=10)), 1
    ):
        router.set_traffic(traffic, Intent("run-1", number))
        assert router.traffic() == traffic
        assert len(api.rule()[field]) == sum(traffic.of(track) > 0 for track in (Track.STABLE, Track.CANARY, Track.BASELINE))
    assert api.rule()[field] == expected
    router.set_traffic(Traffic(), Intent("run-1", 9))
    assert api.rule()[field] == plain
    assert ASIDE not in api.route["metadata"]["annotations"]


def test_a_rise_of_the_baseline_is_fenced_like_one_of_the_canary() -> None:
    _, router = gateway({"backendRefs": [backend("m-stable", 100)]})
    router.set_traffic(Traffic(canary=10), Intent("run-1", 5))
    with pytest.raises(Conflict):
        router.set_traffic(Traffic(canary=10, baseline=10), Intent("run-1", 4))
    router.set_traffic(Traffic(), Intent("run-1", 4))
    assert router.traffic() == Traffic()


@pytest.mark.parametrize("kind", ["nginx", "replicas"])
def test_a_router_that_cannot_weigh_a_baseline_is_refused_by_name_when_the_plan_is_read(kind: str) -> None:
    given = plan(kind)
    asked = replace(given, deploy=replace(given.deploy, baseline=True))
    sentence = f"deploy.baseline: traffic.router `{kind}` cannot give a baseline a share of users' requests; use `gateway` or `istio`"
    with pytest.raises(Refused, match=sentence):
        open_router(cast(Api, None), MODEL, asked)


def test_weights_that_are_no_percents_are_read_as_shares() -> None:
    _, router = gateway({"backendRefs": [backend("m-stable", 975), backend("m-canary", 25)]})
    assert router.traffic() == Traffic(canary=2)
    _, router = gateway({"backendRefs": [{"name": "m-stable", "port": 8501}, {"name": "m-canary", "port": 8501}]})
    assert router.traffic() == Traffic(canary=50)
