"""Plain calls of an API server: JSON in, JSON out, no models. Not what is tested: tfcanary has its own client."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import urllib3

from tests.cluster.authority import Identity

Json = dict[str, Any]

TIMEOUT = 30.0
"""Seconds for one call."""
MANAGER = "tests"
"""The field manager of what the tests apply."""


class ApiError(Exception):
    """An answer that is no success."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"{status}: {text}")
        self.status = status


class Api:
    """One server, asked as one user. May be shared by threads."""

    def __init__(self, server: str, authority: Path, identity: Identity | None = None, token: str = "") -> None:
        self.server = server
        self.tls = ssl.create_default_context(cafile=str(authority))
        if identity:
            self.tls.load_cert_chain(identity.certificate, identity.key)
        self.headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._http = urllib3.PoolManager(maxsize=16, retries=False, timeout=TIMEOUT, ssl_context=self.tls)
        self._plurals: dict[str, dict[str, tuple[str, bool]]] = {}
        self._lock = threading.Lock()

    def close(self) -> None:
        self._http.clear()

    def call(self, method: str, path: str, body: Any = None, kind: str = "application/json") -> Json:
        """The answer; raises ApiError, or OSError where there is none. A body that is text is sent as it is."""
        content = body if isinstance(body, str | None) else json.dumps(body)
        try:
            answer = self._http.request(method, self.server + path, body=content, headers={**self.headers, "Content-Type": kind})
        except urllib3.exceptions.HTTPError as error:
            raise OSError(f"{method} {path}: {error}") from error
        text = answer.data.decode()
        if answer.status >= 300:
            raise ApiError(answer.status, text)
        return json.loads(text) if text.startswith("{") else {"text": text}

    def get(self, path: str, **query: str) -> Json:
        return self.call("GET", f"{path}?{urlencode(query)}" if query else path)

    def items(self, path: str, **query: str) -> list[Json]:
        """A list's items; no items are sometimes null."""
        return self.get(path, **query)["items"] or []

    def post(self, path: str, body: Any) -> Json:
        return self.call("POST", path, body)

    def merge(self, path: str, body: Any) -> Json:
        """A merge patch: maps are merged, lists replaced."""
        return self.call("PATCH", path, body, "application/merge-patch+json")

    def delete(self, path: str, grace: int | None = None, **options: Any) -> None:
        """Delete what may be gone already. The grace goes into the body: beside a body, query options are ignored."""
        if grace is not None:
            options["gracePeriodSeconds"] = grace
        try:
            self.call("DELETE", path, options)
        except ApiError as error:
            if error.status != 404:
                raise

    def token(self, namespace: str, account: str, seconds: int = 3600, bound_to: Json | None = None) -> str:
        """A fresh token of a service account that exists; `bound_to` (a pod): it ends with it."""
        spec: Json = {"expirationSeconds": seconds} | ({"boundObjectRef": bound_to} if bound_to else {})
        body = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": spec}
        answer = self.post(f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token", body)
        return str(answer["status"]["token"])

    def apply(self, document: Mapping[str, Any], namespace: str = "", manager: str = MANAGER) -> Json:
        """Server-side apply, by force; what lives in a namespace and names none goes into `namespace`."""
        return self.call(
            "PATCH", f"{self.path(document, namespace)}?fieldManager={manager}&force=true", document, "application/apply-patch+yaml"
        )

    def path(self, document: Mapping[str, Any], namespace: str = "") -> str:
        """Where the API server has an object."""
        version, metadata = document["apiVersion"], document["metadata"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        plural, namespaced = self._plural(root, document["kind"])
        place = f"/namespaces/{metadata.get('namespace') or namespace or 'default'}" if namespaced else ""
        return f"{root}{place}/{plural}/{metadata['name']}"

    def _plural(self, root: str, kind: str) -> tuple[str, bool]:
        with self._lock:
            if kind not in self._plurals.get(root, {}):
                found = [one for one in self.get(root)["resources"] if "/" not in one["name"]]
                self._plurals[root] = {one["kind"]: (one["name"], one["namespaced"]) for one in found}
            assert kind in self._plurals[root], f"{root} has no {kind}"
            return self._plurals[root][kind]
