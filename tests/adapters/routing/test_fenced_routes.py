"""An older intent does not land on a route: not by itself, and not when its write was on its way for long."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

import pytest

from tests.adapters.routing.tracks import MODEL, plan, running, shift, tracks
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import proxy
from tests.cluster.proxy import Asked, Proxy
from tests.cluster.waiting import until
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.fenced_writes import stamp_of
from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.adapters.routing import ClusterRouter, open_router
from tfcanary.core.domain import Intent, Traffic
from tfcanary.core.errors import Conflict, Refused

__all__ = ["proxy"]

pytestmark = pytest.mark.slow

GATEWAYS = {"gateway": "users", "istio": "users", "nginx": "nginx", "replicas": ""}
WEIGHT = 50
"""One that two pods can make."""


@dataclass
class Site:
    """A model that can be divided by a router, and the two ways to it: at once, and by a proxy that may hold writes back."""

    kind: str
    api: Api
    held: Api

    def router(self, by_proxy: bool = False) -> ClusterRouter:
        return open_router(self.held if by_proxy else self.api, MODEL, plan(self.kind, gateway=GATEWAYS[self.kind]))

    def carrier(self) -> Json:
        found = self.router().read()
        assert found
        return found


@pytest.fixture(params=GATEWAYS)
def site(request: pytest.FixtureRequest, cluster: Cluster, api: Api, proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> Site:
    if request.param == "replicas":
        running(cluster, api, v1=1, v2=1)
        tracks(cluster, api)
    assert cluster.control_plane
    api.get(open_router(api, MODEL, plan(request.param, gateway=GATEWAYS[request.param])).carrier, "none")  # opens the connection
    administrator = cluster.account_kubeconfig(api.namespace, "default", proxy.url)
    cluster.apply([binding(api.namespace)], api.namespace)
    monkeypatch.setenv("KUBECONFIG", str(administrator))
    return Site(request.param, api, Api(api.namespace, patience=30))


def binding(namespace: str) -> Json:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    subjects = [{"kind": "ServiceAccount", "name": "default", "namespace": namespace}]
    metadata = {"name": "administrator"}
    return {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "RoleBinding",
        "metadata": metadata,
        "roleRef": reference,
        "subjects": subjects,
    }


def of_the_carrier(asked: Asked) -> bool:
    """A write of the carrier, and none beside it."""
    return asked.write > 0 and "destinationrules" not in asked.path and "/deployments" not in asked.path


@contextmanager
def held_back(site: Site, proxy: Proxy, write: Callable[[], object], writes: int = 1) -> Iterator[list[BaseException | None]]:
    """In the block a write is on its way; after it, it has arrived, and the list has what it raised."""
    result: list[BaseException | None] = []

    def run() -> None:
        try:
            write()
        except (Conflict, Refused) as error:
            result.append(error)
        else:
            result.append(None)

    with proxy.trouble.holding(of_the_carrier) as holding:
        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        until(lambda: holding.held, seconds=30)
        yield result
        holding.release()
    thread.join(60)
    assert not thread.is_alive()


def test_an_older_raise_after_a_newer_lowering_meets_a_conflict(site: Site) -> None:
    made = site.router()
    shift(made, 0, 1)
    shift(made, WEIGHT, 5)
    shift(made, 0, 7)
    with pytest.raises(Conflict, match="release 'run-1' wrote intent 7 there, and this is 6 of 'run-1'"):
        shift(made, WEIGHT, 6)
    assert (made.traffic(), made.stamp()) == (Traffic(), Intent("run-1", 7))


def test_a_raise_that_was_on_its_way_meets_the_lowering_that_was_newer(site: Site, proxy: Proxy) -> None:
    made = site.router()
    shift(made, 0, 1)
    with held_back(site, proxy, lambda: shift(site.router(by_proxy=True), WEIGHT, 5)) as result:
        # The trip: lowered under the same intent, then under the next one. The route was at 0 all the time.
        shift(made, 0, 5)
        shift(made, 0, 6)
    assert isinstance(result[0], Conflict)
    assert (made.traffic(), made.stamp()) == (Traffic(), Intent("run-1", 6))


def test_a_raise_that_was_on_its_way_before_there_was_a_route_meets_the_lowering(site: Site, proxy: Proxy) -> None:
    with held_back(site, proxy, lambda: shift(site.router(by_proxy=True), WEIGHT, 5)) as result:
        shift(site.router(), 0, 6)
    assert isinstance(result[0], Conflict)
    assert site.router().traffic() == Traffic()


def test_lowering_always_lands_for_the_same_release_and_for_no_other(site: Site) -> None:
    made = site.router()
    shift(made, WEIGHT, 9)
    shift(made, 0, 3)
    assert (made.traffic(), made.stamp()) == (Traffic(), Intent("run-1", 9))
    shift(made, WEIGHT, 10)
    with pytest.raises(Conflict, match="release 'run-1' wrote intent 10 there, and this is 3 of 'run-0'"):
        shift(made, 0, 3, run="run-0")
    assert made.traffic() == Traffic(canary=WEIGHT)
    shift(made, 0, 11, run="run-2")
    assert (made.traffic(), made.stamp()) == (Traffic(), Intent("run-2", 11))


def test_lowering_changes_the_route_also_where_its_traffic_is_that_already(site: Site) -> None:
    made = site.router()
    shift(made, 0, 1)
    before = site.carrier()["metadata"]["resourceVersion"]
    shift(made, 0, 2)
    assert site.carrier()["metadata"]["resourceVersion"] != before
    assert stamp_of(site.carrier()) == Intent("run-1", 2)


def test_a_controller_that_writes_meanwhile_costs_a_try_and_no_raise(site: Site, proxy: Proxy, cluster: Cluster) -> None:
    made = site.router()
    shift(made, 0, 1)
    path = made.carrier.path(site.api.namespace, made.carrier_name)
    with held_back(site, proxy, lambda: shift(site.router(by_proxy=True), WEIGHT, 2)) as result:
        cluster.api.merge(f"{path}?fieldManager=controller", {"metadata": {"annotations": {"controller.example/seen": "yes"}}})
    assert result == [None]
    assert (made.traffic(), made.stamp()) == (Traffic(canary=WEIGHT), Intent("run-1", 2))


def test_traffic_that_a_router_cannot_make_is_refused_by_name_before_any_write(site: Site) -> None:
    made = site.router()
    wanted = {
        Traffic(mirror=10): "cannot mirror users' requests to the canary",
        Traffic(preview=True): "cannot lead testers' requests to a preview",
    }
    if site.kind in ("nginx", "replicas"):
        wanted[Traffic(canary=5, baseline=5)] = "cannot give a baseline a share of users' requests"
    for traffic, sentence in wanted.items():
        with pytest.raises(Refused, match=f"traffic.router `{site.kind}`: {sentence}"):
            made.set_traffic(traffic, Intent("run-1", 1))
    assert made.read() is None


def test_asking_for_traffic_and_stamp_costs_few_calls(site: Site, proxy: Proxy) -> None:
    shift(site.router(), WEIGHT, 1)
    made = site.router(by_proxy=True)
    proxy.clear()
    assert (made.traffic(), made.stamp()) == (Traffic(canary=WEIGHT), Intent("run-1", 1))
    assert len(proxy.asked) == {"gateway": 1, "istio": 1, "nginx": 2, "replicas": 2}[site.kind]


def test_a_stamp_is_not_remembered_over_a_write_of_ours(site: Site) -> None:
    made = site.router()
    shift(made, 0, 1)
    made.traffic()
    shift(made, WEIGHT, 2)
    assert made.stamp() == Intent("run-1", 2)


def test_a_change_of_the_canarys_size_is_fenced_like_a_raise(cluster: Cluster, api: Api) -> None:
    running(cluster, api, v1=2, v2=1)
    tracks(cluster, api)
    given = plan("replicas")
    made = open_router(api, MODEL, replace(given, serving=replace(given.serving, replicas=2)))
    shift(made, 34, 5)
    shift(made, 0, 7)
    with pytest.raises(Conflict):
        shift(made, 50, 6)
    deployment = cluster.api.get(f"/apis/apps/v1/namespaces/{api.namespace}/deployments/m-v2")
    assert deployment["spec"]["replicas"] == 1
    assert stamp_of(deployment) == Intent("run-1", 5)
