"""The fixtures of tests that want a cluster: `pytest_plugins` must stand in the root, so a conftest imports them from here by name.

from tests.cluster.fixtures import cluster, gateway, namespace, prometheus, proxy
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Generic, NoReturn, TypeVar

import pytest

from tests.cluster.addresses import NoAddresses
from tests.cluster.api import ApiError, Json
from tests.cluster.cluster import Cluster, running
from tests.cluster.gateway import Gateway
from tests.cluster.prometheus import Prometheus, scraping
from tests.cluster.proxy import Proxy
from tests.cluster.waiting import until

T = TypeVar("T")
MakeGateway = Callable[[str, str], Gateway]


def missing(error: Exception) -> NoReturn:
    """What cannot be had here is skipped by its name; where CI is set it must be there."""
    if os.environ.get("CI"):
        pytest.fail(str(error))
    pytest.skip(str(error))


class Once(Generic[T]):
    """One for a test run: each conftest that imports a fixture of the session has one of its own."""

    def __init__(self) -> None:
        self._users, self._stack = 0, ExitStack()

    @contextmanager
    def shared(self, make: Callable[[], AbstractContextManager[T]]) -> Iterator[T]:
        """Made for the first who asks, ended after the last."""
        if not self._users:
            self._made = self._stack.enter_context(make())
        self._users += 1
        try:
            yield self._made
        finally:
            self._users -= 1
            if not self._users:
                self._stack.close()


CLUSTER: Once[Cluster] = Once()
PROMETHEUS: Once[Prometheus] = Once()


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One for all tests of a run."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(CLUSTER.shared(lambda: running(tmp_path_factory.mktemp("cluster"))))
        except (FileNotFoundError, NoAddresses) as error:
            missing(error)
        yield found


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[str]:
    """A fresh one. After the test it is deleted, nothing of it runs, and every node is there again."""
    made = cluster.api.post("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"generateName": "test-"}})
    name = str(made["metadata"]["name"])
    until(lambda: _account(cluster, name))
    yield name
    cluster.api.delete(f"/api/v1/namespaces/{name}")
    for node in cluster.nodes.values():
        if node.lost:
            node.find_again()
    cluster.api.delete(f"/api/v1/namespaces/{name}/pods", grace=0)
    cluster.run_no_pods(name)


@pytest.fixture(scope="session")
def prometheus(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """Scrapes every model server's pod each 500 ms."""
    with ExitStack() as stack:
        try:
            found = stack.enter_context(PROMETHEUS.shared(lambda: scraping(cluster.kubeconfig, tmp_path_factory.mktemp("prometheus"))))
        except FileNotFoundError as error:
            missing(error)
        yield found


@pytest.fixture
def gateway(cluster: Cluster, namespace: str, tmp_path: Path) -> Iterator[MakeGateway]:
    """Makes the namespace's gateway for a route, by kind and name. Wait for what it is to do: it begins with a 404 for everybody."""
    with ExitStack() as stack:

        def make(kind: str, name: str) -> Gateway:
            folder = tmp_path / f"gateway-{kind}-{name}"
            made = Gateway(cluster.api, namespace, kind, name, folder)
            stack.callback(made.stop)
            return made

        yield make


@pytest.fixture
def proxy(cluster: Cluster) -> Iterator[Proxy]:
    """In front of the API server."""
    assert cluster.control_plane, "a cluster that was given takes no proxy"
    made = Proxy(cluster.control_plane)
    yield made
    made.close()


def _account(cluster: Cluster, namespace: str) -> Json | None:
    """Pods are refused until it exists."""
    try:
        return cluster.api.get(f"/api/v1/namespaces/{namespace}/serviceaccounts/default")
    except ApiError:
        return None
