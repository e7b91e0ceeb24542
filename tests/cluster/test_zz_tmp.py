import time
import pytest
from tests.cluster.manifests import answering, available, deployment, pods
from tests.cluster.waiting import until

@pytest.mark.parametrize("i", [7,9,10,11])
def test_x(cluster, namespace, i):
    spread = {"maxSkew": 1, "topologyKey": "kubernetes.io/hostname", "whenUnsatisfiable": "ScheduleAnyway"}
    constraints = [{**spread, "labelSelector": {"matchLabels": {"app": "web"}}}]
    cluster.apply([deployment("web", answering("hello"), replicas=4, topologySpreadConstraints=constraints)], namespace)
    until(lambda: available(cluster.api, namespace, "web"), lambda ready: ready == 4)
    assert {pod["spec"]["nodeName"] for pod in pods(cluster.api, namespace)} == {"a", "b"}
    cluster.nodes["b"].lose()
    time.sleep(i)
