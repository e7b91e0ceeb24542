"""The routers of a cluster, by the plan's name for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json, Resource
from tfcanary.adapters.routing.gateway import GatewayRouter
from tfcanary.adapters.routing.istio import IstioRouter
from tfcanary.adapters.routing.nginx import NginxRouter
from tfcanary.adapters.routing.replicas import ReplicasRouter
from tfcanary.core.domain import TrafficSplit
from tfcanary.core.plan import Plan, RouterKind
from tfcanary.core.ports import Router


class ClusterRouter(Router, Protocol):
    """A Router that also says beforehand what it can do, and what it will write."""

    def check(self, weights: Sequence[int]) -> None:
        """Asks only. Raises Refused for a weight that cannot be had, and for a route that is missing, another's, or none of ours."""

    def objects(self, split: TrafficSplit) -> tuple[tuple[Resource, Json], ...]:
        """What `set_split` would apply, in order. Asks, and writes nothing."""


def open_router(api: Api, model: str, plan: Plan) -> ClusterRouter:
    """The router that the plan names; nothing is asked yet."""
    kinds: dict[RouterKind, type[GatewayRouter | IstioRouter | NginxRouter | ReplicasRouter]] = {
        RouterKind.GATEWAY: GatewayRouter,
        RouterKind.ISTIO: IstioRouter,
        RouterKind.NGINX: NginxRouter,
        RouterKind.REPLICAS: ReplicasRouter,
    }
    return kinds[plan.traffic.router](api, model, plan)
