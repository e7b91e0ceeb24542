"""The rights that a release needs in the namespace: one list, for what is refused before a release and for `tfcanary doctor`."""

from __future__ import annotations

from collections.abc import Iterable

from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import (
    AUTOSCALERS,
    CONFIG_MAPS,
    DEPLOYMENTS,
    DISRUPTION_BUDGETS,
    ENDPOINT_SLICES,
    PODS,
    SERVICES,
    WRITE,
    Right,
)
from tfcanary.adapters.routing import router_class
from tfcanary.core.plan import TrafficPlan

EVERY = (
    Right(CONFIG_MAPS, (*WRITE, "list", "delete")),
    Right(DEPLOYMENTS, (*WRITE, "list", "delete")),
    Right(SERVICES, (*WRITE, "list")),
    Right(DISRUPTION_BUDGETS, WRITE),
    Right(PODS, ("list",)),
    Right(ENDPOINT_SLICES, ("list",)),
)
"""The rights of the steps, and of whoever runs `release`, `abort` or `adopt`; the router adds its own."""
OF_GUARD = (
    Right(CONFIG_MAPS, ("get", "list", "patch", "delete")),
    Right(DEPLOYMENTS, ("get", "list", "delete")),
    Right(SERVICES, (*WRITE, "list")),
    Right(PODS, ("list",)),
    Right(ENDPOINT_SLICES, ("list",)),
)
"""The rights of the guard, which starts no server and changes none; the router adds its own."""


SCALING = (Right(AUTOSCALERS, (*WRITE, "list")),)
"""The rights of the steps where the plan has `scaling`: deploy/scaling."""
GUARD_SCALING = (Right(AUTOSCALERS, ("get", "list", "patch")),)
"""Those of the guard, which lets stable become smaller again."""


def of_steps(traffic: TrafficPlan, namespace: str, scaling: bool = False) -> tuple[Right, ...]:
    """All rights that the steps need for a release with the plan's router, and with autoscalers or without.

    Raises Refused for a router that is not known.
    """
    return (*EVERY, *(SCALING if scaling else ()), *router_class(traffic.router).rights(traffic, namespace))


def of_guard(traffic: TrafficPlan, scaling: bool = False) -> tuple[Right, ...]:
    """All rights that the guard needs, likewise. Raises Refused for a router that is not known."""
    return (*OF_GUARD, *(GUARD_SCALING if scaling else ()), *router_class(traffic.router).guard_rights())


def lacking(api: Api, rights: Iterable[Right], account: str = "") -> list[str]:
    """The rights that are not granted, for people: `patch deployments.apps`.

    `account` is a service account `namespace/name`; empty: the caller's own.
    """
    return [
        f"{verb} {_named(right)}"
        for right in rights
        for verb in right.verbs
        if not (api.elsewhere(right.namespace) if right.namespace else api).is_allowed(verb, right.resource, account)
    ]


def _named(right: Right) -> str:
    kind = ".".join(part for part in (right.resource.plural, right.resource.group) if part)
    return f"{kind} in namespace {right.namespace}" if right.namespace else kind
