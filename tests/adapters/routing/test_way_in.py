"""How requests get to a route of ours: what the plan names is ours, and what it does not name stays as whoever wrote it wants."""

from __future__ import annotations

from typing import Any

import pytest

from tests.adapters.routing.tracks import MODEL, plan, shift
from tests.cluster.cluster import Cluster
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.field_managers import managers_of
from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.adapters.routing import ClusterRouter, open_router
from tfcanary.core.domain import Traffic

pytestmark = [pytest.mark.slow, pytest.mark.parametrize("kind", ["gateway", "istio"])]
HOSTS = {"gateway": "hostnames", "istio": "hosts"}
PARENTS = {"gateway": "parentRefs", "istio": "gateways"}
THEIRS = {"gateway": [{"name": "theirs"}], "istio": ["theirs"]}


def router(api: Api, kind: str, gateway: str = "users", **traffic: Any) -> ClusterRouter:
    return open_router(api, MODEL, plan(kind, gateway=gateway, **traffic))


def spec(made: ClusterRouter) -> Json:
    found = made.read()
    assert found
    return dict(found["spec"])


def written_by_argo(cluster: Cluster, made: ClusterRouter, **fields: Any) -> None:
    """By force, as such a tool does."""
    body = {"apiVersion": made.carrier.api, "kind": made.carrier.kind, "metadata": {"name": MODEL}, "spec": fields}
    cluster.api.apply(body, made.api.namespace, manager="argocd-controller")


def test_hosts_that_somebody_else_wrote_stay_and_stay_theirs(kind: str, cluster: Cluster, api: Api) -> None:
    made = router(api, kind)
    shift(made, 10)
    written_by_argo(cluster, made, **{HOSTS[kind]: ["m.example.com"]})
    for weight in (20, 0, 5):
        shift(made, weight)
        assert (spec(made)[HOSTS[kind]], made.traffic()) == (["m.example.com"], Traffic(canary=weight))
    found = made.read()
    assert found
    assert managers_of(found, f"/spec/{HOSTS[kind]}") == {"argocd-controller"}


def test_hosts_that_an_earlier_plan_named_stay_where_a_later_one_names_none(kind: str, api: Api) -> None:
    first = router(api, kind, hostnames=["m.example.com"])
    for weight in (5, 10):
        shift(first, weight)
    later = router(api, kind)
    for weight in (20, 0):
        shift(later, weight)
        assert spec(later)[HOSTS[kind]] == ["m.example.com"]


def test_hosts_that_the_plan_names_are_written(kind: str, api: Api) -> None:
    shift(router(api, kind, hostnames=["m.example.com"]), 5)
    made = router(api, kind, hostnames=["n.example.com"])
    shift(made, 10)
    assert spec(made)[HOSTS[kind]] == ["n.example.com"]


def test_a_plan_that_names_no_gateway_leaves_the_route_where_it_hangs(kind: str, cluster: Cluster, api: Api) -> None:
    shift(router(api, kind), 5)
    made = router(api, kind, gateway="")
    written_by_argo(cluster, made, **{PARENTS[kind]: THEIRS[kind]})
    before = spec(made)[PARENTS[kind]]
    for weight in (10, 0):
        shift(made, weight)
        assert spec(made)[PARENTS[kind]] == before
