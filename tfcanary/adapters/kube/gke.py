"""What Google's own Gateway needs beside the route: a HealthCheckPolicy for each Service, for TensorFlow Serving answers GET / with 404."""

from __future__ import annotations

import json
from collections.abc import Iterable

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Json, Resource
from tfcanary.adapters.routing import namespace_and_name
from tfcanary.adapters.routing.gateway import GATEWAYS
from tfcanary.adapters.routing.route_objects import WEIGHED
from tfcanary.core.errors import Refused
from tfcanary.core.plan import Plan

POLICIES = Resource("networking.gke.io/v1", "healthcheckpolicies", "HealthCheckPolicy", needs="the Gateway controller of GKE")
CLASSES = "gke-l7-"
"""How the names of GKE's gateway classes begin."""


def missing_health_checks(api: Api, plan: Plan, model: str) -> str:
    """What is missing in front of the model's Services, with the manifest that mends it; empty where nothing is, or the Gateway is not GKE's.

    Raises Refused where the Gateway may not be read.
    """
    if plan.traffic.router != "gateway" or not plan.traffic.gateway:
        return ""
    namespace, name = namespace_and_name(plan.traffic.gateway, api.namespace)
    found = api.elsewhere(namespace).get(GATEWAYS, name)
    kind = str(found["spec"].get("gatewayClassName", "")) if found else ""
    if not kind.startswith(CLASSES):
        return ""
    services = [object_names.service(model, track) for track in WEIGHED]
    try:
        lacks = [name for name in services if name not in _targets(api.list(POLICIES))]
        why = f"no HealthCheckPolicy targets {', '.join(lacks)}"
    except Refused as error:
        lacks, why = services, f"whether a HealthCheckPolicy targets {', '.join(services)} is unknown ({error})"
    if not lacks:
        return ""
    return (
        f"Gateway {name} is of class {kind}: {why}, and GKE's own check asks for /, which TensorFlow Serving answers with 404; "
        f"kubectl apply -n {api.namespace} -f - <<< '{manifest(model, lacks)}'"
    )


def manifest(model: str, services: Iterable[str]) -> str:
    """The policies for these Services, as one line of JSON."""
    check = {"type": "HTTP", "httpHealthCheck": {"port": object_names.REST, "requestPath": f"/v1/models/{model}"}}
    items = [
        {
            "apiVersion": POLICIES.api,
            "kind": POLICIES.kind,
            "metadata": {"name": service},
            "spec": {"default": {"config": check}, "targetRef": {"group": "", "kind": "Service", "name": service}},
        }
        for service in services
    ]
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": items})


def _targets(policies: Iterable[Json]) -> set[str]:
    return {str(target.get("name")) for one in policies if (target := one["spec"].get("targetRef") or {}).get("kind") == "Service"}
