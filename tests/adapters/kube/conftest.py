"""A namespace with tfcanary in it; its model servers are real."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kube.test_manifests import IMAGE
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import cluster, namespace
from tests.cluster.waiting import until
from tfcanary.adapters.kube.deployer import KubeDeployer
from tfcanary.adapters.kube.running_servers import RunningServers, TrackServers
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.core.domain import Intent, ModelVersion, Pool, Role, RunningPool, Track
from tfcanary.core.plan import BucketPlan, DeployPlan, GuardPodPlan, MetricsPlan, Plan, ServingPlan, TrafficPlan

__all__ = ["cluster", "namespace"]

NUMBERS = count(1)
SMALL = {"requests": {"cpu": "10m", "memory": "64Mi"}}


@pytest.fixture
def api(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Api:
    """As the administrator."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return Api(namespace, patience=10)


@pytest.fixture(scope="session")
def models(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bucket with versions of the model m: 1 and 2 add 1 and 2 to x, 3 is broken."""
    folder = tmp_path_factory.mktemp("bucket")
    (folder / "m").mkdir()
    cluster.tensorflow("tests.adapters.local.export", str(folder / "m"))
    return folder


def plan_for(models: Path, **serving: Any) -> Plan:
    """Small and quick."""
    mounts = [{"name": "models", "mountPath": str(models)}]
    server = {"name": "server", "resources": SMALL, "volumeMounts": mounts}
    pod = {"terminationGracePeriodSeconds": 2, "containers": [server], "volumes": [{"name": "models", "hostPath": {"path": str(models)}}]}
    return Plan(
        serving=ServingPlan(image=IMAGE, pod_patch={"spec": pod}, **serving),
        bucket=BucketPlan(canary=str(models)),
        deploy=DeployPlan(ready_timeout=timedelta(seconds=60)),
        metrics=MetricsPlan(url="http://prometheus:9090"),
        traffic=TrafficPlan(gateway="front"),
        guard=GuardPodPlan(image="tfcanary:1", service_account="default"),
    )


@dataclass
class Place:
    """A model in a namespace."""

    api: Api
    models: Path
    plan: Plan

    run: str = "run-1"

    @property
    def running(self) -> RunningServers:
        return RunningServers(self.api, "m")

    @property
    def deployer(self) -> KubeDeployer:
        return KubeDeployer(self.running, self.plan, TrackServers(self.running))

    def intent(self, number: int | None = None) -> Intent:
        """The next one, or the one of this number."""
        return Intent(self.run, next(NUMBERS) if number is None else number)

    def pool(self, number: int, least: int = 1, role: Role = Role.SERVING, digest: str = "") -> RunningPool:
        return RunningPool(self.version(number, digest), role, least)

    def deploy(self, number: int, least: int = 1) -> None:
        self.deployer.deploy(self.pool(number, least), self.intent())

    def assign(self, track: Track, number: int | None) -> None:
        self.deployer.assign(track, None if number is None else Pool(number), self.intent())

    def remove(self, number: int) -> None:
        self.deployer.remove(Pool(number), self.intent())

    def version(self, number: int, digest: str = "") -> ModelVersion:
        return ModelVersion(number, f"{self.models}/m/{number}", digest or f"sha256:{number:064x}")

    def up(self, number: int, least: int = 1) -> None:
        """Deployed, and every server says AVAILABLE."""
        self.deploy(number, least)
        until(lambda: self.servers(number), lambda found: found and all(one.available for one in found), seconds=90)

    def servers(self, number: int) -> Any:
        return self.deployer.observe(Pool(number)).servers.get(Pool(number), ())

    def serve(self, stable: int = 1) -> None:
        self.up(stable)
        self.assign(Track.STABLE, stable)


MakePlace = Callable[..., Place]


@pytest.fixture
def make(api: Api, models: Path, monkeypatch: pytest.MonkeyPatch) -> MakePlace:
    monkeypatch.setattr("tfcanary.adapters.kube.deployer.SETTLE", 0.0)
    return lambda **serving: Place(api, models, plan_for(models, **serving))
