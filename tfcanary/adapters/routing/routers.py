"""The routers of a cluster, by the plan's word for them: every class of this folder that describes itself as one."""

from __future__ import annotations

import importlib
import pkgutil

from tfcanary.adapters import routing
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.routing import cluster_router
from tfcanary.adapters.routing.abilities import Ability
from tfcanary.adapters.routing.cluster_router import ClusterRouter
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Entrance, Plan


def known_routers() -> dict[str, type[ClusterRouter]]:
    """The routers by their kind, in alphabetical order."""
    for module in pkgutil.iter_modules(routing.__path__):
        importlib.import_module(f"{routing.__name__}.{module.name}")
    return dict(sorted(cluster_router.KNOWN.items()))


def router_class(kind: str) -> type[ClusterRouter]:
    """The router of this kind. Raises Refused, naming the known ones, where there is none."""
    known = known_routers()
    if kind not in known:
        raise Refused(f"traffic.router {kind!r}: is not known; must be one of {', '.join(known)}")
    return known[kind]


def open_router(api: Api, model: str, plan: Plan) -> ClusterRouter:
    """The router that the plan names, bound to a model; nothing is asked yet.

    Raises Refused where there is none of that name, or it cannot do what the plan asks for.
    """
    router = router_class(plan.traffic.router)
    if plan.deploy.baseline:
        _check_able(router, "deploy.baseline", Ability.BASELINE, "no baseline")
    if Entrance.GRPC in plan.traffic.entrances:
        _check_able(router, "traffic.entrances", Ability.GRPC, f"`{Entrance.REST.value}` alone")
    return router(api, model, plan)


def _check_able(router: type[ClusterRouter], field: str, ability: Ability, otherwise: str) -> None:
    if ability not in router.abilities:
        able = " or ".join(f"`{kind}`" for kind, one in known_routers().items() if ability in one.abilities)
        raise Refused(f"{field}: traffic.router `{router.kind}` cannot {ability.value}; use {able}, or {otherwise}")
