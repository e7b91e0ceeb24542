"""An API server in whose namespace everything is ready for a release of the model m; a test takes one thing away."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.adapters.kube.test_manifests import IMAGE
from tests.adapters.kubeclient.api_server import ApiServer, Asked, Told, kubeconfig, status
from tests.adapters.metrics.prometheus_server import ANSWERED, BUCKET, Page, PrometheusServer
from tfcanary import __version__, adapters
from tfcanary.adapters.doctor_checks import Requirements
from tfcanary.adapters.kube import doctor, manifests
from tfcanary.adapters.kubeclient import object_names
from tfcanary.adapters.metrics.exposition import BOUNDS
from tfcanary.core import codec
from tfcanary.core.domain import Absence, Evidence, Look, Pool, Track
from tfcanary.core.plan import BucketPlan, MetricsPlan, Plan, ServingPlan, TrafficPlan
from tfcanary.core.record import Record

Json = dict[str, Any]

CORE, APPS = "/api/v1/namespaces/ns", "/apis/apps/v1/namespaces/ns"
ISTIO, GATEWAY = "networking.istio.io", "gateway.networking.k8s.io"
GROUPS = {
    GATEWAY: {"v1": ["httproutes", "gateways"], "v1beta1": ["httproutes"]},
    ISTIO: {"v1": ["virtualservices", "destinationrules", "gateways"]},
    "networking.k8s.io": {"v1": ["ingresses", "ingressclasses"]},
}
AT_GATEWAY = f"/apis/{GATEWAY}/v1/namespaces/ns/gateways/front"
POD = "m-v1-5d8f9c7b6d-x2k4q"
PREDICT = 'API="predict",entrypoint="REST"'
SERIES = {f"{ANSWERED}{{{PREDICT}}}": 100.0, **{f'{BUCKET}{{{PREDICT},le="{bound}"}}': 100.0 for bound in BOUNDS}}


def plan(prometheus: str, bucket: str, **changed: Any) -> Plan:
    pod = {
        "spec": {
            "containers": [{"name": "server", "volumeMounts": [{"name": "b", "mountPath": bucket}]}],
            "volumes": [{"name": "b", "emptyDir": {}}],
        }
    }
    given = {
        "serving": ServingPlan(image=IMAGE, pod_patch=pod),
        "bucket": BucketPlan(canary=bucket),
        "metrics": MetricsPlan(url=prometheus),
        "traffic": TrafficPlan(gateway="front"),
        **changed,
    }
    return Plan(**given)


def named(name: str, **more: Any) -> Json:
    return {"metadata": {"name": name, "namespace": "ns", **more.pop("metadata", {})}, **more}


def gateway(**listener: Any) -> Json:
    conditions = [{"type": kind, "status": "True"} for kind in ("Accepted", "Programmed")]
    return named(
        "front", spec={"gatewayClassName": "c", "listeners": [{"protocol": "HTTP", **listener}]}, status={"conditions": conditions}
    )


def record(writer: str = __version__, **changed: Any) -> Json:
    """The record's ConfigMap."""
    said = {**codec.encode(Record("m", writer)), **changed}
    labels = object_names.labels("m", "record")
    return named("tfcanary-m", metadata={"labels": labels}, data={"generation": "1", "record": codec.dumps(said)})


KINDS = frozenset(
    ("deployments", "pods", "configmaps", "services", "destinationrules", "endpointslices", "horizontalpodautoscalers", "resourcequotas")
)
"""What may be listed although there is none."""


class ReadyCluster(ApiServer):
    """Answers by path what `objects` has, and every right but those that are denied."""

    def __init__(self) -> None:
        super().__init__()
        self.version = "v1.34.4"
        self.groups = copy.deepcopy(GROUPS)
        self.denied: set[str] = set()
        """`patch deployments`, or for an account `ns/tfcanary: patch deployments`."""
        self.silent: set[str] = set()
        """Paths that are never answered."""
        self.gone = False
        """The namespace does not exist."""
        deployment = named("m-v1", metadata={"labels": object_names.selector("m", Pool(1))})
        deployment["spec"] = {"replicas": 1, "selector": {"matchLabels": object_names.selector("m", Pool(1))}, "template": {}}
        deployment["status"] = {"replicas": 1, "updatedReplicas": 1}
        stable = manifests.service("m", Track.STABLE, object_names.selector("m", Pool(1)), ServingPlan(image=IMAGE))
        pod = named(POD, metadata={"labels": object_names.selector("m", Pool(1))}, status={"phase": "Running"})
        self.objects: dict[str, Json] = {
            "/api/v1/namespaces/ns": named("ns", metadata={"labels": {"team": "a"}}, status={"phase": "Active"}),
            f"{CORE}/configmaps/tfcanary-m": record(),
            f"{CORE}/serviceaccounts/tfcanary": named("tfcanary"),
            f"{CORE}/serviceaccounts/tfcanary-guard": named("tfcanary-guard"),
            f"{CORE}/services/m-stable": stable,
            f"{CORE}/pods/{POD}": pod,
            f"{APPS}/deployments/m-v1": deployment,
            f"/apis/{GATEWAY}/v1/namespaces/ns/gateways/front": gateway(),
        }

    def otherwise(self, asked: Asked) -> Told:
        path = asked.path
        if path in self.silent:
            return Told(how="silent")
        if path == "/version":
            return Told(body={"gitVersion": self.version})
        if path.endswith("/selfsubjectreviews"):
            return Told(201, {"status": {"userInfo": {"username": "me"}}})
        if path.endswith("accessreviews"):
            return self._review(asked.body["spec"])
        if asked.method != "GET" and self.gone:
            return status(404, 'namespaces "ns" not found', "NotFound", name="ns", kind="namespaces")
        if asked.method != "GET":
            return Told(body={**asked.body, "metadata": {"namespace": "ns", **asked.body["metadata"]}})
        if path.startswith("/apis/") and path.count("/") <= 3:
            return self._group(*path.split("/")[2:])
        return self._object(path, asked.query.get("labelSelector", ""))

    def _review(self, spec: Json) -> Told:
        asked = spec["resourceAttributes"]
        who = ":".join(spec.get("user", "").split(":")[2:]).replace(":", "/")
        right = f"{who}{': ' if who else ''}{asked['verb']} {asked['resource']}"
        return Told(201, {"status": {"allowed": right not in self.denied}})

    def _group(self, group: str, version: str = "") -> Told:
        found = self.groups.get(group)
        if found is None or version not in ("", *found):
            return Told(404, "404 page not found")
        kinds = [{"name": one} for one in found.get(version, ())]
        return Told(body={"resources": kinds} if version else {"versions": [{"version": one} for one in found]})

    def _object(self, path: str, selector: str) -> Told:
        if path in self.objects:
            return Told(body=self.objects[path])
        pairs = [pair.split("=", 1) for pair in selector.split(",") if pair]
        within = [body for at, body in self.objects.items() if at.rpartition("/")[0] == path and _has(body, pairs)]
        plural = path.rpartition("/")[2]
        if within or plural in KINDS:
            return Told(body={"items": within, "metadata": {}})
        kind, name = path.split("/")[-2:]
        return status(404, f"{kind} {name!r} not found", "NotFound", name=name, kind=kind)


def _has(body: Json, pairs: list[list[str]]) -> bool:
    labels = body["metadata"].get("labels") or {}
    return all(labels.get(name) == value for name, value in pairs)


@dataclass
class Site:
    """A cluster, a Prometheus and a bucket that are ready."""

    cluster: ReadyCluster
    prometheus: PrometheusServer
    bucket: Path
    plan: Plan
    account: str = ""
    image: str = ""

    def examine(self, model: str = "m", with_plan: bool = True) -> Look:
        wanted = Requirements(self.plan if with_plan else None, model, self.account, self.image)
        return adapters.examine("kube://ns", wanted)

    def without(self, path: str) -> None:
        del self.cluster.objects[path]


@pytest.fixture
def site(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    cluster, prometheus, bucket = ReadyCluster(), PrometheusServer(), tmp_path / "bucket"
    bucket.mkdir()
    prometheus.pages = [Page(POD, "", series=SERIES)]
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "config", cluster.url)))
    monkeypatch.setattr(doctor, "PATIENCE", 0.5)
    yield Site(cluster, prometheus, bucket, plan(prometheus.url, str(bucket)))
    prometheus.close()
    cluster.close()


def findings(look: Look) -> dict[str, str]:
    return {one.about.removeprefix("doctor/"): one.finding.value for one in look.evidence}


def reason(look: Look, check: str) -> str:
    every: list[Evidence | Absence] = [*look.evidence, *look.absent]
    return next(one.reason for one in every if one.about == f"doctor/{check}")
