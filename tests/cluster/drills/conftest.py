"""A site for each drill: fresh namespace, stable version with two pods, users through a real Envoy."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import MakeGateway, cluster, gateway, namespace, prometheus, proxy
from tests.cluster.prometheus import Prometheus
from tests.cluster.proxy import Proxy
from tests.cluster.site import NAME, ROUTES, Site
from tfcanary.cli.demo.users import UserAnswers

__all__ = ["cluster", "gateway", "namespace", "prometheus", "proxy"]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Trained once a test run."""
    folder = tmp_path_factory.mktemp("models")
    subprocess.run([sys.executable, "-m", "tests.cluster.drills.models", str(folder)], check=True, timeout=240)
    return folder


@pytest.fixture
def router() -> str:
    """A test may name another one by its parameters."""
    return "gateway"


@pytest.fixture
def pods_proxy(cluster: Cluster) -> Iterator[Proxy]:
    """The guard's own way to the API server: what makes trouble for the steps makes none for it."""
    assert cluster.control_plane
    made = Proxy(cluster.control_plane)
    yield made
    made.close()


@pytest.fixture
def bare(
    cluster: Cluster,
    namespace: str,
    router: str,
    proxy: Proxy,
    pods_proxy: Proxy,
    prometheus: Prometheus,
    gateway: MakeGateway,
    models: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Site]:
    """A site where nothing was ever released."""
    site = Site(cluster, namespace, router, proxy, pods_proxy, prometheus, gateway(ROUTES[router], NAME), models, tmp_path)
    monkeypatch.setenv("KUBECONFIG", str(site.kubeconfig))
    yield site
    site.close()
    cluster.use_for_pods()


@pytest.fixture
def site(bare: Site) -> Site:
    """Version 1 is stable, and users ask."""
    first = bare.release("v1", bootstrap=True)
    assert first.state.value == "promoted", first.reason
    assert "is not in force" not in bare.runs[-1].said(), "the route was made before the track that it leads to"
    bare.begin_users()
    return bare


@pytest.fixture
def ours() -> Callable[[UserAnswers], dict[str, int]]:
    """The failures that are not the broken model's own."""
    from tfcanary.cli.demo.four_releases import unexpected_failures

    return unexpected_failures
