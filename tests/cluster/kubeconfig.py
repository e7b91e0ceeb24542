"""Kubeconfigs: written for whoever is to speak to an API server, and read to do it ourselves."""

from __future__ import annotations

import base64
import json
from pathlib import Path

import yaml

from tests.cluster.api import Api, Json
from tests.cluster.authority import Identity


def write(path: Path, server: str, authority: Path, user: Json, namespace: str = "default") -> Path:
    """In JSON, which is YAML. `user` is its entry: a token, or a certificate and its key."""
    cluster = {"server": server, "certificate-authority-data": base64.b64encode(authority.read_bytes()).decode()}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "clusters": [{"name": "test", "cluster": cluster}],
        "users": [{"name": "test", "user": user}],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test", "namespace": namespace}}],
    }
    path.touch(mode=0o600)
    path.write_text(json.dumps(document))
    return path


def certificate(identity: Identity) -> Json:
    """The entry of a user with a certificate."""
    return {"client-certificate": str(identity.certificate), "client-key": str(identity.key)}


def authority(path: Path, folder: Path) -> Path:
    """The authority's certificate in a kubeconfig, as a file."""
    cluster, _ = _current(path)
    return _file(cluster, "certificate-authority", folder / "read-ca.crt")


def read(path: Path, folder: Path) -> Api:
    """The API server of the current context, as its user: with a token or a certificate. Writes certificates into `folder`."""
    cluster, user = _current(path)
    identity = None
    if "token" not in user:
        identity = Identity(
            _file(user, "client-certificate", folder / "read-client.crt"), _file(user, "client-key", folder / "read-client.key")
        )
    return Api(cluster["server"], authority(path, folder), identity, user.get("token", ""))


def _current(path: Path) -> tuple[Json, Json]:
    document = yaml.safe_load(path.read_text())
    named = {kind: {one["name"]: one for one in document[kind]} for kind in ("clusters", "users", "contexts")}
    context = named["contexts"][document["current-context"]]["context"]
    return named["clusters"][context["cluster"]]["cluster"], named["users"][context["user"]]["user"]


def _file(entry: Json, key: str, path: Path) -> Path:
    if key in entry:
        return Path(entry[key])
    path.touch(mode=0o600)
    path.write_bytes(base64.b64decode(entry[f"{key}-data"]))
    return path
