"""The objects that routers of a cluster write: their common parts, their owners, and the traffic that weights mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import Json, Resource
from tfcanary.core.domain import Track, Traffic
from tfcanary.core.errors import Refused

DIVIDED = (Track.STABLE, Track.CANARY)
"""The tracks between which routers divide users' requests."""


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
    """The Services of the tracks between which users' requests are divided."""
    return {object_names.service(model, track): track for track in DIVIDED}


def share(canary: float, stable: float) -> Traffic:
    """The traffic that two weights make. A share is never rounded away: a canary that gets some requests has at least 1 %."""
    if canary <= 0:
        return Traffic()
    if stable <= 0:
        return Traffic(canary=100)
    return Traffic(canary=min(max(round(100 * canary / (canary + stable)), 1), 99))


def namespace_and_name(text: str, namespace: str) -> tuple[str, str]:
    """Namespace and name of `name` or `namespace/name`."""
    place, _, name = text.rpartition("/")
    return place or namespace, name


def address(host: str, port: int | None = None) -> str:
    """The URL of a host."""
    return f"http://{host}" if port in (None, 80) else f"http://{host}:{port}"
