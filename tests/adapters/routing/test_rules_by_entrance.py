"""A route has one rule for each entrance, in one object: written at once, with the same weights, and read back rule by rule."""

from __future__ import annotations

import copy
from typing import Any, cast

import pytest

from tests.adapters.routing.test_fields_of_others import HoldingApi, backend, destination, header
from tests.adapters.routing.tracks import MODEL, plan, shift
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.adapters.routing import ClusterRouter, open_router
from tfcanary.adapters.routing.weighted import ASIDE
from tfcanary.core.domain import Traffic
from tfcanary.core.errors import Diverted, Refused

GRPC = ["/tensorflow.serving.PredictionService/", "/tensorflow.serving.ModelService/"]
KINDS = {"gateway": ("HTTPRoute", "rules", "backendRefs"), "istio": ("VirtualService", "http", "route")}


def ours(kind: str, **traffic: Any) -> tuple[HoldingApi, ClusterRouter]:
    """A route that tfcanary made, at weight 0, and a router over it."""
    api = HoldingApi(KINDS[kind][0], {KINDS[kind][1]: []})
    api.route["metadata"]["labels"] = object_names.labels(MODEL, "router")
    router = open_router(cast(Api, api), MODEL, plan(kind, gateway="public", **traffic))
    shift(router, 0)
    return api, router


def theirs(kind: str, *rules: Json, **traffic: Any) -> tuple[HoldingApi, ClusterRouter]:
    api = HoldingApi(KINDS[kind][0], {KINDS[kind][1]: [*rules]})
    return api, open_router(cast(Api, api), MODEL, plan(kind, adopt=True, **traffic))


def rules(api: HoldingApi, kind: str) -> list[Json]:
    return cast(list[Json], api.route["spec"][KINDS[kind][1]])


def shares(api: HoldingApi, kind: str) -> list[list[tuple[str, int, int]]]:
    """Service, port and weight of each backend, rule by rule."""
    if kind == "gateway":
        return [[(one["name"], one["port"], one["weight"]) for one in rule["backendRefs"]] for rule in rules(api, kind)]
    return [
        [(one["destination"]["host"], one["destination"]["port"]["number"], one["weight"]) for one in rule["route"]]
        for rule in rules(api, kind)
    ]


def over_grpc(rule: Json) -> Json:
    """The same rule of an HTTPRoute for gRPC."""
    return {**rule, "backendRefs": [{**one, "port": 8500} for one in rule["backendRefs"]]}


@pytest.mark.parametrize("kind", KINDS)
def test_a_route_of_ours_divides_both_entrances_alike(kind: str) -> None:
    api, router = ours(kind)
    for weight, named in ((0, {"m-stable": 100}), (30, {"m-stable": 70, "m-canary": 30}), (100, {"m-canary": 100}), (5, None)):
        shift(router, weight)
        named = named or {"m-stable": 95, "m-canary": 5}
        assert shares(api, kind) == [[(name, port, share) for name, share in named.items()] for port in (8500, 8501)]
        assert router.traffic() == Traffic(canary=weight)
    router.check((Traffic(canary=10),))


def test_grpc_is_told_by_its_paths_and_comes_first_where_order_counts() -> None:
    api, _ = ours("gateway")
    grpc, rest = ([match["path"] for match in rule["matches"]] for rule in rules(api, "gateway"))
    assert grpc == [{"type": "PathPrefix", "value": path} for path in GRPC]
    assert rest == [{"type": "PathPrefix", "value": "/"}]
    api, _ = ours("istio")
    grpc_rule, rest_rule = rules(api, "istio")
    assert grpc_rule["match"] == [{"uri": {"prefix": path}} for path in GRPC]
    assert "match" not in rest_rule


@pytest.mark.parametrize("kind", KINDS)
def test_a_plan_with_other_entrances_changes_the_rules_of_our_route_with_the_next_write(kind: str) -> None:
    api, router = ours(kind, entrances=["rest"])
    for entrances, ports in ((["rest", "grpc"], [8500, 8501]), (["grpc"], [8500]), (["rest"], [8501]), ([], [8500, 8501])):
        router = open_router(cast(Api, api), MODEL, plan(kind, gateway="public", entrances=entrances))
        assert router.traffic() == Traffic()
        shift(router, 20)
        assert shares(api, kind) == [[("m-stable", port, 80), ("m-canary", port, 20)] for port in ports]
        shift(router, 0)


@pytest.mark.parametrize("kind", KINDS)
def test_shares_that_differ_between_the_rules_are_somebody_elses_change(kind: str) -> None:
    api, router = ours(kind)
    shift(router, 5)
    by_hand = copy.deepcopy(rules(api, kind)[0][KINDS[kind][2]])
    by_hand[0]["weight"], by_hand[1]["weight"] = 50, 50
    rules(api, kind)[0][KINDS[kind][2]] = by_hand
    with pytest.raises(
        Diverted, match=r"m in namespace serving: the canary's share differs between the entrances: `grpc` 50 %, `rest` 5 %"
    ):
        router.traffic()
    shift(router, 0)
    assert router.traffic() == Traffic()
    assert shares(api, kind) == [[("m-stable", port, 100)] for port in (8500, 8501)]


@pytest.mark.parametrize("kind", KINDS)
def test_a_rule_that_is_gone_is_somebody_elses_change_and_comes_back(kind: str) -> None:
    api, router = ours(kind)
    shift(router, 5)
    del rules(api, kind)[0]
    with pytest.raises(Diverted, match="has no rule for `grpc` any more: the canary's share cannot be told"):
        router.traffic()
    shift(router, 0)
    assert shares(api, kind) == [[("m-stable", port, 100)] for port in (8500, 8501)]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("number", [0, 1])
def test_one_entrance_that_is_led_elsewhere_is_told_and_led_back_also_at_weight_0(kind: str, number: int) -> None:
    api, router = ours(kind)
    rules(api, kind)[number][KINDS[kind][2]] = [backend("other", 1) if kind == "gateway" else destination("other", 100)]
    with pytest.raises(Diverted, match="sends requests to other instead of m-stable and m-canary"):
        router.traffic()
    shift(router, 0)
    assert router.traffic() == Traffic()
    assert shares(api, kind) == [[("m-stable", port, 100)] for port in (8500, 8501)]


def test_of_an_adopted_route_each_rule_keeps_its_own_fields_and_port() -> None:
    rest = {"backendRefs": [backend("m-stable", 100, filters=[header("x-way", "rest")])], "timeouts": {"request": "10s"}}
    grpc = {"backendRefs": [{**backend("m-stable", 100), "port": 8500}], "matches": [{"path": {"type": "PathPrefix", "value": GRPC[0]}}]}
    api, router = theirs("gateway", grpc, rest)
    router.check((Traffic(canary=10),))
    before = copy.deepcopy(api.route["spec"])
    for weight in (0, 10, 100, 10):
        shift(router, weight)
        assert router.traffic() == Traffic(canary=weight)
    assert shares(api, "gateway") == [[("m-stable", port, 90), ("m-canary", port, 10)] for port in (8500, 8501)]
    assert [["filters" in one for one in rule["backendRefs"]] for rule in rules(api, "gateway")] == [[False, False], [True, True]]
    shift(router, 0)
    assert api.route["spec"] == before
    assert ASIDE not in api.route["metadata"]["annotations"]


def test_what_only_one_tracks_backend_says_is_put_aside_for_each_entrance() -> None:
    def rule(port: int, way: str) -> Json:
        named = [backend("m-stable", 90), backend("m-canary", 10, filters=[header("x-way", way)])]
        return {"backendRefs": [{**one, "port": port} for one in named]}

    api, router = theirs("gateway", rule(8500, "grpc"), rule(8501, "rest"))
    shift(router, 0)
    shift(router, 10)
    assert rules(api, "gateway") == [rule(8500, "grpc"), rule(8501, "rest")]


def test_an_adopted_route_without_a_rule_for_grpc_stays_so_unless_the_plan_names_grpc() -> None:
    rest = {"backendRefs": [backend("m-stable", 100)]}
    api, router = theirs("gateway", rest)
    router.check((Traffic(canary=10),))
    shift(router, 10)
    assert shares(api, "gateway") == [[("m-stable", 8501, 90), ("m-canary", 8501, 10)]]
    _, router = theirs("gateway", rest, entrances=["rest", "grpc"])
    with pytest.raises(
        Refused, match=r"HTTPRoute m in namespace serving: has no rule for `grpc`; add one to it, or .*`traffic\.entrances`"
    ):
        router.check((Traffic(canary=10),))


def test_a_third_rule_of_an_adopted_route_is_refused() -> None:
    rest = {"backendRefs": [backend("m-stable", 100)]}
    for more in (rest, over_grpc(rest)):
        _, router = theirs("gateway", over_grpc(rest), rest, more)
        with pytest.raises(Refused, match=r"has 3 rules, must have one; .* a second one may lead gRPC requests to port 8500"):
            router.check((Traffic(canary=10),))
