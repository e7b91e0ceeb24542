"""The owner of an object, and an object as people compare it."""

from __future__ import annotations

from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.kubeclient.resources import Json
from tfcanary.core.errors import Refused

NOISE = ("managedFields", "resourceVersion", "uid", "generation", "creationTimestamp", "selfLink")
"""Of an object's metadata: what the API server keeps for itself."""


def labels(found: Json) -> Json:
    """The labels of an object; none where it has none."""
    return found["metadata"].get("labels") or {}


def is_ours(found: Json, model: str) -> bool:
    """Whether tfcanary made an object for this model, or was given it."""
    return bool(labels(found).get(object_names.MODEL) == model)


def check_ours(found: Json | None, model: str, adopt: bool = False) -> None:
    """Raises Refused, with its name, for an object that is somebody else's, unless the plan adopts it."""
    if found is None or adopt or is_ours(found, model):
        return
    what = f"{found.get('kind', 'object')} {found['metadata']['name']} in namespace {found['metadata'].get('namespace', '')}"
    raise Refused(
        f"{what} was not made by tfcanary for model {model}: it has no label {object_names.MODEL}={model}; rename it, or see `adopt` in the plan"
    )


def comparable(found: Json) -> Json:
    """An object as people compare it: without its state, and without what every write to it changes."""
    metadata = {name: value for name, value in found["metadata"].items() if name not in NOISE}
    annotations = {name: value for name, value in (metadata.pop("annotations", None) or {}).items() if name != object_names.INTENT}
    metadata |= {"annotations": annotations} if annotations else {}
    return {**{name: value for name, value in found.items() if name != "status"}, "metadata": metadata}
