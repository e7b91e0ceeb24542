"""How users' requests get to a model on a cluster, looked at before there is a route: the router's kinds, and the Gateway that must take us in."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcanary.adapters.doctor_checks import CheckResult
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import (
    DESTINATION_RULES,
    GATEWAYS,
    HTTP_ROUTES,
    INGRESS_CLASSES,
    INGRESSES,
    ISTIO_GATEWAYS,
    NAMESPACES,
    VIRTUAL_SERVICES,
    Resource,
)
from tfcanary.adapters.routing import MESH, placed
from tfcanary.core.domain import Finding
from tfcanary.core.errors import Refused
from tfcanary.core.plan import RouterKind, TrafficPlan

KINDS: Mapping[RouterKind, tuple[Resource, ...]] = {
    RouterKind.GATEWAY: (HTTP_ROUTES, GATEWAYS),
    RouterKind.ISTIO: (VIRTUAL_SERVICES, DESTINATION_RULES, ISTIO_GATEWAYS),
    RouterKind.NGINX: (INGRESSES,),
    RouterKind.REPLICAS: (),
}
"""What each router reads and writes."""
NGINX = "k8s.io/ingress-nginx"
"""The controller whose annotations we write."""

Json = dict[str, Any]


def kinds(api: Api, router: RouterKind) -> CheckResult:
    """Whether the cluster has the router's kinds, in the version that we speak."""
    if not KINDS[router]:
        return Finding.PASS, f"router `{router}` needs no kind of its own"
    group, _, version = KINDS[router][0].api.rpartition("/")
    served = api.group_versions(group)
    needs = KINDS[router][0].needs or "a newer cluster"
    if not served:
        return Finding.FAIL, f"traffic.router `{router}`: the cluster does not know {group}; install {needs}"
    if lacks := [one.plural for one in KINDS[router] if one.plural not in served.get(version, ())]:
        there = ", ".join(sorted(served))
        return (
            Finding.FAIL,
            f"traffic.router `{router}`: no {', '.join(lacks)} of {group}/{version} (served: {there}); install a newer {needs}",
        )
    return Finding.PASS, f"{', '.join(one.plural for one in KINDS[router])} of {group}/{version}"


def gateway(api: Api, traffic: TrafficPlan) -> CheckResult:
    """Whether what `traffic.gateway` names exists, is served, and takes routes of our namespace."""
    looks = {RouterKind.GATEWAY: _gateway, RouterKind.ISTIO: _istio, RouterKind.NGINX: _ingress_class}
    look = looks.get(traffic.router)
    if look is None:
        return Finding.PASS, f"router `{traffic.router}` has no way in but the Service"
    if not traffic.gateway:
        return Finding.WARN, "traffic.gateway: the plan names none, which will do only where the route exists already"
    return look(api, traffic)


def _gateway(api: Api, traffic: TrafficPlan) -> CheckResult:
    namespace, name = placed(traffic.gateway, api.namespace)
    found = api.elsewhere(namespace).get(GATEWAYS, name)
    if found is None:
        return (
            Finding.FAIL,
            f"traffic.gateway {traffic.gateway!r}: there is no Gateway {name} in namespace {namespace}; create it, or name another",
        )
    conditions = {one["type"]: one for one in (found.get("status") or {}).get("conditions") or ()}
    for kind in ("Accepted", "Programmed"):
        said = conditions.get(kind, {})
        if said.get("status") == "False":
            return (
                Finding.FAIL,
                f"Gateway {name} in namespace {namespace} is not in force: {kind} is False, {said.get('reason')}: {said.get('message')}",
            )
    listeners = found["spec"].get("listeners") or ()
    if not any(_takes(api, one, namespace) for one in listeners):
        return (
            Finding.FAIL,
            f"Gateway {name} in namespace {namespace}: none of its {len(listeners)} listeners takes HTTPRoutes of namespace {api.namespace}; "
            "set `allowedRoutes.namespaces` of one",
        )
    if conditions.get("Accepted", {}).get("status") != "True":
        return (
            Finding.WARN,
            f"Gateway {name} in namespace {namespace}: no controller says that it serves it; is one of class {found['spec'].get('gatewayClassName')} running?",
        )
    return Finding.PASS, f"Gateway {name} in namespace {namespace} is in force, and takes routes of namespace {api.namespace}"


def _takes(api: Api, listener: Json, namespace: str) -> bool:
    """Whether a listener takes HTTPRoutes of our namespace."""
    allowed = listener.get("allowedRoutes") or {}
    if (wanted := allowed.get("kinds")) and "HTTPRoute" not in [one.get("kind") for one in wanted]:
        return False
    if listener.get("protocol", "HTTP") not in ("HTTP", "HTTPS"):
        return False
    places = allowed.get("namespaces") or {}
    match places.get("from", "Same"):
        case "All":
            return True
        case "Selector":
            labels = ((api.get(NAMESPACES, api.namespace) or {}).get("metadata") or {}).get("labels") or {}
            return selects(places.get("selector") or {}, labels)
        case "Same":
            return namespace == api.namespace
    return False


def selects(selector: Json, labels: Mapping[str, str]) -> bool:
    """Whether a label selector of Kubernetes' selects these labels."""
    plain = all(labels.get(name) == value for name, value in (selector.get("matchLabels") or {}).items())
    return plain and all(_holds(one, labels) for one in selector.get("matchExpressions") or ())


def _holds(expression: Json, labels: Mapping[str, str]) -> bool:
    value, values = labels.get(expression["key"]), expression.get("values") or ()
    match expression["operator"]:
        case "In":
            return value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
    return value is None


def _istio(api: Api, traffic: TrafficPlan) -> CheckResult:
    if traffic.gateway == MESH:
        return Finding.PASS, f"`{MESH}`: clients within the mesh, for {', '.join(traffic.hostnames) or 'no host'}"
    namespace, name = placed(traffic.gateway, api.namespace)
    found = api.elsewhere(namespace).get(ISTIO_GATEWAYS, name)
    if found is None:
        return (
            Finding.FAIL,
            f"traffic.gateway {traffic.gateway!r}: there is no Gateway {name} of Istio in namespace {namespace}; create it, or name another",
        )
    hosts = [host for server in found["spec"].get("servers") or () for host in server.get("hosts") or ()]
    places = [host.rpartition("/")[0] or "*" for host in hosts]
    if not any(place in ("*", api.namespace) or (place == "." and namespace == api.namespace) for place in places):
        return (
            Finding.FAIL,
            f"Gateway {name} in namespace {namespace} takes {', '.join(hosts) or 'no hosts'}, and none for namespace {api.namespace}; add one",
        )
    return Finding.PASS, f"Gateway {name} in namespace {namespace} takes hosts of namespace {api.namespace}"


def _ingress_class(api: Api, traffic: TrafficPlan) -> CheckResult:
    try:
        found = api.get(INGRESS_CLASSES, traffic.gateway)
    except Refused as error:
        return Finding.WARN, f"traffic.gateway {traffic.gateway!r}: whether there is such an ingress class is unknown: {error}"
    if found is None:
        return Finding.FAIL, f"traffic.gateway {traffic.gateway!r}: there is no such ingress class; install ingress-nginx, or name another"
    controller = str(found["spec"].get("controller", ""))
    if not controller.startswith(NGINX):
        return Finding.FAIL, f"ingress class {traffic.gateway} is {controller}'s: only {NGINX} understands canary annotations; name another"
    return Finding.PASS, f"ingress class {traffic.gateway} is {controller}'s"
