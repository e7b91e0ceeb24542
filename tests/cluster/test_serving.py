"""A SavedModel in a pod: served, reached through the gateway, and seen by Prometheus."""

from __future__ import annotations

import json
import os
import time
import urllib.request
from pathlib import Path

import pytest

from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.cluster.fixtures import MakeGateway
from tests.cluster.manifests import available, container_status, deployment, pods, service
from tests.cluster.prometheus import Prometheus
from tests.cluster.waiting import until

pytestmark = pytest.mark.slow

CONFIG = 'model_config_list {{ config {{ name: "m" base_path: "{base}" model_platform: "tensorflow" }} }}'
COUNT = '{__name__=":tensorflow:serving:request_count",model_name="m"}'


@pytest.fixture(scope="module")
def models(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """1 and 2 add 1 and 2 to x; 3 is broken."""
    folder = tmp_path_factory.mktemp("models") / "m"
    folder.mkdir()
    cluster.tensorflow("tests.adapters.local.export", str(folder))
    return folder


def serving(models: Path, version: int) -> list[Json]:
    """A version as TF Serving serves it: its config in a ConfigMap, the model on the node's disk."""
    data = {
        "models.config": CONFIG.format(base=f"/models/{version}-only"),
        "monitoring.config": 'prometheus_config { enable: true path: "/monitoring/prometheus/metrics" }',
    }
    only = models.parent / f"{version}-only"
    only.mkdir()
    (only / str(version)).symlink_to(models / str(version))
    container = {
        "name": "server",
        "image": "tensorflow-serving@sha256:" + "1" * 64,
        "command": ["/usr/bin/tensorflow_model_server"],
        "args": [
            "--port=8500",
            "--rest_api_port=8501",
            "--model_config_file=/etc/serving/models.config",
            "--monitoring_config_file=/etc/serving/monitoring.config",
        ],
        "volumeMounts": [{"name": "config", "mountPath": "/etc/serving"}, {"name": "models", "mountPath": "/models"}],
        "startupProbe": {"tcpSocket": {"port": 8501}, "periodSeconds": 1, "failureThreshold": 60},
        "readinessProbe": {"grpc": {"port": 8500}, "periodSeconds": 1},
    }
    volumes = [{"name": "config", "configMap": {"name": "m-config"}}, {"name": "models", "hostPath": {"path": str(models.parent)}}]
    labels = {"app.kubernetes.io/component": "server"}
    return [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "m-config"}, "data": data},
        deployment("m", container, labels=labels, volumes=volumes),
        service("m"),
    ]


def predict(address: str) -> Json:
    request = urllib.request.Request(f"{address}/v1/models/m:predict", data=b'{"instances": [1.0]}', method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        found: Json = json.load(answer)
    return found


def test_a_model_is_served_through_the_gateway_and_prometheus_counts_it(
    cluster: Cluster, namespace: str, gateway: MakeGateway, prometheus: Prometheus, models: Path
) -> None:
    made = gateway("Service", "m")
    cluster.apply(serving(models, 2), namespace)
    until(lambda: available(cluster.api, namespace, "m"), seconds=60)
    until(lambda: made.programmed)
    for _ in range(7):
        assert predict(made.address) == {"predictions": [3.0]}
    asked = f'{COUNT[:-1]},status="OK",namespace="{namespace}"}}'
    (series,) = until(lambda: prometheus.query(asked), lambda found: found and found[0]["value"][1] == "7")
    (pod,) = pods(cluster.api, namespace)
    assert series["metric"]["pod"] == pod["metadata"]["name"]
    prometheus.stop()
    with pytest.raises(OSError, match="refused"):
        prometheus.query("up")
    prometheus.start()
    assert prometheus.query(asked)


def test_a_model_server_does_not_end_before_its_grace_is_over(cluster: Cluster, namespace: str, models: Path, tmp_path: Path) -> None:
    cluster.apply(serving(models, 1), namespace)
    until(lambda: available(cluster.api, namespace, "m"), seconds=60)
    (pod,) = pods(cluster.api, namespace)
    address, name = f"http://{pod['status']['podIP']}:8501", pod["metadata"]["name"]
    pid = cluster.pid(namespace, name)
    assert pid
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/{name}")
    time.sleep(0.5)
    assert predict(address) == {"predictions": [2.0]}
    until(lambda: cluster.pid(namespace, name) is None)


def test_a_model_server_that_is_killed_comes_back(cluster: Cluster, namespace: str, models: Path) -> None:
    cluster.apply(serving(models, 3), namespace)
    until(lambda: container_status(cluster.api, namespace), lambda one: one and "running" in one["state"], seconds=60)
    (pod,) = pods(cluster.api, namespace)
    pid = cluster.pid(namespace, pod["metadata"]["name"])
    assert pid
    os.kill(pid, 9)
    status = until(lambda: container_status(cluster.api, namespace), lambda one: one["restartCount"])
    assert status["lastState"]["terminated"]["exitCode"] == 137
