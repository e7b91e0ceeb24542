"""Small objects that the cluster's own tests create."""

from __future__ import annotations

import textwrap
from typing import Any

from tests.cluster.api import Api, Json

ANSWER = textwrap.dedent("""
    import http.server, os
    class Answer(http.server.BaseHTTPRequestHandler):
        protocol_version, wbufsize = "HTTP/1.1", -1
        def do_GET(self):
            self.rfile.read(int(self.headers.get("content-length", 0)))
            body = os.environ["SAYS"].encode()
            self.send_response(200)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        do_POST = do_GET
        def log_message(self, *_):
            pass
    http.server.ThreadingHTTPServer((os.environ["POD_IP"], 8501), Answer).serve_forever()
""")
"""A server that answers every request with $SAYS."""
ANSWER_GRPC = textwrap.dedent("""
    import concurrent.futures, grpc, os
    predict = grpc.unary_unary_rpc_method_handler(lambda request, context: os.environ["SAYS"].encode())
    service = grpc.method_handlers_generic_handler("tensorflow.serving.PredictionService", {"Predict": predict})
    server = grpc.server(concurrent.futures.ThreadPoolExecutor(4), handlers=[service])
    server.add_insecure_port(os.environ["POD_IP"] + ":8500")
    server.start()
""")
"""What makes it answer every gRPC request for a prediction with the bytes of $SAYS, too."""


def answering(says: str, grpc: bool = False) -> Json:
    """A container of such a server; `grpc`: it also answers gRPC."""
    probe = {"tcpSocket": {"port": 8501}, "periodSeconds": 1}
    return {
        "name": "server",
        "image": "python:3",
        "command": ["python", "-c", (ANSWER_GRPC if grpc else "") + ANSWER],
        "env": [{"name": "SAYS", "value": says}],
        "ports": [{"name": "rest", "containerPort": 8501}],
        "readinessProbe": probe,
    }


def deployment(name: str, container: Json, replicas: int = 1, labels: dict[str, str] | None = None, **pod: Any) -> Json:
    labels = {"app": name, **(labels or {})}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container], "terminationGracePeriodSeconds": 2, **pod}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def service(name: str, **selector: str) -> Json:
    ports = [{"name": "rest", "port": 8501, "targetPort": 8501}]
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": name},
        "spec": {"selector": selector or {"app": name}, "ports": ports},
    }


def pods(api: Api, namespace: str, **labels: str) -> list[Json]:
    """Those that are not on their way out."""
    selector = ",".join(f"{key}={value}" for key, value in labels.items())
    found = api.items(f"/api/v1/namespaces/{namespace}/pods", labelSelector=selector)
    return [pod for pod in found if "deletionTimestamp" not in pod["metadata"]]


def available(api: Api, namespace: str, name: str) -> int:
    """How many replicas of a Deployment are."""
    return int(api.get(f"/apis/apps/v1/namespaces/{namespace}/deployments/{name}")["status"].get("availableReplicas", 0))


def container_status(api: Api, namespace: str, **labels: str) -> Json:
    """Of the first container of the first pod; empty as long as there is none."""
    found = [status for pod in pods(api, namespace, **labels) for status in pod["status"].get("containerStatuses", [])]
    return dict(found[0]) if found else {}
