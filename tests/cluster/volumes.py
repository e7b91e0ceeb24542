"""A pod's files and variables on a machine that it shares: each volume is a folder, and paths in arguments lead there."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.cluster.api import ApiError, Json

Read = Callable[[str, str], Json]
"""A ConfigMap or Secret of the pod's namespace, by plural and name; raises ApiError."""


def make(pod: Json, folder: Path, read: Read) -> dict[str, Path]:
    """Every volume's folder, by name, filled with what it holds; raises ApiError where that is missing.

    What a ConfigMap says of mount paths leads to the real ones, too.
    """
    volumes = {volume["name"]: volume for volume in pod["spec"].get("volumes", []) if "projected" not in volume}  # those are tokens
    made = {name: Path(one["hostPath"]["path"]) if "hostPath" in one else folder / "volumes" / name for name, one in volumes.items()}
    moved = {path: place for one in pod["spec"]["containers"] for path, place in places(one, made).items()}
    for name, volume in volumes.items():
        made[name].mkdir(parents=True, exist_ok=True)
        for key, content in _contents(volume, read).items():
            (made[name] / key).parent.mkdir(parents=True, exist_ok=True)
            (made[name] / key).write_bytes(_moved(content, moved) if "configMap" in volume else content)
    return made


def _moved(content: bytes, moved: Mapping[str, str]) -> bytes:
    return really(content.decode(errors="surrogateescape"), moved).encode(errors="surrogateescape")


def _contents(volume: Json, read: Read) -> dict[str, bytes]:
    if "configMap" in volume:
        source, asked = volume["configMap"], ("configmaps", volume["configMap"]["name"])
    elif "secret" in volume:
        source, asked = volume["secret"], ("secrets", volume["secret"]["secretName"])
    else:
        return {}
    try:
        found = read(*asked)
    except ApiError as error:
        if error.status == 404 and source.get("optional"):
            return {}
        raise
    paths = {item["key"]: item["path"] for item in source.get("items", [])}
    return {paths.get(key, key): value for key, value in data(found).items() if not paths or key in paths}


def data(found: Json) -> dict[str, bytes]:
    """What a ConfigMap or a Secret holds."""
    encoded = found.get("binaryData", {}) | (found.get("data", {}) if found["kind"] == "Secret" else {})
    plain = {key: text.encode() for key, text in found.get("data", {}).items()} if found["kind"] == "ConfigMap" else {}
    return plain | {key: base64.b64decode(text) for key, text in encoded.items()}


def places(container: Json, volumes: Mapping[str, Path]) -> dict[str, str]:
    """Where each mount path of a container really is."""
    mounts = [mount for mount in container.get("volumeMounts", []) if mount["name"] in volumes]
    return {mount["mountPath"].rstrip("/"): str(volumes[mount["name"]] / mount.get("subPath", "")) for mount in mounts}


def really(text: str, moved: Mapping[str, str]) -> str:
    """The text with every mount path that stands in it as a path, or as the beginning of one, replaced."""
    if not moved:
        return text
    paths = "|".join(re.escape(path) for path in sorted(moved, key=len, reverse=True))
    return re.sub(rf"(?<![\w./-])({paths})(?![\w.-])", lambda found: moved[found[0]], text)


def variables(container: Json, given: Mapping[str, str], fields: Mapping[str, str], read: Read) -> dict[str, str]:
    """The container's environment: `given`, and what it asks for; raises ApiError where a source is missing."""
    found = dict(given)
    for source in container.get("envFrom", []):
        for kind, plural in (("configMapRef", "configmaps"), ("secretRef", "secrets")):
            if kind in source:
                found |= {source.get("prefix", "") + key: value.decode() for key, value in data(read(plural, source[kind]["name"])).items()}
    for variable in container.get("env", []):
        found[variable["name"]] = expand(_value(variable, fields, read), found)
    return found


def _value(variable: Json, fields: Mapping[str, str], read: Read) -> str:
    source: Json = variable.get("valueFrom", {})
    if "fieldRef" in source:
        return fields[source["fieldRef"]["fieldPath"]]
    for kind, plural in (("configMapKeyRef", "configmaps"), ("secretKeyRef", "secrets")):
        if kind in source:
            return data(read(plural, source[kind]["name"]))[source[kind]["key"]].decode()
    return str(variable.get("value", ""))


def expand(text: str, known: Mapping[str, Any]) -> str:
    """`$(NAME)`, as Kubernetes replaces it: what is unknown stays."""
    return re.sub(r"\$\(([A-Za-z_]\w*)\)", lambda found: known.get(found[1], found[0]), text)
