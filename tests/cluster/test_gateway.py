"""Real requests are divided as the objects say, by each kind of route."""

from __future__ import annotations

import collections
import http.client
import threading
from functools import partial
from typing import Any

import pytest

from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import MakeGateway
from tests.cluster.gateway import Gateway
from tests.cluster.manifests import answering, available, deployment, service
from tests.cluster.waiting import until

pytestmark = pytest.mark.slow

REQUESTS = 400
TRACKS = ("stable", "canary")


def ask(gateway: Gateway, requests: int = REQUESTS, **headers: str) -> collections.Counter[str]:
    """Answers, or statuses where they are no success, over one connection."""
    connection = http.client.HTTPConnection(gateway.address.removeprefix("http://"), timeout=10)
    found: collections.Counter[str] = collections.Counter()
    for _ in range(requests):
        connection.request("POST", "/v1/models/m:predict", body=b"{}", headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        found[text if answer.status == 200 else str(answer.status)] += 1
    connection.close()
    return found


def tracks(cluster: Cluster, namespace: str) -> None:
    """A Deployment and a Service of each track."""
    for track in TRACKS:
        cluster.apply([deployment(track, answering(track)), service(track)], namespace)
    for track in TRACKS:
        until(partial(available, cluster.api, namespace, track))


def http_route(weight: int, **others: Any) -> list[Json]:
    refs = [{"name": track, "port": 8501, "weight": share} for track, share in zip(TRACKS, (100 - weight, weight), strict=True)]
    spec = {"parentRefs": [{"name": "users"}], "rules": [{"backendRefs": refs}]}
    return [{"apiVersion": "gateway.networking.k8s.io/v1", "kind": "HTTPRoute", "metadata": {"name": "m"}, "spec": spec | others}]


def virtual_service(weight: int) -> list[Json]:
    shares = zip(("stable", "canary.{}.svc.cluster.local"), (100 - weight, weight), strict=True)
    route = [{"destination": {"host": host, "port": {"number": 8501}}, "weight": share} for host, share in shares]
    spec = {"hosts": ["m"], "http": [{"route": route}]}
    return [{"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "m"}, "spec": spec}]


def ingress(weight: int) -> list[Json]:
    notes = {"nginx.ingress.kubernetes.io/canary": "true", "nginx.ingress.kubernetes.io/canary-weight": str(weight)}
    return [one_ingress("m", "stable", {}), one_ingress("m-canary", "canary", notes)]


def one_ingress(name: str, track: str, notes: dict[str, str]) -> Json:
    path = {"path": "/", "pathType": "Prefix", "backend": {"service": {"name": track, "port": {"number": 8501}}}}
    metadata = {"name": name, "annotations": notes}
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "Ingress",
        "metadata": metadata,
        "spec": {"rules": [{"http": {"paths": [path]}}]},
    }


KINDS = {"HTTPRoute": http_route, "VirtualService": virtual_service, "Ingress": ingress}


@pytest.mark.parametrize("kind", KINDS)
def test_each_track_gets_its_share(kind: str, cluster: Cluster, namespace: str, gateway: MakeGateway) -> None:
    tracks(cluster, namespace)
    made = gateway(kind, "m")
    assert set(ask(made, 5)) == {"404"}
    for weight in (0, 5, 50, 100):
        before = made.programmed
        cluster.apply(KINDS[kind](weight), namespace)
        until(lambda: made.programmed, before.__lt__)
        until(lambda: set(ask(made, 5)), set(TRACKS).issuperset)
        found = ask(made)
        assert found["canary"] == pytest.approx(REQUESTS * weight / 100, abs=0 if weight in (0, 100) else 40)
        assert found.total() == found["stable"] + found["canary"]


def test_the_status_of_a_route_says_which_generation_is_in_force(cluster: Cluster, namespace: str, gateway: MakeGateway) -> None:
    tracks(cluster, namespace)
    gateway("HTTPRoute", "m")
    for weight in (0, 30):
        (route,) = cluster.apply(http_route(weight), namespace)
        conditions = until(partial(accepted, cluster, namespace), partial(all_good, route["metadata"]["generation"]))
        assert {one["type"] for one in conditions} == {"Accepted", "ResolvedRefs"}


def accepted(cluster: Cluster, namespace: str) -> list[Json]:
    route = cluster.api.get(f"/apis/gateway.networking.k8s.io/v1/namespaces/{namespace}/httproutes/m")
    return [condition for parent in route.get("status", {}).get("parents", []) for condition in parent["conditions"]]


def all_good(generation: int, conditions: list[Json]) -> bool:
    """The Services may come to the gateway's ears a moment after the route."""
    return {(one["observedGeneration"], one["status"]) for one in conditions} == {(generation, "True")}


def test_a_share_that_nobody_serves_is_answered_with_an_error(cluster: Cluster, namespace: str, gateway: MakeGateway) -> None:
    tracks(cluster, namespace)
    made = gateway("HTTPRoute", "m")
    cluster.apply(http_route(50), namespace)
    until(lambda: set(ask(made, 20)) == {"stable", "canary"})
    cluster.api.merge(f"/apis/apps/v1/namespaces/{namespace}/deployments/canary/scale", {"spec": {"replicas": 0}})
    until(lambda: set(ask(made, 20)) == {"stable", "503"})
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/services/canary")
    found = until(lambda: ask(made, 100), lambda found: set(found) == {"stable", "500"})
    assert found["500"] == pytest.approx(50, abs=25)
    until(lambda: accepted(cluster, namespace), lambda found: "BackendNotFound" in {one["reason"] for one in found})


def test_nginx_sends_nobody_to_a_canary_without_endpoints(cluster: Cluster, namespace: str, gateway: MakeGateway) -> None:
    tracks(cluster, namespace)
    made = gateway("Ingress", "m")
    cluster.apply(ingress(50), namespace)
    until(lambda: set(ask(made, 20)) == {"stable", "canary"})
    cluster.api.merge(f"/apis/apps/v1/namespaces/{namespace}/deployments/canary/scale", {"spec": {"replicas": 0}})
    until(lambda: set(ask(made, 20)) == {"stable"})


def test_a_plain_service_divides_by_replicas(cluster: Cluster, namespace: str, gateway: MakeGateway) -> None:
    both = {"part-of": "m"}
    cluster.apply([deployment("stable", answering("stable"), 3, both), deployment("canary", answering("canary"), 1, both)], namespace)
    cluster.apply([service("m", **both)], namespace)
    made = gateway("Service", "m")
    until(lambda: available(cluster.api, namespace, "stable") == 3 and available(cluster.api, namespace, "canary"))
    until(lambda: ask(made, 40)["canary"] == 10)
    assert ask(made)["canary"] == pytest.approx(100, abs=5)


def test_no_request_is_lost_while_servers_come_and_go(cluster: Cluster, namespace: str, gateway: MakeGateway) -> None:
    # Without the pause a server may be gone before its endpoint is.
    container = {**answering("web"), "lifecycle": {"preStop": {"sleep": {"seconds": 4}}}}
    cluster.apply([deployment("web", container, replicas=2, terminationGracePeriodSeconds=6), service("web")], namespace)
    made = gateway("Service", "web")
    until(lambda: available(cluster.api, namespace, "web") == 2 and set(ask(made, 5)) == {"web"})
    found: collections.Counter[str] = collections.Counter()
    enough = threading.Event()

    def use() -> None:
        while not enough.is_set():
            found.update(ask(made, 20))

    user = threading.Thread(target=use)
    user.start()
    for replicas in (4, 1):
        cluster.api.merge(f"/apis/apps/v1/namespaces/{namespace}/deployments/web/scale", {"spec": {"replicas": replicas}})
        until(partial(available, cluster.api, namespace, "web"), replicas.__eq__)
    until(lambda: len(cluster.api.items(f"/api/v1/namespaces/{namespace}/pods")) == 1)
    enough.set()
    user.join()
    assert set(found) == {"web"}


def test_a_request_with_a_header_goes_where_the_route_sends_it(cluster: Cluster, namespace: str, gateway: MakeGateway) -> None:
    tracks(cluster, namespace)
    made = gateway("HTTPRoute", "m")
    preview = {
        "matches": [{"headers": [{"name": "x-track", "value": "canary"}]}],
        "backendRefs": [{"name": "canary", "port": 8501}],
    }
    rules = [preview, {"backendRefs": [{"name": "stable", "port": 8501}]}]
    cluster.apply(http_route(0, rules=rules), namespace)
    until(lambda: set(ask(made, 5)) == {"stable"})
    assert set(ask(made, 5, **{"x-track": "canary"})) == {"canary"}
