"""A plan's patch for the pod template, merged as `kubectl patch` merges: pure.

Maps are merged at every depth, lists to which Kubernetes gives a key by that key, all other lists are replaced, and null removes a key.
What the release rests on cannot be patched: the labels that Services select, the image, the ports, the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import PurePosixPath
from typing import Any

from tfcanary.core.errors import Refused

KEYS = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "imagePullSecrets": "name",
    "ports": "containerPort",
    "volumeMounts": "mountPath",
}
"""The lists that are merged by a key of their items, as the Kubernetes API says."""
FIELD = "serving.pod_patch"
SERVER = "server"
"""The name of the container of the model server."""

Json = dict[str, Any]


def apply_patch(template: Json, patch: Mapping[str, object]) -> Json:
    """The pod template with the plan's patch. Raises Refused, with the path, where the patch is malformed or changes what the release rests on."""
    merged: Json = _merge(template, patch, FIELD)
    _check_untouched(template, merged)
    return merged


def _merge(base: Any, patch: object, at: str) -> Any:
    if isinstance(patch, Mapping):
        return _map(base if isinstance(base, Mapping) else {}, patch, at)
    if isinstance(base, Mapping):
        raise Refused(f"{at}: must be an object, not {patch!r}")
    return patch


def _map(base: Mapping[str, Any], patch: Mapping[str, object], at: str) -> Json:
    result = dict(base)
    for key, value in patch.items():
        here = f"{at}.{key}"
        if str(key).startswith("$"):
            raise Refused(
                f"{here}: directives are not supported; null removes a key, and a list of the patch replaces one without merge keys"
            )
        if value is None:
            result.pop(key, None)
        elif key in KEYS:
            result[key] = _list(result.get(key) or [], value, KEYS[key], here)
        else:
            result[key] = _merge(result.get(key), value, here)
    return result


def _list(base: Sequence[Json], patch: object, key: str, at: str) -> list[Json]:
    if not isinstance(patch, list):
        raise Refused(f"{at}: must be a list, each item with its `{key}`")
    items = {item[key]: item for item in base}
    for number, one in enumerate(patch):
        if not isinstance(one, Mapping) or not isinstance(one.get(key), str | int):
            raise Refused(f"{at}[{number}]: must be an object with its `{key}`")
        items[one[key]] = _map(items.get(one[key], {}), one, f"{at}[{one[key]}]")
    return list(items.values())


def _check_untouched(before: Json, after: Json) -> None:
    labels = after.get("metadata", {}).get("labels", {})
    for name, value in before["metadata"]["labels"].items():
        if labels.get(name) != value:
            raise _must_stay(f"metadata.labels.{name}", value)
    was, now = _server(before), _server(after)
    for name in ("image", "command", "ports"):
        if now.get(name) != was.get(name):
            raise _must_stay(f"spec.containers[{SERVER}].{name}", was.get(name))
    _check_arguments(was["args"], now.get("args") or [])
    for name, kept, there in (("volumeMounts", was, now), ("volumes", before["spec"], after.get("spec", {}))):
        lost = next((one for one in kept[name] if one not in (there.get(name) or ())), None)
        if lost:
            raise _must_stay(f"spec.{name}", lost)


def _check_arguments(ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Raises Refused where a flag of ours is changed, missing or given twice, for of two the server takes the last; other flags may be added."""
    for argument in ours:
        name = argument.partition("=")[0]
        if [one for one in theirs if one.partition("=")[0] == name] != [argument]:
            raise _must_stay(f"spec.containers[{SERVER}].args", argument)


def _server(template: Json) -> Json:
    containers = template.get("spec", {}).get("containers", ())
    return next((one for one in containers if one["name"] == SERVER), {})


def _must_stay(at: str, value: object) -> Refused:
    return Refused(f"{FIELD}.{at}: must stay {value!r}, for the release rests on it")


def shared_volume(patch: Mapping[str, Any], folder: str) -> tuple[Json, Json] | None:
    """The volume and its mount by which a patched server sees a folder; None where the patch mounts nothing there."""
    spec = patch.get("spec") or {}
    containers = (one for one in spec.get("containers") or () if one.get("name") == SERVER)
    mounts = [mount for one in containers for mount in one.get("volumeMounts") or () if _holds(str(mount.get("mountPath", "")), folder)]
    volumes = {one.get("name"): one for one in spec.get("volumes") or ()}
    return next(((volumes[mount["name"]], mount) for mount in mounts if mount.get("name") in volumes), None)


def _holds(mount: str, folder: str) -> bool:
    return bool(mount) and PurePosixPath(folder).is_relative_to(mount)
