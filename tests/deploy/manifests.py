"""What lies in deploy/, parsed: the files as they are, and the installations that kustomize makes of them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

DEPLOY = Path(__file__).parents[2] / "deploy"
DIGEST = "sha256:" + "0" * 64
ROUTERS = sorted(folder.name for folder in (DEPLOY / "routers").iterdir())

Json = dict[str, Any]


def documents() -> Iterator[tuple[str, Json]]:
    """Every document of every file, with its place; rules and scrape configurations are Prometheus' own, and no objects."""
    for path in sorted(DEPLOY.rglob("*.yaml")):
        for document in yaml.safe_load_all(path.read_text()):
            if "kind" in document:
                yield str(path.relative_to(DEPLOY)), document


def of_kind(kind: str) -> list[Json]:
    return [document for _, document in documents() if document["kind"] == kind]


def patches() -> Iterator[tuple[str, str, Any]]:
    """Kind and name of what each patch of a component changes, and the value that it adds."""
    for component in of_kind("Component"):
        for patch in component["patches"]:
            for operation in yaml.safe_load(patch["patch"]):
                yield patch["target"]["kind"], patch["target"]["name"], operation["value"]


def rules() -> list[Json]:
    """Every rule of every Role, also those that routers add."""
    written = [rule for role in of_kind("Role") for rule in role["rules"]]
    return written + [value for kind, _, value in patches() if kind == "Role"]


def render(folder: Path) -> list[Json]:
    """What `kubectl apply -k` would apply."""
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("kubectl is not installed")
    done = subprocess.run([kubectl, "kustomize", str(folder)], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def overlay(folder: Path, namespace: str, *components: str, guard: bool = False) -> Path:
    """An installation in a namespace of one's own, as README.md shows it. Kustomize takes relative paths only, so it is given a copy."""
    shutil.copytree(DEPLOY, folder / "deploy")
    shown = {
        "namespace": namespace,
        "resources": ["deploy/rbac", "deploy/network", *(["deploy/guard"] if guard else [])],
        "components": [f"deploy/{one}" for one in components],
        "images": [{"name": "tfcanary", "digest": DIGEST}],
    }
    (folder / "kustomization.yaml").write_text(yaml.safe_dump(shown))
    return folder
