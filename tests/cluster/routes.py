"""What route objects mean: which share of the requests each Service gets. Pure, and as the real data planes do it.

Where they differ: a share of a Service that does not exist is answered with 500 by the Gateway API and with 503 by the others;
NGINX sends nobody to a canary that has no endpoint that is ready.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial

from tests.cluster.api import Json

NGINX = "nginx.ingress.kubernetes.io/"


@dataclass(frozen=True)
class Backend:
    """A port of a Service: its number, or its name."""

    service: str
    port: int | str


@dataclass(frozen=True)
class Rule:
    """Requests with these headers (all, where there are none) below this path, divided."""

    shares: tuple[tuple[Backend, int], ...]
    prefix: str = "/"
    headers: tuple[tuple[str, str], ...] = ()
    mirror: Backend | None = None
    missing: int = 503
    """The answer where a Service does not exist, or nobody has a weight."""


Ready = Callable[[Backend], list[tuple[str, int]] | None]
"""Address and port of each endpoint that is ready; None where there is no such Service."""


def endpoints(services: Mapping[str, Json], slices: Mapping[str, Json]) -> Ready:
    """What Services, by name, and EndpointSlices say."""
    return partial(_endpoints, services, slices.values())


def _endpoints(services: Mapping[str, Json], slices: Iterable[Json], backend: Backend) -> list[tuple[str, int]] | None:
    ports = services[backend.service]["spec"].get("ports", []) if backend.service in services else []
    names = [one.get("name", "") for one in ports if backend.port in (one["port"], one.get("name"))]
    if not names:
        return None
    mine = [one for one in slices if one["metadata"].get("labels", {}).get("kubernetes.io/service-name") == backend.service]
    return sorted(
        (address, port["port"])
        for one in mine
        for port in one["ports"] or []
        if port.get("name", "") == names[0]
        for endpoint in one["endpoints"] or []
        if endpoint["conditions"]["ready"]
        for address in endpoint["addresses"]
    )


def http2(services: Mapping[str, Json]) -> set[Backend]:
    """The ports of Services that say that they are to be asked in HTTP/2 without TLS."""
    ports = [(name, one) for name, service in services.items() for one in service["spec"].get("ports", [])]
    return {Backend(name, one["port"]) for name, one in ports if one.get("appProtocol") == "kubernetes.io/h2c"}


def of_service(document: Json) -> list[Rule]:
    """All endpoints that are ready, in turn. A Service has a port for gRPC; here both protocols come by one."""
    name, port = document["metadata"]["name"], document["spec"]["ports"][0]["port"]
    ports = [one["port"] for one in document["spec"]["ports"]]
    grpc = [Rule(((Backend(name, 8500), 1),), prefix="/tensorflow.serving.")] if 8500 in ports else []
    return [*grpc, Rule(((Backend(name, 8501 if 8501 in ports else port), 1),))]


def of_http_route(document: Json) -> list[Rule]:
    """The more a rule asks for, the earlier it comes."""
    rules = [_http_rule(rule, match) for rule in document["spec"].get("rules", []) for match in rule.get("matches") or [{}]]
    return sorted(rules, key=lambda rule: (-len(rule.prefix), -len(rule.headers)))


def _http_rule(rule: Json, match: Json) -> Rule:
    mirrors = [one["requestMirror"]["backendRef"] for one in rule.get("filters", []) if one["type"] == "RequestMirror"]
    return Rule(
        shares=tuple((_ref(ref), ref.get("weight", 1)) for ref in rule.get("backendRefs", [])),
        prefix=match.get("path", {}).get("value", "/"),
        headers=tuple((one["name"], one["value"]) for one in match.get("headers", [])),
        mirror=_ref(mirrors[0]) if mirrors else None,
        missing=500,
    )


def _ref(ref: Json) -> Backend:
    return Backend(ref["name"], ref["port"])


def of_virtual_service(document: Json) -> list[Rule]:
    """In the order in which they are written. A subset is not looked at."""
    return [_virtual_rule(http, match) for http in document["spec"].get("http", []) for match in http.get("match") or [{}]]


def _virtual_rule(http: Json, match: Json) -> Rule:
    routes = http.get("route", [])
    alone = 100 if len(routes) == 1 else 0
    return Rule(
        shares=tuple((_destination(one["destination"]), one.get("weight", alone)) for one in routes),
        prefix=match.get("uri", {}).get("prefix", "/"),
        headers=tuple((name, value["exact"]) for name, value in match.get("headers", {}).items()),
        mirror=_destination(http["mirror"]) if "mirror" in http else None,
    )


def _destination(destination: Json) -> Backend:
    """By its short name, or `name.namespace.svc.cluster.local`."""
    return Backend(destination["host"].partition(".")[0], destination.get("port", {}).get("number", 8501))


def of_ingress(main: Json, others: Iterable[Json], ready: Callable[[Backend], bool]) -> list[Rule]:
    """The first path of an Ingress, and a share for the canary that has the same host and path."""
    path = _path(main)
    stable = _ingress_backend(path)
    for canary in others:
        if _note(canary, "canary") == "true" and (_host(canary), _path(canary).get("path")) == (_host(main), path.get("path")):
            backend = _ingress_backend(_path(canary))
            if ready(stable) and ready(backend):
                return [*_by_header(canary, backend), _by_weight(canary, stable, backend)]
    return [Rule(((stable, 1),))]


def _by_header(canary: Json, backend: Backend) -> list[Rule]:
    header = _note(canary, "canary-by-header")
    return [Rule(((backend, 1),), headers=((header, _note(canary, "canary-by-header-value") or "always"),))] if header else []


def _by_weight(canary: Json, stable: Backend, backend: Backend) -> Rule:
    weight, total = int(_note(canary, "canary-weight") or 0), int(_note(canary, "canary-weight-total") or 100)
    return Rule(((stable, max(total - weight, 0)), (backend, min(weight, total))))


def _note(ingress: Json, name: str) -> str:
    return str(ingress["metadata"].get("annotations", {}).get(NGINX + name, ""))


def _host(ingress: Json) -> str:
    return str(ingress["spec"]["rules"][0].get("host", ""))


def _path(ingress: Json) -> Json:
    found: Json = ingress["spec"]["rules"][0]["http"]["paths"][0]
    return found


def _ingress_backend(path: Json) -> Backend:
    service = path["backend"]["service"]
    return Backend(service["name"], service["port"].get("number") or service["port"]["name"])
