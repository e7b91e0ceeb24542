"""A router of one's own is one class in one module: Contour's HTTPProxy, of which tfcanary knows nothing elsewhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from tests.adapters.routing.tracks import MODEL, plan, shift, stages
from tests.cluster.cluster import Cluster
from tests.cluster.waiting import until
from tfcanary import adapters
from tfcanary.adapters.kube import ingress_checks, rights
from tfcanary.adapters.kube.gitops import advices
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import WRITE, Json, Resource, Right
from tfcanary.adapters.routing import cluster_router, known_routers, open_router
from tfcanary.adapters.routing.weighted import WeightedRouter
from tfcanary.core.domain import Finding, Intent, Track, Traffic
from tfcanary.core.errors import Conflict, Refused
from tfcanary.core.plan import Entrance, Plan, TrafficPlan

HTTP_PROXIES = Resource("projectcontour.io/v1", "httpproxies", "HTTPProxy", needs="Contour")


@pytest.fixture
def contour(monkeypatch: pytest.MonkeyPatch) -> type[WeightedRouter]:
    """Known for one test."""
    monkeypatch.setattr(cluster_router, "KNOWN", dict(known_routers()))

    class ContourRouter(WeightedRouter):
        kind = "contour"
        resources = (HTTP_PROXIES,)
        carrier = HTTP_PROXIES
        rules = "routes"
        backends = "services"

        @classmethod
        def rights(cls, traffic: TrafficPlan, namespace: str) -> tuple[Right, ...]:
            return (Right(HTTP_PROXIES, WRITE),)

        def bare(self, entrance: Entrance) -> Json:
            return {"conditions": [{"prefix": "/"}]}

        def backend(self, track: Track, entrance: Entrance, weight: int) -> Json:
            return {"name": object_names.service(self.model, track), "port": object_names.REST, "weight": weight}

        def service_of(self, backend: Json) -> str:
            return str(backend["name"])

        def way_in(self, spec: Json) -> Json:
            host = [{"fqdn": name} for name in self.plan.traffic.hostnames[:1]]
            return {"virtualhost": host[0] if host else spec.get("virtualhost"), "ingressClassName": self.plan.traffic.gateway}

        def check_way_in(self) -> None:
            if not self.plan.traffic.hostnames:
                raise Refused("traffic.hostnames: must name the host that clients call, for an HTTPProxy has exactly one")

        def entrance(self) -> tuple[Finding, str]:
            return Finding.PASS, f"Contour of class {self.plan.traffic.gateway}"

        def pending(self, route: Json) -> str:
            status = route.get("status") or {}
            return str(status.get("description", "")) if status.get("currentStatus") == "invalid" else ""

        def address(self) -> str:
            return f"http://{self.plan.traffic.hostnames[0]}"

    return ContourRouter


def contours(**traffic: Any) -> Plan:
    return plan("contour", gateway="public", hostnames=["m.example.com"], **traffic)


def test_a_word_that_names_no_router_is_refused_with_those_that_are_known() -> None:
    with pytest.raises(Refused, match=r"traffic\.router 'contour': is not known; must be one of gateway, istio, nginx, replicas"):
        adapters.open_platform("kube://models", MODEL, contours())


def test_the_plans_word_opens_it(contour: object) -> None:
    assert adapters.open_platform("kube://models", MODEL, contours()).router.address() == "http://m.example.com"
    with pytest.raises(Refused, match=r"traffic\.router 'other': is not known; must be one of contour, gateway, istio, nginx, replicas"):
        adapters.open_platform("kube://models", MODEL, plan("other"))


def test_its_rights_its_kinds_and_its_way_in_are_asked_of_it(contour: object) -> None:
    given = contours()
    for wanted in (rights.of_steps(given.traffic, "models"), rights.of_guard(given.traffic)):
        assert [one for one in wanted if one.resource is HTTP_PROXIES] == [Right(HTTP_PROXIES, ("get", "create", "patch"))]

    class Served:
        namespace = "models"
        served_versions: Callable[[object, str], dict[str, set[str]]] = lambda self, group: {}

    assert ingress_checks.kinds(Served(), "contour") == (  # type: ignore[arg-type]
        Finding.FAIL,
        "traffic.router `contour`: the cluster does not know projectcontour.io; install Contour",
    )
    assert ingress_checks.gateway(Api("models"), given) == (Finding.PASS, "Contour of class public")


@pytest.fixture
def defined(cluster: Cluster, api: Api) -> None:
    """The kind, without its schema."""
    names = {"plural": "httpproxies", "singular": "httpproxy", "kind": "HTTPProxy", "listKind": "HTTPProxyList"}
    schema = {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}}
    version = {"name": "v1", "served": True, "storage": True, "schema": schema}
    spec = {"group": "projectcontour.io", "scope": "Namespaced", "names": names, "versions": [version]}
    metadata = {"name": "httpproxies.projectcontour.io"}
    cluster.apply([{"apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition", "metadata": metadata, "spec": spec}])
    until(lambda: "httpproxies" in api.served_versions("projectcontour.io").get("v1", ()))


@pytest.mark.slow
def test_it_divides_and_is_fenced_as_every_router(contour: object, defined: None, cluster: Cluster, api: Api) -> None:
    made = open_router(api, MODEL, contours())
    made.check(stages(5, 50))
    for number, weight in enumerate((0, 5, 100, 50, 0), 1):
        shift(made, weight, number)
        assert (made.traffic(), made.stamp()) == (Traffic(canary=weight), Intent("run-1", number))
    with pytest.raises(Conflict):
        shift(made, 50, 4)
    found = api.get(HTTP_PROXIES, MODEL)
    assert found
    assert found["spec"]["routes"] == [{"conditions": [{"prefix": "/"}], "services": [{"name": "m-stable", "port": 8501, "weight": 100}]}]
    unnamed = open_router(api, MODEL, plan("contour", gateway="public"))
    shift(unnamed, 0)
    assert (unnamed.read() or {})["spec"]["virtualhost"] == {"fqdn": "m.example.com"}
    theirs = {"apiVersion": HTTP_PROXIES.api, "kind": "HTTPProxy", "metadata": {"name": MODEL}, "spec": {"routes": []}}
    cluster.api.apply(theirs, api.namespace, manager="argocd-controller")
    (advice,) = advices(api, made.owned_fields())
    assert advice.startswith(f"HTTPProxy m in namespace {api.namespace}: Argo CD owns /spec/routes and would put it back")
