"""Envoy's configuration for a gateway, as pure functions: everything but the listener is in files that it watches."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path

from tests.cluster.api import Json
from tests.cluster.controlplane import HERE
from tests.cluster.routes import Backend, Rule

TABLE = "gateway"
TIMEOUT = "60s"
"""Of one request."""
IDLE = "30s"
"""Shorter than the servers' own keep-alive."""
AT_ONCE = 100_000
"""Connections and requests: not Envoy, but the servers are the limit."""
NOBODY = "nobody"
"""A cluster that does not exist."""
NOT_FOUND = {500: "INTERNAL_SERVER_ERROR", 503: "SERVICE_UNAVAILABLE"}

_TYPE = "type.googleapis.com/envoy"
_HTTP = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"

Endpoints = Mapping[Backend, Sequence[tuple[str, int]]]
"""Address and port of what is ready, of each Service that exists."""


def name(backend: Backend) -> str:
    return re.sub(r"[^\w-]", "_", f"{backend.service}_{backend.port}")


def bootstrap(port: int, folder: Path) -> Json:
    """Complete but for the files."""
    return {
        "node": {"id": "gateway", "cluster": "tests"},
        "admin": {"address": _socket(HERE, 0)},
        "dynamic_resources": {"cds_config": _watched(folder / "clusters" / "clusters.json")},
        "static_resources": {"listeners": [_listener(port, folder)]},
    }


def clusters(backends: Sequence[Backend], http2: Container[Backend], folder: Path) -> Json:
    """`http2` are the backends that are asked in HTTP/2, as gRPC needs it."""
    return {"resources": [_cluster(name(backend), backend in http2, folder) for backend in backends]}


def endpoints(backend: Backend, ready: Sequence[tuple[str, int]]) -> Json:
    listed = [{"endpoint": {"address": _socket(address, port)}} for address, port in ready]
    kind = f"{_TYPE}.config.endpoint.v3.ClusterLoadAssignment"
    return {"resources": [{"@type": kind, "cluster_name": name(backend), "endpoints": [{"lb_endpoints": listed}]}]}


def table(rules: Sequence[Rule], known: Endpoints, number: int) -> Json:
    """The route table; `number` is shown by the admin page once it is in force."""
    routes = [_route(rule, known) for rule in rules]
    host = {"name": str(number), "domains": ["*"], "routes": routes}
    kind = f"{_TYPE}.config.route.v3.RouteConfiguration"
    return {"resources": [{"@type": kind, "name": TABLE, "virtual_hosts": [host]}]}


def number_in(dump: Json) -> int:
    """The number of the table in Envoy's `/config_dump`; 0 where none is in force."""
    found = [one for config in dump["configs"] for one in config.get("dynamic_route_configs", ())]
    return int(found[0]["route_config"]["virtual_hosts"][0]["name"]) if found else 0


def _route(rule: Rule, known: Endpoints) -> Json:
    headers = [{"name": header, "string_match": {"exact": value}} for header, value in rule.headers]
    match = {"prefix": rule.prefix, "headers": headers}
    if not sum(weight for _, weight in rule.shares):
        return {"match": match, "direct_response": {"status": rule.missing, "body": {"inline_string": HTTPStatus(rule.missing).phrase}}}
    weighted = [{"name": name(backend) if backend in known else NOBODY, "weight": weight} for backend, weight in rule.shares]
    mirrors = [{"cluster": name(rule.mirror)}] if rule.mirror in known and rule.mirror else []
    action = {"weighted_clusters": {"clusters": weighted}, "timeout": TIMEOUT, "request_mirror_policies": mirrors}
    return {"match": match, "route": {**action, "cluster_not_found_response_code": NOT_FOUND[rule.missing]}}


def _listener(port: int, folder: Path) -> Json:
    manager = f"{_TYPE}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    router = {"@type": f"{_TYPE}.extensions.filters.http.router.v3.Router"}
    connection = {
        "@type": manager,
        "stat_prefix": TABLE,
        "rds": {"route_config_name": TABLE, "config_source": _watched(folder / "routes" / "table.json")},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": router}],
    }
    filters = [{"name": "envoy.filters.network.http_connection_manager", "typed_config": connection}]
    return {"name": TABLE, "address": _socket(HERE, port), "enable_reuse_port": False, "filter_chains": [{"filters": filters}]}


def _cluster(cluster: str, http2: bool, folder: Path) -> Json:
    options = {
        "@type": f"type.googleapis.com/{_HTTP}",
        "common_http_protocol_options": {"idle_timeout": IDLE},
        "explicit_http_config": {"http2_protocol_options" if http2 else "http_protocol_options": {}},
    }
    return {
        "@type": f"{_TYPE}.config.cluster.v3.Cluster",
        "name": cluster,
        "type": "EDS",
        "eds_cluster_config": {"eds_config": _watched(folder / "endpoints" / f"{cluster}.json")},
        "connect_timeout": "5s",
        "circuit_breakers": {"thresholds": [{"max_connections": AT_ONCE, "max_pending_requests": AT_ONCE, "max_requests": AT_ONCE}]},
        "typed_extension_protocol_options": {_HTTP: options},
    }


def _watched(file: Path) -> Json:
    return {"resource_api_version": "V3", "path_config_source": {"path": str(file), "watched_directory": {"path": str(file.parent)}}}


def _socket(address: str, port: int) -> Json:
    return {"socket_address": {"address": address, "port_value": port}}
