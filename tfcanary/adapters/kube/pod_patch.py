"""A plan's patch for the pod template, merged as `kubectl patch` merges: pure.

Maps are merged at every depth, lists to which Kubernetes gives a key by that key, all other lists are replaced, and null removes a key.
What the release rests on cannot be patched: the labels that Services select, the image, the ports, the configuration.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
PULL = "pull"
"""The name of the init container that copies a version into the pod."""

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Claim:
    """A PersistentVolumeClaim of the namespace, and where it is mounted."""

    name: str
    mount_path: str
    sub_path: str = ""
    """The folder of the volume that is mounted; empty: the whole volume."""


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
    was, now = (_container(template, "containers", SERVER) for template in (before, after))
    _check_container(f"spec.containers[{SERVER}]", was, now, ("image", "command", "ports"))
    _check_arguments(f"spec.containers[{SERVER}].args", was["args"], now.get("args") or [])
    was, now = (_container(template, "initContainers", PULL) for template in (before, after))
    if was:
        # An argument more could take the place of the digest.
        _check_container(f"spec.initContainers[{PULL}]", was, now, ("image", "command", "args"))
    _check_kept("spec.volumes", before["spec"], after.get("spec", {}))


def _check_container(at: str, was: Json, now: Json, fields: Sequence[str]) -> None:
    """Raises Refused where one of these fields of a container is changed, or one of its mounts."""
    for name in fields:
        if now.get(name) != was.get(name):
            raise _must_stay(f"{at}.{name}", was.get(name))
    _check_kept(f"{at}.volumeMounts", was, now)


def _check_kept(at: str, was: Json, now: Json) -> None:
    """Raises Refused where an item of ours is changed or missing in the list that `at` ends with; others may be added."""
    name = at.rpartition(".")[2]
    there = now.get(name) or ()
    lost = next((one for one in was.get(name) or () if one not in there), None)
    if lost:
        raise _must_stay(at, lost)


def _check_arguments(at: str, ours: Sequence[str], theirs: Sequence[str]) -> None:
    """Raises Refused where a flag of ours is changed, missing or given twice, for of two the server takes the last; other flags may be added."""
    for argument in ours:
        name = argument.partition("=")[0]
        if [one for one in theirs if one.partition("=")[0] == name] != [argument]:
            raise _must_stay(at, argument)


def _container(template: Json, kind: str, name: str) -> Json:
    """A container of a template by its name; empty where there is none."""
    return next((one for one in template.get("spec", {}).get(kind) or () if one["name"] == name), {})


def _must_stay(at: str, value: object) -> Refused:
    return Refused(f"{FIELD}.{at}: must stay {value!r}, for the release rests on it")


def shared_volume(patch: Mapping[str, Any], folder: str) -> tuple[Json, Json] | None:
    """The volume and its mount by which a patched server sees a folder; None where the patch mounts nothing there."""
    spec = patch.get("spec") or {}
    containers = (one for one in spec.get("containers") or () if one.get("name") == SERVER)
    mounts = [mount for one in containers for mount in one.get("volumeMounts") or () if _holds(str(mount.get("mountPath", "")), folder)]
    volumes = {one.get("name"): one for one in spec.get("volumes") or ()}
    return next(((volumes[mount["name"]], mount) for mount in mounts if mount.get("name") in volumes), None)


def shared_claim(patch: Mapping[str, Any], folder: str) -> Claim | None:
    """The claim by which a patched server sees a folder; None where it sees none, or by another kind of volume."""
    volume, mount = shared_volume(patch, folder) or ({}, {})
    name = (volume.get("persistentVolumeClaim") or {}).get("claimName")
    return Claim(str(name), str(mount["mountPath"]), str(mount.get("subPath") or "")) if name else None


def _holds(mount: str, folder: str) -> bool:
    return bool(mount) and PurePosixPath(folder).is_relative_to(mount)
