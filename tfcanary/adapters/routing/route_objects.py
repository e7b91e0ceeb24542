"""The objects that routers of a cluster write: their common parts, their owners, and the traffic that weights mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import Json, Resource
from tfcanary.core.domain import Track, Traffic
from tfcanary.core.errors import Refused

DIVIDED = (Track.STABLE, Track.CANARY)
"""The tracks between which every router divides users' requests."""
WEIGHED = (*DIVIDED, Track.BASELINE)
"""The tracks between which a route with weights divides them."""


def head(resource: Resource, name: str, annotations: Mapping[str, str] | None = None) -> Json:
    """The beginning of an object of which only a part is ours."""
    metadata = {"name": name, **({"annotations": dict(annotations)} if annotations else {})}
    return {"apiVersion": resource.api, "kind": resource.kind, "metadata": metadata}


def whole(resource: Resource, name: str, model: str, spec: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> Json:
    """An object that is ours as a whole."""
    begin = head(resource, name, annotations)
    return {**begin, "metadata": {**begin["metadata"], "labels": object_names.labels(model, "router")}, "spec": dict(spec)}


def is_ours(found: Json, model: str) -> bool:
    """Whether tfcanary made an object, for this model."""
    labels = found["metadata"].get("labels") or {}
    return labels.get(object_names.MANAGED_BY) == object_names.MANAGER and labels.get(object_names.MODEL) == model


def check_owner(resource: Resource, found: Json, model: str, adopt: bool, part: str) -> None:
    """Raises Refused for an object that is another's and that the plan does not adopt; `part` is what of it would become ours."""
    if is_ours(found, model) or adopt:
        return
    name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
    raise Refused(
        f"{resource.kind} {name} in namespace {namespace} was not made by tfcanary for {model}: "
        f"`adopt: true` in the plan takes over {part}, or `traffic.route` names another one"
    )


def services(model: str) -> dict[str, Track]:
    """The Services of the tracks between which a route with weights divides users' requests."""
    return {object_names.service(model, track): track for track in WEIGHED}


def share(canary: float, stable: float, baseline: float = 0.0) -> Traffic:
    """The traffic that weights make. A share is never rounded away: a track that gets some requests has at least 1 %."""
    total = canary + stable + baseline
    first, second = (_percent(weight, total) for weight in (canary, baseline))
    return Traffic(canary=first, baseline=min(second, 100 - first))


def _percent(weight: float, total: float) -> int:
    if weight <= 0:
        return 0
    return 100 if weight >= total else min(max(round(100 * weight / total), 1), 99)


def namespace_and_name(text: str, namespace: str) -> tuple[str, str]:
    """Namespace and name of `name` or `namespace/name`."""
    place, _, name = text.rpartition("/")
    return place or namespace, name


def address(host: str, port: int | None = None) -> str:
    """The URL of a host."""
    return f"http://{host}" if port in (None, 80) else f"http://{host}:{port}"
