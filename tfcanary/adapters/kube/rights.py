"""Which rights a release needs in the namespace: one list, for what is refused before a release and for `tfcanary doctor`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import (
    CONFIG_MAPS,
    DEPLOYMENTS,
    DESTINATION_RULES,
    ENDPOINT_SLICES,
    GATEWAYS,
    HTTP_ROUTES,
    INGRESSES,
    ISTIO_GATEWAYS,
    PODS,
    SERVICES,
    VIRTUAL_SERVICES,
    Resource,
)
from tfcanary.adapters.routing import MESH, placed
from tfcanary.core.plan import RouterKind, TrafficPlan

WRITE = ("get", "create", "patch")
"""Server-side apply is `patch`, and `create` where there is nothing yet."""


@dataclass(frozen=True, slots=True)
class Right:
    """Verbs on one kind."""

    resource: Resource
    verbs: tuple[str, ...]
    namespace: str = ""
    """Empty: the model's."""


EVERY = (
    Right(CONFIG_MAPS, (*WRITE, "list", "delete")),
    Right(DEPLOYMENTS, (*WRITE, "list", "delete")),
    Right(SERVICES, WRITE),
    Right(PODS, ("list",)),
    Right(ENDPOINT_SLICES, ("list",)),
)
"""Of the steps, and of whoever runs `release`, `abort` or `adopt`; the router adds its own."""
OF_GUARD = (
    Right(CONFIG_MAPS, ("get", "list", "patch", "delete")),
    Right(DEPLOYMENTS, ("get", "list", "delete")),
    Right(SERVICES, WRITE),
    Right(PODS, ("list",)),
    Right(ENDPOINT_SLICES, ("list",)),
)
"""It starts no server and changes none."""
ROUTES = {RouterKind.GATEWAY: HTTP_ROUTES, RouterKind.ISTIO: VIRTUAL_SERVICES, RouterKind.NGINX: INGRESSES}
"""The kind of the route; `replicas` has none."""
WAYS_IN = {RouterKind.GATEWAY: GATEWAYS, RouterKind.ISTIO: ISTIO_GATEWAYS}
"""What the plan's `traffic.gateway` names, where it is read."""


def of_steps(traffic: TrafficPlan, namespace: str) -> tuple[Right, ...]:
    """All that the steps need for a release with this router."""
    return (*EVERY, *_of_route(traffic), *_of_rules(traffic), *_of_way_in(traffic, namespace))


def of_guard(traffic: TrafficPlan) -> tuple[Right, ...]:
    """All that the guard needs: it puts the route back, and needs nothing beside it."""
    return (*OF_GUARD, *_of_route(traffic))


def _of_route(traffic: TrafficPlan) -> Iterator[Right]:
    if route := ROUTES.get(traffic.router):
        yield Right(route, WRITE)


def _of_rules(traffic: TrafficPlan) -> Iterator[Right]:
    if traffic.router is RouterKind.ISTIO:
        yield Right(DESTINATION_RULES, ("list", "create", "patch"))


def _of_way_in(traffic: TrafficPlan, namespace: str) -> Iterator[Right]:
    kind = WAYS_IN.get(traffic.router)
    if kind and traffic.gateway not in ("", MESH):
        place, _ = placed(traffic.gateway, namespace)
        yield Right(kind, ("get",), place if place != namespace else "")


def lacking(api: Api, rights: Iterable[Right], account: str = "") -> list[str]:
    """What is not allowed, for people: `patch deployments.apps`. `account`: a service account `namespace/name`; empty: whoever asks."""
    return [
        f"{verb} {_named(right)}"
        for right in rights
        for verb in right.verbs
        if not (api.elsewhere(right.namespace) if right.namespace else api).is_allowed(verb, right.resource, account)
    ]


def _named(right: Right) -> str:
    kind = ".".join(part for part in (right.resource.plural, right.resource.group) if part)
    return f"{kind} in namespace {right.namespace}" if right.namespace else kind
