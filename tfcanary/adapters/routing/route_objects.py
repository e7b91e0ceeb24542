"""The objects that routers of a cluster write: how they begin, whose they are, and which share a weight means."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import Json, Resource
from tfcanary.core.domain import Track, TrafficSplit
from tfcanary.core.errors import Refused


def head(resource: Resource, name: str) -> Json:
    """The begin of an object of which we own a part only."""
    return {"apiVersion": resource.api, "kind": resource.kind, "metadata": {"name": name}}


def whole(resource: Resource, name: str, model: str, spec: Mapping[str, Any], annotations: Mapping[str, str] | None = None) -> Json:
    """An object that is ours."""
    metadata = {"name": name, "labels": object_names.labels(model, "router"), **({"annotations": dict(annotations)} if annotations else {})}
    return {**head(resource, name), "metadata": metadata, "spec": dict(spec)}


def is_ours(found: Json, model: str) -> bool:
    """Whether tfcanary made it, for this model."""
    labels = found["metadata"].get("labels") or {}
    return labels.get(object_names.MANAGED_BY) == object_names.MANAGER and labels.get(object_names.MODEL) == model


def check_owner(resource: Resource, found: Json, model: str, adopt: bool, part: str) -> None:
    """Raises Refused where it is another's, and the plan does not adopt it; `part`: what of it we would take."""
    if is_ours(found, model) or adopt:
        return
    name, namespace = found["metadata"]["name"], found["metadata"]["namespace"]
    raise Refused(
        f"{resource.kind} {name} in namespace {namespace} was not made by tfcanary for {model}: "
        f"`adopt: true` in the plan takes over {part}, or `traffic.route` names another one"
    )


def services(model: str) -> dict[str, Track]:
    """The Services of the tracks."""
    return {object_names.service(model, track): track for track in Track}


def share(canary: float, stable: float) -> TrafficSplit:
    """Weights in whole percent. A share is never rounded away: a canary that gets some requests has at least 1 %."""
    if canary <= 0:
        return TrafficSplit(0)
    if stable <= 0:
        return TrafficSplit(100)
    return TrafficSplit(min(max(round(100 * canary / (canary + stable)), 1), 99))


def placed(text: str, namespace: str) -> tuple[str, str]:
    """Namespace and name of `name` or `namespace/name`."""
    place, _, name = text.rpartition("/")
    return place or namespace, name


def address(host: str, port: int | None = None) -> str:
    """Where a host's requests go."""
    return f"http://{host}" if port in (None, 80) else f"http://{host}:{port}"
