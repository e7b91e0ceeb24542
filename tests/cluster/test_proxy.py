"""What goes wrong in front of the API server, goes wrong as it was asked to."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from datetime import timedelta

import pytest

from tests.cluster.api import Api, ApiError, Json
from tests.cluster.cluster import Cluster
from tests.cluster.mirror import Mirror
from tests.cluster.proxy import Proxy, serving
from tests.cluster.waiting import until

pytestmark = pytest.mark.slow


@pytest.fixture
def api(cluster: Cluster, proxy: Proxy, namespace: str) -> Iterator[Api]:
    """As the administrator, by the token of an account that may do everything."""
    subject = {"kind": "ServiceAccount", "name": "default", "namespace": namespace}
    role = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
    binding = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "all"}}
    cluster.apply([{**binding, "subjects": [subject], "roleRef": role}], namespace)
    api = Api(proxy.url, cluster.authority, token=cluster.api.token(namespace, "default"))
    until(lambda: allowed(api, namespace))
    proxy.clear()
    yield api
    api.close()


def allowed(api: Api, namespace: str) -> bool:
    try:
        api.get(maps(namespace))
    except ApiError:
        return False
    return True


def maps(namespace: str) -> str:
    return f"/api/v1/namespaces/{namespace}/configmaps"


def a_map(name: str, **data: str) -> Json:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def names(cluster: Cluster, namespace: str) -> set[str]:
    return {one["metadata"]["name"] for one in cluster.api.items(maps(namespace))} - {"kube-root-ca.crt"}


def test_requests_are_numbered_and_so_are_the_writes_among_them(api: Api, proxy: Proxy, namespace: str) -> None:
    api.post(maps(namespace), a_map("a"))
    api.get(maps(namespace), limit="5")
    api.delete(f"{maps(namespace)}/a")
    assert [(one.number, one.write, one.method, one.query) for one in proxy.asked] == [
        (1, 1, "POST", ""),
        (2, 0, "GET", "limit=5"),
        (3, 2, "DELETE", ""),
    ]
    assert [one.method for one in proxy.writes] == ["POST", "DELETE"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_a_kill_before_a_write_prevents_it_and_one_after_does_not(
    when: str, api: Api, proxy: Proxy, cluster: Cluster, namespace: str
) -> None:
    acted: list[set[str]] = []
    proxy.trouble.kill_at(2, when, lambda: acted.append(names(cluster, namespace)))  # type: ignore[arg-type]
    api.post(maps(namespace), a_map("first"))
    api.get(maps(namespace))
    with pytest.raises(OSError, match="configmaps"):
        api.post(maps(namespace), a_map("second"))
    assert acted == [{"first"} if when == "before" else {"first", "second"}]
    api.post(maps(namespace), a_map("third"))
    assert names(cluster, namespace) == acted[0] | {"first", "third"}


def test_a_storm_refuses_so_many_requests_and_nothing_of_them_happens(api: Api, proxy: Proxy, cluster: Cluster, namespace: str) -> None:
    api.post(maps(namespace), a_map("a", x="0"))
    proxy.trouble.storm((409, 429), count=3)
    statuses = []
    for _ in range(3):
        with pytest.raises(ApiError) as refused:
            api.merge(f"{maps(namespace)}/a", {"data": {"x": "1"}})
        statuses.append(refused.value.status)
    assert statuses == [409, 429, 409]
    assert cluster.api.get(f"{maps(namespace)}/a")["data"] == {"x": "0"}
    api.merge(f"{maps(namespace)}/a", {"data": {"x": "1"}})
    proxy.trouble.storm((409,))
    api.get(maps(namespace))


def test_who_is_down_refuses_and_who_is_up_again_answers_at_the_same_address(api: Api, proxy: Proxy, namespace: str) -> None:
    proxy.down()
    with pytest.raises(OSError, match="configmaps"):
        api.get(maps(namespace))
    proxy.up()
    api.get(maps(namespace))
    proxy.hang_up()
    with pytest.raises(OSError, match="configmaps"):
        api.get(maps(namespace))
    proxy.hang_up(False)
    api.get(maps(namespace))


def test_a_watch_is_passed_on_as_it_comes(api: Api, proxy: Proxy, cluster: Cluster, namespace: str) -> None:
    seen = threading.Event()
    mirror = Mirror(api, maps(namespace), lambda kind, one: seen.set() if one["metadata"]["name"] == "later" else None)
    until(lambda: [one for one in proxy.asked if "watch=true" in one.query])
    cluster.api.post(maps(namespace), a_map("later"))
    assert seen.wait(5)
    mirror.stop()


def test_an_expired_certificate_is_not_taken(cluster: Cluster, namespace: str) -> None:
    assert cluster.control_plane
    proxy = Proxy(cluster.control_plane, serving(cluster.control_plane.authority, expires_in=timedelta(hours=-1)))
    api = Api(proxy.url, cluster.authority, token=cluster.api.token(namespace, "default"))
    with pytest.raises(OSError, match="certificate has expired"):
        api.get(maps(namespace))
    api.close()
    proxy.close()


def test_requests_take_longer_when_it_is_slow(api: Api, proxy: Proxy, namespace: str) -> None:
    proxy.trouble.slow(0.3)
    began = time.monotonic()
    api.get(maps(namespace))
    assert time.monotonic() - began >= 0.3
