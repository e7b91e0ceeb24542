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
from tfcanary.core.plan import Plan


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

    Raises Refused where there is none of that name, or it cannot weigh the baseline that the plan asks for.
    """
    router = router_class(plan.traffic.router)
    if plan.deploy.baseline and Ability.BASELINE not in router.abilities:
        able = " or ".join(f"`{kind}`" for kind, one in known_routers().items() if Ability.BASELINE in one.abilities)
        raise Refused(f"deploy.baseline: traffic.router `{router.kind}` cannot {Ability.BASELINE.value}; use {able}, or no baseline")
    return router(api, model, plan)
