"""Pods are real processes under a real control plane."""

from __future__ import annotations

import os
import signal
import urllib.request
from functools import partial

import pytest

from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.cluster.manifests import answering, available, container_status, deployment, pods, service
from tests.cluster.waiting import until

pytestmark = pytest.mark.slow


def get(address: str, path: str = "/") -> str:
    with urllib.request.urlopen(f"http://{address}:8501{path}", timeout=5) as answer:
        return str(answer.read().decode())


def sleeping(**spec: object) -> Json:
    return {"name": "main", "image": "python", "command": ["sleep", "600"], **spec}


def test_a_deployment_becomes_available_and_serves(cluster: Cluster, namespace: str) -> None:
    cluster.apply([deployment("web", answering("hello"), replicas=2), service("web")], namespace)
    until(lambda: available(cluster.api, namespace, "web"), lambda ready: ready == 2)
    slices = f"/apis/discovery.k8s.io/v1/namespaces/{namespace}/endpointslices"

    def addresses() -> list[str]:
        endpoints = [one for found in cluster.api.items(slices) for one in found["endpoints"] or []]
        return [one["addresses"][0] for one in endpoints if one["conditions"]["ready"]]

    assert {get(address) for address in until(addresses, lambda found: len(found) == 2)} == {"hello"}
    cluster.api.merge(f"/apis/apps/v1/namespaces/{namespace}/deployments/web/scale", {"spec": {"replicas": 1}})
    (left,) = until(addresses, lambda found: len(found) == 1)
    until(lambda: pods(cluster.api, namespace), lambda found: len(found) == 1)
    assert get(left) == "hello"


def test_files_of_a_config_map_and_an_empty_folder_are_found_where_arguments_say(cluster: Cluster, namespace: str) -> None:
    program = (
        "import os, shutil, sys\n"
        "shutil.copy(sys.argv[1].partition('=')[2], os.environ['INTO'] + '/copy')\n"
        "with open(os.environ['INTO'] + '/copy') as copy: print(copy.read(), os.environ['WHO'])"
    )
    container = {
        "name": "main",
        "image": "python",
        "command": ["python", "-c", program],
        "args": ["--file=/etc/words/first"],
        "env": [
            {"name": "INTO", "value": "/scratch"},
            {"name": "WHO", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
        ],
        "volumeMounts": [{"name": "words", "mountPath": "/etc/words"}, {"name": "scratch", "mountPath": "/scratch"}],
    }
    volumes = [{"name": "words", "configMap": {"name": "words"}}, {"name": "scratch", "emptyDir": {}}]
    words = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "words"}, "data": {"first": "aleph"}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "copies"}}
    cluster.apply([{**pod, "spec": {"containers": [container], "volumes": volumes, "restartPolicy": "Never"}}, words], namespace)
    path = f"/api/v1/namespaces/{namespace}/pods/copies"
    until(lambda: cluster.api.get(path)["status"]["phase"], lambda phase: phase in ("Succeeded", "Failed"))
    assert "aleph copies" in cluster.output(namespace)


def test_a_container_that_ends_is_started_again_later_and_later(cluster: Cluster, namespace: str) -> None:
    cluster.apply([deployment("web", sleeping(command=["sh", "-c", "exit 3"]))], namespace)
    status = until(
        lambda: container_status(cluster.api, namespace), lambda one: one and one["restartCount"] >= 2 and "waiting" in one["state"]
    )
    assert status["state"]["waiting"]["reason"] == "CrashLoopBackOff"
    assert status["lastState"]["terminated"]["exitCode"] == 3
    assert not status["ready"]


def test_a_container_that_is_killed_from_outside_is_started_again(cluster: Cluster, namespace: str) -> None:
    cluster.apply([deployment("web", answering("hello"))], namespace)
    until(lambda: available(cluster.api, namespace, "web"))
    (pod,) = pods(cluster.api, namespace)
    pid = cluster.pid(namespace, pod["metadata"]["name"])
    assert pid
    os.kill(pid, signal.SIGKILL)
    status = until(lambda: container_status(cluster.api, namespace), lambda one: one["restartCount"] == 1 and one["ready"])
    assert status["lastState"]["terminated"]["exitCode"] == 137
    assert get(pod["status"]["podIP"]) == "hello"


def test_an_image_that_is_nowhere_is_waited_for(cluster: Cluster, namespace: str) -> None:
    cluster.apply([deployment("web", sleeping(image="registry.test/no-such@sha256:" + "0" * 64))], namespace)
    for reason in ("ErrImagePull", "ImagePullBackOff"):
        until(partial(waiting_for, cluster, namespace), reason.__eq__)


def waiting_for(cluster: Cluster, namespace: str) -> str:
    return str(container_status(cluster.api, namespace).get("state", {}).get("waiting", {}).get("reason"))


def test_a_container_that_does_not_pass_its_liveness_probe_is_killed(cluster: Cluster, namespace: str) -> None:
    probe = {"tcpSocket": {"port": 9}, "periodSeconds": 1, "failureThreshold": 1}
    cluster.apply([deployment("web", sleeping(livenessProbe=probe))], namespace)
    status = until(lambda: container_status(cluster.api, namespace), lambda one: one and one["restartCount"] >= 1)
    assert status["lastState"]["terminated"]["exitCode"] == 128 + signal.SIGTERM


def test_pods_of_a_lost_node_are_replaced_on_another(cluster: Cluster, namespace: str) -> None:
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    constraints = [{**spread, "labelSelector": {"matchLabels": {"app": "web"}}}]
    cluster.apply([deployment("web", answering("hello"), replicas=4, topologySpreadConstraints=constraints)], namespace)
    until(lambda: available(cluster.api, namespace, "web"), lambda ready: ready == 4)
    lost = [pod for pod in pods(cluster.api, namespace) if pod["spec"]["nodeName"] == "b"]
    assert lost
    cluster.nodes["b"].lose()
    with pytest.raises(OSError, match=r"refused|reset"):
        get(lost[0]["status"]["podIP"])
    alive = until(lambda: pods(cluster.api, namespace), lambda found: [pod["spec"].get("nodeName") for pod in found] == ["a"] * 4, 60)
    until(lambda: available(cluster.api, namespace, "web"), lambda ready: ready == 4)
    assert not {pod["metadata"]["uid"] for pod in lost} & {pod["metadata"]["uid"] for pod in alive}
    cluster.nodes["b"].find_again()
    until(lambda: cluster.api.items(f"/api/v1/namespaces/{namespace}/pods"), lambda found: len(found) == 4)


def test_pods_of_a_node_that_is_soon_found_again_are_started_again(cluster: Cluster, namespace: str) -> None:
    cluster.apply([deployment("web", answering("hello"), nodeName="b")], namespace)
    until(lambda: available(cluster.api, namespace, "web"))
    (before,) = pods(cluster.api, namespace)
    cluster.nodes["b"].lose()
    cluster.nodes["b"].find_again()
    until(lambda: container_status(cluster.api, namespace), lambda one: one["restartCount"] == 1 and one["ready"])
    (after,) = pods(cluster.api, namespace)
    assert after["metadata"]["uid"] == before["metadata"]["uid"]
    assert get(after["status"]["podIP"]) == "hello"


def test_a_pod_speaks_to_the_api_server_with_the_token_of_its_account(cluster: Cluster, namespace: str) -> None:
    program = (
        "from kubernetes import client, config; config.load_kube_config()\n"
        "try: client.CoreV1Api().list_namespaced_secret('default')\n"
        "except client.ApiException as error: print(error.status, error.body)"
    )
    container = {"name": "main", "image": "tfcanary:1", "command": ["python", "-c", program]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "asks"}, "spec": {"containers": [container], "restartPolicy": "Never"}}
    cluster.apply([pod], namespace)
    until(lambda: cluster.api.get(f"/api/v1/namespaces/{namespace}/pods/asks")["status"]["phase"], lambda phase: phase == "Succeeded")
    assert f"system:serviceaccount:{namespace}:default" in cluster.output(namespace)


def test_a_server_that_ignores_sigterm_ends_with_its_grace(cluster: Cluster, namespace: str) -> None:
    deaf = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    cluster.apply([deployment("web", sleeping(command=["sh", "-c", deaf]))], namespace)
    until(lambda: "ready" in cluster.output(namespace))
    (pod,) = pods(cluster.api, namespace)
    pid = cluster.pid(namespace, pod["metadata"]["name"])
    assert pid
    cluster.api.delete(f"/api/v1/namespaces/{namespace}/pods/{pod['metadata']['name']}")
    os.kill(pid, 0)
    until(lambda: cluster.pid(namespace, pod["metadata"]["name"]) is None)
    until(lambda: len(pods(cluster.api, namespace)) == 1)
