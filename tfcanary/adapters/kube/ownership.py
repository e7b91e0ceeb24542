"""Whose an object is, and writes that end in one sentence where somebody else's would be written over."""

from __future__ import annotations

from typing import Any

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.api import Api
from tfcanary.adapters.kubeclient.resources import Resource
from tfcanary.core.errors import Conflict, Refused

Json = dict[str, Any]

NOISE = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
"""Of an object's metadata: what the API server keeps for itself."""


def labels(found: Json) -> Json:
    """The labels of an object; none where it has none."""
    return found["metadata"].get("labels") or {}


def is_ours(found: Json, model: str) -> bool:
    """Whether tfcanary made it for this model, or was given it."""
    return bool(labels(found).get(object_names.MODEL) == model)


def check_ours(found: Json | None, model: str, adopt: bool = False) -> None:
    """Raises Refused, with its name, for an object that is somebody else's; `adopt`: the plan says to take it over."""
    if found is None or adopt or is_ours(found, model):
        return
    what = f"{found.get('kind', 'object')} {found['metadata']['name']} in namespace {found['metadata'].get('namespace', '')}"
    raise Refused(
        f"{what} was not made by tfcanary for model {model}: it has no label {object_names.MODEL}={model}; rename it, or see `adopt` in the plan"
    )


def applied(api: Api, resource: Resource, body: Json, force: bool = False) -> Json:
    """Server-side apply. Raises Refused where somebody else has set a field to another value, naming both: that does not pass by itself."""
    try:
        return api.apply(resource, body, force=force)
    except Conflict as error:
        raise Refused(str(error)) from error


def shown(found: Json) -> Json:
    """An object as people compare it: without what the API server adds to every one, and without its state."""
    metadata = {name: value for name, value in found["metadata"].items() if name not in NOISE}
    return {**{name: value for name, value in found.items() if name != "status"}, "metadata": metadata}
