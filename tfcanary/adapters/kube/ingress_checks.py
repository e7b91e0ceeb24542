"""How users' requests get to a model on a cluster, looked at before there is a route: the router's kinds, and its way in."""

from __future__ import annotations

from tfcanary.adapters.doctor_checks import CheckResult
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.routing import open_router, router_class
from tfcanary.core.domain import Finding
from tfcanary.core.plan import Plan


def kinds(api: Api, router: str) -> CheckResult:
    """Whether the cluster has the router's kinds, in the version that tfcanary uses. Raises Refused for a router that is not known."""
    wanted = router_class(router).resources
    if not wanted:
        return Finding.PASS, f"router `{router}` needs no kind of its own"
    group, _, version = wanted[0].api.rpartition("/")
    served = api.served_versions(group)
    needs = wanted[0].needs or "a newer cluster"
    if not served:
        return Finding.FAIL, f"traffic.router `{router}`: the cluster does not know {group}; install {needs}"
    if lacks := [one.plural for one in wanted if one.plural not in served.get(version, ())]:
        there = ", ".join(sorted(served))
        return (
            Finding.FAIL,
            f"traffic.router `{router}`: no {', '.join(lacks)} of {group}/{version} (served: {there}); install a newer {needs}",
        )
    return Finding.PASS, f"{', '.join(one.plural for one in wanted)} of {group}/{version}"


def gateway(api: Api, plan: Plan) -> CheckResult:
    """Whether what `traffic.gateway` names exists, is in force, and takes routes of the namespace."""
    if router_class(plan.traffic.router).resources and not plan.traffic.gateway:
        return Finding.WARN, "traffic.gateway: the plan names none, which will do only where the route exists already"
    return open_router(api, "", plan).entrance()
